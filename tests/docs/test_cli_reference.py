"""`docs/cli.md` is generated from the commands as they are."""

import pytest
from typer.main import get_command

from cli.main import app
from docs import cli_reference


def test_reference_is_current() -> None:
    assert cli_reference.PAGE.read_text("utf-8") == cli_reference.page(), "run `make docs`"


@pytest.mark.parametrize(("variable", "value"), [("COLUMNS", "40"), ("FORCE_COLOR", "1")])
def test_reference_is_independent_of_the_terminal(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = cli_reference.page()
    monkeypatch.setenv(variable, value)
    assert cli_reference.page() == before


def test_reference_has_every_command_and_option() -> None:
    page = cli_reference.page()
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        section = page.partition(f"\n## `tm {name}`\n")[2].partition("\n## ")[0]
        assert section, name
        options = (each for each in command.params if each.param_type_name == "option")
        assert all(option in section for each in options for option in each.opts), name
    assert "One of: `waiting`, `queued`," in page
    assert "Environment variable: `TM_STACK`." in page
    assert "Default: `dailycheckins`." in page
