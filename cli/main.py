"""The commands of `tm` with their arguments and options."""

import datetime as dt
import functools
import itertools
import shlex
import sys
import time
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from typer.core import TyperGroup

from cli import api
from cli import backfill as backfilling
from cli import drop as dropping
from cli import fix as fixing
from cli import rejects as rejected
from cli import remove as removing
from cli import replay as replaying
from cli import rows as lookup
from cli import sql as querying
from cli import status as log
from cli import user as users
from cli.console import console, errors, print_json, print_json_array, print_text
from cli.errors import CommandError, one_line
from cli.extras import need
from cli.items import Item, many
from cli.options import (
    AsJson,
    ContractsFolder,
    ContractsOfStack,
    File,
    Follow,
    HardTesting,
    IngestedID,
    StackFolder,
    age_or_time,
    day_option,
    past_time,
)
from cli.stack import Stack
from local import psql
from local.home import home
from shared import odcs
from shared.contract import Contract
from shared.contract_set import Contracts
from shared.endings import Status
from shared.ingestion_log import timestamp
from shared.landing_key import LandingKey
from shared.text import listed
from shared.version import VERSION


class _Commands(TyperGroup):
    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        # `tm rejects` takes an ID, so `fix` cannot be a subcommand of it.
        two_words = " ".join(args[:2])
        if two_words in self.commands:
            args = [two_words, *args[2:]]
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        with one_line():
            return super().invoke(ctx)


