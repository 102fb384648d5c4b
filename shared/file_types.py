"""Types of files that are not CSV text, by their first bytes, to explain why a file is refused."""

import codecs
import itertools
import re
from collections.abc import Iterable, Iterator

_BYTES = 8
"""As many as the longest expression needs."""
_TYPES = {
    rb"\x1f\x8b": "is gzip-compressed: send it uncompressed",
    rb"PK\x03\x04": "is a ZIP archive or an Excel workbook: send the CSV file that is in it, or "
    "save the sheet as CSV",
    rb"\xd0\xcf\x11\xe0": "is an old Excel workbook: save the sheet as CSV",
    rb"PAR1[\x00-\x1f]": "is a Parquet file: send it as CSV",
    rb"%PDF-\d": "is a PDF document: send its table as CSV",
    rb"BZh\d1AY": "is bzip2-compressed: send it uncompressed",
    rb"\xfd7zXZ\x00": "is xz-compressed: send it uncompressed",
    rb"\x28\xb5\x2f\xfd": "is Zstandard-compressed: send it uncompressed",
    rb"\xff\xfe|\xfe\xff|(?:[^\x00]\x00){4}|(?:\x00[^\x00]){4}": "looks like UTF-16 text: send it "
    "in the contract's encoding, or change the contract's encoding",
}
_WIDE = ("utf-16", "utf-32")


def start_of(chunks: Iterable[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """Return the first bytes of a file, which `type_of` takes, and all its chunks."""
    rest = iter(chunks)
    start = b""
    while len(start) < _BYTES and (chunk := next(rest, b"")):
        start += chunk
    return start, itertools.chain([start] if start else [], rest)


def type_of(start: bytes, encoding: str) -> str | None:
    """Return what a file that is not text in the encoding is, and what to do; None if unknown."""
    if codecs.lookup(encoding).name.startswith(_WIDE):
        return None
    return next((kind for magic, kind in _TYPES.items() if re.match(magic, start, re.S)), None)
