"""Trials of the types that a column may have, on all values of the sample files.

The pipeline's own casts decide which values a type accepts.
"""

import functools
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cli.drafting import moments
from cli.drafting.survey import MAX_RUN, Counts, Survey, distinct
from functions.transform import numbers
from functions.transform.casts import values_of
from shared.column import Column
from shared.contract import Contract

Mark = Literal[".", ","]
"""A decimal mark."""
_MAX_MISSED = 0.01
"""The share of values above which a type that does not accept them is not worth a comment."""
_HOPELESS = 1_000
"""Values that a type may miss before its trial ends, if they are many of those that it accepts."""
_MAX_SCALE = 10
"""Digits after the decimal mark of exact numbers. One with more is rather a rounded result."""
_NUMBERS = {
    "bigint": "integer",
    f"numeric(38,{_MAX_SCALE})": "number",
    "double precision": "number",
}
_STYLES = frozenset({"omittedZero", "parentheses", "trailingMinus"})
"""Spellings of numbers. Not exponents: numbers with them are floats, which always may have one."""
_MOMENTS: dict[moments.Kind, str] = {
    "date": "date",
    "timestamp": "timestamptz",
    "time": "time",
}
_GROUP_CHARS = (",", ".", "'", " ")
_NUMBER = re.compile(r"[-+().,'\s\d]+")
_CODE = re.compile(r"[^\W\d_]\d|\d[^\W\d_](?![^\W\d_])")
"""Letters that belong to the digits, as in A5 or 5b, but not in 5 EUR or 5kg."""
_SHOWN = 3
_PAIRS = [
    each.split()
    for each in (
        *("true false", "yes no", "y n", "t f", "on off", "ja nein", "j n", "wahr falsch"),
        *("oui non", "vrai faux", "si no", "sí no", "verdadero falso", "sim não", "tak nie"),
    )
]
"""Texts for true and false."""

_Booleans = npt.NDArray[np.bool_]


class Digits(NamedTuple):
    """The most digits of numbers before and after the decimal mark, without leading zeros."""

    before: int
    after: int


_NO_DIGITS = Digits(0, 0)


@dataclass(slots=True)
class Trial:
    """One type on trial, as the column that would have it.

    Attributes:
        column: the column.
        contract: how the files are read, with the decimal mark of numbers.
        accepted: the number of values that the type accepts; `missed`, that it does not.
        examples: some of those that it does not.
        minimum: the least accepted value, if these have an order; `maximum`, the greatest one.
        digits: those of the accepted numbers.
    """

    column: Column
    contract: Contract
    accepted: int = 0
    missed: int = 0
    examples: list[str] = field(default_factory=list)
    minimum: Any = None
    maximum: Any = None
    digits: Digits = _NO_DIGITS

    @property
    def fits(self) -> bool:
        """Whether the type accepts every value, at least one, and loses no digit."""
        is_exact = self.column.kind != "number" or self.digits.after <= _MAX_SCALE
        return self.accepted > 0 and not self.missed and is_exact

    def add(self, values: pa.StringArray, counts: Counts) -> None:
        """Try distinct values that occur so often."""
        if _is_hopeless(self.missed, self.accepted):
            return
        texts, found = values_of(values, self.column, self.contract)
        is_accepted = booleans(found.is_valid())
        is_missed = booleans(texts.is_valid()) & ~is_accepted
        self.accepted += int(counts[is_accepted].sum())
        self.missed += int(counts[is_missed].sum())
        self.examples = _more(self.examples, values, is_missed)
        match self.column.kind:
            case "integer" | "number":
                read = pc.if_else(found.is_valid(), texts, None)
                self.digits = _most(self.digits, read, self.column, self.contract.decimal_mark)
                self._measure(found)
            case "float" | "date" | "timestamp" | "time":
                self._measure(found)
            case "string" | "boolean" | "uuid" | "json":
                pass

    def _measure(self, values: pa.Array) -> None:
        bounds = pc.min_max(values).as_py()
        if bounds["min"] is not None:
            known = [each for each in (self.minimum, self.maximum) if each is not None]
            self.minimum = min([bounds["min"], *known])
            self.maximum = max([bounds["max"], *known])


