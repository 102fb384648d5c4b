"""What the API shows: the table, key, order and fields of the contract with a `lookup`."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from aws_lambda_powertools.event_handler.exceptions import NotFoundError

from shared.contract import Column, Contract


@dataclass(frozen=True, slots=True)
class View:
    """The rows of `relation` with a certain `key`, sorted by `order`, and what is told of them."""

    relation: str
    key: Column
    order: Column
    fields: tuple[Column, ...]

    @classmethod
    def of(cls, contracts: Iterable[Contract]) -> Self:
        """Take the view from the one contract that has a look-up.

        Raises:
            NotFoundError: none has.
        """
        for contract in contracts:
            if lookup := contract.lookup:
                return cls(
                    contract.relation,
                    contract.column(lookup.key),
                    contract.column(lookup.order),
                    tuple(map(contract.column, lookup.fields)),
                )
        raise NotFoundError(
            "There is nothing to look up: no contract has the custom property 'lookup'."
        )
