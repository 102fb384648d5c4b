"""Names of tables, made from the names of files."""

import re

from shared.landing_key import TABLE
from shared.naming import OWN_RELATIONS, words

_MAX_TABLE = 48
_DAY_AT_END = re.compile(r"[\W_]+(\d{4}[\W_]?\d\d([\W_]?\d\d)?|\d{2}[\W_]\d\d[\W_]\d{4})$")
"""The day or month at the end of a file's name, which differs from file to file."""


def table_of(file: str) -> str | None:
    """Return the table for a file's name, without extensions and a day; None if it says none."""
    stem = file.lstrip(".").partition(".")[0]
    name = words(_DAY_AT_END.sub("", stem) or stem)[:_MAX_TABLE].rstrip("_")
    if name in OWN_RELATIONS or name.startswith("pg_"):
        name = f"t_{name}"[:_MAX_TABLE]
    return name if re.fullmatch(TABLE, name) else None
