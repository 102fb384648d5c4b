"""The physical lines of a landed file, decoded, in chunks that end where a line ends."""

import codecs
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MAX_LINE_BYTES = 16 * 1024 * 1024
"""A line longer than this is no row of anything; reading on would only fill the memory."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Whole lines as UTF-8 without a byte order mark; `first` is the number of the first one."""

    first: int
    text: bytes


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
    decode = codecs.getincrementaldecoder("utf-8-sig" if encoding == "utf-8" else encoding)().decode
    number = 1
    rest = b""
    for chunk, final in _with_end(chunks):
        try:
            text = rest + decode(chunk, final).encode()
        except UnicodeDecodeError as error:
            line = number + rest.count(b"\n") + error.object[: error.start].count(b"\n")
            byte = error.object[error.start]
            yield Refusal(
                f"line {line} is not {encoding} text: byte 0x{byte:02x} ({error.reason}); "
                f"send the file as {encoding}"
            )
            return
        end = len(text) if final else text.rfind(b"\n") + 1
        if end:
            yield Lines(number, text[:end])
            number += text.count(b"\n", 0, end)
        rest = text[end:]
        if len(rest) > MAX_LINE_BYTES:
            yield Refusal(
                f"line {number} is longer than {MAX_LINE_BYTES // 1024**2} MiB; "
                "the file has no line ends where rows should end"
            )
            return


def _with_end(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    previous = None
    for chunk in chunks:
        if previous is not None:
            yield previous, False
        previous = chunk
    if previous is not None:
        yield previous, True
