"""What the operator's command prints: foreign text neither steers the terminal nor is markup."""

import ast
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

import cli
from cli import console as consoles
from cli.console import _Console, cell, line, print_json, print_text, styled
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
def test_nothing_that_steers_a_terminal_is_printed(way: str, text: str) -> None:
    out = io.StringIO()
    _Console(markup=False, highlight=False, file=out, width=500, color_system=None).print(
        WAYS[way](text)
    )

    assert all(each.isprintable() or each == "\n" for each in out.getvalue())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("text", ["[link=https://example.com]x[/link]", "[red]x", "[/]"])
def test_markup_is_printed_as_it_is(way: str, text: str) -> None:
    out = io.StringIO()
    _Console(markup=False, highlight=False, file=out, width=500, force_terminal=True).print(
        WAYS[way](text)
    )

    assert text in out.getvalue()
    assert "\x1b]8;" not in out.getvalue(), "no link"


@given(text=TEXTS)
def test_json_says_the_same_and_steers_nothing(text: str) -> None:
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
def test_an_error_quotes_its_argument_as_it_is(name: str) -> None:
    result = tm("status", name)

    assert result.exit_code == 1
    assert consoles.visible(name) in one_line(result)


def _calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def bypasses(source: str) -> list[str]:
    """Return how some code prints other than by `cli.console`, or would have markup read."""
    tree = ast.parse(source)
    found = []
    for name, call in _calls(tree):
        keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        last = name.rpartition(".")[2]
        if name == "print" or last in {"echo", "secho", "from_markup", "from_ansi", "Console"}:
            found.append(name)
        if last in {"Live", "Progress", "Status"} and keywords.get("console") != "console":
            found.append(f"{name} without our console")
        if last == "TextColumn" and keywords.get("markup") != "False":
            found.append(f"{name} with markup")
        if "link" in keywords or keywords.get("markup") == "True":
            found.append(f"{name} with markup or a link")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) in {"sys.stdout", "sys.stderr"}:
            found.append(ast.unparse(node))
        if isinstance(node, ast.ImportFrom) and node.module in {"rich", "rich.markup"}:
            found.append(f"from {node.module}")
    return found


@pytest.mark.parametrize(
    "path",
    sorted(set(Path(cli.__file__).parent.rglob("*.py")) - {Path(str(consoles.__file__))}),
    ids=lambda path: path.name,
)
def test_everything_is_printed_by_the_console(path: Path) -> None:
    assert bypasses(path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "print(value)",
        "typer.echo(value)",
        "sys.stdout.write(value)",
        "Text.from_markup(value)",
        "Console().print(value)",
        "Live(table)",
        "Progress(TextColumn('{task.description}'), console=console)",
        "console.print(value, markup=True)",
        "from rich import print",
    ],
)
def test_a_bypass_is_found(source: str) -> None:
    assert bypasses(source)


def test_a_value_is_cut_to_a_cell() -> None:
    assert cell("x" * 100) == Text("x" * 59 + "…")
