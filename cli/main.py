"""The commands of `tm`: their names, arguments and options."""

import datetime as dt
import functools
import itertools
import re
import shlex
import sys
import time
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from typer.core import TyperGroup

from cli import api, lookup
from cli import backfill as backfilling
from cli import drop as dropping
from cli import fix as fixing
from cli import rejects as rejected
from cli import remove as removing
from cli import replay as replaying
from cli import sql as asking
from cli import status as log
from cli import user as users
from cli.console import console, errors, print_json, print_json_array, print_text
from cli.errors import CommandError, one_line
from cli.extras import need
from cli.items import Item
from cli.stack import Stack
from local import psql
from local.home import home
from shared import odcs
from shared.contract import Contract
from shared.contract_set import Contracts
from shared.endings import Status
from shared.ingestion_log import timestamp
from shared.text import listed
from shared.version import VERSION


class _Commands(TyperGroup):
    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        # `tm rejects` takes an ID, so `tm rejects fix` cannot be a command inside it.
        two_words = " ".join(args[:2])
        if two_words in self.commands:
            args = [two_words, *args[2:]]
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        with one_line():
            return super().invoke(ctx)


app = typer.Typer(
    cls=_Commands,
    help="Operate the pipeline: on the laptop, or on AWS with --stack.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _day(name: str, text: str) -> Any:
    return typer.Option(name, formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help=text)


def _past(text: str, example: str = "") -> dt.datetime:
    try:
        time = dt.datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no time such as {example}2026-11-22T19:00:00Z."
        ) from None
    # A wrong guess would leave files out that nobody then looks for.
    if time.tzinfo is None:
        raise typer.BadParameter(f"{text!r} does not say its zone: end it in Z for UTC.")
    if time > dt.datetime.now(dt.UTC):
        raise typer.BadParameter(f"{text!r} is in the future.")
    return time


_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def _ago(text: str) -> dt.datetime:
    if ago := re.fullmatch(r"(\d+)([mhdw])", text):
        try:
            return dt.datetime.now(dt.UTC) - dt.timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        except OverflowError:
            raise typer.BadParameter(f"{text!r} is before all time.") from None
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        text = f"{text}T00:00:00Z"
    return _past(text, "24h, 7d, 2024-03-01 or ")


StackFolder = Annotated[
    Path | None,
    typer.Option(
        "--stack",
        envvar="TM_STACK",
        metavar="DIR",
        exists=True,
        file_okay=False,
        help="The folder in which Terraform deployed the stack; without it, the laptop's.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ContractsFolder = Annotated[
    Path | None,
    typer.Option(
        "--contracts",
        envvar="TM_CONTRACTS",
        metavar="DIR",
        exists=True,
        file_okay=False,
        help="The folder of your contracts, <table>.odcs.yaml.",
    ),
]
HardTesting = Annotated[
    bool | None,
    typer.Option(
        "--hard-testing/--no-hard-testing", help="Halt a file with any failed test before Load."
    ),
]
File = Annotated[
    Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="The CSV file.")
]
Table = Annotated[str, typer.Option(help="The table that it is for.")]
Follow = Annotated[bool, typer.Option("--follow", help="Show each state to the end.")]


def _print_version(asked: bool) -> None:
    if asked:
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
def up(
    contracts: ContractsFolder = None,
    hard_testing: HardTesting = None,
) -> None:
    """Bring the laptop cloud up; where it is up, apply what has changed.

    What is not given is as it was, or at first the samples and no hard testing.
    """
    need("local", "tm up")
    from local import cloud  # noqa: PLC0415 - of the extra local

    begun = time.monotonic()
    stack = cloud.up(
        home(),
        contracts=contracts,
        hard_testing=hard_testing,
        report=lambda step: console.print(f"{time.monotonic() - begun:5.1f} s  {step}"),
    )
    console.print(f"{time.monotonic() - begun:5.1f} s  Up: {stack.api_url}")


@app.command()
def down() -> None:
    """End the laptop cloud and forget its data."""
    need("local", "tm down")
    from local import cloud  # noqa: PLC0415 - of the extra local

    console.print("Down." if cloud.down(home()) else "No laptop cloud was up.")