@dataclass(slots=True)
class MomentTrial:
    """All formats of dates, timestamps or times of day on trial.

    `columns` has the column with each format. `masks` has the number of values for each set of
    formats that read them, and `examples` some values that none reads.
    """

    kind: moments.Kind
    columns: Mapping[moments.Form, Column]
    contract: Contract
    masks: dict[int, int] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)

    @property
    def choice(self) -> moments.Choice:
        """The formats to use."""
        return moments.choose([*self.columns], self.masks)

    def add(self, values: pa.StringArray, counts: Counts) -> None:
        """Try distinct values that occur so often."""
        if _is_hopeless(self.masks.get(0, 0), sum(self.masks.values())):
            return
        masks = np.zeros(len(values), np.int64)
        is_value = np.zeros(len(values), np.bool_)
        for bit, column in enumerate(self.columns.values()):
            texts, found = values_of(values, column, self.contract)
            is_value = booleans(texts.is_valid())
            masks |= booleans(found.is_valid()).astype(np.int64) << bit
        for mask in np.unique(masks[is_value]).tolist():
            rows = int(counts[is_value & (masks == mask)].sum())
            self.masks[mask] = self.masks.get(mask, 0) + rows
        self.examples = _more(self.examples, values, is_value & (masks == 0))


@dataclass(slots=True)
class Trials:
    """All trials of one column. Those of numbers and the others begin with the narrowest type."""

    survey: Survey
    text: Trial
    numeric: Mapping[Mark, Sequence[Trial]]
    boolean: Sequence[Trial]
    moments: Sequence[MomentTrial]
    others: Sequence[Trial]

    def add(self, texts: pa.StringArray) -> None:
        """Try the values of some rows."""
        values, counts = distinct(texts.fill_null(""))
        for trial in self._all():
            trial.add(values, counts)

    def _all(self) -> Iterator[Trial | MomentTrial]:
        yield self.text
        yield from self.numeric["."]
        if self.numeric[","] is not self.numeric["."]:
            yield from self.numeric[","]
        yield from self.boolean
        yield from self.moments
        yield from self.others


def trials_of(survey: Survey, physical_name: str, contract: Contract) -> Trials:
    """Return the trials of a column that its survey suggests; `contract` reads the files."""
    named = {"name": survey.name, "physicalName": physical_name}
    base: dict[str, Any] = dict(named)
    if survey.padded:
        base["trim"] = True
    if survey.tokens:
        base["nullTokens"] = ["", *sorted(survey.tokens)]
    shapes = survey.shapes or {}
    examples = [each.example for each in shapes.values()]
    numeric: dict[Mark, list[Trial]] = {".": [*_numeric(base, survey, ".", contract)]}
    has_mark = any("." in each or "," in each for each in shapes)
    numeric[","] = [*_numeric(base, survey, ",", contract)] if has_mark else numeric["."]
    return Trials(
        survey,
        Trial(_column(named, "string", "text"), contract),
        numeric,
        [
            Trial(_column(base, "boolean", "boolean", trueTokens=true, falseTokens=false), contract)
            for true, false in _tokens(survey)
        ],
        [
            MomentTrial(kind, columns, contract)
            for kind, stored in _MOMENTS.items()
            if (columns := _moments(base, kind, stored, [*shapes], examples, contract))
        ],
        [
            Trial(_column(base, "string", stored), contract)
            for stored, is_likely in (("uuid", _is_uuid), ("jsonb", _is_json))
            if survey.samples and all(map(is_likely, survey.samples))
        ],
    )


def _is_uuid(text: str) -> bool:
    return len(text) == len("6b9f2a2e-0000-4000-8000-000000000001")


def _is_json(text: str) -> bool:
    return text[0] in "{["


def _is_hopeless(missed: int, tried: int) -> bool:
    return missed > max(_HOPELESS, tried * _MAX_MISSED)


def is_close(missed: int, tried: int) -> bool:
    """Return whether a type misses so few of the values that a person should know."""
    return 0 < missed <= tried * _MAX_MISSED


def _column(base: Mapping[str, Any], logical: str, physical: str, **more: Any) -> Column:
    return Column.model_validate({**base, "logicalType": logical, "physicalType": physical, **more})


def _numeric(
    base: Mapping[str, Any], survey: Survey, mark: Mark, contract: Contract
) -> Iterator[Trial]:
    """Yield a trial for each type of numbers that may read the column."""
    shapes = survey.shapes or {}
    is_phone = any(each.startswith("+9999") and each.strip("+9") == "" for each in shapes)
    if survey.leading_zeros or is_phone or not any("9" in each for each in shapes):
        return
    marked = contract.model_copy(update={"decimal_mark": mark})
    examples = [each.example for each in shapes.values()]
    options = _STYLES if are_codes([*survey.samples, *examples]) else _STYLES | {"bareNumber"}
    used = "".join(shapes)
    chars = [None, *(char for char in _GROUP_CHARS if char in used and char != mark)]
    texts = pa.array(examples, pa.string())
    rows = np.array([each.rows for each in shapes.values()], np.int64)

    def accepted(column: Column) -> int:
        _, values = values_of(texts, column, marked)
        return int(rows[booleans(values.is_valid())].sum())

    for stored in _NUMBERS:
        spelled = functools.partial(_spelled, base, stored)
        column = _number(spelled, options, chars, accepted, int(rows.sum()))
        if column is not None:
            yield Trial(column, marked)
            # Shapes tell how many digits numbers have.
            digits = _most(_NO_DIGITS, texts, column, mark)
            is_short = "9" * MAX_RUN not in used and digits.after <= _MAX_SCALE
            if is_short and accepted(column) == rows.sum():
                return


