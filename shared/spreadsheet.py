"""Cells that a spreadsheet may open: none of them is taken for a formula.

A cell that begins with `= + - @`, a tab or a carriage return gets a quote `'` in front, and so does
one that looks as if it had got one already: that alone makes the way back exact.
"""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def escaped(cell: str) -> str:
    """Return the cell as it is safe to open."""
    return f"'{cell}" if cell.lstrip("'").startswith(_FORMULA) else cell


def unescaped(cell: str) -> str:
    """Return the cell as it was before `escaped`."""
    begins = cell.startswith("'") and cell.lstrip("'").startswith(_FORMULA)
    return cell[1:] if begins else cell
