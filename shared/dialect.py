"""The dialect of a CSV file: how its text separates records and values.

The names are those of Data Package's Table Dialect: https://datapackage.org/standard/table-dialect/
"""

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from shared.model import Model, Problems
from shared.text import escape_note, quoted


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


class Dialect(Model):
    r"""How a file separates records and values.

    Attributes:
        delimiter: separates two values, one or more ASCII characters.
        line_terminator: ends a line: `\r\n` also stands for `\n`, `\r` is a carriage return alone.
        quote_char: encloses values that contain delimiters or line ends. None: quotes are text.
        double_quote: two quote characters inside a quoted value mean one.
        escape_char: makes the character after it text.
        lenient_quotes: a value that does not begin with a quote may contain quotes.
        skip_initial_space: spaces before a value are ignored.
        comment_char: lines that begin with it are ignored.
        null_sequence: the texts of a missing value.
    """

    delimiter: str = Field(default=",", min_length=1, max_length=10)
    line_terminator: Literal["\n", "\r\n", "\r"] = "\r\n"
    quote_char: str | None = '"'
    double_quote: bool = True
    escape_char: str | None = None
    lenient_quotes: bool = False
    skip_initial_space: bool = False
    comment_char: str | None = None
    null_sequence: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ("",)

    def record(self, values: Iterable[str]) -> str:
        """Return the values as a record without a line end.

        Raises:
            ValueError: the dialect cannot express a value.
        """
        cells = [self._cell(value) for value in values]
        text = self.delimiter.join(cells)
        is_comment = self.comment_char is not None and text.startswith(self.comment_char)
        if is_comment or not text.strip(" "):
            text = self.delimiter.join([self._enclosed(next(iter(values), "")), *cells[1:]])
        return text

    def _cell(self, value: str) -> str:
        marks = {self.delimiter, self.quote_char, self.escape_char, "\r", "\n"} - {None}
        begins_with_space = self.skip_initial_space and value.startswith(" ")
        if begins_with_space or any(mark in value for mark in marks if mark is not None):
            return self._enclosed(value)
        return value

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
                    "letter, digit, line end or NUL"
                )
        if len(set(marks.values())) < len(marks) or set(marks.values()) & set(self.delimiter):
            yield f"the delimiter, {' and '.join(named)} must differ: change one of them"
        if self.skip_initial_space and " " in {*self.delimiter, *marks.values()}:
            yield "skipInitialSpace is true, but a space has a meaning: remove one of them"


def _is_mark(text: str) -> bool:
    return len(text) == 1 and text.isascii() and not text.isalnum() and text not in "\0\r\n"
