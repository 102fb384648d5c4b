"""Tests that the lists of the tests on the emulator are complete."""

import re

from tests.fixtures.sandbox import EXAMPLES
from tests.stand_ins import CHECKOUT
from tests.terraform.inventory import KINDS, PARTS

MODULE = CHECKOUT / "terraform"


def test_inventory_covers_every_resource_type() -> None:
    files = (path.read_text() for path in MODULE.glob("**/*.tf"))
    types = {
        each for text in files for each in re.findall(r'^resource "(\w+)"', text, re.MULTILINE)
    }

    assert types - KINDS.keys() - PARTS == set()


def test_every_example_is_applied() -> None:
    assert {path.name for path in (MODULE / "examples").iterdir()} == EXAMPLES.keys()
