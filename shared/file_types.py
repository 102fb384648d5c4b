"""Types of files that are not CSV text, by their first bytes, to explain why a file is refused."""

import codecs
import itertools
import re
from collections.abc import Iterable, Iterator
from typing import Literal, TypeVar

from shared.verdict import Refusal

FileFormat = Literal["csv", "jsonLines"]
Chunk = TypeVar("Chunk", bytes, bytes | Refusal)

_BYTES = 512
"""As many as the longest expression needs: a tar archive has its mark after 257 bytes."""
_TYPES = {
    rb"\xd0\xcf\x11\xe0": "is an old Excel workbook: save the sheet as CSV",
    rb"PAR1[\x00-\x1f]": "is a Parquet file: send it as CSV",
    rb"%PDF-\d": "is a PDF document: send its table as CSV",
    rb"BZh\d1AY": "is bzip2-compressed: use gzip, ZIP or Zstandard",
    rb"\xfd7zXZ\x00": "is xz-compressed: use gzip, ZIP or Zstandard",
    rb"7z\xbc\xaf\x27\x1c": "is a 7z archive: use gzip, ZIP or Zstandard",
    rb".{257}ustar[\x00 ]": "is a tar archive: send the file that is in it",
    rb"\xff\xfe|\xfe\xff|(?:[^\x00]\x00){4}|(?:\x00[^\x00]){4}": "looks like UTF-16 text: send it "
    "in the contract's encoding, or change the contract's encoding",
}
_TEXTS = {
    rb"<(!doctype\s+html|html)\b": "is a web page (HTML), perhaps a server's error message: send "
    "the data instead",
    rb"<\?xml\s": "is XML: convert it",
}
_JSON = {
    rb'\{\s*"|\[\s*[\[{"]': "is JSON: send it as CSV, or set fileFormat: jsonLines in the contract",
}
_WIDE = ("utf-16", "utf-32")


def start_of(chunks: Iterable[Chunk]) -> tuple[bytes, Iterator[Chunk]]:
    """Return the first bytes of a file, which `type_of` takes, and all its chunks."""
    rest = iter(chunks)
    start, read = b"", []
    for chunk in rest:
        read.append(chunk)
        if isinstance(chunk, Refusal):
            break
        start += chunk[: _BYTES - len(start)]
        if len(start) == _BYTES:
            break
    return start, itertools.chain(read, rest)


def type_of(start: bytes, encoding: str) -> str | None:
    """Return what a file that is not text in the encoding is, and what to do; None if unknown."""
    if codecs.lookup(encoding).name.startswith(_WIDE):
        return None
    return _first(_TYPES, start, re.DOTALL)


def type_of_text(start: bytes, expected: FileFormat) -> str | None:
    """Return what a text is that is not the expected one, and what to do; None if unknown."""
    types = _TEXTS | (_JSON if expected == "csv" else {})
    return _first(types, start.removeprefix(codecs.BOM_UTF8).lstrip(), re.IGNORECASE)


def _first(types: dict[bytes, str], start: bytes, flags: re.RegexFlag) -> str | None:
    return next((kind for magic, kind in types.items() if re.match(magic, start, flags)), None)