@app.command()
def drop(
    file: File,
    table: Table = "dailycheckins",
    date: Annotated[
        dt.datetime | None,
        _day(
            "--date",
            "The day that it is of; without it, today in the zone of the table's contract.",
        ),
    ] = None,
    follow: Follow = False,
    stack: StackFolder = None,
) -> None:
    """Put FILE into the landing bucket; with --follow, exit status 0 means that it was loaded."""
    where = Stack.open(stack)
    zone = ZoneInfo(_contract(where.contracts, table).timezone)
    day = date.date() if date is not None else dt.datetime.now(zone).date()
    ingestion = dropping.put(where, file, table, day)
    if follow and not dropping.follow(where, ingestion):
        raise typer.Exit(1)


@app.command()
def check(
    context: typer.Context,
    file: File,
    table: Table = "dailycheckins",
    contracts: ContractsFolder = None,
    as_json: AsJson = False,
    hard_testing: HardTesting = None,
    stack: StackFolder = None,
) -> None:
    """Transform and test FILE without any cloud; exit status 0 means that it would be loaded.

    The contract is that of --contracts; without it, of the stack that --stack names; without
    either, of the samples.
    """
    need("check", "tm check")
    from cli import check as checking  # noqa: PLC0415 - of the extra check, which takes its second

    said = {name: str(context.get_parameter_source(name)) for name in ("contracts", "stack")}
    if said["stack"].endswith("COMMANDLINE") and said["contracts"].endswith("ENVIRONMENT"):
        contracts = None
    samples = " These are the samples: name the folder of yours with --contracts."
    hint = samples if contracts is None and stack is None else ""
    contract = _contract(_known(contracts, stack), table, hint)
    with checking.checked(file, contract, hard=bool(hard_testing)) as found:
        if as_json:
            print_json(found.as_json())
        else:
            checking.show(found)
        if not found.would_be_loaded:
            raise typer.Exit(1)


@app.command()
def status(  # noqa: PLR0913, PLR0917 - they are its options
    ingested_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="One ingestion; without it, the newest.")
    ] = None,
    statuses: Annotated[
        list[Status] | None,
        typer.Option("--status", help="Only of this status; may be given several times."),
    ] = None,
    table: Annotated[
        str | None, typer.Option(help="Only of this table; `unmatched` for keys that fit none.")
    ] = None,
    since: Annotated[
        dt.datetime | None,
        typer.Option(
            metavar="TIME", parser=_ago, help="Only changed since: 24h, 7d, 2024-03-01 (UTC)."
        ),
    ] = None,
    date: Annotated[
        dt.datetime | None, _day("--date", "Only of files of that day, as their keys have it.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="So many at most.")] = 50,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Show what changes, until Ctrl-C; with ID until its end, and exit status 0 means "
            "that it was loaded.",
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON; with --watch, a line for each change.")
    ] = False,
    stack: StackFolder = None,
) -> None:
    """Show what the log says of ingestions, the newest first, or of one with all its steps."""
    if ingested_id is not None:
        if statuses or table or since or date:
            raise typer.BadParameter("filters are for lists: leave them out, or leave out ID.")
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
    look = functools.partial(log.listing, where, wanted, limit)
    if watch:
        log.watch(look, as_json=as_json)
        return
    listed = look()
    if as_json:
        print_json(listed.items)
    else:
        log.show(listed)
        if waiting := log.backlog(where):
            console.print(waiting)
    log.tell_of_more(listed)


@app.command()
def doctor(
    as_json: AsJson = False,
    stack: StackFolder = None,
) -> None:
    """Look at every part of the stack; exit status 1 means that something is wrong."""
    from cli import doctor as doctors  # noqa: PLC0415 - drivers of the database take their time

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
    ingested_id: Annotated[str, typer.Argument(metavar="ID", help="The ingestion.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--csv",
            metavar="OUT",
            dir_okay=False,
            help="Write a CSV that is safe to open in a spreadsheet, for the file's supplier.",
        ),
    ] = None,
    as_json: AsJson = False,
    stack: StackFolder = None,
) -> None:
    """Show which rows of an ingestion failed, where and why."""
    where = Stack.open(stack)
    item = rejected.find(where, ingested_id)
    saved = out is not None and rejected.save(where, item, out)
    found = rejected.records(where, item)
    if as_json:
        print_json(list(found))
    elif saved:
        console.print(f"Wrote {out}: correct `raw` there, then `tm rejects fix`.")
    elif first := list(itertools.islice(found, 1)):
        rejected.show(itertools.chain(first, found))
    else:
        console.print(rejected.none_of(item))


