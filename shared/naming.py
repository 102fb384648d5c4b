"""Names of tables and columns: reserved ones, their comparison, and identifiers for any texts."""

import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator

from shared.text import quoted

OWN_RELATIONS = {
    *("source", "source_id_seq", "source_pkey", "source_source_key_key", "source_load_id_key"),
    *("load", "load_id_seq", "load_pkey", "load_source_id_idx"),
    *("schema_version", "schema_version_id_seq", "schema_version_pkey"),
    *("replacement", "replacement_pkey"),
}
"""The pipeline's tables, indexes and sequences, which share one namespace in PostgreSQL."""
OWN_SUFFIXES = ("_rows", "_current", "_history")
"""Ends of names, which the pipeline appends to the name of a contract's table."""
OWN_COLUMNS = {"line", "load_id", "source_id", "source_line"}
SYSTEM_COLUMNS = {"cmax", "cmin", "ctid", "tableoid", "xmax", "xmin"}
"""Columns of every PostgreSQL table. https://www.postgresql.org/docs/17/ddl-system-columns.html"""
_MAX_IDENTIFIER = 63
_WITHOUT_ACCENT = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ł": "l", "þ": "th", "ð": "d", "ı": "i"}
)


def repeated(names: Iterable[str]) -> list[str]:
    """Return the names that occur more than once, sorted."""
    return sorted(name for name, count in Counter(names).items() if count > 1)


def folded(name: str) -> str:
    """Return a name without white space at its ends and differences of case, in the form NFC."""
    return unicodedata.normalize("NFC", name.strip().casefold())


def _identifier(name: str) -> str:
    # The names become part of DDL statements, which take no parameters.
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name):
        raise ValueError(
            f"{quoted(name)} is not a plain lower-case PostgreSQL identifier: use up to 63 letters "
            "a to z, digits and underscores, and begin with a letter"
        )
    return name


Identifier = Annotated[str, AfterValidator(_identifier)]


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
