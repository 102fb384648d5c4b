"""Which contract is shown, and which look-ups a contract may ask for."""

from typing import Any

import pytest
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
    view = _view(READINGS, _with(fields=("Tag", "Rang")))

    assert (view.relation, view.key.name, view.order.name) == ("order", "Zähler-Nr.", "Tag")
    assert [field.name for field in view.fields] == ["Tag", "Rang"]


def test_check_ins_are_what_the_repository_shows() -> None:
    assert _view(*load_all().values()).relation == "daily_checkins"


def test_without_a_lookup_nothing_is_shown() -> None:
    assert View.of([READINGS]) is None


def _view(*contracts: Contract) -> View:
    view = View.of(contracts)
    assert view is not None
    return view


def test_what_there_is_to_sum() -> None:
    view = _view(_with(group="Raum", measure="Preis"))

    assert view.group is not None
    assert view.measure is not None
    assert (view.group.name, view.measure.name) == ("Raum", "Preis")
    assert _view(_with()).group is _view(_with()).measure is None


@pytest.mark.parametrize("key", ["Zähler-Nr.", "Raum", "Notiz", "Etage"])
def test_keys(key: str) -> None:
    assert _view(_with(key=key)).key.name == key


@pytest.mark.parametrize("order", ["Raum", "Tag", "Zeit", "Stand", "Rang", "limit"])
def test_orders(order: str) -> None:
    assert _view(_with(order=order)).order.name == order


@pytest.mark.parametrize(
    ("lookup", "message"),
    [
        ({"key": "Tag"}, "key Tag must be a string or an integer"),
        ({"key": "Stand"}, "key Stand must be a string or an integer"),
        ({"key": "Geschätzt"}, "key Geschätzt must be a string or an integer"),
        ({"key": "limit"}, r"not be called as one of the API's own .*'cursor', 'from', 'limit'"),
        ({"key": "group"}, r"lookup names \['group'\], which are no columns"),
        ({"order": "Ende"}, "order Ende must be required"),
        ({"order": "Geschätzt"}, "order Geschätzt must be required, and no boolean"),
        ({"group": "Tag"}, "group Tag must be a string or an integer"),
        ({"measure": "Raum"}, "measure Raum must be a number or an integer"),
        ({"fields": ()}, "at least 1 item"),
        ({"fields": ("id",)}, r"lookup names \['id'\]"),
        ({"limit": 10}, "Extra inputs are not permitted"),
    ],
)
def test_lookups_that_cannot_be(lookup: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        _with(**lookup)
