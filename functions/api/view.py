"""What the API shows of a table: the columns that its contract's `lookup` names."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from shared.contract import Column, Contract

MAX_LIMIT = 1000
"""Rows that one answer holds at most."""

PERIODS = {"day": "YYYY-MM-DD", "week": 'IYYY-"W"IW', "month": "YYYY-MM"}
"""What rows can be summed by, and how PostgreSQL writes it."""

LARGEST_ANSWER = 5_500_000
"""Bytes: Lambda takes an answer of 6 MB, and the headers are part of it."""

# Lambda writes the answer as JSON in JSON: there a character is `\\udbff\\udfff` at its widest, and
# a byte of it at most seven, as `\\u0001`.
_WIDEST_CHARACTER = len(json.dumps("\U0010ffff")) - 2
_WIDEST_BYTE = len(json.dumps(json.dumps("\x01"))) - len(json.dumps(json.dumps("")))


@dataclass(frozen=True, slots=True)
class View:
    """The rows of a table by `key`, sorted by `order`, and what is told of them.

    `relation` is the table in PostgreSQL, `table` its name for everybody else. `group` is what
    rows can be filtered and summed by, `measure` what is summed.
    """

    table: str
    relation: str
    key: Column
    order: Column
    fields: tuple[Column, ...]
    group: Column | None = None
    measure: Column | None = None

    @classmethod
    def of(cls, contract: Contract) -> Self | None:
        """Take the view from a contract; None if it has no look-up."""
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
        """What rows can be summed by: nothing if the contract does not say what is summed."""
        if self.measure is None:
            return ()
        periods = tuple(PERIODS) if self.has_times else ()
        return (*periods, self.group.name) if self.group else periods

    @property
    def has_times(self) -> bool:
        """Whether the order is one of days or instants, so that there is a from and a to."""
        return self.order.type.formats is not None


def fitting(columns: Iterable[Column]) -> int:
    """Return how many rows of such columns fit into one answer, however wide their values are.

    None do if a text may be of any length; then the rows must be weighed.
    """
    row = 0
    for column in columns:
        length = column.limits.length
        if column.type.is_text and length is None:
            return 0
        row += _frame(column) + (length or 0) * _WIDEST_CHARACTER
    return min(MAX_LIMIT, LARGEST_ANSWER // row)


def bytes_fitting(columns: Iterable[Column]) -> int:
    """Return how many bytes all values of MAX_LIMIT rows may have, to fit into one answer."""
    return (LARGEST_ANSWER - MAX_LIMIT * sum(map(_frame, columns))) // _WIDEST_BYTE


def _frame(column: Column) -> int:
    """Return the bytes of an answer that a value and its name take, but for a text's characters."""
    name = json.dumps(json.dumps({column.name: ""}, ensure_ascii=False))
    return len(name) + column.type.width + column.limits.precision
