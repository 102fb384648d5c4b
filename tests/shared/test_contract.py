from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.odcs import CONTRACTS, load, load_all
from shared.errors import InvalidContract


@pytest.fixture
def document() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(
        (CONTRACTS / "dailycheckins.odcs.yaml").read_text("utf-8")
    )
    return document


def save(folder: Path, document: dict[str, Any], name: str = "dailycheckins") -> Path:
    path = folder / f"{name}.odcs.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True), "utf-8")
    return path


def test_every_contract_of_the_repository_is_valid() -> None:
    assert load_all()["dailycheckins"].header == ("user", "timestamp", "hours", "project")


def test_a_contract_says_what_the_pipeline_needs() -> None:
    contract = load_all()["dailycheckins"]

    assert contract.relation == "daily_checkins"
    assert contract.column("hours").precision_and_scale == (5, 2)
    assert [rule.name for rule in contract.column("user").rules] == ["required", "maxLength"]
    assert contract.column("hours").rules[1].severity == "warning"
    assert contract.column("timestamp").formats[2].locale == "ru"


def test_no_contract_at_all(tmp_path: Path) -> None:
    with pytest.raises(InvalidContract, match="no contract"):
        load_all(tmp_path)


def _typo(document: dict[str, Any]) -> None:
    document["schema"][0]["properties"][0]["requird"] = True


def _unknown_table_property(document: dict[str, Any]) -> None:
    document["schema"][0]["customProperties"].append({"property": "delimeter", "value": ";"})


def _unknown_column_property(document: dict[str, Any]) -> None:
    document["schema"][0]["properties"][1]["customProperties"].append(
        {"property": "format", "value": "x"}
    )


def _no_formats(document: dict[str, Any]) -> None:
    del document["schema"][0]["properties"][1]["customProperties"]


def _float(document: dict[str, Any]) -> None:
    document["schema"][0]["properties"][2]["physicalType"] = "double precision"


def _injection(document: dict[str, Any]) -> None:
    document["schema"][0]["physicalName"] = "x; drop table source"


def _injected_type(document: dict[str, Any]) -> None:
    document["schema"][0]["properties"][0]["physicalType"] = "text); drop table source; --"


def _own_table(document: dict[str, Any]) -> None:
    document["schema"][0]["physicalName"] = "source"


def _own_column(document: dict[str, Any]) -> None:
    document["schema"][0]["properties"][3]["physicalName"] = "source_id"


def _own_staged_column(document: dict[str, Any]) -> None:
    document["schema"][0]["properties"][3] |= {"name": "line", "physicalName": "row"}


def _same_column(document: dict[str, Any]) -> None:
    document["schema"][0]["properties"][3]["physicalName"] = "username"


def _index_of_nothing(document: dict[str, Any]) -> None:
    document["schema"][0]["customProperties"][4]["value"] = [["user", "day"]]


def _two_tables(document: dict[str, Any]) -> None:
    document["schema"].append({"name": "second"})


def _unknown_metric(document: dict[str, Any]) -> None:
    document["schema"][0]["properties"][2]["quality"][0]["metric"] = "duplicateValues"


def _unknown_option(document: dict[str, Any]) -> None:
    document["schema"][0]["properties"][0]["logicalTypeOptions"]["format"] = "email"


def _no_zone(document: dict[str, Any]) -> None:
    document["schema"][0]["customProperties"][3]["value"] = "Mars/Olympus"


def _wide_delimiter(document: dict[str, Any]) -> None:
    document["schema"][0]["customProperties"][1]["value"] = "||"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_typo, "requird"),
        (_unknown_table_property, "delimeter"),
        (_unknown_column_property, r"\['format'\]"),
        (_no_formats, "no format is guessed"),
        (_float, r"numeric\(precision,scale\)"),
        (_injection, "identifier"),
        (_injected_type, "physicalType"),
        (_own_table, "pipeline's own"),
        (_own_column, r"\['source_id'\] are the pipeline's own"),
        (_own_staged_column, r"\['line'\] are the pipeline's own"),
        (_same_column, r"\['username'\] are there more than once"),
        (_index_of_nothing, r"\['day'\], which are no columns"),
        (_two_tables, "one table a file"),
        (_unknown_metric, "invalidValues"),
        (_unknown_option, "logicalTypeOptions"),
        (_no_zone, "Mars/Olympus"),
        (_wide_delimiter, "one ASCII character"),
    ],
)
def test_what_the_pipeline_would_not_act_on_is_refused(
    change: Any, message: str, document: dict[str, Any], tmp_path: Path
) -> None:
    change(document)

    with pytest.raises(InvalidContract, match=message) as error:
        load(save(tmp_path, document))

    assert str(error.value).startswith("dailycheckins.odcs.yaml: ")


def test_a_file_is_named_after_its_table(document: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InvalidContract, match="name the file dailycheckins"):
        load(save(tmp_path, document, name="other"))


def test_a_file_that_is_no_yaml(tmp_path: Path) -> None:
    path = tmp_path / "x.odcs.yaml"
    path.write_text("a: [", "utf-8")

    with pytest.raises(InvalidContract, match=r"x\.odcs\.yaml"):
        load(path)
