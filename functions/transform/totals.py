"""Reads control totals, and adds up the numbers of a file to compare them with."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from functions.transform import numbers
from functions.transform.casts import texts_of, without_missing
from shared.content import Content, digest
from shared.contract import Column, Contract
from shared.control_totals import (
    AFTER_MARK,
    BEFORE_MARK,
    ROWS,
    SIZE,
    SUM,
    Claim,
    Statement,
    Sum,
    Total,
    differences,
)
from shared.rows import Rows
from shared.text import is_storable, quoted
from shared.verdict import Refusal

# Wide enough for the sum of all rows of a chunk, of which there are fewer than 10 ** 8.
_EXACT = pa.decimal256(BEFORE_MARK + AFTER_MARK + 8, AFTER_MARK)
_DIGITS: dict[Literal["md5", "sha256"], int] = {"md5": 32, "sha256": 64}
"""Hexadecimal digits of a hash."""


@dataclass(slots=True)
class Tally:
    """The control totals of a file, while it is read.

    `manifest` is what its manifest says; None without one.
    """

    contract: Contract
    manifest: Claim | None
    rows: int = 0
    sums: dict[str, Sum] = field(init=False)
    """The sums that are needed, by the physical names of the columns."""

    def __post_init__(self) -> None:
        """Begin with no rows."""
        footer = self.contract.dialect.footer
        named = {
            *(footer.totals if footer else ()),
            *(self.manifest.totals if self.manifest else ()),
        }
        columns = (column.physical_name for column in self.contract.columns)
        self.sums = {name: Sum() for name in columns if f"{SUM}{name}" in named}

    def of(self, rows: Rows, places: Sequence[int | None]) -> dict[str, Sum]:
        """Return the sums of some rows, whose numbers count as sent, before they are rounded.

        `places` is that of `casts.cast`.
        """
        found = {}
        for column, place in zip(self.contract.columns, places, strict=True):
            if column.physical_name not in self.sums:
                continue
            total = Sum(unreadable=len(rows.malformed))
            if place is not None:
                texts = texts_of(rows, place, column, self.contract)
                texts = without_missing(texts, column, self.contract)
                exact = _exact(texts, column, self.contract.decimal_mark)
                unreadable = exact.null_count - texts.null_count
                total += Sum(pc.sum(exact).as_py() or Decimal(0), unreadable)
            found[column.physical_name] = total
        return found

    def add(self, rows: int, sums: Mapping[str, Sum]) -> None:
        """Count rows with these sums."""
        self.rows += rows
        for name, each in sums.items():
            self.sums[name] += each

    def verified(self, trailer: bytes) -> int | Refusal:
        """Return the number of totals of trailer and manifest, or how the file differs from them.

        `trailer` is the first line of the footer.
        """
        claims = [self.manifest] if self.manifest else []
        footer = self.contract.dialect.footer
        if footer is not None and footer.totals:
            statement = footer.statement(trailer) if trailer else None
            if statement is None:
                return Refusal(
                    f"the file has no trailer, a line at its end that matches "
                    f"{quoted(str(footer.pattern))}; it may be cut off: upload it again"
                )
            claim = read(statement, self.contract)
            if isinstance(claim, Refusal):
                return claim
            claims.append(claim)
        found = {ROWS: self.rows} | {f"{SUM}{name}": each for name, each in self.sums.items()}
        return verified(claims, found)


def landed(content: Content, claim: Claim) -> dict[str, int | str]:
    """Return the size and the hashes of a file as it landed, as far as a claim states them.

    Each hash reads the file once, so they are left out if the size differs.
    """
    found: dict[str, int | str] = {SIZE: content.size}
    for algorithm in _DIGITS:
        if algorithm in claim.totals and claim.totals.get(SIZE, content.size) == content.size:
            found[algorithm] = digest(content, algorithm)
    return found


def verified(claims: Iterable[Claim], found: Mapping[str, int | str | Sum]) -> int | Refusal:
    """Return the number of totals in claims, or how those that were `found` differ from them."""
    problems = [text for claim in claims for text in differences(claim, found)]
    if problems:
        return Refusal(f"{'; '.join(problems)}: upload the complete file, or correct the totals")
    return sum(len(claim.totals) for claim in claims)


def read(statement: Statement, contract: Contract) -> Claim | Refusal:
    """Read the totals of a statement; refuse one that cannot be read."""
    columns = {f"{SUM}{each.physical_name}": each for each in contract.columns}
    totals: dict[str, Total] = {}
    for name, value in statement.values.items():
        text = value.strip() if isinstance(value, str) else value
        total: Total | None
        match name:
            case "rows" | "size":
                total, form = _whole(text), "a number of digits only"
            case "md5" | "sha256":
                total, form = _hash(text, _DIGITS[name]), f"{_DIGITS[name]} hexadecimal digits"
            case _ if name in columns and columns[name].type.is_summed:
                column = columns[name]
                total = _number(text, column, contract.decimal_mark)
                form = f"a number as in the column {quoted(column.name)}"
            case _:
                return Refusal(
                    f"{statement.source} has the field {quoted(name)}, which is no control total: "
                    "select only control totals in the contract's manifest"
                )
        if total is None:
            has = "has no value" if text is None or text == "" else f"has {quoted(str(value))}"
            return Refusal(f"{statement.source} {has} for {name}, but must have {form}")
        totals[name] = total
    return Claim(statement.source, totals)


def _whole(value: object) -> int | None:
    match value:
        case str() if re.fullmatch("[0-9]{1,38}", value):
            return int(value)
        case int() if not isinstance(value, bool) and value >= 0:
            return value
        case _:
            return None


def _hash(value: object, digits: int) -> str | None:
    if isinstance(value, str) and re.fullmatch(rf"[0-9a-fA-F]{{{digits}}}", value):
        return value.lower()
    return None


def _number(value: object, column: Column, mark: str) -> Decimal | None:
    match value:
        case str() if is_storable(value):  # JSON can have half of a surrogate pair
            exact: Decimal | None = _exact(pa.array([value]), column, mark)[0].as_py()
            return exact
        case int() | Decimal() if not isinstance(value, bool):
            number = Decimal(value)
            is_short = len(number.as_tuple().digits) <= _EXACT.precision
            return number if is_short and abs(number.adjusted()) < _EXACT.precision else None
        case _:
            return None


def _exact(texts: pa.StringArray, column: Column, mark: str) -> pa.Array:
    """Return numbers exactly; null for other texts."""
    plain = numbers.plain(texts, column, mark)
    form = rf"\A[+-]?0*[0-9]{{1,{BEFORE_MARK}}}({re.escape(mark)}[0-9]{{1,{AFTER_MARK}}})?\z"
    is_number = pc.match_substring_regex(plain, form)
    return pc.replace_substring(pc.if_else(is_number, plain, None), mark, ".").cast(_EXACT)
