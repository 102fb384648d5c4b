"""Changes of a contract that accept a file with unknown or missing columns."""

import re
from collections.abc import Iterator
from typing import Any

from functions.transform.header import match_header
from shared.contract import MAX_COLUMNS, Column, Contract, folded
from shared.naming import physical_names
from shared.text import is_storable, quoted
from shared.verdict import Refusal
from shared.yaml_text import flow, scalar

_MAX_COLUMNS = 20
_MAX_BYTES = 4_096
_NEW: dict[str, Any] = {"logical_type": "string", "physical_type": "text", "optional": True}


def advice(header: list[str] | None, width: int, line: int, contract: Contract) -> str | None:
    """Return lines of the contract that accept a refused header; None if none do.

    They are a YAML list, like `schema[0].properties`: columns to add, and custom properties to set
    in columns that the contract has. The arguments are those of `match_header`.
    """
    names = names_of(header, width, contract)
    columns = accepting(names, contract)
    known = {*map(id, contract.columns)}
    if columns is None or sum(id(each) not in known for each in columns) > _MAX_COLUMNS:
        return None
    try:
        given = {name: getattr(contract, name) for name in contract.model_fields_set}
        changed = Contract.model_validate(given | {"columns": columns})
    except ValueError:
        return None  # e.g. a required column cannot be optional
    if isinstance(match_header(header, width, line, changed), Refusal):
        return None
    lines = [
        "# In schema[0].properties of the contract, add these columns or custom properties:",
        *_lines(changed, contract),
        "# For better types and a patch of the contract: "
        f"tm contract FILE --table {contract.table} --contracts DIR",
    ]
    text = "\n".join(lines)
    return text if len(text.encode()) <= _MAX_BYTES and all(map(is_storable, names)) else None


def names_of(header: list[str] | None, width: int, contract: Contract) -> list[str]:
    """Return a name for each column of a file; the arguments are those of `match_header`."""
    if header is not None:
        return header
    known = contract.header[:width]
    return [*known, *(f"column {number}" for number in range(len(known) + 1, width + 1))]


def accepting(header: list[str], contract: Contract) -> tuple[Column, ...] | None:
    """Return the columns that a contract needs to accept a header; None if it has none of them.

    New columns are optional texts. Columns that a contract has stay the same objects unless they
    get an alias or become optional.
    """
    key = contract.header_policy.key
    places = {key(name): i for i, each in enumerate(contract.columns) for name in each.names}
    unknown = dict.fromkeys(name for name in header if key(name) not in places)
    found = {places[key(name)] for name in header if key(name) in places}
    similar = {_letters(name): name for name in unknown}
    similar.pop("", None)
    columns = [*contract.columns]
    for i, column in enumerate(contract.columns):
        if i in found:
            continue
        letters = next((each for each in map(_letters, column.names) if similar.get(each)), None)
        if letters is not None:
            alias = similar.pop(letters)
            del unknown[alias]
            places[key(alias)] = i
            columns[i] = column.model_copy(update={"aliases": (*column.aliases, alias)})
        elif not column.optional and contract.file_format == "csv":
            columns[i] = column.model_copy(update={"optional": True})
    if contract.header_policy.unknown == "ignore":
        unknown.clear()
    if not found or len(unknown) > MAX_COLUMNS:
        return None
    at = {name: len(columns) for name in unknown}
    if contract.header_policy.order == "contract":
        last = -1
        for name in header:
            last = places.get(key(name), last)
            if name in at:
                at[name] = last
    new = physical_names(unknown, contract.table, contract.physical_names)
    # In JSON lines, a row may lack any column.
    options = _NEW if contract.file_format == "csv" else _NEW | {"optional": False}
    ordered = [(i, each) for i, each in enumerate(columns)]
    ordered += [
        (at[name], Column(name=name, physical_name=physical, **options))
        for name, physical in zip(unknown, new, strict=True)
    ]
    return tuple(column for _, column in sorted(ordered, key=lambda each: each[0]))


def _letters(name: str) -> str:
    """Return what similar names have in common."""
    return re.sub(r"[\W_]+", "", folded(name))


def _lines(changed: Contract, contract: Contract) -> Iterator[str]:
    """Yield the lines that the contract lacks."""
    before = {each.name: each for each in contract.columns}
    for i, column in enumerate(changed.columns):
        old = before.get(column.name)
        if old == column:
            continue
        if old is None and contract.header_policy.order == "contract":
            yield f"# after {quoted(changed.columns[i - 1].name)}:" if i else "# first:"
        yield f"- name: {scalar(column.name)}"
        option: dict[str, Any] = {"property": "optional", "value": True}
        if old is None:
            yield f"  physicalName: {scalar(column.physical_name)}"
            yield f"  logicalType: {column.logical_type}"
            yield f"  physicalType: {column.physical_type}"
        elif old.aliases != column.aliases:
            option = {"property": "aliases", "value": column.aliases}
        yield "  customProperties:"
        yield f"    - {flow(option)}"
