"""Tests that untrusted text in the output of `tm` cannot control the terminal."""

import io
import json
import re
import tokenize
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Group, RenderableType
from rich.table import Table

import cli
from cli import console as consoles
from cli.console import _Console, cell, line, print_json, print_text, styled
from shared.text import visible
from tests.fixtures.operator import one_line, tm

NASTY = [
    "\x1b]0;title\x07",
    "\x1b[31mred",
    "\x9b31m",
    "[link=https://example.com]click[/link]",
    "[/]",
    "[/x]",
    "\r\x08overwritten",
    "\u202eright to left",
    "\x00",
    "{task.description}",
]
TEXTS = st.one_of(st.sampled_from(NASTY), st.text(), st.text(alphabet="[]/=\x1b\x9ba\n\r\t"))


def _table(text: str) -> Table:
    table = Table(text, title=text)
    table.add_row(text)
    table.add_row(cell(text))
    return table


WAYS: dict[str, Callable[[str], RenderableType]] = {
    "text": lambda text: text,
    "styled": lambda text: styled(text, "red"),
    "line": lambda text: line("a", text, styled(text, "bold")),
    "table": _table,
    "group": lambda text: Group(text, cell(text, None)),
}


@pytest.mark.parametrize("way", WAYS)
@given(text=TEXTS)
def test_console_escapes_control_characters(way: str, text: str) -> None:
    out = io.StringIO()
    _Console(file=out, width=500, color_system=None).print(WAYS[way](text))

    assert all(each.isprintable() or each == "\n" for each in out.getvalue())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("text", ["[link=https://example.com]x[/link]", "[red]x", "[/]", ":100:"])
def test_console_prints_markup_verbatim(way: str, text: str) -> None:
    out = io.StringIO()
    _Console(file=out, width=500, force_terminal=True).print(WAYS[way](text))

    assert text in out.getvalue()
    assert "\x1b]8;" not in out.getvalue(), "a terminal link"


@pytest.mark.parametrize("way", ["text", "styled", "line"])
def test_console_prints_text_on_one_line(way: str) -> None:
    out = io.StringIO()
    _Console(file=out, width=500, color_system=None).print(WAYS[way]("x.csv\nLoaded 3 rows"))

    assert len(out.getvalue().splitlines()) == 1


@given(text=TEXTS)
def test_json_escapes_control_characters_and_round_trips(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        printed: list[str] = []
        patch.setattr("cli.console.typer.echo", printed.append)
        print_json({"text": text})
        print_text(text)

    assert json.loads(printed[0]) == {"text": text}
    assert all(each.isprintable() or each == "\n" for each in printed[0])
    assert printed[1].isprintable()


@pytest.mark.parametrize("name", ["[/x]", "[link=https://example.com]x", "\x1b[31m"])
@pytest.mark.usefixtures("stack")
def test_usage_error_quotes_argument_safely(name: str) -> None:
    result = tm("status", name)

    assert result.exit_code == 1
    assert visible(name) in one_line(result)


BYPASS = re.compile(
    r"""
    (?<![.]\ )\b(print|input|exit|SystemExit)\b | \b(from_markup|from_ansi|Console)\b
    | \bimport\ (builtins|logging|os|rich|subprocess|warnings)\b
    | \bfrom\ (io|rich|sys|typer)\ import
    | \b(console|errors|io|sys|typer)\ as\b | (?<!console[ ])=\ (console|errors)\b(?![ ][.])
    | \bsys\ [.]\ (?!(byteorder|maxsize|stdin)\b) | \bio\ [.]\ (?!(BytesIO|StringIO)\b)
    | \btyper\ [.]\ (?!(Argument|BadParameter|Context|Exit|Option|Typer|core)\b|confirm\ \(\ '')
    | (?<![.]\ )\bconsole\ [.]\ (?!(is_terminal|print|width)\b)
    | (?<![.]\ )\berrors\ [.]\ (?!print\b)
    | \bfrom\ rich\ [.]\ (?!(console|live|progress|table|text)\b)
    | \b(Live|Progress|Status)\ \((?!.*\bconsole\ =\ console\b)
    | \bTextColumn\ \((?!.*\bmarkup\ =\ False)
    | \bmarkup\ =\ True | \blink\ = | \bstyle\ =\ f''
    """,
    re.VERBOSE,
)
"""Code that prints without `cli.console` or interprets markup, with a space between tokens."""


def bypasses(source: str) -> list[str]:
    """Return the parts of some code that print without `cli.console` or interpret markup."""
    code = []
    for kind, text, *_ in tokenize.generate_tokens(io.StringIO(source).readline):
        if kind == tokenize.STRING:
            code.append("f''" if "f" in text[:2].lower() else "''")
        elif kind not in {tokenize.COMMENT, tokenize.NL}:
            code.append(text)
    return [found[0] for found in BYPASS.finditer(" ".join(code))]


@pytest.mark.parametrize(
    "path",
    sorted(set(Path(cli.__file__).parent.rglob("*.py")) - {Path(str(consoles.__file__))}),
    ids=lambda path: path.name,
)
def test_commands_print_only_through_console(path: Path) -> None:
    assert bypasses(path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "print(value)",
        "typer.echo(value)",
        "sys.stdout.write(value)",
        "Text.from_markup(value)",
        "Live(table)",
        "Progress(TextColumn('{task.description}'), console=console)",
        "console.print(value, markup=True)",
        "console.print(value, style=f'link {value}')",
        "console.file.write(value)",
        "console.out(value)",
        "console.set_window_title(value)",
        "show = console",
        "from cli.console import console as c",
        "from rich import print",
        "import rich; rich.get_console().print(value)",
        "from rich.console import Console as C",
        "from rich.markup import render",
        "sys.exit(value)",
        "raise SystemExit(value)",
        "sys.__stdout__.write(value)",
        "from sys import stdout",
        "import os; os.write(1, value)",
        "import logging",
        "import warnings",
        "typer.confirm(value)",
        "typer.prompt(value)",
        "input(value)",
        "show = print",
    ],
)
def test_bypass_detector_finds_direct_output(source: str) -> None:
    assert bypasses(source)
