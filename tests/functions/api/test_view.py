"""Which contract is shown, and which look-ups a contract may ask for."""

from typing import Any

import pytest
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from pydantic import ValidationError

from functions.api.view import View
from shared.contract import Contract
from shared.odcs import load_all
from tests.fixtures.contracts import READINGS, column


def _with(**lookup: Any) -> Contract:
    lookup = {"key": "Zähler-Nr.", "order": "Tag", "fields": ("Tag",)} | lookup
    limit = column("limit", "string", "text", required=True)
    changed = {"lookup": lookup, "columns": (*READINGS.columns, limit)}
    return Contract.model_validate(READINGS.model_dump() | changed)


def test_the_contract_with_a_lookup_is_shown() -> None:
    view = View.of([READINGS, _with(fields=("Tag", "Rang"))])

    assert (view.relation, view.key.name, view.order.name) == ("order", "Zähler-Nr.", "Tag")
    assert [field.name for field in view.fields] == ["Tag", "Rang"]


def test_check_ins_are_what_the_repository_shows() -> None:
    assert View.of(load_all().values()).relation == "daily_checkins"


def test_without_a_lookup_nothing_is_shown() -> None:
    with pytest.raises(NotFoundError):
        View.of([READINGS])


@pytest.mark.parametrize("key", ["Zähler-Nr.", "Raum", "Notiz", "Etage"])
def test_keys(key: str) -> None:
    assert View.of([_with(key=key)]).key.name == key


@pytest.mark.parametrize("order", ["Raum", "Tag", "Zeit", "Stand", "Rang", "limit"])
def test_orders(order: str) -> None:
    assert View.of([_with(order=order)]).order.name == order


@pytest.mark.parametrize(
    ("lookup", "message"),
    [
        ({"key": "Tag"}, "key Tag must be a string or an integer"),
        ({"key": "Stand"}, "key Stand must be a string or an integer"),
        ({"key": "Geschätzt"}, "key Geschätzt must be a string or an integer"),
        ({"key": "limit"}, r"not be called as one of the API's own .*'cursor', 'limit'"),
        ({"key": "group"}, r"lookup names \['group'\], which are no columns"),
        ({"order": "Ende"}, "order Ende must be required"),
        ({"order": "Geschätzt"}, "order Geschätzt must be required, and no boolean"),
        ({"fields": ()}, "at least 1 item"),
        ({"fields": ("id",)}, r"lookup names \['id'\]"),
        ({"limit": 10}, "Extra inputs are not permitted"),
    ],
)
def test_lookups_that_cannot_be(lookup: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        _with(**lookup)
