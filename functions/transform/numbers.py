"""Rewrites numbers of the spellings that a column allows as plain digits."""

import functools
import re
import unicodedata
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from shared.column import Column
from shared.column_types import MAX_DIGITS

_AFFIX = 10
"""Characters that may stand before a number, and after it. A limit keeps the time linear."""
_LONGEST_SHIFT = 1_000_000  # of a decimal mark by an exponent; more than the length of any value
_ALIKE = {" ": " \u00a0\u202f"}


def decimals(mark: str) -> str:
    """Return the expression of an optional decimal mark and the digits after it."""
    return rf"({re.escape(mark)}[0-9]+)?"


def plain(texts: pa.StringArray, column: Column, mark: str) -> pa.StringArray:
    """Rewrite numbers in a spelling of the column's options; other texts stay as they are.

    The result is an optional `-`, digits, and optionally the decimal mark `mark` and digits. An
    integer has no decimal mark if only zeros follow it. The time is linear, for any exponent.
    """
    if not column.spells_numbers:
        return texts
    rest = decimals(mark) if column.logical_type == "number" else ""
    is_plain = pc.match_substring_regex(texts, rf"\A[+-]?[0-9]+{rest}\z")
    is_other = pc.fill_null(pc.invert(is_plain), False)
    rewritten = [*map(_rewriter(column, mark), texts.filter(is_other).to_pylist())]
    return pc.replace_with_mask(texts, is_other, pa.array(rewritten, pa.string()))


def _rewriter(column: Column, mark: str) -> Callable[[str], str]:
    """Return a function that rewrites one text."""
    pattern = _pattern(column, mark)
    is_integer, has_groups = column.logical_type == "integer", column.group_char is not None

    @functools.cache
    def is_negative(before: str, after: str) -> bool | None:
        return _is_negative(before, after, column)

    def rewritten(text: str) -> str:
        found = pattern.fullmatch(text)
        if found is None:
            return text
        before, whole, fraction, exponent, after = found.groups(default="")
        negative = is_negative(before, after)
        if negative is None or not (whole or fraction):
            return text
        if has_groups:
            whole = re.sub("[^0-9]", "", whole)
        if exponent:
            whole, fraction = _shifted(whole, fraction, exponent)
        if is_integer:
            fraction = fraction.rstrip("0")
        return ("-" if negative else "") + (whole or "0") + (mark + fraction if fraction else "")

    return rewritten


def _pattern(column: Column, mark: str) -> re.Pattern[str]:
    r"""Return the pattern of a number: what is before it, its parts, and what is after it."""
    point, styles = re.escape(mark), column.number_styles
    whole, fraction, exponent = "([0-9]++)", "()", "()"
    if (char := column.group_char) is not None:
        group = f"[{re.escape(_ALIKE.get(char, char))}]"
        # Not 0,125, which is rather a number with another decimal mark.
        whole = f"([1-9][0-9]{{0,2}}(?:{group}[0-9]{{3}})+|[0-9]++)"
    if column.logical_type == "number" or "integralDecimal" in styles:
        fraction = f"(?:{point}([0-9]++))?"
    if "omittedZero" in styles:
        whole, fraction = f"{whole}?", f"(?:{point}([0-9]*+))?"
    if "exponent" in styles:
        exponent = "(?:[eE]([+-]?[0-9]++))?"
    affixes = f"([^0-9{point}]{{0,{_AFFIX}}})", f"([^0-9]{{0,{_AFFIX}}})"
    return re.compile(f"{affixes[0]}{whole}{fraction}{exponent}{affixes[1]}")


def _is_negative(before: str, after: str, column: Column) -> bool | None:
    """Return whether the texts around a number make it negative; None if they are not allowed."""
    signs = {"|": False, "+|": False, "-|": True}
    if "parentheses" in column.number_styles:
        signs["(|)"] = True
    if "trailingMinus" in column.number_styles:
        signs["|-"] = True
    around = f"{before}|{after}"
    if not column.bare_number:
        around = "".join(each for each in around if not _is_removed(each))
    return signs.get(around)


def _is_removed(character: str) -> bool:
    """Return whether it is a letter, an accent, a currency symbol, a space or a percent sign."""
    category = unicodedata.category(character)
    return category[0] in "LM" or category in {"Sc", "Zs"} or character in "%‰"


def _shifted(whole: str, fraction: str, exponent: str) -> tuple[str, str]:
    """Return the digits before and after a decimal mark that an exponent moves.

    A number with too many digits for every type keeps enough of them to remain too large, and one
    that is nearly zero has only so many zeros that it remains nearly zero.
    """
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + _shift(exponent) - (len(whole + fraction) - len(digits))
    point = max(-MAX_DIGITS - 1, min(point, max(MAX_DIGITS + 1, len(digits))))
    if not digits:
        return "0", ""
    if point <= 0:
        return "0", "0" * -point + digits
    return digits[:point].ljust(point, "0"), digits[point:]


def _shift(exponent: str) -> int:
    digits = exponent.lstrip("+-").lstrip("0")
    shift = int(digits or "0") if len(digits) < len(str(_LONGEST_SHIFT)) else _LONGEST_SHIFT
    return -shift if exponent.startswith("-") else shift
