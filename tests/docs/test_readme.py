"""The README: its length, its commands and its example."""

import os
import re
from pathlib import Path

import hcl2
import pytest

from tests.checkout import CHECKOUT
from tests.commands import in_blocks, of_tm, unknown_options
from tests.programs import run
from tests.terraform.test_module import blocks

README = (CHECKOUT / "README.md").read_text("utf-8")


def tm_commands() -> list[list[str]]:
    """Return the words after `tm` of each command, in blocks and in lines."""
    found = [words[1:] for words in in_blocks(README) if words[0] in {"tm", ".venv/bin/tm"}]
    lines = [code.split()[1:] for code in re.findall(r"`((?:\.venv/bin/)?tm [^`]+)`", README)]
    return found + lines


def test_readme_is_short() -> None:
    assert len(README.splitlines()) <= 115


def test_readme_names_existing_make_targets() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^(?:\$ )?|`)make ([a-z-]+)", README, re.MULTILINE))

    assert {"run", "test"} <= named <= targets


def test_readme_names_existing_commands_and_options() -> None:
    commands = tm_commands()

    assert commands
    for words in commands:
        of_tm(words)
        assert unknown_options(words) == set(), words


@pytest.mark.deep
def test_readme_commands_work(tmp_path: Path) -> None:
    tutorial = (CHECKOUT / "docs" / "first-table.md").read_text("utf-8")
    [contract, *_] = re.findall(r"^```yaml\n(.*?)^```$", tutorial, re.MULTILINE | re.DOTALL)
    [rows, *_] = re.findall(r"^```csv\n(.*?)^```$", tutorial, re.MULTILINE | re.DOTALL)
    (tmp_path / "my-contracts").mkdir()
    (tmp_path / "my-contracts" / "orders.odcs.yaml").write_text(contract)
    (tmp_path / "orders.csv").write_text(rows)
    (tmp_path / ".venv").symlink_to(CHECKOUT / ".venv")
    [block] = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    setup, *commands = block.splitlines()
    environment = {**os.environ, "TM_HOME": str(tmp_path / "home")}
    try:
        done = run("sh", "-euc", "\n".join(commands), cwd=tmp_path, env=environment)
    finally:
        run(".venv/bin/tm", "down", cwd=tmp_path, env=environment)

    assert setup.startswith("make setup ")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 read, 2 loaded, 1 rejected" in done.stdout


def test_readme_example_fits_the_module() -> None:
    [example] = re.findall(r"^```hcl\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    [module] = hcl2.loads(example)["module"]
    [given] = module.values()
    variables = blocks("variable")
    required = {name for name, block in variables.items() if "default" not in block}
    named = {name for name in given if not name.startswith("__")} - {"source"}

    assert given["source"].strip('"').startswith("git::https://")
    assert required <= named <= variables.keys()


def test_readme_describes_every_state_that_it_draws() -> None:
    [diagram] = re.findall(r"^```mermaid\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    drawn = set(re.findall(r"\b[a-z]+\b", diagram))

    assert {"trigger", "transform", "test", "load", "alert", "watch", "api"} <= drawn
