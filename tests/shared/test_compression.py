import gzip
import io
import random
import re
import struct
import tracemalloc
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.compression import Compression, Packed, Packing, Unpacked, pack, unpack, zstd
from shared.errors import StagingUnavailable
from shared.verdict import Refusal
from tests.fixtures.compression import PACKINGS, packed, zipped
from tests.processing import Pieces

CSV = b"a,b\n1,2\n3,4\n"
ANY = Compression()
MIB = 2**20


SKIPPED = struct.pack("<II", 0x184D2A50, 4) + b"size"
INNER = {"folder/": b"", "__MACOSX/._a.csv": b"x", "folder/a.csv": CSV, "folder/b.txt": b"y"}


def read(body: bytes, allowed: Compression = ANY, piece: int = 7) -> bytes | str:
    """Return the unpacked bytes, or the reason of the refusal."""
    *chunks, last = [b"", *unpack(Pieces(body, piece), allowed).chunks]
    return last.reason if isinstance(last, Refusal) else b"".join([*map(bytes_of, chunks), last])


def bytes_of(chunk: bytes | Refusal) -> bytes:
    assert isinstance(chunk, bytes)
    return chunk


@pytest.mark.parametrize(
    ("body", "packing", "member"),
    [
        (CSV, None, None),
        (b"", None, None),
        (b"PK\n1", None, None),
        (b"\x1f\n\x8b", None, None),
        (packed("gzip", CSV), "gzip", ""),
        (
            gzip.compress(CSV[:5], mtime=0) + gzip.compress(CSV[5:], mtime=0) + b"\0" * 600,
            "gzip",
            "",
        ),
        (packed("zstd", CSV), "zstd", ""),
        (SKIPPED + zstd.compress(CSV[:5]) + SKIPPED + zstd.compress(CSV[5:]), "zstd", ""),
        (packed("zip", CSV), "zip", "a.csv"),
        (zipped({"ä\n.csv": CSV}, zipfile.ZIP_STORED), "zip", "ä\n.csv"),
        (zipped({**INNER, "folder/b.txt": CSV}), "zip", "folder/a.csv"),
        (b"MZ" + zipped({"a.csv": CSV}), None, None),
    ],
)
@pytest.mark.parametrize("size", [1, 5, 1000])
def test_unpacking_follows_content(
    body: bytes, packing: Packing | None, member: str | None, size: int
) -> None:
    with mock.patch("shared.content.CHUNK_BYTES", size):
        found = unpack(Pieces(body, size), Compression(member="*.csv"))
        text = b"".join(map(bytes_of, found.chunks))

    assert found.start == text[:512]
    assert found.packed == (packing and Packed(packing, member or ""))
    assert text == (body if packing is None else CSV)


@pytest.mark.parametrize("packing", PACKINGS)
def test_file_that_ends_early_is_refused(packing: Packing) -> None:
    body = packed(packing, CSV + bytes(range(256)) * 4)
    sure = 4  # fewer bytes could be the text of another file

    for end in range(sure, len(body)):
        assert isinstance(read(body[:end]), str), end
    assert isinstance(read(body), bytes)


@given(st.sampled_from(PACKINGS), st.data())
def test_damaged_file_is_unchanged_or_refused(packing: Packing, data: st.DataObject) -> None:
    body = bytearray(packed(packing, CSV))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(4, len(body) - 1))
        body[place] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        place = data.draw(st.integers(4, len(body)))
        body[place:place] = data.draw(st.binary(max_size=9))

    found = read(bytes(body))

    assert found == CSV or isinstance(found, str)


