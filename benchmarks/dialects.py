"""Benchmark of sniffing: how many forms of annotated files it finds, next to other sniffers.

    python -m benchmarks.dialects FOLDER [--failing]

FOLDER has the form of the data sets of the benchmark Pollock
(https://github.com/HPI-Information-Systems/Pollock): the files in `csv`, and for each file X the
JSON object `parameters/X_parameters.json` with `encoding`, `delimiter`, `quotechar`, `escapechar`,
`preamble_lines` (records before the header) and `header_lines` (records of the header). The others
are used if their packages are installed: `pip install clevercsv duckdb`.

Two things can be correct:

- The dialect: Python's csv module reads the same values with the delimiter, quote and escape found
  as with those annotated; spaces around values do not count. A quote that no value has is correct.
- The header: it begins on the annotated line, or there is none; and so do the rows.

A file without rows is correct if it is refused. Each sniffer gets the first MiB as UTF-8. Ours also
gets the bytes: its encoding is correct if the text is the same as with the annotated one.
"""

import argparse
import collections
import csv
import importlib.util
import io
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from cli.sniffing import Sniffed

_BYTES = 1 << 20


Marks = tuple[str | None, str | None, str | None]
"""The delimiter, the quote and the escape character; None if there is none."""


class Form(NamedTuple):
    """The form of a file, with the lines on which header and rows begin; None if there are none."""

    marks: Marks
    header: int | None
    rows: int | None