app = typer.Typer(
    cls=_Commands,
    help="Operate the pipeline: the laptop cloud by default, a stack on AWS with --stack.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(requested: bool) -> None:
    if requested:
        print_text(f"tm {VERSION}")
        raise typer.Exit


@app.callback()
def _tm(
    _: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    pass


@app.command()
def up(contracts: ContractsFolder = None, hard_testing: HardTesting = None) -> None:
    """Start the laptop cloud or, if it is running, apply changes to it.

    Options that you leave out keep their last values. At first, the contracts are the samples and
    hard testing is off.
    """
    need("local", "tm up")
    from local import cloud  # noqa: PLC0415 - of the extra local

    started = time.monotonic()
    stack = cloud.up(
        home(),
        contracts=contracts,
        hard_testing=hard_testing,
        report=lambda step: console.print(f"{time.monotonic() - started:5.1f} s  {step}"),
    )
    console.print(f"{time.monotonic() - started:5.1f} s  Up: {stack.api_url}")


@app.command()
def down() -> None:
    """Stop the laptop cloud and delete its data."""
    need("local", "tm down")
    from local import cloud  # noqa: PLC0415 - of the extra local

    console.print("Down." if cloud.down(home()) else "No laptop cloud was running.")


@app.command()
def drop(
    file: File,
    table: Annotated[
        str | None,
        typer.Option(metavar="TABLE", help="Load FILE into this table. Default: dailycheckins."),
    ] = None,
    date: Annotated[
        dt.datetime | None,
        day_option(
            "--date",
            "Set the day of the data. Default: today in the time zone of the table's contract.",
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="Upload FILE with this key, which a contract's `keys` must match, instead of one "
            "of the form table=…",
        ),
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(
            metavar="MANIFEST",
            exists=True,
            dir_okay=False,
            help="Upload this manifest too, with the name that the contract requires.",
        ),
    ] = None,
    follow: Follow = False,
    stack: StackFolder = None,
) -> None:
    """Upload FILE to the landing bucket, which starts its ingestion."""
    if key is not None and (table is not None or date is not None):
        raise typer.BadParameter(
            "it tells the table and the day: leave out --table and --date.", param_hint="--key"
        )
    where = Stack.open(stack)
    if key is None:
        contract = _contract(where.contracts, table or "dailycheckins")
        day = date or dt.datetime.now(ZoneInfo(contract.timezone))
        key = str(LandingKey(contract.table, day.date(), file.name))
    ingestion = dropping.put(where, file, dropping.key_of(where, key), manifest)
    if follow and not dropping.follow(where, ingestion):
        raise typer.Exit(1)


@app.command()
def check(  # noqa: PLR0913, PLR0917 - they are its options
    context: typer.Context,
    file: File,
    table: Annotated[
        str, typer.Option(metavar="TABLE", help="Use the contract of this table.")
    ] = "dailycheckins",
    contracts: ContractsFolder = None,
    as_json: AsJson = False,
    hard_testing: HardTesting = None,
    stack: ContractsOfStack = None,
    manifest: Annotated[
        Path | None,
        typer.Option(
            metavar="MANIFEST",
            exists=True,
            dir_okay=False,
            help="Verify FILE with this manifest; its name does not matter.",
        ),
    ] = None,
) -> None:
    """Transform and test FILE on this machine, without a cloud.

    Exit with 0 if the pipeline would load the file, 1 if not. The contract comes from --contracts,
    else from the stack that --stack names, else from the samples.
    """
    need("check", "tm check")
    from cli import check as checking  # noqa: PLC0415 - of the extra check, slow to import

    contracts = _folder(context, contracts)
    samples = " These are the samples: pass the folder of your contracts with --contracts."
    hint = samples if contracts is None and stack is None else ""
    contract = _contract(_contracts(contracts, stack), table, hint)
    with checking.checked(file, contract, manifest=manifest, hard=bool(hard_testing)) as found:
        if as_json:
            print_json(found.as_json())
        else:
            checking.show(found)
        if not found.would_be_loaded:
            raise typer.Exit(1)


@app.command("contract diff")
def contract_diff(
    old: Annotated[
        Path,
        typer.Argument(
            metavar="OLD",
            exists=True,
            dir_okay=False,
            help="The deployed version, e.g. from `git show`.",
        ),
    ],
    new: Annotated[
        Path,
        typer.Argument(metavar="NEW", exists=True, dir_okay=False, help="The version to deploy."),
    ],
    as_json: AsJson = False,
) -> None:
    """Show what migrate, files and readers would see if the contract NEW replaced OLD.

    Exit with 0 if migrate would accept the change, 1 if not.
    """
    from cli import contract_diff as diff  # noqa: PLC0415 - the parts of the API are slow to import

    before, after = diff.read(old, new)
    found = diff.effects(before, after)
    if as_json:
        print_json(diff.as_json(found))
    else:
        console.print(*diff.described(found, after.table), sep="\n")
    if any(each.is_refused for each in found):
        raise typer.Exit(1)


@app.command()
def contract(
    context: typer.Context,
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", exists=True, dir_okay=False, help="Files of one table, in any order."
        ),
    ],
    table: Annotated[
        str | None,
        typer.Option(metavar="TABLE", help="Name the table. Default: the name of the first file."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            file_okay=False,
            help="Write <table>.odcs.yaml to this folder, and create it. Default: print it.",
        ),
    ] = None,
    contracts: ContractsFolder = None,
    stack: ContractsOfStack = None,
) -> None:
    """Draft the contract of a table from all rows of sample files.

    Comments in it show the evidence, which quotes values, and the choices to check. Exit with 0 if
    all rows would be loaded, 1 if not: the comments at the beginning list these rows.

    If the contracts of --contracts, else those of the stack that --stack names, have one of the
    table, print a patch of it instead, for `git apply` in their folder. The errors explain it.
    """
    need("check", "tm contract")
    from cli.drafting import draft as drafting  # noqa: PLC0415 - of the extra check, slow to import
    from cli.drafting import patch as patching  # noqa: PLC0415 - the same

    table = drafting.table_of(files, table)
    contracts = _folder(context, contracts)
    known = None if contracts is None and stack is None else _contracts(contracts, stack)
    if known is not None and table in known.tables:
        if out is not None:
            raise typer.BadParameter(
                f"{table} has a contract, so a patch of it is printed: leave out --out, or "
                "--contracts and --stack.",
                param_hint="--out",
            )
        changed = patching.Patch.of(table, known.content(table))
        changed.accept(files)
        if not patching.show(changed, files):
            raise typer.Exit(1)
        return
    drafted = drafting.draft(files, table)
    drafting.write(drafted, out)
    if drafted.failed:
        raise typer.Exit(1)


