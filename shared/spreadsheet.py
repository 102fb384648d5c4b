"""Cells that a spreadsheet may open: no part of them is taken for a formula.

A spreadsheet may split a CSV at commas, semicolons or tabs, whichever its user has set, and so cut
a cell into parts. A part is taken for a formula if it begins with `= + - @`, or with one of these
in full width. A tab or a line end at the beginning of a cell may be removed, and so counts too:
https://owasp.org/www-community/attacks/CSV_Injection

Such a part gets a quote `'` in front, and so does one that looks as if it had got one already: that
alone makes the way back exact. A double quote in front of it does not help, as it is removed.
"""

import re


def _risky(quote: str) -> str:
    """Return the pattern of where a part begins that is taken for a formula, and of the quote."""
    part = rf"(?={quote}['\"]*[=+\-@＝＋－＠])"
    cell = rf"^(?={quote}['\"]*[\t\r\n])"
    return f"({cell}|(?:^|[,;\t\r\n]){part}){quote}"


_BARE, _QUOTED = (re.compile(_risky(quote)) for quote in ("", "'"))


def escaped(cell: str) -> str:
    """Return the cell as it is safe to open."""
    return _BARE.sub(r"\1'", cell)


def unescaped(cell: str) -> str:
    """Return the cell as it was before `escaped`."""
    return _QUOTED.sub(r"\1", cell)
