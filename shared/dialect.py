"""The dialect of a CSV file: how its text separates records and values, and what surrounds them.

The names are those of Data Package's Table Dialect: https://datapackage.org/standard/table-dialect/
"""

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, PositiveInt, model_validator

from shared.control_totals import Statement
from shared.model import Model, Problems
from shared.regex import beginning, captured, check, groups
from shared.text import escape_note, quoted

MAX_FOOTER = 100
"""Lines at a file's end that may be its footer."""
_MAX_HEADER_ROWS = 100

_SWAP = bytes.maketrans(b"\r\n", b"\n\r")


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


class Footer(Model):
    """What follows the rows of a file. Blank lines at its very end do not count.

    Attributes:
        lines: the footer is that many lines.
        pattern: among the last `MAX_FOOTER` lines, the footer begins with the first one whose
            beginning matches this expression in RE2's syntax. That line is a trailer if the
            expression has named groups, which are control totals.
    """

    lines: int | None = Field(default=None, ge=1, le=MAX_FOOTER)
    pattern: str | None = Field(default=None, max_length=10_000)

    @property
    def totals(self) -> tuple[str, ...]:
        """The names of the control totals in the trailer, which is required if there are any."""
        return groups(self.pattern) if self.pattern is not None else ()

    def statement(self, line: bytes) -> Statement | None:
        """Return the totals of a trailer, a line of UTF-8; None if the line is none."""
        if self.pattern is None:
            return None
        values = captured(self.pattern, line.decode(errors="replace"), is_whole=False)
        return None if values is None else Statement("the trailer", values)

    @model_validator(mode="after")
    def _is_valid(self) -> Self:
        if (self.lines is None) == (self.pattern is None):
            raise ValueError("a footer has either lines or a pattern: set one of them")
        if self.pattern is not None:
            check(self.pattern)
            if beginning(self.pattern)(b"\1\1"):
                raise ValueError(
                    f"the pattern {quoted(self.pattern)} matches the beginning of any line, so "
                    "that rows would be the footer: write what only the footer begins with"
                )
        return self


