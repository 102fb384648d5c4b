"""Names of columns in PostgreSQL, made from any texts."""

import itertools
import re
import unicodedata
from collections.abc import Iterable

from shared.contract import OWN_COLUMNS, SYSTEM_COLUMNS

_MAX_IDENTIFIER = 63
_WITHOUT_ACCENT = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ł": "l", "þ": "th", "ð": "d", "ı": "i"}
)


def physical_names(names: Iterable[str], table: str, taken: Iterable[str] = ()) -> list[str]:
    """Return a PostgreSQL name for each column's name: different ones, and none that is taken."""
    used = {*taken}
    found = []
    for number, name in enumerate(names, start=1):
        plain = words(name)
        if not plain[:1].isalpha():
            plain = f"column_{plain or number}"
        if plain in OWN_COLUMNS | SYSTEM_COLUMNS:
            plain = f"{table}_{plain}"
        candidates = (
            plain[: _MAX_IDENTIFIER - len(end)].rstrip("_") + end
            for end in itertools.chain([""], map("_{}".format, itertools.count(2)))
        )
        found.append(next(each for each in candidates if each not in used))
        used.add(found[-1])
    return found


def words(name: str) -> str:
    """Return a name as lower-case ASCII words, joined by underscores."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    letters = unicodedata.normalize("NFKD", split.casefold()).translate(_WITHOUT_ACCENT)
    return re.sub("[^a-z0-9]+", "_", re.sub(r"[\u0300-\u036f'’]", "", letters)).strip("_")
