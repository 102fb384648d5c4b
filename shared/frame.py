"""What surrounds the table of a file: lines before its header, and what follows its rows."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from shared.dialect import MAX_FOOTER, Dialect, Footer
from shared.lines import MAX_LINE_BYTES, Lines, newlines
from shared.text import quoted
from shared.verdict import Refusal

_END_OF_FILE = b"\x1a"
"""The character that ends text files of CP/M and DOS."""
_SEP = re.compile(r"""("?)sep=("?)([\t !#-&(-/:-@\[-`{-~])\2\1\3*""", re.IGNORECASE)
"""The line that tells Excel the delimiter. Saved again, it ends with further delimiters."""
_LONGEST_SEP = 10_000
MAX_TAIL = MAX_LINE_BYTES + len(b"\n")
"""Maximum bytes at the end of a file among which the footer begins, to limit the memory."""


def without_frame(chunks: Iterable[Lines | Refusal], dialect: Dialect) -> Iterator[Lines | Refusal]:
    """Yield the lines of a file from its header on, without end-of-file characters at its end."""
    left, is_first = dialect.skip_lines, True
    for each in without_end_of_file(chunks):
        if isinstance(each, Refusal):
            yield each
            return
        lines, left = _without_first(each, left)
        if not lines.text:
            continue
        delimiter = sep(lines.text) if is_first else None
        if delimiter not in {None, dialect.delimiter}:
            yield Refusal(
                f"line {lines.first} says that {quoted(str(delimiter))} is the delimiter, but the "
                f"contract says {quoted(dialect.delimiter)}: correct the file or the contract"
            )
            return
        is_first = False
        lines, _ = _without_first(lines, delimiter is not None)
        if lines.text:
            yield lines


@dataclass(slots=True)
class FooterCount:
    """The number of lines of a footer, without blank lines at its end; 0 until it is read.

    `first` is the first line, which a pattern has found.
    """

    lines: int = 0
    first: bytes = b""

    def add(self, footer: bytes) -> None:
        """Count the lines of a footer."""
        ink = footer.rstrip(b"\r\n")
        self.lines += ink.count(b"\n") + 1 if ink else 0
        self.first = ink.partition(b"\n")[0].rstrip(b"\r")


class Tail(Lines):
    """The last lines of a file, among which the footer begins."""


def with_tail(chunks: Iterable[Lines | Refusal], footer: Footer) -> Iterator[Lines | Refusal]:
    """Yield the lines after the header, the last ones as a `Tail`.

    The tail is at most `MAX_TAIL` bytes.
    """
    held = Lines(1, b"", 0)
    for each in chunks:
        if isinstance(each, Refusal):
            if held.text:
                yield held
            yield each
            return
        lines = joined(held, each)
        before, held = divided(lines, _begin_of_last(lines.text, footer.lines or MAX_FOOTER))
        if before.text:
            yield before
    if held.text:
        yield Tail(held.first, held.text, held.ends)


def _without_first(lines: Lines, count: int) -> tuple[Lines, int]:
    """Return lines without the first `count` ones, and how many of these are missing."""
    end = 0
    while count and end < len(lines.text):
        end = (lines.text.find(b"\n", end) + 1) or len(lines.text)
        count -= 1
    return divided(lines, end)[1], count


def without_end_of_file(chunks: Iterable[Lines | Refusal]) -> Iterator[Lines | Refusal]:
    """Yield lines without end-of-file characters at the end of the file."""
    for each in chunks:
        # Only the last line of a file has no line end.
        if isinstance(each, Refusal) or not each.text.endswith(_END_OF_FILE):
            yield each
        elif text := each.text.rstrip(_END_OF_FILE):
            yield Lines(each.first, text, each.ends)


def sep(text: bytes) -> str | None:
    """Return the delimiter in the first line of a text if this is a line for Excel."""
    line = text[:_LONGEST_SEP].partition(b"\n")[0].rstrip(b"\r")
    found = _SEP.fullmatch(line.decode(errors="replace"))
    return found and found[3]


def joined(lines: Lines, more: Lines) -> Lines:
    """Return lines and those that follow them."""
    if not lines.text:
        return more
    return Lines(lines.first, lines.text + more.text, lines.ends + more.ends)


def divided(lines: Lines, at: int) -> tuple[Lines, Lines]:
    """Return the lines before a byte and those from it on."""
    if at == 0:
        return Lines(lines.first, b"", 0), lines
    before = lines.text[:at]
    ends = newlines(before)
    return (
        Lines(lines.first, before, ends),
        Lines(lines.first + ends, lines.text[at:], lines.ends - ends),
    )


def _begin_of_last(text: bytes, count: int) -> int:
    """Return where the last lines begin; blank lines at the end do not count."""
    begin = len(text.rstrip(b"\r\n")) + 1
    while count and begin:
        begin = text.rfind(b"\n", 0, begin - 1) + 1
        count -= 1
    least = len(text) - MAX_TAIL
    return begin if begin >= least else (text.find(b"\n", least - 1) + 1) or len(text)
