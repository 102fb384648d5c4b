"""The properties that docs/contracts.md advises for common files."""

import gzip
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.check import checked
from cli.drafting.draft import draft
from shared.odcs import load
from tests.checkout import CHECKOUT

PAGE = (CHECKOUT / "docs" / "contracts.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n?)*)", PAGE, re.MULTILINE))
ADVICE = re.findall(r"`(\w+: [^`]+)`", SECTIONS["Common files"])
assert len(ADVICE) > 15
FOR_COLUMNS = {"aliases", "bareNumber", "groupChar", "nullTokens", "numberStyles", "optional"}


def custom(properties: dict[str, Any]) -> dict[str, Any]:
    return {"customProperties": [{"property": k, "value": v} for k, v in properties.items()]}


@pytest.mark.parametrize("advice", ADVICE)
def test_advice_is_valid(advice: str, tmp_path: Path) -> None:
    advised = yaml.safe_load(advice)
    of_column = {name: advised.pop(name) for name in FOR_COLUMNS & advised.keys()}
    columns = [
        {"name": name, "logicalType": "number", "physicalType": "numeric(5,2)"} for name in "ab"
    ]
    columns[1] |= custom(of_column)
    document = {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": "urn:t",
        "version": "1",
        "status": "active",
        "schema": [{"name": "t", "properties": columns} | custom(advised)],
    }
    path = tmp_path / "t.odcs.yaml"
    path.write_text(yaml.safe_dump(document), "utf-8")

    assert load(path).table == "t"


def test_example_of_delivery_is_verified(tmp_path: Path) -> None:
    blocks = re.findall(r"```\w+\n(.*?)```", SECTIONS["Example: a supplier's delivery"], re.DOTALL)
    content, properties = map(textwrap.dedent, blocks)
    file = tmp_path / "checkins_20240303.csv.gz"
    file.write_bytes(gzip.compress(content.encode()))
    document = yaml.safe_load(draft([file], "checkins").text)
    document["schema"][0] |= yaml.safe_load(properties)
    path = tmp_path / "checkins.odcs.yaml"
    path.write_text(yaml.safe_dump(document), "utf-8")

    contract = load(path)

    assert contract.keys[0].examples == (f"acme/{file.name}",)
    with checked(file, contract, hard=True) as found:
        assert found.would_be_loaded
        assert found.report is not None
        assert found.report["totalsVerified"] == 2