@app.command()
def status(  # noqa: PLR0913, PLR0917 - they are its options
    ingested_id: Annotated[
        str | None,
        typer.Argument(
            metavar="ID", help="Show this ingestion with all its steps. Default: list the newest."
        ),
    ] = None,
    statuses: Annotated[
        list[Status] | None,
        typer.Option(
            "--status", help="List only ingestions with this status. Repeat the option for more."
        ),
    ] = None,
    table: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE",
            help="List only this table; `unmatched` lists keys that match no table.",
        ),
    ] = None,
    since: Annotated[
        dt.datetime | None,
        typer.Option(
            metavar="TIME",
            parser=age_or_time,
            help="List only ingestions that changed since TIME: an age (30m, 24h, 7d, 2w), a day "
            "(2024-03-01, in UTC) or a time (2026-11-22T19:00:00Z).",
        ),
    ] = None,
    date: Annotated[
        dt.datetime | None,
        day_option("--date", "List only files of this day, as in their landing keys."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="List at most N ingestions.")] = 50,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Keep showing changes until Ctrl-C. With ID, until its run ends; exit with 0 if "
            "the file was loaded, 1 if not.",
        ),
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print JSON instead of text; with --watch, one line per change."
        ),
    ] = False,
    stack: StackFolder = None,
) -> None:
    """List ingestions from the log, newest first, or show one with all its steps."""
    if ingested_id is not None:
        if statuses or table or since or date:
            raise typer.BadParameter("filters apply to lists only: leave out the filters or ID.")
        where = Stack.open(stack)
        if watch:
            _watch_one(where, log.find_run(where, ingested_id), as_json=as_json)
        elif as_json:
            print_json(log.find(where, ingested_id))
        else:
            log.show_one(log.find(where, ingested_id))
        return
    wanted = log.Filter(
        tuple(dict.fromkeys(statuses or Status)), table, since, date.date() if date else None
    )
    where = Stack.open(stack)
    read = functools.partial(log.listing, where, wanted, limit)
    if watch:
        log.watch(read, as_json=as_json)
        return
    listing = read()
    if as_json:
        print_json(listing.items)
    else:
        log.show(listing)
        if waiting := log.backlog(where):
            console.print(waiting)
    log.report_more(listing)


@app.command()
def doctor(as_json: AsJson = False, stack: StackFolder = None) -> None:
    """Check every part of the stack and say how to fix it.

    Exit with 0 if nothing is wrong, 1 otherwise. The command changes nothing.
    """
    from cli import doctor as doctors  # noqa: PLC0415 - the database drivers are slow to import

    found = []
    for each in doctors.examine(Stack.open(stack)):
        found.append(each)
        if not as_json:
            doctors.show(*each)
    if as_json:
        print_json([doctors.as_json(*each) for each in found])
    if not doctors.is_well(found):
        raise typer.Exit(1)


@app.command()
def rejects(
    ingested_id: IngestedID,
    out: Annotated[
        Path | None,
        typer.Option(
            "--csv",
            metavar="OUT",
            dir_okay=False,
            help="Write the rejected rows to OUT as CSV, escaped for spreadsheets.",
        ),
    ] = None,
    as_json: AsJson = False,
    stack: StackFolder = None,
) -> None:
    """Show the rejected rows of an ingestion: line, column, value, rule and reason."""
    where = Stack.open(stack)
    item = rejected.find(where, ingested_id)
    saved = out is not None and rejected.save(where, item, out)
    found = rejected.records(where, item)
    if as_json:
        print_json(list(found))
    elif saved:
        console.print(f"Wrote {out}. Correct its column `raw`, then run `tm rejects fix`.")
    elif first := list(itertools.islice(found, 1)):
        rejected.show(itertools.chain(first, found))
    else:
        console.print(rejected.none_of(item))


@app.command("rejects fix")
def fix(
    ingested_id: IngestedID,
    corrected: Annotated[
        Path,
        typer.Argument(
            metavar="CORRECTED.csv",
            exists=True,
            dir_okay=False,
            help="The CSV from `tm rejects ID --csv`, with corrected values in the column 'raw'. "
            "Only the columns 'line' and 'raw' are read; lines left out stay unchanged.",
        ),
    ],
    follow: Follow = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the file even if a newer version has landed.")
    ] = False,
    stack: StackFolder = None,
) -> None:
    """Upload the file of an ingestion again with corrected rows in place of rejected ones."""
    where = Stack.open(stack)
    item = rejected.find(where, ingested_id)
    ingestion = fixing.fix(where, item, corrected, where.contracts, force=force)
    if follow and not dropping.follow(where, ingestion):
        raise typer.Exit(1)


