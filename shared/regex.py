"""Regular expressions of RE2, the engine that Arrow uses.

Only the images of Transform, Test and Load contain Arrow. Every function must validate a contract's
patterns, so all images contain `google-re2`: the same engine in half a megabyte.
"""

from collections.abc import Callable

import re2

from shared.text import quoted

_QUIET = re2.Options()
_QUIET.log_errors = False


def whole(regex: str) -> str:
    """Return an expression that matches a text only if `regex` matches all of it."""
    return rf"\A(?:{regex})\z"


def matches(regex: str, text: str) -> bool:
    """Return whether `regex` matches all of `text`."""
    return re2.compile(whole(regex), _QUIET).search(text) is not None


def beginning(regex: str) -> Callable[[bytes], bool]:
    """Return a function that tells whether `regex` matches at the beginning of a UTF-8 text."""
    compiled = re2.compile(regex.encode(), _QUIET)
    return lambda text: compiled.match(text) is not None


def groups(regex: str) -> tuple[str, ...]:
    """Return the names of the groups of an expression."""
    return tuple(re2.compile(regex, _QUIET).groupindex)


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
