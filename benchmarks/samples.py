"""Files of one shape each, as long as wanted, from the rows of `local.sample`."""

import functools
import gzip
import itertools
from pathlib import Path

from local import sample
from shared import odcs
from shared.contract import Contract

_DIFFERENT = 2_000_000
"""More rows repeat those before them, because making them takes a while."""

SHAPES = ("plain", "fully quoted", "one bad row in ten", "unique column", "gzip")


def _changed(shape: str, number: int, row: bytes) -> bytes | None:
    """Change a row, counted from 1, or leave it out."""
    match shape:
        case "fully quoted":
            return b'"%b"' % row.replace(b",", b'","')
        case "one bad row in ten" if number % 20 == 0:
            return row.rpartition(b",")[0]  # without a project
        case "one bad row in ten" if number % 20 == 10:
            return row[row.index(b",") :]  # without a user
        case "unique column" if not row.startswith(b","):
            return b"%d-%b" % (number, row)
        case "no bad row":
            return row if number % sample.BAD_EVERY else None
    return row


@functools.lru_cache(1)
def _rows(count: int) -> list[bytes]:
    return [row.encode() for row in sample.checkins(count, seed=1)]


def write(folder: Path, shape: str, rows: int) -> Path:
    """Write a file and return its path."""
    packed = shape == "gzip"
    path = folder / f"{shape.replace(' ', '-')}-{rows}.csv{'.gz' if packed else ''}"
    with gzip.open(path, "wb", compresslevel=1) if packed else path.open("wb") as file:
        file.write(sample.TABLES["dailycheckins"].header.encode())
        repeated = itertools.cycle(_rows(min(rows, _DIFFERENT)))
        numbered = enumerate(itertools.islice(repeated, rows), 1)
        changed = itertools.starmap(functools.partial(_changed, shape), numbered)
        file.writelines(b"\r\n" + row for row in changed if row is not None)
    return path


def contract(shape: str) -> Contract:
    """Return the contract of a file: the sample, for `unique column` with unique users."""
    path = odcs.CONTRACTS / "dailycheckins.odcs.yaml"
    text = path.read_text("utf-8")
    if shape == "unique column":
        text = text.replace("      - name: user\n", "      - name: user\n        unique: true\n")
    return odcs.parse(path.name, text.encode())
