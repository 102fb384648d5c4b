"""Escaping of CSV cells against formula injection in spreadsheets.

Depending on its settings, a spreadsheet splits a CSV at commas, semicolons or tabs, and so divides
a cell into parts. A part is a formula if it begins with `= + - @` or a full-width form of these. A
tab or line end at the beginning of a cell is escaped too, because a spreadsheet may remove it:
https://owasp.org/www-community/attacks/CSV_Injection

`escaped` prefixes such a part with a single quote. It also prefixes a part that already begins with
such a quote, which makes `unescaped` exact. Double quotes do not protect, because a spreadsheet
removes them.
"""

import re


def _risky(quote: str) -> str:
    """Return the pattern of the position before a formula, including `quote`."""
    part = rf"(?={quote}['\"]*[=+\-@＝＋－＠])"
    cell = rf"^(?={quote}['\"]*[\t\r\n])"
    return f"({cell}|(?:^|[,;\t\r\n]){part}){quote}"


_BARE, _QUOTED = (re.compile(_risky(quote)) for quote in ("", "'"))

RISKY = _BARE.pattern.replace("(?=", "(?:")
"""Regular expression, in RE2's syntax, that occurs in the cells that `escaped` changes."""


def escaped(cell: str) -> str:
    """Return the cell in a form that is safe to open."""
    return _BARE.sub(r"\1'", cell)


def unescaped(cell: str) -> str:
    """Reverse `escaped`."""
    return _QUOTED.sub(r"\1", cell)
