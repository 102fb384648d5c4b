"""The commands of `tm`: their names, arguments and options."""

import datetime as dt
import json
import time
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from typer.core import TyperGroup

from cli import drop as dropping
from cli import status as log
from cli import user as lookup
from cli.console import console
from cli.errors import one_line
from cli.stack import Stack
from local import cloud
from local.home import home
from shared import odcs


class _Commands(TyperGroup):
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


@app.command()
def up(
    hard_testing: Annotated[
        bool, typer.Option("--hard-testing", help="Halt a file with any failed test before Load.")
    ] = False,
) -> None:
    """Bring the laptop cloud up."""
    begun = time.monotonic()
    stack = cloud.up(
        home(),
        hard_testing=hard_testing,
        report=lambda step: console.print(f"{time.monotonic() - begun:5.1f} s  {step}"),
    )
    console.print(f"{time.monotonic() - begun:5.1f} s  Up: {stack.api_url}", markup=False)


@app.command()
def down() -> None:
    """End the laptop cloud and forget its data."""
    console.print("Down." if cloud.down(home()) else "No laptop cloud was up.")


@app.command()
def drop(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="The CSV file.")
    ],
    table: Annotated[str, typer.Option(help="The table that it is for.")] = "dailycheckins",
    date: Annotated[
        dt.datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            metavar="YYYY-MM-DD",
            help="The day that it is of; without it, today in the zone of the table's contract.",
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Show each state to the end.")] = False,
    stack: StackFolder = None,
) -> None:
    """Put FILE into the landing bucket; with --follow, exit status 0 means that it was loaded."""
    contracts = odcs.load_all()
    if table not in contracts:
        raise typer.BadParameter(
            f"no contract for {table!r}; there is one for {', '.join(sorted(contracts))}.",
            param_hint="--table",
        )
    zone = ZoneInfo(contracts[table].timezone)
    day = date.date() if date is not None else dt.datetime.now(zone).date()
    where = Stack.open(stack)
    ingestion = dropping.put(where, file, table, day)
    if follow and not dropping.follow(where, ingestion):
        raise typer.Exit(1)


@app.command()
def status(
    ingested_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="One ingestion; without it, all.")
    ] = None,
    as_json: AsJson = False,
    stack: StackFolder = None,
) -> None:
    """Show what the log says of ingestions."""
    items = log.find(Stack.open(stack), ingested_id)
    if as_json:
        _print_json(items)
    else:
        log.show(items, with_history=ingested_id is not None)


@app.command()
def user(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The user's name.")],
    as_json: AsJson = False,
    stack: StackFolder = None,
) -> None:
    """Ask the look-up API what a user checked in."""
    rows = lookup.ask(Stack.open(stack), name)
    if as_json:
        _print_json(rows)
    else:
        lookup.show(name, rows)


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))
