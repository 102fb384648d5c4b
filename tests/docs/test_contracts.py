"""The properties that docs/contracts.md advises for common files."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.odcs import load
from tests.checkout import CHECKOUT

COMMON_FILES = (
    (CHECKOUT / "docs" / "contracts.md")
    .read_text("utf-8")
    .partition("## Common files\n")[2]
    .partition("\n## ")[0]
)
ADVICE = re.findall(r"`(\w+: [^`]+)`", COMMON_FILES)
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


def test_advice_is_found() -> None:
    assert len(ADVICE) > 15
