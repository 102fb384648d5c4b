"""Parameters and response schemas of table routes: for one table, or for all tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from pydantic import BeforeValidator

from functions.api.parameters import column_schema, column_value, text
from functions.api.responses import object_schema, value_schema
from functions.api.view import PERIODS, View
from shared.column import Column
from shared.column_types import TEXT


@dataclass(frozen=True, slots=True)
class ColumnParameter:
    """A parameter that takes a column's value."""

    name: str
    validator: BeforeValidator
    schema: Mapping[str, Any]

    @classmethod
    def of(cls, column: Column) -> Self:
        """Return the parameter of a column."""
        return cls(column.name, column_value(column), column_schema(column))


@dataclass(frozen=True, slots=True)
class TableSpec:
    """The table-specific part of the routes below `path` and of `/get`."""

    path: str
    key: ColumnParameter
    named_key: ColumnParameter
    """The key parameter of `/get`, which has the name of the column."""
    group: ColumnParameter | None
    groupings: tuple[str, ...]
    """Values of the parameter `by`; empty if the table has no sums."""
    by_schema: Mapping[str, Any]
    has_times: bool
    has_prefixes: bool
    row_schema: Mapping[str, Any]
    key_schema: Mapping[str, Any]
    sum_schema: Mapping[str, Any]
    """JSON schemas of the items in responses."""

    @classmethod
    def of(cls, view: View) -> Self:
        """Return the form of one table."""
        key, group, measure = view.key, view.group, view.measure
        shown = [group.type.schema["type"]] if group else []
        total = {measure.name: {"type": "string"}} if measure else {}
        return cls(
            path=f"/tables/{view.table}",
            key=ColumnParameter.of(key),
            named_key=ColumnParameter.of(key),
            group=ColumnParameter.of(group) if group else None,
            groupings=view.groupings,
            by_schema={"enum": list(view.groupings)},
            has_times=view.has_times,
            has_prefixes=key.type.is_text,
            row_schema=object_schema({column.name: value_schema(column) for column in view.fields}),
            key_schema=value_schema(key),
            sum_schema=_sum_schema(list(dict.fromkeys(["string", *shown, "null"])), total),
        )


def _sum_schema(groups: list[str], total: dict[str, Any]) -> dict[str, Any]:
    return object_schema(
        {"group": {"type": groups}, "rows": {"type": "integer", "minimum": 1}, **total}
    )


# OpenAPI serializes each member of a query object as a separate parameter.
# https://spec.openapis.org/oas/v3.1.0.html#style-values
_BY_NAME: dict[str, Any] = {"type": "object", "additionalProperties": TEXT}

ANY_TABLE = TableSpec(
    path="/tables/<table>",
    key=ColumnParameter("key", text, TEXT),
    named_key=ColumnParameter("key", text, _BY_NAME | {"minProperties": 1, "maxProperties": 1}),
    group=ColumnParameter("group", text, _BY_NAME | {"maxProperties": 1}),
    groupings=(*PERIODS, "the group's name"),
    by_schema=TEXT,
    has_times=True,
    has_prefixes=True,
    row_schema={"type": "object"},
    key_schema={"type": ["string", "integer"]},
    sum_schema=_sum_schema(["string", "integer", "null"], {})
    | {"additionalProperties": {"type": "string"}},
)
"""The form of the public document, which names no table and no column."""
