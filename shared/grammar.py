"""The expressions of a dialect that recognize its records, and the faults of other lines.

Python's RE2 matches them in time linear in the text.
"""

import enum
import functools
import re
from typing import Any

import re2

from shared.dialect import Dialect

MAX_RECORD = 1 << 24
"""Bytes of a record of several lines. A longer one would only fill the memory."""
_SUBSTITUTES = bytes([*range(0x1F, 0x0D, -1), 0x0C, 0x0B, *range(8, 0, -1), 0x7F])
"""Control characters that can stand for a long delimiter, those that files use least first."""
_LF, _CR = b"\n\r"
_LINE_END = re.compile(rb"\r*+\n")
"""Converting CRLF twice gives several carriage returns."""
_NOTHING = rb"[^\x00-\xff]"
"""The expression that matches no text."""


class Fault(enum.StrEnum):
    """Reason why a line is not a record; the value is a message."""

    LONE_RETURN = "a carriage return without a line feed; end lines with LF or CRLF"
    LONE_FEED = "a line feed, but the contract's lineTerminator is a carriage return"
    TEXT_AFTER_QUOTE = "text follows the closing quote of a value"
    QUOTE_INSIDE = "a value that does not begin with a quote contains one"
    UNCLOSED = "the opening quote of a value has no closing quote"
    LONG_RECORD = (
        f"a quoted value makes the row longer than {MAX_RECORD // 1024**2} MiB: close its quote"
    )
    OPEN_ESCAPE = "the escape character is the last character of the file"


OPEN = {Fault.UNCLOSED, Fault.OPEN_ESCAPE}
"""Faults that the next lines may resolve."""


