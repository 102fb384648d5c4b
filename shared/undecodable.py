"""Bytes that are no character in a file's encoding, for contracts that reject only their rows.

The byte 0xNN is decoded to the surrogate U+DCNN (Python's error handler `surrogateescape`), which
no valid text contains. In UTF-8, a surrogate's three bytes are not valid either: `masked` replaces
them before Arrow parses the text, and rows that contain them are rejected.
"""

import codecs
import functools
import itertools
import re
from typing import Literal

EncodingErrors = Literal["refuse", "reject"]
"""What an undecodable byte costs: the whole file, or its row."""
RULE = "encoding"
"""The rule that a row with undecodable bytes fails."""
MARK, MASKED_MARK = rb"\xed[\xb2\xb3]", rb"\xee[\xb2\xb3]"
"""The expressions for a surrogate in UTF-8, and for the character by which `masked` replaces it."""
_HANDLER = "surrogateescape"
_SURROGATE = re.compile("[\udc80-\udcff]")
_SHOWN = {0xDC00 + byte: rf"\x{byte:02x}" for byte in range(0x80, 0x100)}


def plain_codec(encoding: str) -> str:
    """Return the name of an encoding's codec that neither reads nor writes a byte order mark."""
    return codecs.lookup(encoding).name.removesuffix("-sig")


def decoded(text: bytes, encoding: str) -> str:
    """Return a text with a surrogate for each undecodable byte.

    Raises:
        UnicodeDecodeError: the encoding does not allow it, see `problem`.
    """
    return text.decode(plain_codec(encoding), _HANDLER)


def encoded(text: str, encoding: str) -> bytes:
    """Return the bytes that `decoded` made a text of."""
    return text.encode(plain_codec(encoding), _HANDLER)


def masked(text: bytes) -> bytes:
    """Return UTF-8 with a private character of the same length for each surrogate."""
    if b"\xed" not in text:  # much faster than looking for two bytes
        return text
    return text.replace(b"\xed\xb2", b"\xee\xb2").replace(b"\xed\xb3", b"\xee\xb3")


def shown(text: str) -> str:
    r"""Return a decoded text with `\xNN` for each undecodable byte 0xNN."""
    return text.translate(_SHOWN)


def escapes(text: str) -> set[str]:
    r"""Return the `\xNN` of all undecodable bytes of a decoded text."""
    return {*map(shown, {*_SURROGATE.findall(text)})}


def fault(text: str, encoding: str) -> str | None:
    """Return which byte of a decoded text is the first undecodable one; None if there is none."""
    found = _SURROGATE.search(text)
    if found is None:
        return None
    more = _SURROGATE.subn("", text, 0)[1] - 1
    others = f", nor {'are' if more > 1 else 'is'} {more:,} more" if more else ""
    byte = ord(found[0]) - 0xDC00
    return f"byte 0x{byte:02x} at character {found.start() + 1} is not {encoding}{others}"


@functools.cache
def problem(encoding: str) -> str | None:
    """Return why rows cannot be rejected for undecodable bytes; None if they can.

    A line must be decodable by itself, and its bytes must be restored by encoding it again.
    """
    # All pairs of bytes, each in a line; and with the prefix of EUC's characters of three bytes.
    bytes_ = [bytes([each]) for each in range(256)]
    lines = b"".join(map(b"%b%b%b\n".__mod__, itertools.product([b"", b"\x8f"], bytes_, bytes_)))
    text = ""
    try:
        text = decoded(lines, encoding)
        is_restored = encoded("\r\n" + text, encoding) == b"\r\n" + lines
    except UnicodeError:
        text, is_restored = "", False
    if not is_restored or text.count("\n") != lines.count(b"\n"):
        return (
            f"{encoding} cannot restore the bytes of a row from its text: remove encodingErrors, "
            "or use an encoding that can, such as utf-8"
        )
    if _SURROGATE.search(text) is None:
        return f"every byte is a character in {encoding}: remove encodingErrors"
    return None
