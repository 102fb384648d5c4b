"""A contract's rules, held against clean rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from shared.contract import Column, Contract, Rule, Severity


@dataclass(frozen=True, slots=True)
class Violation:
    """One rule that one row's value does not fulfil; `value` as the table holds it, or None."""

    line: int
    column: str | None
    value: str | None
    rule: str
    severity: Severity
    reason: str


def violations(rows: pa.Table, contract: Contract) -> Iterator[Violation]:
    """Yield what is wrong with rows, rule by rule.

    Args:
        rows: the contract's columns in its types, and `line`.
        contract: the rules.
    """
    for column in contract.columns:
        values = rows[column.name]
        for rule in column.rules:
            broken = pc.fill_null(_breaks(values, rule), fill_value=False)
            for i in pc.indices_nonzero(broken).to_pylist():
                value = values[i].as_py()
                yield Violation(
                    line=rows["line"][i].as_py(),
                    column=column.name,
                    value=None if value is None else str(value),
                    rule=rule.name,
                    severity=rule.severity,
                    reason=_reason(column, rule),
                )


def _breaks(values: pa.ChunkedArray, rule: Rule) -> pa.ChunkedArray:
    match rule.kind:
        case "required":
            return values.is_null()
        case "max_length":
            return pc.greater(pc.utf8_length(values), rule.length)
        case "range":
            low, high = rule.bounds
            below = pc.less(values, _as(values.type, low)) if low is not None else False
            above = pc.greater(values, _as(values.type, high)) if high is not None else False
            return pc.or_(below, above)


def _as(type_: pa.DataType, bound: float) -> pa.Scalar:
    # A bound may have more digits than the column's type holds, so it brings its own.
    return pa.scalar(Decimal(str(bound))) if pa.types.is_decimal(type_) else pa.scalar(bound)


def _reason(column: Column, rule: Rule) -> str:
    match rule.kind:
        case "required":
            return f"{column.name} is missing"
        case "max_length":
            return f"{column.name} is longer than {rule.length} characters"
        case "range":
            low, high = rule.bounds
            if low is None:
                return f"{column.name} is more than {high:g}"
            if high is None:
                return f"{column.name} is less than {low:g}"
            return f"{column.name} is not between {low:g} and {high:g}"