class Grammar:
    """The compiled expressions of a dialect.

    In the texts that the methods take, one byte stands for a longer delimiter (`encoded`), and each
    line ends with a line feed (`Dialect.swapped`).

    Attributes:
        dialect: the dialect.
        delimiter: the delimiter, or the byte that stands for it.
    """

    def __init__(self, dialect: Dialect, delimiter: int) -> None:
        self.dialect, self.delimiter = dialect, bytes([delimiter])
        self.escape, self.quote = _code(dialect.escape_char), _code(dialect.quote_char)
        self.comment = _code(dialect.comment_char)
        gap = b" *" if dialect.skip_initial_space else b""
        space = ord(" ") if gap else None
        separator = _char(delimiter)
        enclosed = self._quoted()
        quoted = enclosed and enclosed + gap
        rest = self._text(None if dialect.lenient_quotes else self.quote) + b"*"
        unquoted = self._text(self.quote, space) + rest
        value = gap + _either(quoted, unquoted) + b"?"

        def record(quoted: bytes) -> bytes:
            # Only the first value can be mistaken for a comment; a blank line is no record.
            first = _either(quoted, self._text(self.quote, space, self.comment) + rest)
            if gap:
                first = _either(first, b" +" + _either(quoted, unquoted))
            more = separator + gap + _either(quoted, unquoted) + b"?"
            return rb"(?:%b(?:%b)*|%b(?:%b)+)\r*\n" % (first, more, gap, more)

        line = rb"(?:%b|%b\r*\n)" % (record(quoted), gap)
        self.record = _compile(record(quoted))
        self.records = _compile(line + b"*")
        enclosed_in_line = self._quoted(rb"\n")
        in_line = record(enclosed_in_line and enclosed_in_line + gap)
        # An escaped line end may be in a line's value.
        self.lines = _compile(
            _NOTHING if self.escape is not None else rb"(?:%b|%b\r*\n)*" % (in_line, gap)
        )
        token = rb"(?:%b(?:%b)?(?:%b|\r*\n))*%b(%b)?" % (gap, unquoted, separator, gap, enclosed)
        self.quoted = _compile(token)
        self.value = _compile(value)
        # The next two are for single records, where Python's own engine has less overhead.
        # Possessive quantifiers keep it linear.
        self.few_records = re.compile(_possessive(line) + b"{0,15}+(" + _possessive(line) + b")?+")
        opened = enclosed.removesuffix(_char(self.quote)) if self.quote is not None else _NOTHING
        failing = rb"(?:%b%b)*%b(?:(%b)|(%b)|%b)?" % (
            *(value, separator, gap),
            *(quoted or _NOTHING, opened, unquoted),
        )
        self._failing = re.compile(_possessive(failing))
        comment = rb"|%b[^\n]*\n" % _char(self.comment) if self.comment is not None else b""
        self._ignored = _compile(rb"(?:%b\r*\n%b)+" % (gap, comment))
        self.runs = self._damaged_runs(separator, gap) if self._has_runs else {}
        self.continued = self._continued_lines(separator, gap)

    @property
    def _has_runs(self) -> bool:
        return self.comment is None and self.escape is None

    def _text(self, *excluded: int | None) -> bytes:
        """Return the expression for one character of an unquoted value."""
        codes = {self.delimiter[0], self.escape, _LF, _CR, *excluded}
        plain = b"[^%b]" % b"".join(_char(code) for code in codes if code is not None)
        return _either(plain, self._escaped)

    @property
    def _escaped(self) -> bytes:
        return b"" if self.escape is None else b"%b(?s:.)" % _char(self.escape)

    def _quoted(self, but: bytes = b"") -> bytes:
        """Return the expression for a quoted value, without the characters of `but`."""
        if self.quote is None:
            return b""
        quote = _char(self.quote)
        escape = b"" if self.escape is None else _char(self.escape)
        plain = b"[^%b%b%b]" % (quote, escape, but)
        twice = quote + quote if self.dialect.double_quote else b""
        return quote + _either(plain, self._escaped, twice) + b"*" + quote

    def _damaged_runs(self, separator: bytes, gap: bytes) -> dict[Fault, list[tuple[Any, bool]]]:
        """Return expressions for runs of lines with the same fault, by fault.

        The flag is true if each line of the run shows that the line before it is damaged. If it is
        false, each line is damaged whatever follows.
        """
        quoted = self._quoted(rb"\n")
        quoted = quoted and quoted + gap
        space = ord(" ") if gap else None
        plain = self._text(self.quote, space) + self._text(self.quote) + b"*"
        before = b"(?:%b%b?%b)*%b" % (gap, _either(quoted, plain), separator, gap)
        no_gap = _char(space) if space else b""
        rest = b"[^\\n]*\\n"
        lone_return = {
            self._lone_return: [
                (_run(before + _either(quoted, plain) + b"?\\r+[^\\r\\n]" + rest), False)
            ]
        }
        if self.quote is None:
            return lone_return
        quote = _char(self.quote)
        text = b"[^%b%b%b\\r\\n]" % (separator, quote, no_gap)
        after = text if self.dialect.double_quote else b"[^%b%b\\r\\n]" % (separator, no_gap)
        twice = quote + quote if self.dialect.double_quote else b""
        opened = b"(?:%b%b?%b)*%b%b%b%b%b*\\n" % (
            *(gap, plain, separator, gap),
            *(quote, b"(?:%b)*" % twice, text, _either(b"[^%b\\n]" % quote, twice)),
        )
        return lone_return | {
            Fault.QUOTE_INSIDE: [(_run(before + plain + quote + rest), False)],
            Fault.TEXT_AFTER_QUOTE: [
                (_run(before + quoted + after + rest), False),
                (_run(opened), True),
            ],
        }

    def _continued_lines(self, separator: bytes, gap: bytes) -> Any:
        """Return the expression for lines that each end with an escaped line end outside quotes.

        If the first one is damaged by what follows, so are the others: each reads the same.
        """
        if self.escape is None:
            return _compile(_NOTHING)
        space = ord(" ") if gap else None
        rest = self._text(None if self.dialect.lenient_quotes else self.quote) + b"*"
        plain = self._text(self.quote, space) + rest
        quoted = self._quoted(rb"\n")
        value = b"%b%b?" % (gap, _either(quoted and quoted + gap, plain))
        # A line that begins with a quote or a comment may read otherwise.
        begin = self._text(self.quote, space, self.comment) + rest
        begin = _either(begin, b" +%b" % plain) if gap else begin
        end = b"(?:%b)?%b\\n" % (plain, _char(self.escape))
        first = b"(?:%b%b)*%b%b" % (value, separator, gap, end)
        later = b"%b(?:%b)?(?:(?:%b%b)*%b%b(?:%b)?)?%b\\n" % (
            *(gap, begin, separator, value, separator, gap, plain),
            _char(self.escape),
        )
        lines = b"%b(?:%b)*" % (first, later)
        return _compile(lines.replace(b"(?s:.)", rb"[^\n]"))

    @property
    def _lone_return(self) -> Fault:
        is_swapped = self.dialect.line_terminator == "\r"
        return Fault.LONE_FEED if is_swapped else Fault.LONE_RETURN

    def encoded(self, text: bytes) -> bytes:
        """Return a text of the file with a delimiter of one byte."""
        written = self.dialect.delimiter.encode()
        return text if len(written) == 1 else text.replace(written, self.delimiter)

    def decoded(self, text: bytes) -> bytes:
        """Return an encoded text as it is in the file."""
        written = self.dialect.delimiter.encode()
        return text if len(written) == 1 else text.replace(self.delimiter, written)

    def begin(self, text: bytes) -> int:
        """Return where the first line begins that is neither blank nor a comment."""
        ignored = self._ignored.match(text)
        return ignored.end() if ignored else 0

    def first(self, text: bytes, *, final: bool) -> tuple[int, int] | Fault | None:
        """Return where the first record begins and ends, or why it is damaged.

        None: the text has no record, or the first one depends on what follows.
        """
        begin = self.begin(text)
        if begin == len(text):
            return None
        if found := self.record.match(text, begin):
            return begin, found.end()
        fault, _ = self.fault(text, begin)
        return None if fault in OPEN and not final else fault

    def values(self, record: bytes) -> list[str]:
        """Return the values of a well-formed record."""
        found = []
        at, end = 0, len(record.removesuffix(b"\n").rstrip(b"\r"))
        while at <= end:
            value = self.value.match(record, at)
            found.append(self._plain(value.group()))
            at = value.end() + 1
        return found

    def _plain(self, value: bytes) -> str:
        text = value.lstrip(b" ") if self.dialect.skip_initial_space else value
        if self.quote is not None and text[:1] == (quote := bytes([self.quote])):
            text = text.rstrip(b" ")[1:-1] if self.dialect.skip_initial_space else text[1:-1]
            text = text.replace(quote * 2, quote) if self.dialect.double_quote else text
        if self.escape is not None:
            text = re.sub(b"%b(.)" % re.escape(bytes([self.escape])), rb"\1", text, flags=re.S)
        return self.dialect.swapped(self.decoded(text)).decode("utf-8", "surrogatepass")

    def fault(self, text: bytes, begin: int) -> tuple[Fault, int]:
        """Return the fault of the record that begins at `begin`, and where the fault is."""
        found = self._failing.match(text, begin)
        if found is None or found[2] is not None:
            return Fault.UNCLOSED, len(text)
        is_end = _LINE_END.match(text, found.end()) is not None
        return self._fault(text[found.end() : found.end() + 1], found, is_end=is_end), found.end()

    def _fault(self, following: bytes, found: "re.Match[bytes]", *, is_end: bool) -> Fault:
        match following:
            case b"":
                return Fault.OPEN_ESCAPE
            case _ if is_end:
                return Fault.LONG_RECORD  # only that can end at a record's end
            case b"\r":
                return self._lone_return
            case _ if found[1] is not None:
                return Fault.TEXT_AFTER_QUOTE
            case _:
                return Fault.OPEN_ESCAPE if following[0] == self.escape else Fault.QUOTE_INSIDE


