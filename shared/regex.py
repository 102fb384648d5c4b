"""Regular expressions of RE2, the engine by which Arrow matches.

Only the images of Transform, Test and Load have Arrow. `google-re2` is the same engine, half a
megabyte large, so that every function finds a pattern that RE2 refuses when it reads the contract.
"""

import re2

from shared.text import quoted

_QUIET = re2.Options()
_QUIET.log_errors = False


def whole(regex: str) -> str:
    """Return the expression that matches a text only if `regex` matches all of it."""
    return rf"\A(?:{regex})\z"


def matches(regex: str, text: str) -> bool:
    """Tell whether an expression matches all of a text."""
    return re2.compile(whole(regex), _QUIET).search(text) is not None


def check(regex: str) -> None:
    """Find out whether RE2 takes an expression.

    Raises:
        ValueError: it does not, for instance because it has neither look-around nor
            back-references, nor memory for a very large expression.
    """
    try:
        re2.compile(regex, _QUIET)
    except re2.error as error:
        (said,) = error.args
        raise ValueError(
            f"RE2 refuses the pattern {quoted(regex)}: {said.decode(errors='replace')}; "
            "https://github.com/google/re2/wiki/Syntax says what it reads"
        ) from None