@app.command()
def replay(
    ingested_id: IngestedID,
    without_manifest: Annotated[
        bool, typer.Option("--without-manifest", help="Do not wait for the file's manifest.")
    ] = False,
    follow: Follow = False,
    stack: StackFolder = None,
) -> None:
    """Run an ingestion again from its beginning."""
    where = Stack.open(stack)
    ingestion = replaying.replay(where, ingested_id, without_manifest=without_manifest)
    if follow and not dropping.follow(where, ingestion):
        raise typer.Exit(1)


@app.command()
def backfill(
    first: Annotated[
        dt.datetime, day_option("--from", "Set the first day, as in the landing keys.")
    ],
    last: Annotated[dt.datetime, day_option("--to", "Set the last day (inclusive).")],
    table: Annotated[
        str | None,
        typer.Option(metavar="TABLE", help="Run only files of this table. Default: all tables."),
    ] = None,
    concurrency: Annotated[
        int, typer.Option(min=1, metavar="N", help="Run N files at a time.")
    ] = 4,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan and change nothing.")
    ] = False,
    resume: Annotated[
        dt.datetime | None,
        typer.Option(
            metavar="TIME",
            parser=past_time,
            help="Skip files loaded by runs that started since TIME, e.g. 2026-11-22T19:00:00Z.",
        ),
    ] = None,
    stack: StackFolder = None,
) -> None:
    """Run every landed file of a range of days again.

    The command runs the newest version of each file. If the pipeline refuses it, the command runs
    the version before. Exit with 0 if every newest version was accepted, no run failed and all
    contracts are valid; 1 otherwise.
    """
    if first > last:
        raise typer.BadParameter(
            f"{first:%Y-%m-%d} is after --to {last:%Y-%m-%d}.", param_hint="--from"
        )
    where = Stack.open(stack)
    contracts = where.contracts
    tables = sorted(contracts) if table is None else [_contract(contracts, table).table]
    left_out = _warn_of_invalid(contracts) if table is None else False
    cut = timestamp(resume or dt.datetime.now(dt.UTC))
    files = backfilling.landed(where, tables, first.date(), last.date())
    work = backfilling.Backfill(where, dt.datetime.fromisoformat(cut))
    status = 0
    if not files:
        console.print(f"No files of {', '.join(tables)} landed for these days.")
    elif dry_run:
        backfilling.show_plan(work, files)
    else:
        days = ["--from", str(first.date()), "--to", str(last.date())]
        again = ["tm", "backfill", *days, "--resume", cut, "--concurrency", str(concurrency)]
        again += [] if table is None else ["--table", table]
        again += [] if stack is None else ["--stack", str(stack)]
        console.print(f"Backfill of {many(len(files), 'file')}, started at {cut}.")
        status = backfilling.run(work, files, concurrency, shlex.join(again))
    if status or left_out:
        raise typer.Exit(status or 1)


@app.command()
def smoke(
    table: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE",
            help="Use this table. Default: the first table with a lookup, else the first table.",
        ),
    ] = None,
    as_json: AsJson = False,
    stack: StackFolder = None,
) -> None:
    """Test a deployed stack end to end with generated files.

    The command runs the checks of `tm doctor`. Then it uploads a file of good and bad rows and a
    file that the pipeline must refuse, compares the results with the expected ones, and removes
    both files. Subscribers get up to three alerts. Exit with 0 if everything is as expected, 1 if
    not.
    """
    from cli import smoke as smoking  # noqa: PLC0415 - the database drivers are slow to import

    where = Stack.open(stack)
    contracts = where.contracts or where.contracts.all_valid()
    first = next((c for c in contracts.values() if c.lookup), next(iter(contracts.values())))
    contract = first if table is None else _contract(contracts, table)
    steps: list[smoking.Step] = []

    def report(step: smoking.Step) -> None:
        steps.append(step)
        if not as_json:
            smoking.show(step)

    interrupted = False
    try:
        smoking.Smoke(where, contract, report).run()
    except KeyboardInterrupt:
        interrupted = True
    if as_json:
        print_json([smoking.as_json(step) for step in steps])
    if interrupted:
        raise typer.Exit(130)
    if not smoking.is_well(steps):
        raise typer.Exit(1)


