"""Regular expressions of RE2, the engine that Arrow uses.

Only the images of Transform, Test and Load contain Arrow. Every function must validate a contract's
patterns, so all images contain `google-re2`: the same engine in half a megabyte.
"""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import re2

from shared.text import quoted

_QUIET = re2.Options()
_QUIET.log_errors = False
_MAX_PREFIX = 1_024  # bytes, the maximum of an S3 key


def whole(regex: str) -> str:
    """Return an expression that matches a text only if `regex` matches all of it."""
    return rf"\A(?:{regex})\z"


def matches(regex: str, text: str) -> bool:
    """Return whether `regex` matches all of `text`."""
    return _whole(regex).search(text) is not None


def captured(regex: str, text: str, *, is_whole: bool = True) -> dict[str, str | None] | None:
    """Return the named groups if `regex` matches all of `text`, else None.

    Unless `is_whole`, it may match only the beginning. A group that took no part in the match is
    None.
    """
    found = (_whole(regex) if is_whole else re2.compile(regex, _QUIET)).match(text)
    return None if found is None else found.groupdict()


def literal_prefix(regex: str) -> str:
    """Return the text with which every text begins that `regex` matches; it may be empty."""
    least, most = _whole(regex).possiblematchrange(_MAX_PREFIX)
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(least, most, strict=False))
    return bytes(byte for byte, _ in same).decode(errors="ignore")


def beginning(regex: str) -> Callable[[bytes], bool]:
    """Return a function that tells whether `regex` matches at the beginning of a UTF-8 text."""
    compiled = re2.compile(regex.encode(), _QUIET)
    return lambda text: compiled.match(text) is not None


def groups(regex: str) -> tuple[str, ...]:
    """Return the names of the groups of an expression."""
    places: dict[str, int] = re2.compile(regex, _QUIET).groupindex
    return tuple(sorted(places, key=places.__getitem__))


def check(regex: str) -> None:
    """Raise ValueError if RE2 does not support an expression, e.g. because of look-around."""
    try:
        re2.compile(regex, _QUIET)
    except re2.error as error:
        (reason,) = error.args
        raise ValueError(
            f"the pattern {quoted(regex)} is not valid RE2: {reason.decode(errors='replace')}; "
            "see https://github.com/google/re2/wiki/Syntax"
        ) from None


def checked(regex: str) -> str:
    """Return an expression; raise ValueError if RE2 does not support it, alone or as a whole."""
    check(regex)
    check(whole(regex))  # e.g. `\Qa` quotes the text after it
    return regex


@functools.lru_cache(maxsize=1_000)
def _whole(regex: str) -> Any:
    return re2.compile(whole(regex), _QUIET)
