"""What surrounds the rows of a text, and the names of its columns."""

import functools
import itertools
import re
import unicodedata
from collections import Counter

from cli.items import many
from cli.sniffing.readings import Reading, is_missing, is_typed, read
from shared.contract import HeaderPolicy
from shared.dialect import MAX_FOOTER, Footer
from shared.naming import repeated
from shared.regex import beginning
from shared.text import listed, quoted

_TOP = 100
"""Records among which the header is."""
_CELLS = 20_000
_COMMENT = "#"
_LONGEST_FOOTER = 20
_TRAILER = re.compile(
    r"\W*(?:(?:grand |sub)?total|trailer|sums?|eof|end|footer|rows?|records?)\b", re.I
)
_YEAR = re.compile(r"(?:19|20)\d\d")


class Structure:
    """The header, the rows and the footer of a text.

    Attributes:
        dialect: the dialect of the reading, with what surrounds the rows.
        header_policy: by position if names in the header are missing or repeated.
        names: a name for each column.
        evidence, doubts: as in `cli.sniffing.Sniffed`.
    """

    def __init__(self, reading: Reading, end: bytes, *, is_whole: bool) -> None:
        """Examine a text, of which `end` is the end of the file unless it is whole."""
        self.evidence: list[str] = []
        self.doubts: list[str] = []
        self._reading = self._without_comments(reading, is_whole=is_whole)
        self._texts = functools.cache(self._reading.texts)
        self._width = self._reading.width
        self._first = self._first_record()
        self._header = self._header_rows()
        self._is_trailed = self._has_trailing_delimiter()
        self.names, self.header_policy = self._columns()
        self.dialect = self._reading.dialect.model_copy(
            update={
                **self._frame(),
                "trailing_delimiter": self._is_trailed,
                "skip_empty_rows": self._has_empty_rows(),
                "footer": self._footer(end, is_whole=is_whole),
            }
        )

    def _without_comments(self, reading: Reading, *, is_whole: bool) -> Reading:
        """Return a reading that ignores comments if the text has any."""
        begun = [
            i for i, at in enumerate(reading.begins.tolist()) if reading.text[at] == ord(_COMMENT)
        ]
        if not begun or _COMMENT in reading.dialect.delimiter:
            return reading
        if any(reading.widths[i] == reading.width for i in begun):
            return reading
        dialect = reading.dialect.model_copy(update={"comment_char": _COMMENT})
        found = read(reading.text, dialect, final=is_whole)
        if found is None:
            return reading
        line = reading.lines[begun[0]]
        self.evidence.append(
            f"{many(len(begun), 'line')} are comments, the first is line {line}: they begin with "
            f"{_COMMENT} and have other numbers of values than the rows."
        )
        return found

    def _first_record(self) -> int:
        """Return the index of the record with which the table begins."""
        widths = self._reading.widths.tolist()
        for i in range(min(len(widths), _TOP)):
            texts = self._texts(i)
            if widths[i] == self._width:
                if not self._is_title(i):
                    return i
            elif self._width in widths[i + 1 : i + 4] and any(map(is_typed, self._texts(i + 1))):
                # The names of R's rows have no name; rows may end with a delimiter.
                is_near = widths[i] - self._width in range(-1, self._width)
                names = texts if texts[-1] else texts[:-1]
                if is_near and all(name and not is_typed(name) for name in names):
                    return i
        return next((i for i, width in enumerate(widths) if width == self._width), 0)

    def _is_title(self, index: int) -> bool:
        """Return whether a record with the width of the rows is a line of text, padded."""
        filled = [i for i, text in enumerate(self._texts(index)) if text.strip()]
        if self._width == 1 or len(filled) > 1:
            return False
        if filled and self._width < 4 and filled != [0]:
            return False
        others = range(index + 1, min(len(self._reading.widths), index + _TOP))
        return any(sum(bool(text.strip()) for text in self._texts(i)) > 1 for i in others)

    @functools.cached_property
    def _body(self) -> list[int]:
        """The indices of records that show the types of the columns."""
        widths = self._reading.widths.tolist()
        count = max(30, _CELLS // self._width)
        found = (
            i
            for i in range(self._first + 1, len(widths))
            if widths[i] == self._width and not self._reading.is_empty(i)
        )
        return [*itertools.islice(found, count)]

    @functools.cached_property
    def _columns_of_body(self) -> list[list[str]]:
        return [list(each) for each in zip(*map(self._texts, self._body), strict=True)]

    @property
    def _is_last_empty(self) -> bool:
        columns = self._columns_of_body
        return bool(columns) and not any(columns[-1])

    @functools.cached_property
    def _typed(self) -> list[bool]:
        """Whether most values of each column are numbers, dates or times."""
        found = []
        for column in self._columns_of_body:
            rest = column[min(3, len(column) // 3) :]
            present = [text for text in rest if not is_missing(text)]
            typed = sum(map(is_typed, present))
            found.append(bool(present) and typed >= 0.7 * len(present))
        return found

    @functools.cached_property
    def _counts(self) -> list[Counter[str]]:
        return [Counter(column) for column in self._columns_of_body]

    def _votes(self, index: int) -> tuple[int, int]:
        """Return how many values of a record look like names, and how many like data."""
        names = data = 0
        texts = self._texts(index)
        # A record in the body repeats itself, and a file with several tables repeats its header.
        own = sum(self._reading.raw(i) == self._reading.raw(index) for i in self._body)
        shift = self._width - len(texts) if len(texts) < self._width else 0
        for i, text in enumerate(texts[: self._width], start=shift):
            if is_missing(text) or i >= len(self._typed):
                continue
            repeats = self._counts[i][text] - own
            if self._typed[i] and is_typed(text):
                is_year = self._is_year(text, i)
                names, data = names + is_year, data + (not is_year)
            elif self._typed[i] and not repeats:
                names += 1
            elif repeats:
                data += 1
        return names, data

    def _is_year(self, text: str, column: int) -> bool:
        """Return whether a text is a year, and the column contains other numbers."""
        if not _YEAR.fullmatch(text):
            return False
        values = self._columns_of_body[column]
        return sum(_YEAR.fullmatch(each) is not None for each in values) < 0.1 * len(values)

    def _header_rows(self) -> list[int]:
        """Return the indices of the records that are the header."""
        names, data = self._votes(self._first)
        line = self._reading.lines[self._first]
        if data > names:
            self.evidence.append(
                f"There is no header: in {many(data, 'column')}, line {line} is like those below."
            )
            return []
        rows = [self._first]
        if names:
            self.evidence.append(
                f"Line {line} is the header: {many(names, 'column')} of numbers, dates or times "
                "have a text there."
            )
        else:
            self.evidence.append(f"Line {line} is the header: no value of it repeats below.")
            self.doubts.append(
                f"All columns contain text, so line {line} may also be a row: is it the header?"
            )
        for i in self._body[:4]:
            names, data = self._votes(i)
            texts = self._texts(i)
            is_far = i - self._first >= _TOP
            if is_far or data or names * 2 < max(1, sum(self._typed)) or any(map(is_typed, texts)):
                break
            rows.append(i)
            self.evidence.append(
                f"Line {self._reading.lines[i]} belongs to the header: {many(names, 'column')} of "
                "numbers, dates or times have a text there too."
            )
        return rows

    @property
    def _rows(self) -> range:
        """The indices of the records after the header."""
        begin = self._header[-1] + 1 if self._header else self._first
        return range(begin, len(self._reading.widths))

    def _has_trailing_delimiter(self) -> bool:
        """Return whether rows, the header or both end with a delimiter."""
        head = self._texts(self._header[0]) if self._header else [""]
        match len(head) - self._width if self._header else 0:
            case -1:
                found = self._is_last_empty
            case 0:
                # Several empty columns at the end are columns.
                is_one = len(head) < 3 or bool(head[-2]) or not self._header
                found = self._width > 1 and self._is_last_empty and not head[-1] and is_one
            case 1:
                found = not head[-1]
            case _:
                found = False
        if found:
            self.evidence.append("Rows end with a delimiter.")
        return found

    def _columns(self) -> tuple[tuple[str, ...], HeaderPolicy]:
        """Return the names of the columns, and how they are found."""
        width = self._width - (self._is_trailed and self._is_last_empty)
        header = [self._texts(i) for i in self._header]
        names = [
            unicodedata.normalize("NFC", " ".join(filter(None, parts)))
            for parts in itertools.zip_longest(*header, fillvalue="")
        ]
        if self._is_trailed and names and not names[-1]:
            names.pop()
        found = names
        if len(names) == width - 1 and header:
            # R does not name the names of its rows.
            is_last = not any(map(str.strip, itertools.chain(*self._columns_of_body[-1:])))
            names = [*names, ""] if is_last else ["", *names]
        names = [*names[:width], *[""] * (width - len(names))]
        good = _unique(names)
        if not header or good == tuple(found):
            return good, HeaderPolicy()
        if len(found) != width:
            why = f"the header has {many(len(found), 'name')} for {many(width, 'column')}"
        elif empty := [str(i) for i, name in enumerate(names, start=1) if not name.strip()]:
            why = f"columns without a name are in the header, e.g. number {empty[0]}"
        else:
            why = f"names are repeated in the header: {listed(repeated(names), 5)}"
        self.doubts.append(
            f"Columns are found by position, because {why}. A file whose columns have another "
            "order is not noticed: is the order always the same?"
        )
        return good, HeaderPolicy(match="position")

    def _frame(self) -> dict[str, object]:
        """Return the properties of the dialect for what is before the rows."""
        found: dict[str, object] = {}
        line = self._reading.lines[self._first]
        before = self._reading.text[: self._reading.begins[self._first]]
        ink = [each for each in before.split(b"\n") if each.strip()]
        ignored = self._reading.dialect.comment_char is not None and all(
            each.startswith(_COMMENT.encode()) for each in ink
        )
        if ink and not ignored:
            found["skip_lines"] = line - 1
            shown = quoted(ink[0].decode("utf-8", "replace").strip())
            self.evidence.append(f"The table begins at line {line}; before it is e.g. {shown}.")
        if not self._header:
            found["header"] = False
        elif len(self._header) > 1:
            found["header_rows"] = tuple(i - self._first + 1 for i in self._header)
        return found

    def _has_empty_rows(self) -> bool:
        for i in self._rows:
            if self._reading.widths[i] > 1 and self._reading.is_empty(i):
                self.evidence.append(
                    f"Rows of empty values are ignored, e.g. line {self._reading.lines[i]}."
                )
                return True
        return False

    def _footer(self, end: bytes, *, is_whole: bool) -> Footer | None:
        """Return what follows the rows."""
        last = self._reading if is_whole else read(end, self._reading.dialect, final=True)
        if last is None or self._width == 1:
            return None
        begin = len(last.widths)
        first = self._rows.start if is_whole else 1
        before = self._columns_of_body[0][:-_LONGEST_FOOTER] if self._body else []
        has_totals = any(map(_TRAILER.match, before))
        for i in range(begin - 1, max(first, begin - _LONGEST_FOOTER) - 1, -1):
            filled = [text.strip() for text in last.texts(i) if text.strip()]
            is_wrong = last.widths[i] not in {self._width, self._width - self._is_trailed}
            if is_wrong or (filled and _TRAILER.match(filled[0]) and not has_totals):
                begin = i
            elif filled:
                break
        count = len(last.widths) - begin
        if not 0 < count < _LONGEST_FOOTER or begin == first:
            return None
        rest = last.text[last.begins[begin] :].rstrip(b"\r\n")
        line = rest.partition(b"\n")[0].decode("utf-8", "replace")
        found = re.match(r"\W{,100}[^\W\d]{1,100}", line)
        if (number := rest.count(b"\n") + 1) > MAX_FOOTER:
            return None
        lines = Footer(lines=number)
        self.doubts.append(
            f"What follows the rows is not loaded, from the line {quoted(line.strip())} on: "
            "is it no row?"
        )
        if found is None or not found[0].isascii():
            return lines
        footer = Footer(pattern="^" + re.escape(found[0]).replace(r"\ ", " "))
        is_begin = beginning(str(footer.pattern))
        others = last.text[: last.begins[begin]].splitlines()
        return lines if any(map(is_begin, others)) else footer


def _unique(names: list[str]) -> tuple[str, ...]:
    """Return names with a number where they are empty or repeated."""
    found: dict[str, None] = {}
    numbers: Counter[str] = Counter()
    for position, name in enumerate(names, start=1):
        base = new = name if name.strip() else f"column_{position}"
        while new in found:
            numbers[base] += 1
            new = f"{base}_{numbers[base] + 1}"
        found[new] = None
    return tuple(found)