def are_codes(texts: Collection[str]) -> bool:
    """Return whether the text around numbers belongs to them."""
    # Without the text around them, $5 and €5 or A5 and B5 would be the same.
    around = {_NUMBER.sub("", each) for each in texts} - {""}
    return len(around) > 1 or any(map(_CODE.search, texts))


def _number(
    spelled: Callable[[Set[str], str | None], Column],
    options: Set[str],
    chars: Iterable[str | None],
    accepted: Callable[[Column], int],
    rows: int,
) -> Column | None:
    """Return a column of numbers with as few options as needed; None if few rows are numbers.

    Args:
        spelled: returns the column with some options and a group character.
        options: those that it may have.
        chars: the group characters that it may have.
        accepted: returns how many rows a column accepts.
        rows: the number of rows.
    """
    plain = spelled(set(), None)
    if accepted(plain) == rows:
        return plain
    for char in chars:
        names = options if char is None else options | {"groupChar"}
        column = spelled(names, char)
        most = accepted(column)
        if most < (1 - _MAX_MISSED) * rows:
            continue
        for name in sorted(names):
            fewer = spelled(names - {name}, char)
            if accepted(fewer) == most:
                column, names = fewer, names - {name}
        return column
    return None


def _spelled(base: Mapping[str, Any], stored: str, names: Set[str], char: str | None) -> Column:
    """Return a column of numbers with some options."""
    logical = _NUMBERS[stored]
    styles = [
        each
        for each in sorted(_STYLES)
        if each in names and not (each == "omittedZero" and logical == "integer")
    ]
    options: dict[str, Any] = {"numberStyles": styles} if styles else {}
    if "bareNumber" in names:
        options["bareNumber"] = False
    if "groupChar" in names:
        options["groupChar"] = char
    return _column(base, logical, stored, **options)


def _tokens(survey: Survey) -> Iterator[tuple[list[str], list[str]]]:
    """Yield the texts for true and false if the column has no others."""
    if not survey.few:
        return
    values = sorted({each.strip() for each in survey.few})
    for true, false in _PAIRS:
        is_true = [each for each in values if each.casefold() == true]
        is_false = [each for each in values if each.casefold() == false]
        if len(is_true) + len(is_false) < len(values):
            continue
        if true == "true":  # also if all rows have the same value
            is_true = is_true or [_as_written(true, is_false[0])]
            is_false = is_false or [_as_written(false, is_true[0])]
        if is_true and is_false:
            yield is_true, is_false
            return


def _as_written(word: str, like: str) -> str:
    return word.upper() if like.isupper() else word.title() if like[0].isupper() else word


def _moments(
    base: Mapping[str, Any],
    kind: moments.Kind,
    stored: str,
    shapes: Sequence[str],
    examples: Sequence[str],
    contract: Contract,
) -> dict[moments.Form, Column]:
    """Return the formats that read at least one of the examples, each with its column."""
    texts = pa.array(examples, pa.string())
    found: dict[moments.Form, Column] = {}
    for form in moments.forms(shapes, kind):
        column = _column(base, kind, stored, formats=[form.format])
        _, values = values_of(texts, column, contract)
        if len(found) < moments.MAX_FORMS and values.null_count < len(values):
            found[form] = column
    return found


def _most(digits: Digits, texts: pa.StringArray, column: Column, mark: Mark) -> Digits:
    """Return the most digits of numbers and of those before."""
    plain = pc.replace_substring_regex(numbers.plain(texts, column, mark), r"\A[+-]?0*", "")
    before = pc.max(pc.utf8_length(pc.replace_substring_regex(plain, rf"[{mark}].*", ""))).as_py()
    zeros = pc.replace_substring_regex(plain, rf"\A[^{mark}]*[{mark}]?", "")
    after = pc.max(pc.utf8_length(zeros)).as_py()
    return Digits(max(digits.before, before or 0), max(digits.after, after or 0))


def _more(examples: list[str], values: pa.StringArray, which: _Booleans) -> list[str]:
    """Return the first few examples and those of the values that are chosen."""
    if len(examples) >= _SHOWN or not which.any():
        return examples
    chosen = values.take(pa.array(np.flatnonzero(which)[:_SHOWN]))
    return [*examples, *chosen.to_pylist()][:_SHOWN]


def booleans(values: pa.BooleanArray) -> _Booleans:
    """Return an array without nulls for NumPy."""
    return np.asarray(values.to_numpy(zero_copy_only=False), np.bool_)
