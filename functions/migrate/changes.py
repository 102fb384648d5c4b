"""Comparison of an existing table with its contract."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from functions.migrate import ddl
from shared.column import Column
from shared.contract import Contract


@dataclass(frozen=True, slots=True)
class Definition:
    """Definition of a column in PostgreSQL."""

    type: str
    """As returned by `format_type`."""
    required: bool

    def __str__(self) -> str:
        return f"{self.type} NOT NULL" if self.required else self.type


@dataclass(slots=True)
class Changes:
    """Changes that make a table match its contract."""

    added: list[Column] = field(default_factory=list)
    widened: list[Column] = field(default_factory=list)
    breaking: list[str] = field(default_factory=list)
    """Descriptions of changes that existing rows or readers do not allow."""


def compare(
    contract: Contract, wanted: Mapping[str, Definition], found: Mapping[str, Definition]
) -> Changes:
    """Return the changes from the existing table to the contract.

    `wanted` are the columns of a new table of that contract, by name; `found` those of the existing
    one.
    """
    columns = {column.physical_name: column for column in contract.columns}
    changes = Changes()
    for name, want in wanted.items():
        column, have = columns.get(name), found.get(name)
        if have == want:
            continue
        if have is None:
            if column is not None and not want.required:
                changes.added.append(column)
            else:
                changes.breaking.append(f"lacks column {name} {want}, {_why_not_added(column)}")
        elif column is not None and _is_wider(want, have):
            changes.widened.append(column)
        else:
            changes.breaking.append(f"has column {name} {have}, but the contract has {want}")
    changes.breaking += [
        f"has column {name} {have}, which is not in the contract"
        for name, have in found.items()
        if name not in wanted
    ]
    return changes


def _is_wider(want: Definition, have: Definition) -> bool:
    return want.required == have.required and ddl.is_wider(want.type, have.type)


def _why_not_added(column: Column | None) -> str:
    if column is None:
        return "which every table of the pipeline has, so another program created this table"
    return "for which existing rows have no value: make it optional"
