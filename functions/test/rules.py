"""Checks of clean rows against the contract's rules, one part of a file at a time."""

import datetime as dt
import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from functions.test.rejects import SCHEMA, by_line, of_each, repeated
from functions.test.repeats import Keys, Repeats, keys_of
from shared import regex
from shared.column_types import comparable
from shared.contract import Contract
from shared.line_set import LineSet
from shared.quality import (
    Allowed,
    Length,
    NotInFuture,
    Pattern,
    Range,
    Required,
    Unique,
    UniqueRows,
)
from shared.text import listed

VIOLATIONS = pa.schema([SCHEMA.field(i) for i in range(SCHEMA.get_field_index("raw"))])
"""A rule that a value of one row violates; `value` is the cast value as text, or null."""


class Judge:
    """Checks the parts of a file, or of a range of it."""

    def __init__(self, contract: Contract, now: dt.datetime, repeated: Mapping[int, LineSet]):
        """Check at the time `now`, which has a time zone.

        `repeated` has the lines of the rows that repeat earlier ones, for each of `comparing`.
        """
        self._contract = contract
        self._now = now
        self._repeated_lines = repeated

    def violations(self, rows: pa.Table) -> pa.Table:
        """Return the violations in a part by line, with the schema `VIOLATIONS`.

        The part has the contract's columns under their physical names, cast, and `line`. Texts may
        be dictionary-encoded.
        """
        lines = rows["line"].combine_chunks()
        found = [VIOLATIONS.empty_table()]
        for number, (of, check) in enumerate(self._contract.checks):
            columns = [rows[name].combine_chunks() for name in _names(self._contract, number)]
            violated, problem = self._violated(number, columns, lines)
            indices = pc.indices_nonzero(pc.fill_null(violated, fill_value=False))
            if len(indices):
                fields: dict[str, Any] = {
                    "line": lines.take(indices),
                    "value": _shown([column.take(indices) for column in columns]),
                }
                texts = of, check.name, check.severity, f"{of} {problem}"
                for name, text in zip(("column", "rule", "severity", "reason"), texts, strict=True):
                    fields[name] = repeated(text, len(indices))
                found.append(pa.table(fields, schema=VIOLATIONS))
        return by_line(found)

    def _violated(
        self, number: int, columns: list[pa.Array], lines: pa.Int64Array
    ) -> tuple[pa.BooleanArray, str]:
        """Return which rows violate a rule (null: not checked), and the words of the reason."""
        values = columns[0]
        match rule := self._contract.checks[number][1]:
            case Required():
                return values.is_null(), "is missing"
            case Length():
                outside = of_each(
                    values,
                    lambda texts: _outside(pc.utf8_length(texts), rule.minimum, rule.maximum),
                )
                return outside, f"does not have {_interval(rule)} characters"
            case Range():
                return _outside(values, rule.minimum, rule.maximum), f"is not {_interval(rule)}"
            case Pattern():
                matches = of_each(
                    values, lambda texts: pc.match_substring_regex(texts, regex.whole(rule.regex))
                )
                return pc.invert(matches), f"does not match {rule.regex}"
            case Allowed():
                allowed = of_each(values, lambda texts: pc.is_in(texts, pa.array(rule.values)))
                # `is_in` returns false for a null.
                wrong = pc.and_(values.is_valid(), pc.invert(allowed))
                return wrong, f"is not one of {listed(rule.values)}"
            case Unique():
                return self._repeated(number, lines), "repeats a value of an earlier row"
            case UniqueRows():
                return self._repeated(number, lines), "repeat the values of an earlier row"
            case NotInFuture():
                return pc.greater(values, self._moment(values.type)), "is in the future"

    def _repeated(self, number: int, lines: pa.Int64Array) -> pa.BooleanArray:
        return pa.array(self._repeated_lines[number].among(lines.to_numpy()))

    def _moment(self, type_: pa.DataType) -> pa.Scalar:
        if pa.types.is_date(type_):
            return pa.scalar(self._now.astimezone(ZoneInfo(self._contract.timezone)).date())
        return pa.scalar(self._now)


def comparing(contract: Contract) -> list[int]:
    """Return the numbers of the checks that compare each row with all earlier ones."""
    checks = enumerate(contract.checks)
    return [number for number, (_, each) in checks if isinstance(each, Unique | UniqueRows)]


def keys_for(contract: Contract, rows: pa.Table) -> dict[int, Keys]:
    """Return the keys that each of `comparing` compares, of rows as `Judge.violations` takes."""
    found = {}
    for number in comparing(contract):
        # As in SQL, a missing value equals no other.
        complete = rows.select([*_names(contract, number), "line"]).drop_null()
        *columns, lines = (column.combine_chunks() for column in complete.columns)
        found[number] = keys_of(columns, lines)
    return found


def repeating_lines(
    contract: Contract, parts: Iterable[dict[int, Keys]], folder: Path
) -> dict[int, LineSet]:
    """Return what a `Judge` needs, from the keys of all parts of a file, in order.

    `folder` is for temporary files.
    """
    found = {number: Repeats(folder / f"rule-{number}") for number in comparing(contract)}
    for part in parts:
        for number, keys in part.items():
            found[number].add(keys)
    for each in found.values():
        each.settle()
    return {number: each.lines for number, each in found.items()}


def _names(contract: Contract, number: int) -> list[str]:
    """Return the physical names of the columns that a check is about."""
    of, check = contract.checks[number]
    names = check.columns if isinstance(check, UniqueRows) else (of,)
    return [contract.column(name).physical_name for name in names]


def _shown(columns: list[pa.Array]) -> pa.StringArray:
    """Return the values of rows as text."""
    if len(columns) > 1:
        texts = [column.cast(pa.string()) for column in columns]
        first, *between = listed(["\0"] * len(texts)).split("\0")
        pairs = itertools.chain.from_iterable(zip(texts, between, strict=False))
        return pc.binary_join_element_wise(first, *pairs, "")
    (values,) = columns
    if pa.types.is_dictionary(values.type) or pa.types.is_string(values.type):
        return values.cast(pa.string())
    if pa.types.is_floating(values.type):
        # Arrow writes a float with the fewest digits, Python a `real` with those of a double.
        values = values.cast(pa.string())
    different = values.dictionary_encode()
    texts = [str(value) for value in different.dictionary.to_pylist()]
    return pa.array(texts, pa.string()).take(different.indices)


def _outside(values: pa.Array, minimum: Any, maximum: Any) -> pa.Array:
    outside = pa.array(np.zeros(len(values), dtype=bool))
    for is_beyond, bound in ((pc.less, minimum), (pc.greater, maximum)):
        if bound is not None:
            # The scalar keeps its own type: a bound may have more digits than the column.
            limit = comparable(bound) if pa.types.is_timestamp(values.type) else bound
            scalar = pa.scalar(limit)
            if pa.types.is_floating(values.type):
                # Rounded like the values, so that a value equals a bound with the same text.
                scalar = scalar.cast(pa.string()).cast(values.type)
            outside = pc.or_(outside, is_beyond(values, scalar))
    return outside


def _interval(rule: Length | Range) -> str:
    match rule.minimum, rule.maximum:
        case None, maximum:
            return f"at most {maximum}"
        case minimum, None:
            return f"at least {minimum}"
        case minimum, maximum:
            return f"between {minimum} and {maximum}"