REFUSED: dict[str, tuple[bytes, Compression, str]] = {
    "junk after gzip": (packed("gzip", CSV) + b"a", ANY, "the gzip file cannot be read"),
    "junk after zstd": (packed("zstd", CSV) + b"a", ANY, "the Zstandard file cannot be read"),
    "half of a zip": (
        packed("zip", CSV)[:50],
        ANY,
        r"the ZIP archive cannot be read \(File is not a",
    ),
    "a zip that lists another size": (
        (whole := packed("zip", CSV))[:-49] + b"\xff\0\0\0" + whole[-45:],
        ANY,
        "the ZIP archive has 12 bytes of the file instead of 255: compress the file again",
    ),
    "two archives in a row": (
        packed("zip", CSV) * 2,
        ANY,
        "the ZIP archive begins with files that its list of files lacks, e.g. because it was",
    ),
    "an empty zip": (zipped({}), ANY, "the ZIP archive has no file: send exactly one"),
    "several members": (
        zipped(INNER),
        ANY,
        "has the files 'folder/a.csv', 'folder/b.txt': send exactly one file in it, or set compre",
    ),
    "no such member": (zipped(INNER), Compression(member="*.CSV"), r"'\*\.CSV' selects 0 of them"),
    "many members": (
        zipped({f"{number}.csv": b"" for number in range(100)}),
        Compression(member="*.csv"),
        r"'9.csv', … \(90 more\): the contract's member '\*\.csv' selects 100 of them",
    ),
    "a workbook": (
        zipped({"[Content_Types].xml": b"<", "xl/workbook.xml": b"<"}),
        Compression(member="xl/*"),
        "^the file is an Excel workbook or another Office document: save the sheet as CSV$",
    ),
    "another method": (
        zipped({"a.csv": CSV}, zipfile.ZIP_LZMA),
        ANY,
        "'a.csv' in the ZIP archive is compressed by method 14: use Deflate",
    ),
    "an encrypted member": (
        packed("zip", CSV).replace(b"PK\1\2\x14\3\x14\0\0\0", b"PK\1\2\x14\3\x14\0\1\0"),
        ANY,
        "'a.csv' in the ZIP archive is encrypted: send it without a password",
    ),
    "gzip in gzip": (
        packed("gzip", packed("gzip", CSV)),
        ANY,
        "^the unpacked file is gzip-compressed too: compress it once$",
    ),
    "a workbook in a zip": (
        packed("zip", zipped({"[Content_Types].xml": b"<"})),
        ANY,
        "^the unpacked file is a ZIP archive or an Excel workbook: send the CSV file",
    ),
    "a window of 512 MiB": (
        (wide := zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 29})).compress(
            CSV
        )
        + wide.flush(),
        ANY,
        "the Zstandard file needs more than 128 MiB of memory: compress it without --long",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_file_that_cannot_be_unpacked_is_refused(kind: str) -> None:
    body, allowed, reason = REFUSED[kind]

    assert re.search(reason, str(read(body, allowed, 2**16)))


def bomb(packing: Packing, size: int) -> bytes:
    """Return a file that unpacks to `size` MiB of zeros."""
    file = io.BytesIO()
    pack((bytes(MIB) for _ in range(size)), file, Packed(packing, "a.csv"))
    return file.getvalue()


@pytest.mark.parametrize("packing", PACKINGS)
def test_bomb_is_refused_in_constant_memory(
    packing: Packing, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = bomb(packing, 100)
    limits = {
        "100 times its size: if the file is right, raise maxRatio": Compression(max_ratio=100),
        "80 MiB: send smaller files, or raise maxUnpackedMiB": Compression.model_validate(
            {"maxUnpackedMiB": 80, "maxRatio": 100_000}
        ),
    }
    monkeypatch.setattr("shared.content.CHUNK_BYTES", MIB)
    for reason, allowed in limits.items():
        tracemalloc.start()
        refusal, size = None, 0
        for chunk in unpack(Pieces(body, 2**16), allowed).chunks:
            if isinstance(chunk, Refusal):
                refusal = chunk.reason
            else:
                size += len(chunk)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert size in {64 * MIB, 80 * MIB}
        assert str(refusal).endswith(f"{reason} in the contract's compression")
        assert most < 16 * MIB


def test_zip_with_huge_list_of_files_is_refused_early() -> None:
    begin = b"PK\3\4" + bytes(100 * MIB)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 9, 9, 100 * MIB, 4, 0)
    content = Pieces(begin + end, 2**16)

    tracemalloc.start()
    [refusal] = unpack(content, ANY).chunks
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert isinstance(refusal, Refusal)
    assert "its list of files is larger than 4 MiB" in refusal.reason
    assert most < 4 * MIB


@pytest.mark.parametrize("error", [StagingUnavailable("S3"), OSError("disk"), ValueError("bug")])
@pytest.mark.parametrize("packing", PACKINGS)
def test_error_of_reading_is_no_refusal(packing: Packing, error: Exception) -> None:
    body = packed(packing, random.Random(1).randbytes(3_000))

    @dataclass
    class Broken:
        fails_after: int
        size = len(body)

        def chunks(self, begin: int = 0, end: int | None = None) -> Iterator[bytes]:
            for at in range(begin, self.size, 50):
                yield body[at : at + 50]
                self.fails_after -= 1
                if self.fails_after == 0:
                    raise error

    for after in range(1, 30):
        with pytest.raises(type(error)) as raised:
            [*unpack(Broken(after), ANY).chunks]
        assert raised.value is error


@pytest.mark.parametrize(
    "body",
    [CSV, *(packed(each, CSV) for each in PACKINGS), zipped(INNER)],
    ids=["plain", *PACKINGS, "member in a folder"],
)
def test_file_is_packed_as_before(body: bytes) -> None:
    found = unpack(Pieces(body), Compression(member="*.csv"))
    file = io.BytesIO()

    pack([b"new", b"", b" text"], file, found.packed)

    again: Unpacked = unpack(Pieces(file.getvalue()), ANY)
    assert (again.packed, [*again.chunks]) == (found.packed, [b"new text"])
