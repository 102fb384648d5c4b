"""Views: the columns of a table that its contract's `lookup` names."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from shared.column import Column
from shared.contract import Contract

MAX_LIMIT = 1000
"""Maximum number of items in a response."""

PERIODS = {"day": "YYYY-MM-DD", "week": 'IYYY-"W"IW', "month": "YYYY-MM"}
"""Periods to sum by, and their formats in PostgreSQL."""

MAX_RESPONSE_BYTES = 5_500_000
"""Maximum bytes of a response. Lambda's limit is 6 MB, including headers."""

# Lambda encodes the body as JSON twice. The longest character becomes `\\udbff\\udfff`, the longest
# byte `\\u0001`.
_WIDEST_CHARACTER = len(json.dumps("\U0010ffff")) - 2
_WIDEST_BYTE = len(json.dumps(json.dumps("\x01"))) - len(json.dumps(json.dumps("")))


@dataclass(frozen=True, slots=True)
class View:
    """The part of a table that the API returns."""

    table: str
    relation: str
    """Name of the table in PostgreSQL."""
    key: Column
    order: Column
    """Column by which rows of a key are sorted."""
    fields: tuple[Column, ...]
    """Columns of the rows in responses."""
    group: Column | None = None
    """Column by which rows can be filtered and summed."""
    measure: Column | None = None

    @classmethod
    def of(cls, contract: Contract) -> Self | None:
        """Return the view of a contract; None if it has no lookup."""
        lookup = contract.lookup
        if lookup is None:
            return None
        return cls(
            contract.table,
            contract.relation,
            contract.column(lookup.key),
            contract.column(lookup.order),
            tuple(map(contract.column, lookup.fields)),
            contract.column(lookup.group) if lookup.group else None,
            contract.column(lookup.measure) if lookup.measure else None,
        )

    @property
    def groupings(self) -> tuple[str, ...]:
        """Periods and the name of the group; empty if there is no measure."""
        if self.measure is None:
            return ()
        periods = tuple(PERIODS) if self.has_times else ()
        return (*periods, self.group.name) if self.group else periods

    @property
    def has_times(self) -> bool:
        """Whether the order is a date or timestamp, which the parameters from and to need."""
        return self.order.type.formats is not None


def max_rows(columns: Iterable[Column]) -> int:
    """Return how many rows of these columns fit into a response even with the longest values.

    The result is 0 if a text has no maximum length; then PostgreSQL must measure the rows.
    """
    row = 0
    for column in columns:
        length = column.limits.length
        if column.type.is_long and length is None:
            return 0
        row += _frame(column) + (length or 0) * _WIDEST_CHARACTER
    return min(MAX_LIMIT, MAX_RESPONSE_BYTES // row)


def max_bytes(columns: Iterable[Column]) -> int:
    """Return how many bytes the values of MAX_LIMIT rows may have in total to fit a response."""
    return (MAX_RESPONSE_BYTES - MAX_LIMIT * sum(map(_frame, columns))) // _WIDEST_BYTE


def _frame(column: Column) -> int:
    """Return the bytes of a value and its name in a response, without a text's characters."""
    name = json.dumps(json.dumps({column.name: ""}, ensure_ascii=False))
    return len(name) + column.type.width + column.limits.precision
