import bz2
import io
import lzma
import tarfile
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet
import pytest

from shared.file_types import start_of, type_of, type_of_text

CSV = b"a,b\n1,2\n"


def archive() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as made:
        made.addfile(tarfile.TarInfo("a.csv"))
    return file.getvalue()


def parquet() -> bytes:
    file = io.BytesIO()
    pa.parquet.write_table(pa.table({"a": [1]}), file)
    return file.getvalue()


TYPES: dict[str, Callable[[], bytes]] = {
    "is bzip2-compressed": lambda: bz2.compress(CSV),
    "is xz-compressed": lambda: lzma.compress(CSV),
    "is a tar archive": archive,
    "is a 7z archive": lambda: b"7z\xbc\xaf\x27\x1c\0\x04",
    "is an old Excel workbook": lambda: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    "is a Parquet file": parquet,
    "is a PDF document": lambda: b"%PDF-1.7\n%\xe2\xe3",
    "looks like UTF-16 text": lambda: CSV.decode().encode("utf-16-be"),
}


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("kind", TYPES)
def test_type_is_named_for_any_chunk_size(kind: str, size: int) -> None:
    body = TYPES[kind]()

    start, chunks = start_of(body[i : i + size] for i in range(0, len(body), size))

    assert str(type_of(start, "utf-8")).startswith(f"{kind}: ")
    assert b"".join(chunks) == body


@pytest.mark.parametrize("start", [b"", b"a", CSV, b"PAR1,PK", b"BZh,a", b"\0\0\0\0\0\0\0\0"])
def test_text_has_no_type(start: bytes) -> None:
    assert type_of(start, "utf-8") is None


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"\xef\xbb\xbf\r\n<!DOCTYPE  html>\n<html>", "is a web page (HTML)"),
        (b"<HTML lang=en>", "is a web page (HTML)"),
        (b'<?xml version="1.0"?>', "is XML"),
        (b'[{"a": 1},', "is JSON"),
        (b'\n {\n  "a": 1', "is JSON"),
        (b"<htm>,b", "None"),
        (b"[a],{b}", "None"),
        (b"", "None"),
    ],
)
def test_type_of_text_is_named(start: bytes, kind: str) -> None:
    assert str(type_of_text(start, "csv")).partition(":")[0].partition(",")[0] == kind
    if kind == "is JSON":
        assert type_of_text(start, "jsonLines") is None


def test_wide_text_is_not_taken_for_another_type() -> None:
    assert type_of(CSV.decode().encode("utf-16"), "UTF-16") is None
