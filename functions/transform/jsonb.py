"""Checks JSON texts, so that PostgreSQL accepts each as `jsonb` and the API can show it."""

import json
import re
from decimal import Decimal, DecimalException
from typing import NoReturn

from shared.json_lines import MAX_DEPTH, is_deep

MAX_DIGITS = 1_000
"""Maximum digits of a number before and after the decimal point. PostgreSQL writes exponents out,
so a short text with larger ones could become too long to read."""

_ESCAPE = re.compile(
    r"\\u[dD][89abAB]..\\u[dD][c-fC-F].."  # a surrogate pair is one character
    r"|\\(?P<refused>u0000|u[dD][89a-fA-F]..)|\\."
)


def problem(text: str, *, must_be_object: bool) -> str | None:
    """Return what is wrong with a text as a value of `jsonb`; None if nothing is."""
    if is_deep(text):
        return f"has more than {MAX_DEPTH} levels"
    try:
        value = _DECODER.decode(text)
    except _OutOfBounds as error:
        return str(error)
    except ValueError:
        return "is not valid JSON"
    if must_be_object and not isinstance(value, dict):
        return "is not a JSON object"
    if refused := next(filter(None, (each["refused"] for each in _ESCAPE.finditer(text))), None):
        return f"contains \\{refused}, which PostgreSQL cannot store"
    return None


class _OutOfBounds(Exception):
    """A number has too many digits."""


def _number(text: str) -> None:
    try:
        number = Decimal(text)
        exponent = number.as_tuple().exponent
        fits = number.adjusted() < MAX_DIGITS and int(exponent) >= -MAX_DIGITS
    except (DecimalException, OverflowError):
        fits = False
    if not fits:
        raise _OutOfBounds(
            f"has a number of more than {MAX_DIGITS:,} digits before or after the decimal point"
        )


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


# One for all texts, because to create one takes longer than to read a short text.
_DECODER = json.JSONDecoder(parse_int=_number, parse_float=_number, parse_constant=_constant)
