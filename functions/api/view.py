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

_LONGEST_TEXT = 131_072
"""Characters: Transform rejects a longer value."""

_WIDEST_CHARACTER = "\U0010ffff"
"""Lambda writes the answer as JSON in JSON, where it is `\\udbff\\udfff`: none is longer."""


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
        return self.order.logical_type in {"date", "timestamp"}


def fitting(columns: Iterable[Column]) -> int:
    """Return how many rows of such columns fit into one answer, however wide their values are."""
    return min(MAX_LIMIT, max(1, _LARGEST_ANSWER // sum(map(_width, columns))))


def _width(column: Column) -> int:
    """Return the bytes that a column's name and value take at most in Lambda's answer."""
    match column.logical_type:
        case "string":
            length = column.max_length or _LONGEST_TEXT
            value = length * len(json.dumps(_WIDEST_CHARACTER)[1:-1]) + len('\\"\\"')
        case "number":
            value = column.precision_and_scale[0] + len('\\"-0.\\"')
        case _:
            value = len('\\"0001-01-01T00:00:00.000000Z\\"')
    return len(json.dumps(json.dumps({column.name: ""}, ensure_ascii=False))) + value
