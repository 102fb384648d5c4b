"""The physical lines of a landed file, decoded, in chunks that end where a line ends."""

import codecs
import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import pyarrow as pa

T = TypeVar("T")

MAX_LINE_BYTES = 16 * 1024 * 1024
"""A line longer than this is no row of anything; reading on would only fill the memory."""
_NEWLINE = b"\n"


@dataclass(frozen=True, slots=True)
class Lines:
    """Whole lines as UTF-8 without a byte order mark.

    `first` is the number of the first one, `ends` how many end with a newline: all, or all but the
    file's last.
    """

    first: int
    text: bytes
    ends: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a file is not the contract's, for the person who sent it."""

    reason: str


def read_lines(chunks: Iterable[bytes], encoding: str) -> Iterator[Lines | Refusal]:
    """Cut a stream into chunks of whole lines; a refusal is the last thing it yields.

    Args:
        chunks: the file's bytes, cut anywhere.
        encoding: the contract's, a name Python's codecs know. A byte order mark is dropped.
    """
    number = 1
    rest = b""
    for chunk, final in _with_end(_as_utf8(chunks, encoding)):
        if isinstance(chunk, UnicodeError):
            yield _refusal(chunk, encoding, number)
            return
        text = rest + chunk
        begin = long_line(text, MAX_LINE_BYTES)
        if begin is not None:
            yield Refusal(
                f"line {number + text.count(_NEWLINE, 0, begin)} is longer than "
                f"{MAX_LINE_BYTES // 1024**2} MiB; the file has no line ends where rows should end"
            )
            return
        end = len(text) if final else text.rfind(_NEWLINE) + 1
        if end:
            mark = codecs.BOM_UTF8 if number == 1 else b""
            lines = Lines(number, text[:end].removeprefix(mark), text.count(_NEWLINE, 0, end))
            if error := _decoding_error(lines.text):
                line = number + error.object.count(_NEWLINE, 0, error.start)
                yield _refusal(error, encoding, line)
                return
            yield lines
            number += lines.ends
        rest = text[end:]


def long_line(text: bytes, limit: int) -> int | None:
    """Return where the first line of more than `limit` bytes begins; None if there is none."""
    begin = 0
    while len(text) - begin > limit:
        end = text.rfind(_NEWLINE, begin, begin + limit + 1)
        if end == -1:
            return begin
        begin = end + 1
    return None


def _as_utf8(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes | UnicodeError]:
    if encoding == "utf-8":
        yield from chunks
        return
    decode = codecs.getincrementaldecoder(encoding)().decode
    for chunk, final in _with_end(chunks):
        try:
            yield decode(chunk, final).encode()
        except UnicodeError as error:
            if isinstance(error, UnicodeDecodeError):
                # The text before it tells its line; a byte 0x0a alone need not be a line end.
                kept = len(error.object) - len(chunk)
                with contextlib.suppress(UnicodeError):
                    yield decode(chunk[: max(error.start - kept, 0)]).encode()
            yield error
            return


def _decoding_error(text: bytes) -> UnicodeDecodeError | None:
    # Arrow validates many times faster than Python decodes, but does not say where.
    ends = pa.array([0, len(text)], pa.int64()).buffers()[1]
    try:
        pa.Array.from_buffers(pa.large_string(), 1, [None, ends, pa.py_buffer(text)]).validate(
            full=True
        )
    except pa.ArrowInvalid:
        try:
            text.decode()
        except UnicodeDecodeError as error:
            return error
    return None


def _refusal(error: UnicodeError, encoding: str, line: int) -> Refusal:
    what = str(error)
    if isinstance(error, UnicodeDecodeError):
        what = f"byte 0x{error.object[error.start]:02x} ({error.reason})"
    return Refusal(f"line {line} is not {encoding} text: {what}; send the file as {encoding}")


def _with_end(chunks: Iterable[T]) -> Iterator[tuple[T, bool]]:
    previous = None
    for chunk in chunks:
        if previous is not None:
            yield previous, False
        previous = chunk
    if previous is not None:
        yield previous, True
