"""Names of tables and columns in PostgreSQL, made from the names of files and header names."""

import itertools
import re
import unicodedata
from collections.abc import Iterable

from shared.contract import OWN_COLUMNS, OWN_RELATIONS, SYSTEM_COLUMNS
from shared.landing_key import TABLE

_MAX_IDENTIFIER = 63
_MAX_TABLE = 48
_WITHOUT_ACCENT = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ł": "l", "þ": "th", "ð": "d", "ı": "i"}
)
_DAY_AT_END = re.compile(r"[\W_]+(\d{4}[\W_]?\d\d([\W_]?\d\d)?|\d{2}[\W_]\d\d[\W_]\d{4})$")
"""The day or month at the end of a file's name, which differs from file to file."""


def table_of(file: str) -> str | None:
    """Return the table for a file's name, without extensions and a day; None if it says none."""
    stem = file.lstrip(".").partition(".")[0]
    name = _plain(_DAY_AT_END.sub("", stem) or stem)[:_MAX_TABLE].rstrip("_")
    if name in OWN_RELATIONS or name.startswith("pg_"):
        name = f"t_{name}"[:_MAX_TABLE]
    return name if re.fullmatch(TABLE, name) else None


def physical_names(names: Iterable[str], table: str) -> list[str]:
    """Return a different PostgreSQL name for each column's name, which may be any text."""
    found: dict[str, None] = {}
    for number, name in enumerate(names, start=1):
        plain = _plain(name)
        if not plain[:1].isalpha():
            plain = f"column_{plain or number}"
        if plain in OWN_COLUMNS | SYSTEM_COLUMNS:
            plain = f"{table}_{plain}"
        candidates = (
            plain[: _MAX_IDENTIFIER - len(end)].rstrip("_") + end
            for end in itertools.chain([""], map("_{}".format, itertools.count(2)))
        )
        found[next(each for each in candidates if each not in found)] = None
    return [*found]


def _plain(name: str) -> str:
    """Return a name as lower-case ASCII words, joined by underscores."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    letters = unicodedata.normalize("NFKD", words.casefold()).translate(_WITHOUT_ACCENT)
    return re.sub("[^a-z0-9]+", "_", re.sub(r"[\u0300-\u036f'’]", "", letters)).strip("_")