@app.command()
def remove(
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="The landing key, or its s3:// address.")
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be removed and change nothing.")
    ] = False,
    stack: StackFolder = None,
) -> None:
    """Delete a landed file permanently: all versions, table rows and staged objects.

    The log keeps its items. Exit with 0 if nothing else of the file is left.
    """
    where = Stack.open(stack)
    held = removing.find(where, key)
    if held.is_unknown:
        raise CommandError(
            f"No file has landed as s3://{where.landing_bucket}/{held.key}: list the landed files "
            "with `tm status`."
        )
    console.print(removing.described(held))
    if dry_run or held.is_removed:
        return
    if held.under_way:
        ingested_id = held.under_way[0]
        raise CommandError(
            f"Nothing was removed because {ingested_id} is still queued or running: wait until "
            f"`tm status {ingested_id} --watch` ends, then try again."
        )
    if not yes:
        if not sys.stdin.isatty():
            raise CommandError("Nothing was removed: without a terminal, confirm with --yes.")
        typer.confirm("Remove all of it permanently?", abort=True)
    done = removing.remove(where, held)
    console.print(removing.summary(done))
    if done.kept is not None:
        raise CommandError(
            f"Ingestion {done.kept} landed under the key during the removal, so its version and "
            "rows were kept: to remove them too, run the command again."
        )


@app.command()
def user(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of the user.")],
    as_json: AsJson = False,
    stack: StackFolder = None,
) -> None:
    """Look up the rows of a user through the API's route /get, by default those of check-ins."""
    found = users.ask(Stack.open(stack), name)
    if as_json:
        print_json(found)
    else:
        users.show(name, found)


@app.command()
def rows(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="The name of the table.")],
    key: Annotated[str, typer.Argument(metavar="KEY", help="The value of the table's lookup key.")],
    as_json: AsJson = False,
    stack: StackFolder = None,
) -> None:
    """Look up the rows of a key in any table, through the API."""
    found = api.rows(Stack.open(stack), table, key)
    if as_json:
        print_json(found)
    else:
        lookup.show(key, found)


@app.command()
def sql(
    query: Annotated[
        str | None, typer.Argument(metavar="QUERY", help="One SQL statement. Default: open psql.")
    ] = None,
    as_json: AsJson = False,
    stack: StackFolder = None,
) -> None:
    """Query the laptop cloud's database with a read-only role."""
    if as_json and query is None:
        raise typer.BadParameter("it requires a QUERY.", param_hint="--json")
    server = querying.reader(Stack.open(stack))
    command = psql.find()
    if query is None and command is None:
        raise CommandError(
            "psql is not in PATH: install PostgreSQL's client (Debian: postgresql-client), or "
            "pass a query: tm sql 'SELECT …'"
        )
    if command is not None and not as_json:
        arguments = [] if query is None else ["--no-psqlrc", f"--command={query}"]
        psql.become(command, server, *arguments)
    found = querying.rows(server, query or "")
    if as_json:
        print_json_array(found)
    else:
        querying.show(found)


def _watch_one(where: Stack, item: Item, *, as_json: bool) -> None:
    try:
        loaded = log.follow(where, item, as_json=as_json)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if not loaded:
        raise typer.Exit(1)


def _folder(context: typer.Context, contracts: Path | None) -> Path | None:
    """Return the folder of contracts; None if only TM_CONTRACTS names it beside --stack."""
    sources = {name: str(context.get_parameter_source(name)) for name in ("contracts", "stack")}
    is_overruled = sources["stack"].endswith("COMMANDLINE")
    return None if is_overruled and sources["contracts"].endswith("ENVIRONMENT") else contracts


def _contracts(folder: Path | None, stack: Path | None) -> Contracts:
    """Return the contracts of a folder, else of a stack, else the samples."""
    if folder is not None:
        return Contracts.of_folder(folder)
    return odcs.load_all() if stack is None else Stack.open(stack).contracts


def _contract(contracts: Contracts, table: str, hint: str = "") -> Contract:
    if table not in contracts.tables:
        raise typer.BadParameter(
            f"no contract for {table!r}; contracts exist for {listed(contracts.tables)}.{hint}",
            param_hint="--table",
        )
    return contracts[table]


def _warn_of_invalid(contracts: Contracts) -> bool:
    """Print a warning for each invalid contract; return whether there are any."""
    for reason in contracts.invalid.values():
        errors.print(f"tm: invalid contract, skipped: {reason}", style="red")
    return bool(contracts.invalid)
