"""Files of one shape each, as long as wanted, from the rows of `local.sample`."""

import functools
import gzip
import itertools
import random
from pathlib import Path

from local import sample
from shared import odcs
from shared.contract import Contract

_ODD = 0x9E3779B97F4A7C15
"""Different multiples of it, modulo 2 ** 64, differ."""
_MORE = [f"c{number:03}" for number in range(5, 201)]
"""Further columns, to have 200."""
_DIFFERENT = 2_000_000
"""More rows repeat those before them, because making them takes a while."""

SHAPES = (
    "plain",
    "fully quoted",
    "one bad row in ten",
    "gzip",
    "unique column",
    "different texts",
    "equal rows",
    "only bad rows",
    "long values",
    "200 columns",
)
FEWER = {"long values": 20, "200 columns": 20, "only bad rows": 2}
"""How many times fewer rows a file needs to be as long as others, or to have rejects that fit."""


def _changed(shape: str, number: int, row: bytes) -> bytes | None:
    """Change a row, counted from 1, or leave it out."""
    match shape:
        case "fully quoted":
            return b'"%b"' % row.replace(b",", b'","')
        case "one bad row in ten" if number % 20 == 0:
            return row.rpartition(b",")[0]  # without a project
        case "one bad row in ten" if number % 20 == 10:
            return row[row.index(b",") :]  # without a user
        case "only bad rows":
            return row[row.index(b",") :] if number % 2 else row.rpartition(b",")[0]
        case "unique column" if not row.startswith(b","):
            return b"%d-%b" % (number - (number % 1000 == 0), row)  # few repeat the one before
        case "different texts":
            return b"%b-%x" % (row, number * _ODD % 2**64)
        case "long values":
            return row + b"%x" % (number * _ODD % 2**64) * 60
        case "equal rows":
            return b"ned,2019-09-27 00:00:00 UTC,8.0,bizdev"
        case "200 columns":
            return b"%b,%b" % (row, _tails()[number % len(_tails())])
        case "no bad row":
            return row if number % sample.BAD_EVERY else None
    return row


_COLUMN = """      - name: {0}
        description: One of many columns.
        logicalType: string
        physicalType: varchar(100)
        logicalTypeOptions: {{maxLength: 100}}
"""


@functools.lru_cache(1)
def _rows(count: int) -> list[bytes]:
    return [row.encode() for row in sample.checkins(count, seed=1)]


@functools.lru_cache(1)
def _tails() -> list[bytes]:
    rng = random.Random(1)
    return [b",".join(b"%d" % rng.randrange(9999) for _ in _MORE) for _ in range(997)]


def write(folder: Path, shape: str, rows: int) -> Path:
    """Write a file and return its path."""
    packed = shape == "gzip"
    path = folder / f"{shape.replace(' ', '-')}-{rows}.csv{'.gz' if packed else ''}"
    with gzip.open(path, "wb", compresslevel=1) if packed else path.open("wb") as file:
        header = sample.TABLES["dailycheckins"].header
        file.write(",".join([header, *_MORE * (shape == "200 columns")]).encode())
        repeated = itertools.cycle(_rows(min(rows, _DIFFERENT)))
        numbered = enumerate(itertools.islice(repeated, rows), 1)
        changed = itertools.starmap(functools.partial(_changed, shape), numbered)
        file.writelines(b"\r\n" + row for row in changed if row is not None)
    return path


def contract(shape: str) -> Contract:
    """Return the contract of a file: the sample's, as far as the shape does not need another."""
    path = odcs.CONTRACTS / "dailycheckins.odcs.yaml"
    text = path.read_text("utf-8")
    match shape:
        case "unique column":
            text = text.replace("- name: user\n", "- name: user\n        unique: true\n")
        case "long values":
            text = text.replace("maxLength: 100", "maxLength: 2000").replace("(100)", "(2000)")
        case "200 columns":
            text += "".join(_COLUMN.format(name) for name in _MORE)
    return odcs.parse(path.name, text.encode())
