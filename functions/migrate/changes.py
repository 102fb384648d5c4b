"""What has to be altered in a table that is there, and what no migration may alter."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from functions.migrate import ddl
from shared.contract import Column, Contract


@dataclass(frozen=True, slots=True)
class Kept:
    """How PostgreSQL keeps a column: its type as `format_type` spells it, and whether NOT NULL."""

    type: str
    required: bool

    def __str__(self) -> str:
        return f"{self.type} NOT NULL" if self.required else self.type


@dataclass(slots=True)
class Changes:
    """What leads from a table to its contract: columns by their names in the table.

    `breaking` says in words what rows or readers that are there could not bear.
    """

    added: list[Column] = field(default_factory=list)
    widened: list[Column] = field(default_factory=list)
    breaking: list[str] = field(default_factory=list)


def compare(contract: Contract, wanted: Mapping[str, Kept], found: Mapping[str, Kept]) -> Changes:
    """Return what tells a table from its contract.

    Args:
        contract: the table's.
        wanted: the columns of a new table of that contract, by name.
        found: the columns of the table that is there, by name.
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
                changes.breaking.append(f"lacks {name} {want}, {_why_not_added(column)}")
        elif column is not None and _is_wider(want, have):
            changes.widened.append(column)
        else:
            changes.breaking.append(f"has {name} {have} where the contract has {want}")
    changes.breaking += [
        f"has {name} {have}, which the contract has not"
        for name, have in found.items()
        if name not in wanted
    ]
    return changes


def _is_wider(want: Kept, have: Kept) -> bool:
    return want.required == have.required and ddl.is_wider(want.type, have.type)


def _why_not_added(column: Column | None) -> str:
    if column is None:
        return "which the pipeline needs of its own: it did not make this table"
    return "which the rows that are there would not have: do not require it"
