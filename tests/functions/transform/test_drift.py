"""Lines of a contract that accept a refused file, applied to the contract."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared import odcs
from shared.contract import Contract
from tests.processing import Processed, process

BASE: dict[str, Any] = {
    "apiVersion": "v3.1.0",
    "kind": "DataContract",
    "id": "urn:t",
    "version": "1.0.0",
    "status": "active",
}
TEXT = {"logicalType": "string", "physicalType": "text"}


def document(*names: str, optional: str = "", **properties: Any) -> dict[str, Any]:
    """Return a contract of text columns; the first one is required, and one may be optional."""
    columns: list[dict[str, Any]] = [{"name": name, **TEXT} for name in names]
    columns[0]["required"] = True
    for each in columns:
        if each["name"] == optional:
            each["customProperties"] = [{"property": "optional", "value": True}]
    custom = [{"property": name, "value": value} for name, value in properties.items()]
    table = {"name": "t", "properties": columns, "customProperties": custom}
    return BASE | {"schema": [table]}


def parsed(made: dict[str, Any]) -> Contract:
    return odcs.parse("t.odcs.yaml", yaml.safe_dump(made, allow_unicode=True).encode())


def apply(advice: str, made: dict[str, Any]) -> None:
    """Add the advised columns and custom properties to a contract, at the place they name."""
    columns = made["schema"][0]["properties"]
    places = [
        line[2:-1] for line in advice.split("\n") if line.startswith(("# after ", "# first:"))
    ]
    for entry in yaml.safe_load(advice):
        known = {column["name"]: column for column in columns}
        if entry["name"] in known:
            known[entry["name"]]["customProperties"] = entry["customProperties"]
            continue
        where = places.pop(0) if places else f"after {columns[-1]['name']!r}"
        before = [f"after {name!r}" for name in known]
        columns.insert(before.index(where) + 1 if where != "first" else 0, entry)


def file_of(header: list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([header, [f"v{i}" for i in range(len(header))]])
    return text.getvalue().encode()


def sent(header: list[str], made: dict[str, Any], folder: Path) -> Processed:
    return process(folder, file_of(header), parsed(made))


@pytest.mark.parametrize(
    ("header", "properties"),
    [
        (["a", "b", "c", "new"], {}),
        (["new", "a", "more", "b", "c", "last"], {"headerPolicy": {"order": "contract"}}),
        (["a", "c"], {}),
        (["a"], {"headerPolicy": {"match": "folded"}}),
        (["A", "b", "c"], {}),
        (["a", "B-", "c", "x"], {}),
        (["a", "_b"], {"headerPolicy": {"unknown": "ignore"}}),
        (["x", "y", "z", "more"], {"headerPolicy": {"match": "position"}, "optional": "c"}),
        (["x"], {"headerPolicy": {"match": "position"}, "optional": "c"}),
        (
            [
                "a",
                "b",
                "c",
                "1960",
                "yes",
                "id",
                "ID",
                "",
                "x: #y",
                "é\nü",
                "\u2028 \x7f",
                "-",
                "C.D",
            ],
            {},
        ),
        (["a", "b", "c", *(f"{n} é" for n in range(20))], {}),
    ],
    ids=str,
)
def test_advice_accepts_the_file(
    header: list[str], properties: dict[str, Any], tmp_path: Path
) -> None:
    made = document("a", "b", "c", **properties)
    refused = sent(header, made, tmp_path).verdict
    assert refused.advice is not None, refused.reason
    assert refused.advice.endswith("tm contract FILE --table t --contracts DIR")
    assert refused.advice.replace("\n", "").isprintable()

    apply(refused.advice, made)

    found = sent(header, made, tmp_path)
    assert found.refused is None
    [row] = found.loaded.values()
    is_needed = properties.get("headerPolicy", {}).get("unknown") != "ignore"
    if is_needed:
        assert sorted(value for value in row.values() if value) == [
            f"v{i}" for i in sorted(range(len(header)), key=str)
        ]
    old = sent(["a", "b", "c"], made, tmp_path)
    assert old.refused is None, "earlier files still load"


@pytest.mark.parametrize(
    ("header", "properties"),
    [
        (["b", "c"], {}),  # the column a is required
        (["a", "b", "c", "new", "new"], {}),
        (["x", "y"], {}),
        (["c", "a", "b"], {"headerPolicy": {"order": "contract"}}),
        (["a", "b", "c", *map(str, range(21))], {}),
        (["a", "b", "c", "x" * 5_000], {}),
        (["a", "b", "c", *("x" + "!" * n for n in range(9_000))], {}),
        (["a", "b", "c", "nul\0"], {}),
    ],
    ids=lambda value: str(value)[:40],
)
def test_no_advice_if_no_lines_accept_the_file(
    header: list[str], properties: dict[str, Any], tmp_path: Path
) -> None:
    verdict = sent(header, document("a", "b", "c", **properties), tmp_path).verdict
    assert verdict.reason
    assert verdict.advice is None


def test_names_without_letters_are_not_similar(tmp_path: Path) -> None:
    made = document("a", "#")
    made["schema"][0]["properties"][1]["physicalName"] = "b"

    advice = sent(["a", "%"], made, tmp_path).verdict.advice

    assert [entry["name"] for entry in yaml.safe_load(str(advice))] == ["#", "%"]
