"""Options and arguments that several commands of `tm` share, and parsers of their values."""

import datetime as dt
import re
from pathlib import Path
from typing import Annotated, Any

import typer

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def day_option(name: str, text: str) -> Any:
    """Return an option for a day; `text` is its help."""
    return typer.Option(name, formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help=text)


def past_time(text: str, example: str = "") -> dt.datetime:
    """Parse a time in the past, in ISO format with a time zone; raise BadParameter for others."""
    try:
        time = dt.datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not a valid time: write e.g. {example}2026-11-22T19:00:00Z."
        ) from None
    # Guessing the zone could silently skip files.
    if time.tzinfo is None:
        raise typer.BadParameter(f"{text!r} has no time zone: append Z for UTC.")
    if time > dt.datetime.now(dt.UTC):
        raise typer.BadParameter(f"{text!r} is in the future.")
    return time


def age_or_time(text: str) -> dt.datetime:
    """Parse an age such as `24h`, a day in UTC, or a time in the past; or raise BadParameter."""
    if ago := re.fullmatch(r"(\d+)([mhdw])", text):
        try:
            return dt.datetime.now(dt.UTC) - dt.timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        except OverflowError:
            raise typer.BadParameter(f"{text!r} is too long ago.") from None
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        text = f"{text}T00:00:00Z"
    return past_time(text, "24h, 7d, 2024-03-01 or ")


def folder_option(name: str, variable: str, text: str) -> Any:
    """Return an option for an existing folder, which an environment variable can set too."""
    return typer.Option(
        name, envvar=variable, metavar="DIR", exists=True, file_okay=False, help=text
    )


StackFolder = Annotated[
    Path | None,
    folder_option(
        "--stack",
        "TM_STACK",
        "Use the stack that Terraform deployed from this folder. Default: the laptop cloud.",
    ),
]
ContractsOfStack = Annotated[
    Path | None,
    folder_option(
        "--stack",
        "TM_STACK",
        "Use the contracts of the stack that Terraform deployed from this folder.",
    ),
]
ContractsFolder = Annotated[
    Path | None,
    folder_option(
        "--contracts", "TM_CONTRACTS", "Use the contracts (<table>.odcs.yaml) in this folder."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
HardTesting = Annotated[
    bool | None,
    typer.Option(
        "--hard-testing/--no-hard-testing",
        help="Halt a file before Load if any test fails, instead of rejecting only failed rows.",
    ),
]
File = Annotated[
    Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="The CSV file.")
]
Follow = Annotated[
    bool,
    typer.Option(
        "--follow",
        help="Show each state until the run ends. Exit with 0 if the file was loaded, 1 if not.",
    ),
]
IngestedID = Annotated[
    str,
    typer.Argument(metavar="ID", help="The ingestion's ID, as `tm drop` and `tm status` print it."),
]