def grammar(dialect: Dialect, text: bytes) -> Grammar | None:
    """Return the grammar for a text; None if no byte is left to stand for a long delimiter."""
    if len(dialect.delimiter) == 1:
        return _grammar(dialect, ord(dialect.delimiter))
    marks = (dialect.quote_char, dialect.escape_char, dialect.comment_char)
    taken = text + "".join(filter(None, marks)).encode()
    code = next((each for each in _SUBSTITUTES if each not in taken), None)
    return None if code is None else _grammar(dialect, code)


_grammar = functools.cache(Grammar)


def _code(char: str | None) -> int | None:
    return None if char is None else ord(char)


def _char(code: int) -> bytes:
    return rb"\x%02x" % code


def _either(*expressions: bytes) -> bytes:
    return b"(?:%b)" % b"|".join(filter(None, expressions))


def _possessive(expression: bytes) -> bytes:
    """Return an expression for Python's engine that never backtracks."""
    return re.sub(rb"(\[[^\]]*\]|\\.|\(\?)|([*+?])", _add_plus, expression)


def _add_plus(found: "re.Match[bytes]") -> bytes:
    return found[0] if found[2] is None else found[2] + b"+"


def _run(line: bytes) -> Any:
    return _compile(b"(?:%b)+" % line)


def _compile(expression: bytes) -> Any:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    return re2.compile(expression, options)
