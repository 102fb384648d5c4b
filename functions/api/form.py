"""Parameters and response schemas of table routes: for one table, or for all tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from pydantic import BeforeValidator

from functions.api.answers import an_object, value_of
from functions.api.parameters import reading, schema, text
from functions.api.view import PERIODS, View
from shared.columns import TEXT
from shared.contract import Column


@dataclass(frozen=True, slots=True)
class Asked:
    """A parameter that takes a column's value."""

    name: str
    reads: BeforeValidator
    schema: Mapping[str, Any]

    @classmethod
    def of(cls, column: Column) -> Self:
        """Return the parameter of a column."""
        return cls(column.name, reading(column), schema(column))


@dataclass(frozen=True, slots=True)
class Form:
    """The table-specific part of the routes below `path` and of `/get`."""

    path: str
    key: Asked
    by_name: Asked
    """The key parameter of `/get`, which has the name of the column."""
    group: Asked | None
    groupings: tuple[str, ...]
    """Values of the parameter `by`; empty if the table has no sums."""
    words: Mapping[str, Any]
    """JSON schema of the parameter `by`."""
    has_times: bool
    has_prefixes: bool
    row: Mapping[str, Any]
    one_key: Mapping[str, Any]
    one_sum: Mapping[str, Any]
    """JSON schemas of the items in responses."""

    @classmethod
    def of(cls, view: View) -> Self:
        """Return the form of one table."""
        key, group, measure = view.key, view.group, view.measure
        shown = [group.type.schema["type"]] if group else []
        total = {measure.name: {"type": "string"}} if measure else {}
        return cls(
            path=f"/tables/{view.table}",
            key=Asked.of(key),
            by_name=Asked.of(key),
            group=Asked.of(group) if group else None,
            groupings=view.groupings,
            words={"enum": list(view.groupings)},
            has_times=view.has_times,
            has_prefixes=key.type.is_text,
            row=an_object({column.name: value_of(column) for column in view.fields}),
            one_key=value_of(key),
            one_sum=_a_sum(list(dict.fromkeys(["string", *shown, "null"])), total),
        )


def _a_sum(groups: list[str], total: dict[str, Any]) -> dict[str, Any]:
    return an_object(
        {"group": {"type": groups}, "rows": {"type": "integer", "minimum": 1}, **total}
    )


# OpenAPI serializes each member of a query object as a separate parameter.
# https://spec.openapis.org/oas/v3.1.0.html#style-values
_BY_NAME: dict[str, Any] = {"type": "object", "additionalProperties": TEXT}

ANY = Form(
    path="/tables/<table>",
    key=Asked("key", text, TEXT),
    by_name=Asked("key", text, _BY_NAME | {"minProperties": 1, "maxProperties": 1}),
    group=Asked("group", text, _BY_NAME | {"maxProperties": 1}),
    groupings=(*PERIODS, "the group's name"),
    words=TEXT,
    has_times=True,
    has_prefixes=True,
    row={"type": "object"},
    one_key={"type": ["string", "integer"]},
    one_sum=_a_sum(["string", "integer", "null"], {})
    | {"additionalProperties": {"type": "string"}},
)
"""The form of the public document, which names no table and no column."""
