"""The inventory, which says whether anything is left, knows everything that could be."""

import re

from tests.stand_ins import CHECKOUT
from tests.terraform.inventory import KINDS, PARTS


def test_every_type_of_resource_is_known() -> None:
    files = (path.read_text() for path in (CHECKOUT / "terraform").glob("**/*.tf"))
    types = {
        each for text in files for each in re.findall(r'^resource "(\w+)"', text, re.MULTILINE)
    }

    assert types - KINDS.keys() - PARTS == set()
