import itertools
import re
from collections.abc import Iterator

import pytest

from shared import lines
from shared.dialect import Dialect
from shared.lines import Lines, read_lines
from shared.verdict import Refusal

CSV = Dialect()


def cut(text: bytes, size: int) -> Iterator[bytes]:
    return (text[i : i + size] for i in range(0, len(text), size))


@pytest.mark.parametrize("most", [1, 2, 3, 1000])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_chunks_are_whole_lines_for_any_chunk_size(
    size: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "MAX_LINES", most)
    text = "\ufeffимя,b\r\nё,2\r\n\r\nlast,3".encode()

    found = list(read_lines(cut(text, size), "utf-8", CSV))

    assert all(isinstance(each, Lines) for each in found)
    chunks = [each for each in found if isinstance(each, Lines)]
    assert b"".join(each.text for each in chunks) == text.removeprefix(b"\xef\xbb\xbf")
    assert all(each.text.endswith(b"\n") for each in chunks[:-1])
    counted = itertools.accumulate((each.text.count(b"\n") for each in chunks), initial=1)
    assert [each.first for each in chunks] == list(counted)[:-1]
    assert [each.ends for each in chunks] == [each.text.count(b"\n") for each in chunks]
    assert max(each.ends for each in chunks) <= most


def test_empty_stream_has_no_lines() -> None:
    assert list(read_lines([], "utf-8", CSV)) == []


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_invalid_byte_is_refused_with_its_line(size: int) -> None:
    found = list(read_lines(cut(b"a,b\n1,2\n3,\xff\n", size), "utf-8", CSV))

    assert isinstance(found[-1], Refusal)
    assert "line 3 is not utf-8 text: byte 0xff" in found[-1].reason


@pytest.mark.parametrize("size", [1, 50, 100, 1000])
@pytest.mark.parametrize("end", [b"\n", b"\nz", b""])
def test_maximum_line_length_is_independent_of_chunk_size(
    size: int, end: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 100)

    kept = list(read_lines(cut(b"a\n" * 70 + b"x" * 100 + end, size), "utf-8", CSV))
    refused = list(read_lines(cut(b"a\n" * 70 + b"x" * 101 + end, size), "utf-8", CSV))

    assert all(isinstance(each, Lines) for each in kept)
    assert isinstance(refused[-1], Refusal)
    assert refused[-1].reason.startswith("line 71 is longer than")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        # Python 3.13 has another message.
        ("a\n".encode("utf-16-le"), r"(UTF-16 stream|byte 0x61 \(Stream) does not start with BOM"),
        (b"\xff\xff\xfea\0\n\0", r"byte 0x00 \(truncated data\)"),
    ],
)
def test_utf16_without_byte_order_mark_is_refused(body: bytes, reason: str) -> None:
    *_, refusal = read_lines([body], "utf-16", CSV)

    assert isinstance(refusal, Refusal)
    assert re.match(f"line 1 is not utf-16 text: {reason}", refusal.reason)


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_line_of_invalid_utf16_counts_characters_not_bytes(size: int) -> None:
    text = "a\nĊĊĊ\n".encode("utf-16") + b"\x00\xdc"

    found = list(read_lines(cut(text, size), "utf-16", CSV))

    assert isinstance(found[-1], Refusal)
    assert found[-1].reason.startswith("line 3 is not utf-16 text: byte 0x00")
