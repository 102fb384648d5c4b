"""What the API shows: the table and the columns that the contract with a `lookup` names for it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from shared.contract import Column, Contract

MAX_LIMIT = 1000
"""Rows that one answer holds at most."""

_LARGEST_ANSWER = 5_500_000
"""Bytes: Lambda takes an answer of 6 MB, and the headers are part of it."""

# Lambda writes the answer as JSON in JSON: there a character is `\\udbff\\udfff` at its widest, and
# a byte of it at most seven, as `\\u0001`.
_WIDEST_CHARACTER = len(json.dumps("\U0010ffff")) - 2
_WIDEST_BYTE = len(json.dumps(json.dumps("\x01"))) - len(json.dumps(json.dumps("")))


@dataclass(frozen=True, slots=True)
class View:
    """The rows of `relation` by `key`, sorted by `order`, and what is told of them.

    `group` is what rows can be filtered and summed by, `measure` what is summed.
    """

    relation: str
    key: Column
    order: Column
    fields: tuple[Column, ...]
    group: Column | None = None
    measure: Column | None = None

    @classmethod
    def of(cls, contracts: Iterable[Contract]) -> Self | None:
        """Take the view from the one contract that has a look-up; None if none has."""
        for contract in contracts:
            if lookup := contract.lookup:
                return cls(
                    contract.relation,
                    contract.column(lookup.key),
                    contract.column(lookup.order),
                    tuple(map(contract.column, lookup.fields)),
                    contract.column(lookup.group) if lookup.group else None,
                    contract.column(lookup.measure) if lookup.measure else None,
                )
        return None

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
    return min(MAX_LIMIT, _LARGEST_ANSWER // row)


def bytes_fitting(columns: Iterable[Column]) -> int:
    """Return how many bytes all values of MAX_LIMIT rows may have, to fit into one answer."""
    return (_LARGEST_ANSWER - MAX_LIMIT * sum(map(_frame, columns))) // _WIDEST_BYTE


def _frame(column: Column) -> int:
    """Return the bytes of an answer that a value and its name take, but for a text's characters."""
    name = json.dumps(json.dumps({column.name: ""}, ensure_ascii=False))
    return len(name) + column.type.width + column.limits.precision
