"""Checks of clean rows against the contract's rules, one part of a file at a time."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared import regex
from shared.column import Column
from shared.column_types import comparable
from shared.contract import Contract
from shared.quality import (
    Allowed,
    AnyRule,
    Length,
    NotInFuture,
    Pattern,
    Range,
    Required,
    Severity,
    Unique,
    UniqueRows,
)
from shared.text import listed


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that a value of one row violates; `value` is the cast value as text, or None."""

    line: int
    column: str | None
    value: str | None
    rule: str
    severity: Severity
    reason: str


class Judge:
    """Checks the parts of one file in order; remembers values that must be unique."""

    def __init__(self, contract: Contract, now: dt.datetime) -> None:
        """Check against `contract` at the time `now`, which has a time zone."""
        self._contract = contract
        self._now = now
        self._seen: dict[tuple[str, str], pa.Array] = {}

    def violations(self, rows: pa.Table) -> Iterator[Violation]:
        """Yield the violations in a part, rule by rule.

        The part has the contract's columns under their physical names, cast, and `line`.
        """
        for column in self._contract.columns:
            values = rows[column.physical_name].combine_chunks()
            # Arrow writes a float with the fewest digits, Python a `real` with those of a double.
            shown = values.cast(pa.string()) if pa.types.is_floating(values.type) else values
            for rule in column.rules:
                violated, problem = self._checked(values, column, rule)
                for i in pc.indices_nonzero(pc.fill_null(violated, fill_value=False)).to_pylist():
                    value = shown[i].as_py()
                    yield Violation(
                        line=rows["line"][i].as_py(),
                        column=column.name,
                        value=None if value is None else str(value),
                        rule=rule.name,
                        severity=rule.severity,
                        reason=f"{column.name} {problem}",
                    )
        for rows_rule in self._contract.unique_rows:
            yield from self._repeated_rows(rows, rows_rule)

    def _repeated_rows(self, rows: pa.Table, rule: UniqueRows) -> Iterator[Violation]:
        columns = [
            rows[self._contract.column(name).physical_name].combine_chunks().cast(pa.large_string())
            for name in rule.columns
        ]
        # No text contains NUL, so different rows have different keys. A null makes the key null.
        keys = pc.binary_join_element_wise(*columns, pa.scalar("\0", pa.large_string()))
        for i in pc.indices_nonzero(self._repeats(keys, (rule.of, rule.name))).to_pylist():
            yield Violation(
                line=rows["line"][i].as_py(),
                column=rule.of,
                value=listed([column[i].as_py() for column in columns]),
                rule=rule.name,
                severity=rule.severity,
                reason=f"{rule.of} repeat the values of an earlier row",
            )

    def _checked(self, values: pa.Array, column: Column, rule: AnyRule) -> tuple[pa.Array, str]:
        """Return which values violate a rule (null: not checked), and the words of the reason."""
        match rule:
            case Required():
                return values.is_null(), "is missing"
            case Length():
                characters = pc.utf8_length(values)
                outside = _outside(characters, rule.minimum, rule.maximum)
                return outside, f"does not have {_interval(rule)} characters"
            case Range():
                return _outside(values, rule.minimum, rule.maximum), f"is not {_interval(rule)}"
            case Pattern():
                matches = pc.match_substring_regex(values, regex.whole(rule.regex))
                return pc.invert(matches), f"does not match {rule.regex}"
            case Allowed():
                # `is_in` returns false for a null.
                wrong = pc.invert(pc.is_in(values, pa.array(rule.values)))
                return pc.and_(values.is_valid(), wrong), f"is not one of {listed(rule.values)}"
            case Unique():
                repeats = self._repeats(values, (column.name, rule.name))
                return repeats, "repeats a value of an earlier row"
            case NotInFuture():
                return pc.greater(values, self._moment(values.type)), "is in the future"

    def _repeats(self, values: pa.Array, key: tuple[str, str]) -> pa.Array:
        encoded = values.dictionary_encode()
        firsts = np.empty(len(encoded.dictionary), dtype=np.int64)
        indices = encoded.indices.fill_null(-1).to_numpy()
        valid = np.flatnonzero(indices >= 0)
        # Assign in reverse order: the first index of each value is written last.
        firsts[indices[valid][::-1]] = valid[::-1]
        repeats = np.zeros(len(values), dtype=bool)
        repeats[valid] = firsts[indices[valid]] != valid
        seen = self._seen.get(key, pa.array([], values.type))
        self._seen[key] = pa.concat_arrays([seen, encoded.dictionary]).unique()
        return pc.or_(pa.array(repeats), pc.is_in(values, seen))

    def _moment(self, type_: pa.DataType) -> pa.Scalar:
        if pa.types.is_date(type_):
            return pa.scalar(self._now.astimezone(ZoneInfo(self._contract.timezone)).date())
        return pa.scalar(self._now)


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
