"""Physical lines of a landed file, decoded to UTF-8, in chunks of whole lines."""

import codecs
import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa

from shared import undecodable
from shared.dialect import Dialect
from shared.undecodable import EncodingErrors
from shared.verdict import Refusal

T = TypeVar("T")

MAX_LINE_BYTES = 16 * 1024 * 1024
"""Maximum bytes of a line, which limits the memory that a malformed file can use."""
MAX_LINES = 250_000
"""Maximum lines of a chunk, for the same reason: a line costs about 100 bytes beside its text."""
_NEWLINE = b"\n"
_BLOCK = 2**18
"""Bytes of a text that are looked at together, and remain in the processor's cache."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Whole lines as UTF-8, without the file's byte order mark.

    Each line ends with LF: if the dialect's lines end with CR, CR and LF are swapped.
    `first` is the number of the first line. `ends` is the number of newlines: one per line, except
    that the file's last line may have none.
    """

    first: int
    text: bytes
    ends: int


def read_lines(
    chunks: Iterable[bytes | Refusal],
    encoding: str,
    dialect: Dialect,
    errors: EncodingErrors = "refuse",
    first: int = 1,
) -> Iterator[Lines | Refusal]:
    """Yield a stream as chunks of whole lines; stop after a refusal.

    Args:
        chunks: the file's bytes, divided anywhere. A refusal is the last item.
        encoding: the contract's encoding, a name of a Python codec. A byte order mark is removed.
        dialect: the contract's.
        errors: `refuse` a file with a byte that cannot be decoded; or `reject` its rows, which then
            contain surrogates (`shared.undecodable`). The encoding must allow it.
        first: the number of the line with which the bytes begin.
    """
    number = first
    rest = b""
    for chunk, final in _with_end(_as_utf8(chunks, encoding) if errors == "refuse" else chunks):
        if isinstance(chunk, Refusal):
            yield chunk
            return
        if isinstance(chunk, UnicodeError):
            yield _refusal(chunk, encoding, number)
            return
        text = dialect.swapped(chunk)
        end = len(text) if final else text.rfind(_NEWLINE) + 1
        if end or final:
            whole, rest = rest + memoryview(text)[:end], text[end:]
        else:
            whole, rest = b"", rest + text
        ends = newlines(whole)
        for part, line in ((whole, number), (rest, number + ends)):
            if (begin := long_line(part, MAX_LINE_BYTES)) is not None:
                yield Refusal(
                    f"line {line + newlines(part[:begin])} is longer than "
                    f"{MAX_LINE_BYTES // 1024**2} MiB: end each row with a line end"
                )
                return
        if whole:
            mark = codecs.BOM_UTF8 if number == 1 else b""
            decoded = whole if errors == "refuse" else _escaped(whole, encoding)
            lines = Lines(number, decoded.removeprefix(mark), ends)
            if errors == "refuse" and (error := _decoding_error(lines.text)):
                yield _refusal(error, encoding, number + newlines(error.object[: error.start]))
                return
            yield from _pieces(lines)
            number += ends


def newlines(text: bytes) -> int:
    """Return the number of newlines of a text, which NumPy counts faster than Python."""
    codes = np.frombuffer(text, np.uint8)
    blocks = (codes[begin : begin + _BLOCK] for begin in range(0, len(codes), _BLOCK))
    return sum(int(np.count_nonzero(block == _NEWLINE[0])) for block in blocks)


def _pieces(lines: Lines) -> Iterator[Lines]:
    """Divide a chunk into chunks of at most `MAX_LINES`."""
    if lines.ends <= MAX_LINES:
        yield lines
        return
    ends = np.flatnonzero(np.frombuffer(lines.text, np.uint8) == _NEWLINE[0]) + 1
    begin, first, last = 0, lines.first, lines.first + lines.ends
    for end in [*ends[MAX_LINES - 1 :: MAX_LINES].tolist(), len(lines.text)]:
        count = min(MAX_LINES, last - first)
        if end > begin:
            yield Lines(first, lines.text[begin:end], count)
        begin, first = end, first + count


def long_line(text: bytes, limit: int) -> int | None:
    """Return the offset of the first line with more than `limit` bytes; None if there is none."""
    begin = 0
    while len(text) - begin > limit:
        end = text.rfind(_NEWLINE, begin, begin + limit + 1)
        if end == -1:
            return begin
        begin = end + 1
    return None


def _as_utf8(
    chunks: Iterable[bytes | Refusal], encoding: str
) -> Iterator[bytes | Refusal | UnicodeError]:
    if encoding == "utf-8":
        yield from chunks
        return
    decode = codecs.getincrementaldecoder(encoding)().decode
    for chunk, final in _with_end(chunks):
        if isinstance(chunk, Refusal):
            yield chunk
            return
        try:
            yield decode(chunk, final).encode()
        except UnicodeError as error:
            if isinstance(error, UnicodeDecodeError):
                # Yield the text before the error, from which the caller counts the lines.
                kept = len(error.object) - len(chunk)
                with contextlib.suppress(UnicodeError):
                    yield decode(chunk[: max(error.start - kept, 0)]).encode()
            yield error
            return


def _escaped(text: bytes, encoding: str) -> bytes:
    """Return a text as UTF-8, with a surrogate for each undecodable byte."""
    if undecodable.plain_codec(encoding) == "utf-8" and _decoding_error(text) is None:
        return text
    return undecodable.decoded(text, encoding).encode("utf-8", "surrogatepass")


def _decoding_error(text: bytes) -> UnicodeDecodeError | None:
    # Arrow validates much faster than Python decodes, but does not report the position.
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
    fault = str(error)
    if isinstance(error, UnicodeDecodeError):
        fault = f"byte 0x{error.object[error.start]:02x} ({error.reason})"
    return Refusal(
        f"line {line} is not {encoding} text: {fault}; send the file as {encoding}, or change the "
        "contract's encoding"
    )


def _with_end(chunks: Iterable[T]) -> Iterator[tuple[T, bool]]:
    previous = None
    for chunk in chunks:
        if previous is not None:
            yield previous, False
        previous = chunk
    if previous is not None:
        yield previous, True
