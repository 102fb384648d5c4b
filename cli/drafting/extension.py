"""A column with options that accept more texts, and all that it accepted before."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from cli.drafting import moments
from cli.drafting.survey import NULL_TOKENS, distinct, shapes_of
from cli.drafting.trials import MomentTrial, are_codes, booleans
from functions.transform.casts import values_of
from shared.column import Column
from shared.column_types import MAX_DIGITS
from shared.contract import Contract
from shared.formats import Format

_MAX_TEXTS = 1_000
_STORED = {
    "integer": ("integer", "bigint", "numeric(38,0)", "numeric(38,10)"),
    "number": ("double precision",),
}
"""Wider types, which `migrate` does not give to a column that has rows."""


_MOMENTS: Mapping[str, moments.Kind] = {each: each for each in get_args(moments.Kind)}


@dataclass(slots=True)
class Missed:
    """The first distinct texts that a column does not accept, each with its number of rows.

    `longest` is the most characters of any text, if the column's type has a limit.
    """

    texts: dict[str, int] = field(default_factory=dict)
    longest: int = 0

    def add(self, texts: pa.StringArray, column: Column, contract: Contract) -> None:
        """Add those of some rows."""
        values, counts = distinct(texts.drop_null())
        if column.limits.length is not None:
            self.longest = max(self.longest, pc.max(pc.utf8_length(values)).as_py() or 0)
        at = np.flatnonzero(_missed(values, column, contract))
        for text, count in zip(values.take(at).to_pylist(), counts[at].tolist(), strict=True):
            if text in self.texts or len(self.texts) < _MAX_TEXTS:
                self.texts[text] = self.texts.get(text, 0) + count


def extended(column: Column, missed: Mapping[str, int], contract: Contract) -> Column:
    """Return a column with as few further options as accept the most texts.

    Args:
        column: the column.
        missed: texts that it does not accept, each with its number of rows.
        contract: the contract of its table.
    """
    texts = left = pa.array([*missed], pa.string())
    rows = np.array([*missed.values()], np.int64)
    wide = _sized(column, MAX_DIGITS)
    while len(left):
        found = [(each, _missed(left, each, contract)) for each in _steps(wide, left, contract)]
        found = [(wide, _missed(left, wide, contract)), *found]
        best, is_missed = min(found, key=lambda step: rows[step[1]].sum())
        if is_missed.all():
            break
        wide, left, rows = best, left.filter(pa.array(is_missed)), rows[is_missed]
    if column.kind != "number":
        return wide
    # As few digits as possible, and one more.
    same = wide.model_copy(update={"physical_type": column.physical_type})
    if _missed(texts, same, contract).sum() == len(left):
        return same
    for size in range(column.limits.precision + 1, MAX_DIGITS):
        if _missed(texts, _sized(wide, size), contract).sum() == len(left):
            return _sized(wide, size + 1)
    return wide


def accepted(column: Column, missed: Mapping[str, int], contract: Contract) -> dict[str, int]:
    """Return those texts that a column accepts."""
    which = ~_missed(pa.array([*missed], pa.string()), column, contract)
    return {text: missed[text] for text, is_read in zip(missed, which, strict=True) if is_read}


def wider(column: Column, missed: Mapping[str, int], contract: Contract) -> str | None:
    """Return the type of numbers that accepts all texts, but that `migrate` refuses; or None."""
    texts = pa.array([*missed], pa.string())
    for stored in _STORED.get(column.kind, ()):
        logical = "integer" if "int" in stored else "number"
        other = _validated(column, {"logical_type": logical, "physical_type": stored})
        if other is not None and not _missed(texts, other, contract).any():
            return stored
    return None


def _sized(column: Column, precision: int) -> Column:
    """Return a column of exact numbers with that many digits; return any other as it is."""
    if column.kind != "number":
        return column
    stored = f"numeric({precision},{column.limits.scale})"
    return column.model_copy(update={"physical_type": stored})


def _missed(texts: pa.StringArray, column: Column, contract: Contract) -> Any:
    """Return which texts a column does not accept."""
    read, values = values_of(texts, column, contract)
    return booleans(read.is_valid()) & ~booleans(values.is_valid())


def _steps(column: Column, texts: pa.StringArray, contract: Contract) -> Iterator[Column]:
    """Yield the column with one further option each."""
    found = texts.to_pylist()
    updates: list[dict[str, Any]] = []
    tokens = [text for text in found if text.strip() in NULL_TOKENS]
    if tokens and column.kind != "string":
        known = contract.missing(column)
        updates.append({"null_tokens": (*known, *sorted({*tokens} - {*known}))})
    updates += [{"formats": (*column.formats, each)} for each in _formats(column, texts, contract)]
    for _, update in column.further_options():
        is_dropped = "bare_number" in update and are_codes(found)
        if not is_dropped and update.get("group_char") != contract.decimal_mark:
            updates.append(update)
    for update in updates:
        if (changed := _validated(column, update)) is not None:
            yield changed


def _validated(column: Column, update: dict[str, Any]) -> Column | None:
    given = {name: getattr(column, name) for name in column.model_fields_set}
    try:
        return Column.model_validate(given | update)
    except ValidationError:
        return None  # e.g. a token for true that would also mean missing


def _formats(column: Column, texts: pa.StringArray, contract: Contract) -> Iterator[Format]:
    """Yield formats that the texts have, if they say which part of a date comes first."""
    kind = _MOMENTS.get(column.kind)
    if kind is None:
        return
    columns = {}
    for form in moments.forms(shapes_of(texts).unique().to_pylist(), kind)[: moments.MAX_FORMS]:
        other = column.model_copy(update={"formats": (form.format,)})
        if not _contradicts(texts, column, other, contract):
            columns[form] = other
    trial = MomentTrial(kind, columns, contract)
    trial.add(texts, np.ones(len(texts), np.int64))
    choice = trial.choice
    if not choice.rivals:
        yield from (form.format for form in choice.forms)


def _contradicts(texts: pa.StringArray, column: Column, other: Column, contract: Contract) -> bool:
    """Return whether two columns read texts of the same shape, such as 01/02/2024, differently."""
    probes = pa.array({_probe(text) for text in texts.to_pylist()}, pa.string())
    (_, ours), (_, theirs) = (values_of(probes, each, contract) for each in (column, other))
    pairs = zip(ours.to_pylist(), theirs.to_pylist(), strict=True)
    return any(None not in pair and pair[0] != pair[1] for pair in pairs)


def _probe(text: str) -> str:
    """Return a text with small numbers in ascending order, which many formats read."""
    numbers = iter(range(1, len(text)))
    return re.sub(
        r"(?<![0-9])[0-9]{1,2}(?![0-9])",
        lambda found: f"{next(numbers):0{len(found[0])}}",
        text,
    )