@app.command("rejects fix")
def fix(
    ingested_id: Annotated[str, typer.Argument(metavar="ID", help="The ingestion.")],
    corrected: Annotated[
        Path,
        typer.Argument(
            metavar="CORRECTED.csv",
            exists=True,
            dir_okay=False,
            help="The columns 'line' and 'raw' of what `tm rejects ID --csv` wrote, 'raw' put "
            "right; lines that it does not name stay as they are.",
        ),
    ],
    follow: Follow = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a newer version of the file, too.")
    ] = False,
    stack: StackFolder = None,
) -> None:
    """Put the ingestion's file into the landing bucket again, with its rejected rows corrected."""
    where = Stack.open(stack)
    item = rejected.find(where, ingested_id)
    ingestion = fixing.fix(where, item, corrected, where.contracts, force=force)
    if follow and not dropping.follow(where, ingestion):
        raise typer.Exit(1)


@app.command()
def replay(
    ingested_id: Annotated[str, typer.Argument(metavar="ID", help="The ingestion.")],
    follow: Follow = False,
    stack: StackFolder = None,
) -> None:
    """Run an ingestion again; with --follow, exit status 0 means that it was loaded."""
    where = Stack.open(stack)
    ingestion = replaying.replay(where, ingested_id)
    if follow and not dropping.follow(where, ingestion):
        raise typer.Exit(1)


@app.command()
def backfill(
    first: Annotated[
        dt.datetime, _day("--from", "The first day to run again, as files' keys have it.")
    ],
    last: Annotated[dt.datetime, _day("--to", "The last day, which counts.")],
    table: Annotated[str | None, typer.Option(help="One table; without it, all.")] = None,
    concurrency: Annotated[
        int, typer.Option(min=1, metavar="N", help="So many files at a time.")
    ] = 4,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done; write nothing.")
    ] = False,
    resume: Annotated[
        dt.datetime | None,
        typer.Option(
            metavar="TIME",
            parser=_past,
            help="Skip files that were loaded by runs begun since, e.g. 2026-11-22T19:00:00Z.",
        ),
    ] = None,
    stack: StackFolder = None,
) -> None:
    """Run every landed file of some days again, each in its newest version that can be loaded.

    Exit status 0 means that no newest version was refused, nothing broke, and no contract is
    invalid.
    """
    if first > last:
        raise typer.BadParameter(f"it is after --to {last:%Y-%m-%d}.", param_hint="--from")
    where = Stack.open(stack)
    contracts = where.contracts
    tables = sorted(contracts) if table is None else [_contract(contracts, table).table]
    left_out = _warn_of_invalid(contracts) if table is None else False
    cut = timestamp(resume or dt.datetime.now(dt.UTC))
    files = backfilling.landed(where, tables, first.date(), last.date())
    work = backfilling.Backfill(where, dt.datetime.fromisoformat(cut))
    status = 0
    if not files:
        console.print(f"No file of {', '.join(tables)} has landed for these days.")
    elif dry_run:
        backfilling.show_plan(work, files)
    else:
        days = ["--from", str(first.date()), "--to", str(last.date())]
        again = ["tm", "backfill", *days, "--resume", cut, "--concurrency", str(concurrency)]
        again += [] if table is None else ["--table", table]
        again += [] if stack is None else ["--stack", str(stack)]
        console.print(f"Backfill of {len(files):,} files, from {cut} on.")
        status = backfilling.bring(work, files, concurrency, shlex.join(again))
    if status or left_out:
        raise typer.Exit(status or 1)