def main() -> None:
    """Print a table of the sniffers, and which files ours does not find."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--failing", action="store_true", help="print what differs in each file")
    arguments = parser.parse_args()
    csv.field_size_limit(1 << 30)
    files = sorted((arguments.folder / "csv").iterdir())
    texts = {file: _text(file, _parameters(file)["encoding"]) for file in files}
    print(f"{len(files)} files    dialect and header   dialect    header   seconds")
    for name, sniff in _SNIFFERS.items():
        if name != "tm" and importlib.util.find_spec(name) is None:
            continue
        counts, failing = collections.Counter[str](), []
        begin = time.perf_counter()
        found = {file: sniff(text) for file, text in texts.items()}
        seconds = time.perf_counter() - begin
        for file, text in texts.items():
            expected = _annotated(text, _parameters(file))
            right = _judged(text, expected, found[file])
            counts.update(right)
            counts["both"] += len(right) == 2
            if len(right) < 2:
                failing.append((file.name, right, expected, found[file]))
        shown = (f"{counts[each]:3} ({counts[each] / len(files):4.0%})" for each in _COLUMNS)
        print(f"{name:12} {'  '.join(shown)}  {seconds:6.1f}")
        if arguments.failing:
            for file_name, right, expected, form in failing:
                print(f"  {file_name}: right: {sorted(right)}; {_flat(expected)}; {_flat(form)}")
    wrong = [file.name for file in files if not _has_encoding(file)]
    print(f"encoding: {len(files) - len(wrong)} ({1 - len(wrong) / len(files):.0%})")
    if arguments.failing:
        print(*(f"  {name}" for name in wrong), sep="\n")


_COLUMNS = ("both", "dialect", "header")


def _flat(form: Form | None) -> str:
    return "none" if form is None else " ".join(map(repr, [*form.marks, *form[1:]]))


def _parameters(file: Path) -> dict[str, Any]:
    path = file.parent.parent / "parameters" / f"{file.name}_parameters.json"
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def _text(file: Path, encoding: str) -> str:
    with file.open("rb") as content:
        data = content.read(_BYTES)
    # The cut may divide a line and a character.
    return data[: len(data) if len(data) < _BYTES else data.rfind(b"\n") + 1].decode(
        encoding, "replace"
    )


def _has_encoding(file: Path) -> bool:
    from cli.sniffing import Sniffed, sample_of, sniff

    found = sniff(sample_of([file.read_bytes()]))
    expected = _text(file, _parameters(file)["encoding"])
    return not (expected and isinstance(found, Sniffed)) or expected == _text(file, found.encoding)


def _annotated(text: str, parameters: dict[str, Any]) -> Form | None:
    marks = _marks(*(parameters[each] for each in ("delimiter", "quotechar", "escapechar")))
    if marks[0] is None:
        return None
    lines = [line for line, _ in _records(text, *marks)]
    first = int(parameters["preamble_lines"])
    return _form(text, marks, first, first + int(parameters["header_lines"]), lines)


def _marks(delimiter: str | None, quote: str | None, escape: str | None) -> Marks:
    """Return marks; a quote that escapes itself is the usual one."""
    return delimiter or None, quote or None, None if escape == quote else escape or None


def _form(text: str, marks: Marks, header: int, rows: int, lines: list[int]) -> Form:
    """Return a form from the indices of the records with which header and rows begin."""
    filled = {line for line, values in _records(text, *marks) if values}
    after = [line for line in lines[rows:] if line in filled]
    first = [line for line in lines[header:rows] if line in filled]
    return Form(marks, first[0] if first else None, after[0] if after else None)


def _records(
    text: str, delimiter: str | None, quote: str | None, escape: str | None
) -> list[tuple[int, list[str]]]:
    """Return the values of each record, with the line on which it begins."""
    found, line = [], 1
    reader = csv.reader(
        io.StringIO(text.replace("\0", ""), newline=""),
        delimiter=delimiter or ",",
        quotechar=quote,
        quoting=csv.QUOTE_NONE if quote is None else csv.QUOTE_MINIMAL,
        escapechar=escape,
    )
    for values in reader:
        found.append((line, [each.strip() for each in values]))
        line = reader.line_num + 1
    return found


def _judged(text: str, expected: Form | None, found: Form | None) -> set[str]:
    if expected is None or found is None:
        return {"dialect", "header"} if expected is found else set()
    # The lines before the rows may have other marks.
    rows = [each for each in _records(text, *expected.marks) if each[0] >= (expected.rows or 0)]
    same = [each for each in _records(text, *found.marks) if each[0] >= (expected.rows or 0)]
    right = {"dialect"} if rows == same else set()
    return right | ({"header"} if expected[1:] == found[1:] else set())


def _tm(text: str) -> Form | None:
    from cli.sniffing import sample_of, sniff
    from shared.rows import read_table
    from shared.verdict import Refusal

    found = sniff(sample_of([text.encode()]))
    if isinstance(found, Refusal):
        return None
    dialect = found.dialect
    table = read_table([text.encode()], found.contract)
    if isinstance(table, Refusal):
        return None
    header = table.line if table.header is not None else _header_line(text, found)
    rows = [each() for each in table.chunks if not isinstance(each, Refusal)]
    lines = [min(each.lines.to_pylist() + each.malformed["line"].to_pylist()) for each in rows]
    marks = dialect.delimiter, dialect.quote_char, dialect.escape_char
    return Form(marks, header, min(lines, default=None))


def _header_line(text: str, found: "Sniffed") -> int | None:
    """Return the line of a header that says nothing about the columns."""
    if not found.dialect.header:
        return None
    lines = text.split("\n")
    return next(
        number
        for number, line in enumerate(lines, start=1)
        if number > found.dialect.skip_lines and line.strip()
    )


def _duckdb(text: str) -> Form | None:
    import duckdb

    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        file.write(text.encode())
        file.flush()
        query = "SELECT Delimiter, Quote, Escape, SkipRows, HasHeader FROM sniff_csv(?)"
        try:
            row = duckdb.execute(query, [file.name]).fetchone()
        except duckdb.Error:
            return None
    assert row is not None
    marks = _marks(*("" if each in {"\0", "(empty)"} else each for each in row[:3]))
    lines = [line for line, _ in _records(text, *marks)]
    first = next((i for i, line in enumerate(lines) if line > row[3]), len(lines))
    return _form(text, marks, first, first + row[4], lines)


def _clevercsv(text: str) -> Form | None:
    import clevercsv

    sniffer = clevercsv.Sniffer()
    try:
        found = sniffer.sniff(text)
        has_header = sniffer.has_header(text)
    except (clevercsv.Error, StopIteration):  # the latter for a file without rows
        return None
    if found is None:
        return None
    marks = _marks(found.delimiter, found.quotechar, found.escapechar)
    lines = [line for line, _ in _records(text, *marks)]
    return _form(text, marks, 0, int(has_header), lines)


_SNIFFERS: dict[str, Callable[[str], Form | None]] = {
    "tm": _tm,
    "clevercsv": _clevercsv,
    "duckdb": _duckdb,
}


if __name__ == "__main__":
    main()
