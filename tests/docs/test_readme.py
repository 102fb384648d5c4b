"""The README: its length, its commands and its example."""

import re

import hcl2

from tests.checkout import CHECKOUT
from tests.commands import in_blocks, of_tm, unknown_options
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