@app.command()
def smoke(
    table: Annotated[
        str | None, typer.Option(help="The table; without it, the one that the API looks up.")
    ] = None,
    as_json: AsJson = False,
    stack: StackFolder = None,
) -> None:
    """Bring a generated file through the stack and take it out again.

    Looks at each part, then drops a file of good and bad rows and one that must be refused, holds
    what becomes of them against what should, and removes them. Subscribers get three alerts. Exit
    status 1 means that something is not as expected.
    """
    from cli import smoke as smoking  # noqa: PLC0415 - drivers of the database take their time

    where = Stack.open(stack)
    contracts = where.contracts or where.contracts.all_valid()
    first = next((c for c in contracts.values() if c.lookup), next(iter(contracts.values())))
    contract = first if table is None else _contract(contracts, table)
    steps: list[smoking.Step] = []

    def tell(step: smoking.Step) -> None:
        steps.append(step)
        if not as_json:
            smoking.show(step)

    interrupted = False
    try:
        smoking.Smoke(where, contract, tell).run()
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
        str, typer.Argument(metavar="KEY", help="The landed key, or its s3:// address.")
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be removed; write nothing.")
    ] = False,
    stack: StackFolder = None,
) -> None:
    """Delete a landed file for good: its versions, its rows, and what its runs staged.

    The log keeps what was ingested. Exit status 0 means that nothing else of the file is left.
    """
    where = Stack.open(stack)
    held = removing.find(where, key)
    if held.is_unknown:
        raise CommandError(
            f"Nothing has ever landed as s3://{where.landing_bucket}/{held.key}; `tm status` lists "
            "what has."
        )
    console.print(removing.described(held))
    if dry_run or held.is_removed:
        return
    if held.under_way:
        ingested_id = held.under_way[0]
        raise CommandError(
            f"A run of {ingested_id} is under way or waits, so nothing was removed: try again once "
            f"`tm status {ingested_id} --watch` has shown its end."
        )
    if not yes:
        if not sys.stdin.isatty():
            raise CommandError("Nothing was removed: give --yes where nobody can be asked.")
        typer.confirm("Remove all of it for good?", abort=True)
    done = removing.remove(where, held)
    console.print(removing.told(done))
    if done.kept is not None:
        raise CommandError(
            f"Version {done.kept} has landed under the key meanwhile, so it and its rows stay: to "
            "remove them too, run the command again."
        )


@app.command()
def user(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The user's name.")],
    as_json: AsJson = False,
    stack: StackFolder = None,
) -> None:
    """Ask the look-up API what a user checked in."""
    found = users.ask(Stack.open(stack), name)
    if as_json:
        print_json(found)
    else:
        users.show(name, found)


@app.command()
def rows(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="The table.")],
    key: Annotated[str, typer.Argument(metavar="KEY", help="What its look-up finds rows by.")],
    as_json: AsJson = False,
    stack: StackFolder = None,
) -> None:
    """Ask the look-up API for the rows of a key of any table."""
    found = api.rows(Stack.open(stack), table, key)
    if as_json:
        print_json(found)
    else:
        lookup.show(key, found)


@app.command()
def sql(
    query: Annotated[
        str | None, typer.Argument(metavar="[QUERY]", help="One statement; without it, psql opens.")
    ] = None,
    as_json: AsJson = False,
    stack: StackFolder = None,
) -> None:
    """Ask the laptop's database as the role that may only read; without QUERY, by psql."""
    if as_json and query is None:
        raise typer.BadParameter("it is for a QUERY.", param_hint="--json")
    server = asking.reader(Stack.open(stack))
    command = psql.find()
    if query is None and command is None:
        raise CommandError(
            "There is no psql in PATH: install PostgreSQL's client (Debian: postgresql-client), or "
            "give a query: tm sql 'SELECT …'"
        )
    if command is not None and not as_json:
        asked = [] if query is None else ["--no-psqlrc", f"--command={query}"]
        psql.become(command, server, *asked)
    found = asking.rows(server, query or "")
    if as_json:
        print_json_array(found)
    else:
        asking.show(found)


def _watch_one(where: Stack, item: Item, *, as_json: bool) -> None:
    try:
        loaded = log.follow(where, item, as_json=as_json)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if not loaded:
        raise typer.Exit(1)


def _known(folder: Path | None, stack: Path | None) -> Contracts:
    """Return the contracts of a folder, of a stack, or the samples."""
    if folder is not None:
        return Contracts.of_folder(folder)
    return odcs.load_all() if stack is None else Stack.open(stack).contracts


def _contract(contracts: Contracts, table: str, hint: str = "") -> Contract:
    if table not in contracts.tables:
        raise typer.BadParameter(
            f"no contract for {table!r}; there is one for {listed(contracts.tables)}.{hint}",
            param_hint="--table",
        )
    return contracts[table]


def _warn_of_invalid(contracts: Contracts) -> bool:
    """Say which contracts are invalid; return whether there is one."""
    for reason in contracts.invalid.values():
        errors.print(f"tm: invalid contract, left out: {reason}", style="red")
    return bool(contracts.invalid)
