"""A contract's rules, held against clean rows, part after part of one file."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared import regex
from shared.contract import (
    Allowed,
    AnyRule,
    Column,
    Contract,
    Length,
    NotInFuture,
    Pattern,
    Range,
    Required,
    Severity,
    Unique,
)
from shared.text import listed


@dataclass(frozen=True, slots=True)
class Violation:
    """One rule that one row's value does not fulfil; `value` as the table holds it, or None."""

    line: int
    column: str | None
    value: str | None
    rule: str
    severity: Severity
    reason: str


class Judge:
    """Judges the parts of one file, in their order; remembers what must not come twice."""

    def __init__(self, contract: Contract, now: dt.datetime) -> None:
        """Judge by `contract` at the moment `now`, which has a time zone."""
        self._contract = contract
        self._now = now
        self._seen: dict[tuple[str, str], pa.Array] = {}

    def violations(self, rows: pa.Table) -> Iterator[Violation]:
        """Yield what is wrong with a part, rule by rule.

        Args:
            rows: the contract's columns by their physical names, in its types, and `line`.
        """
        for column in self._contract.columns:
            values = rows[column.physical_name].combine_chunks()
            for rule in column.rules:
                broken = pc.fill_null(self._breaks(values, column, rule), fill_value=False)
                reason = _reason(column, rule)
                for i in pc.indices_nonzero(broken).to_pylist():
                    value = values[i].as_py()
                    yield Violation(
                        line=rows["line"][i].as_py(),
                        column=column.name,
                        value=None if value is None else str(value),
                        rule=rule.name,
                        severity=rule.severity,
                        reason=reason,
                    )

    def _breaks(self, values: pa.Array, column: Column, rule: AnyRule) -> pa.Array:
        match rule:
            case Required():
                return values.is_null()
            case Length():
                return _outside(pc.utf8_length(values), rule.minimum, rule.maximum)
            case Range():
                return _outside(values, rule.minimum, rule.maximum)
            case Pattern():
                return pc.invert(pc.match_substring_regex(values, regex.whole(rule.regex)))
            case Allowed():
                # Arrow takes a missing value for one that is not allowed.
                allowed = pc.is_in(values, pa.array(rule.values))
                return pc.and_(values.is_valid(), pc.invert(allowed))
            case Unique():
                return self._repeats(values, (column.name, rule.name))
            case NotInFuture():
                return pc.greater(values, self._moment(values.type))

    def _repeats(self, values: pa.Array, key: tuple[str, str]) -> pa.Array:
        encoded = values.dictionary_encode()
        firsts = np.empty(len(encoded.dictionary), dtype=np.int64)
        indices = encoded.indices.fill_null(-1).to_numpy()
        valid = np.flatnonzero(indices >= 0)
        # Written from the last to the first, so that the first remains.
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
    if minimum is not None:
        outside = pc.or_(outside, pc.less(values, _bound(minimum, values.type)))
    if maximum is not None:
        outside = pc.or_(outside, pc.greater(values, _bound(maximum, values.type)))
    return outside


def _bound(bound: Any, type_: pa.DataType) -> pa.Scalar:
    if not pa.types.is_timestamp(type_):
        # It brings its own type: one with more digits than the column's is as good.
        return pa.scalar(bound)
    if not isinstance(bound, dt.datetime):
        bound = dt.datetime.combine(bound, dt.time())
    return pa.scalar(bound if bound.tzinfo else bound.replace(tzinfo=dt.UTC))


def _reason(column: Column, rule: AnyRule) -> str:
    match rule:
        case Required():
            return f"{column.name} is missing"
        case Length():
            return f"{column.name} does not have {_interval(rule)} characters"
        case Range():
            return f"{column.name} is not {_interval(rule)}"
        case Pattern():
            return f"{column.name} does not match {rule.regex}"
        case Allowed():
            return f"{column.name} is none of {listed(rule.values)}"
        case Unique():
            return f"{column.name} repeats a value of an earlier row"
        case NotInFuture():
            return f"{column.name} lies in the future"


def _interval(rule: Length | Range) -> str:
    match rule.minimum, rule.maximum:
        case None, maximum:
            return f"at most {maximum}"
        case minimum, None:
            return f"at least {minimum}"
        case minimum, maximum:
            return f"between {minimum} and {maximum}"