class Dialect(Model):
    r"""How a file separates records and values, and what surrounds them.

    Attributes:
        skip_lines: lines at the file's beginning that are ignored.
        header: the file has a header.
        header_rows: the numbers of the records that are the header; blank lines and comments do
            not count. Records between them are ignored. The rows begin after the last one.
        header_join: stands between the parts of a name that are in several header rows.
        footer: what follows the rows.
        skip_empty_rows: rows of empty values only are ignored.
        trailing_delimiter: a record may end with one delimiter more.
        delimiter: separates two values, one or more ASCII characters.
        line_terminator: ends a line: LF or CRLF, which both mean either; or CR.
        quote_char: encloses values that contain delimiters or line ends. None: quotes are text.
        double_quote: two quote characters inside a quoted value mean one.
        escape_char: makes the character after it text.
        lenient_quotes: a value that does not begin with a quote may contain quotes.
        skip_initial_space: spaces before a value and after a closing quote are ignored.
        comment_char: lines that begin with it are ignored.
        null_sequence: the texts of a missing value.
    """

    skip_lines: int = Field(default=0, ge=0, le=1_000_000)
    header: bool = True
    header_rows: tuple[PositiveInt, ...] = Field(default=(1,), min_length=1)
    header_join: str = " "
    footer: Footer | None = None
    skip_empty_rows: bool = False
    trailing_delimiter: bool = False
    delimiter: str = Field(default=",", min_length=1, max_length=10)
    line_terminator: Literal["\n", "\r\n", "\r"] = "\r\n"
    quote_char: str | None = '"'
    double_quote: bool = True
    escape_char: str | None = None
    lenient_quotes: bool = False
    skip_initial_space: bool = False
    comment_char: str | None = None
    null_sequence: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ("",)

    def swapped(self, text: bytes) -> bytes:
        """Swap CR and LF in a text if lines end with CR, so that they end with LF; or swap back."""
        return text.translate(_SWAP) if self.line_terminator == "\r" else text

    def record(self, values: Iterable[str]) -> str:
        """Return the values, at least one, as a record without a line end.

        Raises:
            ValueError: the dialect cannot express a value.
        """
        first, *others = values
        rest = "".join(self.delimiter + self._cell(value) for value in others)
        text = self._cell(first) + rest
        is_comment = self.comment_char is not None and text.startswith(self.comment_char)
        is_blank = not (text.strip(" ") if self.skip_initial_space else text)
        return self._enclosed(first) + rest if is_comment or is_blank else text

    def _cell(self, value: str) -> str:
        marks = filter(None, (self.quote_char, self.escape_char, "\r", "\n"))
        # With the delimiter ||, the value a| would lose its end.
        divided = (value + self.delimiter).index(self.delimiter) < len(value)
        begins_with_space = self.skip_initial_space and value.startswith(" ")
        needs_quotes = divided or begins_with_space or any(mark in value for mark in marks)
        return self._enclosed(value) if needs_quotes else value

    def _enclosed(self, value: str) -> str:
        quote, escape = self.quote_char, self.escape_char
        if quote is None:
            raise ValueError(f"{quoted(value)} needs quotes, but the dialect has none")
        if escape is not None:
            value = value.replace(escape, escape * 2)
        if quote in value and not self.double_quote and escape is None:
            raise ValueError(f"{quoted(value)} contains a quote, which the dialect cannot express")
        value = value.replace(quote, (quote if self.double_quote else str(escape)) + quote)
        return f"{quote}{value}{quote}"

    @model_validator(mode="after")
    def _is_valid(self) -> Self:
        Problems.check(self._problems())
        return self

    def _problems(self) -> Iterator[str]:
        yield from self._header_problems()
        named = {
            "quoteChar": self.quote_char,
            "escapeChar": self.escape_char,
            "commentChar": self.comment_char,
        }
        marks = {name: char for name, char in named.items() if char is not None}
        if not all(map(_is_mark, self.delimiter)):
            yield (
                f"the delimiter {quoted(self.delimiter)} is not valid: use ASCII characters other "
                f"than letters, digits, line ends and NUL{escape_note(self.delimiter)}"
            )
        for name, char in marks.items():
            if not _is_mark(char):
                yield (
                    f"the {name} {quoted(char)} is not valid: use one ASCII character other than a "
                    f"letter, digit, line end or NUL{escape_note(char)}"
                )
        if self.quote_char is None and (self.lenient_quotes or not self.double_quote):
            yield "lenientQuotes and doubleQuote have no effect without a quoteChar: remove them"
        if self.lenient_quotes and self.escape_char is not None:
            yield "lenientQuotes cannot be combined with an escapeChar: remove one of them"
        if len(set(marks.values())) < len(marks) or set(marks.values()) & set(self.delimiter):
            yield "delimiter, quoteChar, escapeChar and commentChar must differ: change one of them"
        if self.skip_initial_space and " " in {*self.delimiter, *marks.values()}:
            yield (
                "skipInitialSpace is true, but a space is the delimiter or another mark: remove "
                "skipInitialSpace, or change the mark"
            )

    def _header_problems(self) -> Iterator[str]:
        if not self.header and (self.header_rows != (1,) or self.header_join != " "):
            yield "headerRows and headerJoin have no effect with header: false: remove them"
        elif self.header_join != " " and len(self.header_rows) == 1:
            yield "headerJoin has no effect on one header row: list more headerRows, or remove it"
        if list(self.header_rows) != sorted(set(self.header_rows)):
            yield "headerRows must ascend: order the numbers, and name each once"
        if self.header_rows[-1] > _MAX_HEADER_ROWS:
            yield (
                f"the last of the headerRows is {self.header_rows[-1]}, but the maximum is "
                f"{_MAX_HEADER_ROWS}: use skipLines for lines before the header"
            )


def _is_mark(text: str) -> bool:
    return len(text) == 1 and text.isascii() and not text.isalnum() and text not in "\0\r\n\x1a"
