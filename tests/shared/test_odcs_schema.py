import copy
import datetime as dt
import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from shared import contract_yaml, odcs, odcs_schema

DOCUMENT = contract_yaml.load(odcs.read(odcs.CONTRACTS / "projectbudgets.odcs.yaml"))
VALUES = itertools.cycle(
    (None, True, 7, 1.5, "x", [], ["x"], {}, {"x": 1}, dt.date(2020, 1, 1), "string")
)


def variations(part: Any) -> Iterator[Any]:
    """Yield the document without each of its parts, and with another value in its place."""
    places = list(part.items() if isinstance(part, dict) else enumerate(part))
    for key, value in places:
        part[key] = next(VALUES)
        yield DOCUMENT
        part[key] = value
        if isinstance(part, dict):
            del part[key]
            yield DOCUMENT
            part[key] = value
        if isinstance(value, (dict, list)):
            yield from variations(value)


def test_both_validators_accept_the_same_documents() -> None:
    before, accepted = copy.deepcopy(DOCUMENT), 0

    for document in variations(DOCUMENT):
        is_valid = next(odcs_schema._validator().iter_errors(document), None) is None
        accepted += is_valid
        if "datetime.date" not in repr(document):
            assert odcs_schema._is_valid(document) == is_valid, document
        assert odcs_schema._is_valid(document) <= is_valid, document
    assert before == DOCUMENT
    assert accepted > 50


def test_valid_contract_is_accepted_without_slow_validator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(odcs_schema, "_validator", lambda: pytest.fail("imports jsonschema"))
    problems: list[str] = []

    assert odcs_schema.check(DOCUMENT, problems) == set()
    assert problems == []
