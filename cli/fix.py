"""`tm rejects fix`: the landed file once more, with corrected rows in place of rejected ones."""

import codecs
import contextlib
import csv
import io
import itertools
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import botocore.exceptions

from cli import drop, rejects
from cli.console import console
from cli.errors import CommandError
from cli.items import Item, has_run, many
from cli.stack import Stack
from shared.contract import Contract
from shared.ingestion import Ingestion, Source
from shared.landing import read_version
from shared.landing_key import LandingKey
from shared.spreadsheet import unescaped

_NAMED = 5
"""How many lines a message names."""

_MAX_CELL = 2**31 - 1
_MARK_BYTES = 4
_NATIVE = "le" if sys.byteorder == "little" else "be"
_MARKS = {
    "utf-16": {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"},
    "utf-32": {codecs.BOM_UTF32_LE: "utf-32-le", codecs.BOM_UTF32_BE: "utf-32-be"},
}


@dataclass(frozen=True, slots=True)
class Replacement:
    """The text of one row, without its line end, as it is and as it shall be."""

    old: str
    new: str


def fix(
    stack: Stack, item: Item, corrected: Path, contracts: Mapping[str, Contract], *, force: bool
) -> Ingestion:
    """Land a new version of an ingestion's file, and return the ingestion of that version.

    Args:
        stack: where it landed.
        item: the ingestion in the log.
        corrected: a CSV with the columns `line` and `raw`, as `rejects.csv` has them.
        contracts: by table.
        force: whether to replace a version that is newer than the ingestion's.

    Raises:
        CommandError: nothing was rejected, `corrected` does not fit what was, or there is a newer
            version of the file.
        SourceUnreadable: the ingestion's version is gone.
        InvalidContract: that of the table is.
    """
    if not has_run(item):
        raise CommandError(rejects.none_of(item))
    ingestion = Ingestion.from_item(item)
    try:
        contract = contracts[ingestion.table]
    except KeyError:
        raise CommandError(f"There is no contract for {ingestion.table} any more.") from None
    rows = replacements(
        corrections(corrected), rejects.records(stack, item), contract.delimiter, item
    )
    with tempfile.TemporaryFile() as file:
        chunks = read_version(stack.s3, ingestion.source)
        file.writelines(rewritten(chunks, rows, contract.encoding))
        new = _land(stack, ingestion.source, file, force=force)
    key = LandingKey.parse(new.key)
    if key is None:
        raise CommandError(f"{new.key} is no landing key.")
    renewed = Ingestion.of(new, key)
    console.print(
        f"Dropped {key.filename} ({new.size:,} bytes) with "
        f"{many(len(rows), 'corrected row')} as s3://{new.bucket}/{new.key}",
        f"Ingestion {renewed.id}",
        sep="\n",
    )
    return renewed


def corrections(corrected: Path) -> dict[int, list[str]]:
    """Return what a file of corrections says of each line; several cells if several records.

    Raises:
        CommandError: it is no CSV with the columns `line` and `raw`, or a cell is of no use.
    """
    name = corrected.name
    found: dict[int, list[str]] = {}
    try:
        with _long_cells(), corrected.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            if not {"line", "raw"} <= set(reader.fieldnames or ()):
                raise CommandError(
                    f"{name} must be a CSV with commas and the columns 'line' and 'raw', as "
                    "`tm rejects ID --csv` writes it; its first line has "
                    f"{', '.join(map(repr, reader.fieldnames or ['nothing']))}."
                )
            for record in reader:
                line, raw = record["line"] or "", record["raw"]
                if not re.fullmatch("[0-9]{1,18}", line):
                    raise CommandError(
                        f"{name}, line {reader.line_num}: {line!r} is no line number."
                    )
                if not raw:
                    raise CommandError(
                        f"{name}, line {reader.line_num}: 'raw' is empty, and a line cannot be "
                        f"removed by correcting it; to leave line {line} as it is, leave its "
                        "record out."
                    )
                found.setdefault(int(line), []).append(unescaped(raw))
    except UnicodeDecodeError as error:
        raise CommandError(f"{name} is not UTF-8 ({error}): save it as CSV UTF-8.") from error
    except csv.Error as error:
        raise CommandError(f"{name} cannot be read as CSV: {error}.") from error
    return found


def replacements(
    corrections: Mapping[int, list[str]],
    records: Iterable[rejects.Record],
    delimiter: str,
    item: Item,
) -> dict[int, Replacement]:
    """Return the rows to replace, by their first physical line.

    A cell that says what the row says already asks for nothing: `rejects.csv` names a row once for
    each rule that it failed, and nobody need correct all of them.

    Args:
        corrections: what shall stand at each line.
        records: the rejects of the ingestion.
        delimiter: the contract's.
        item: the ingestion in the log.

    Raises:
        CommandError: a line was not rejected, has two corrections, or one that is no row; or
            nothing is corrected.
    """
    any_rejects = False
    old: dict[int, str] = {}
    for record in records:
        any_rejects = True
        if record["line"] in corrections:
            old[record["line"]] = record["raw"]
    if not any_rejects:
        raise CommandError(rejects.none_of(item))
    if unknown := sorted(corrections.keys() - old.keys()):
        raise CommandError(
            f"{_lines(unknown)} not among the rejects of {item['ingestedID']}, so nothing was "
            f"changed: `tm rejects {item['ingestedID']}` shows which are."
        )
    rows = {}
    for line, raw in sorted(old.items()):
        new = {cell for cell in corrections[line] if _unwrapped(cell) != _unwrapped(raw)}
        if len(new) > 1:
            raise CommandError(f"Line {line} has {len(new)} different corrections: keep one.")
        for cell in new:
            rows[line] = Replacement(raw, _one_row(line, cell, delimiter))
    if not rows:
        raise CommandError("No row is corrected: each 'raw' is what the file says already.")
    return rows


def rewritten(
    chunks: Iterable[bytes], rows: Mapping[int, Replacement], encoding: str
) -> Iterator[bytes]:
    """Yield a file's bytes with some rows replaced; every other byte, and line end, stays.

    Args:
        chunks: the file's bytes, cut anywhere.
        rows: by first physical line.
        encoding: the contract's.

    Raises:
        CommandError: the file does not say what was rejected, or a character has no place in its
            encoding.
    """
    chunks = iter(chunks)
    begin = b""
    while len(begin) < _MARK_BYTES and (chunk := next(chunks, b"")):
        begin += chunk
    codec = _codec(encoding, begin)
    lines = _physical_lines(itertools.chain([begin], chunks), "\n".encode(codec))
    numbered = enumerate(lines, start=1)
    left = dict(rows)
    for number, line in numbered:
        row = left.pop(number, None)
        if row is None:
            yield line
            continue
        further = (text for _, text in itertools.islice(numbered, row.old.count("\n")))
        text = b"".join([line, *further]).decode(codec)
        end = text.removeprefix(row.old)
        if not text.startswith(row.old) or end not in {"\r\n", "\n", "\r", ""}:
            raise _differs(number)
        try:
            yield (row.new + end).encode(codec)
        except UnicodeEncodeError as error:
            raise CommandError(
                f"Line {number}: the character {error.object[error.start]!r} does not exist in "
                f"{encoding}, which is what the file is written in."
            ) from error
    for number in left:
        raise _differs(number)


def _land(stack: Stack, source: Source, file: IO[bytes], *, force: bool) -> Source:
    place = {"Bucket": source.bucket, "Key": source.key}
    newer = CommandError(
        f"s3://{source.bucket}/{source.key} has been dropped again, or deleted, since: its newest "
        "version is not this ingestion's. Correct that version's rejects, or replace it all the "
        "same with --force."
    )
    condition: dict[str, Any] = {}
    if not force:
        try:
            newest = stack.s3.head_object(**place)
        except botocore.exceptions.ClientError as error:
            if error.response["Error"]["Code"] != "404":
                raise
            raise newer from error
        if newest.get("VersionId") != source.version_id:
            raise newer
        # S3 itself looks again when it takes the file.
        condition = {"IfMatch": newest["ETag"]}
    size = file.tell()
    file.seek(0)
    try:
        answer = stack.s3.put_object(**place, **condition, Body=file)
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] != "PreconditionFailed":
            raise
        raise newer from error
    return drop.stored(source.bucket, source.key, answer, size)


@contextlib.contextmanager
def _long_cells() -> Iterator[None]:
    # A row may have been rejected for a value that is longer than a value may be.
    limit = csv.field_size_limit(_MAX_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _one_row(line: int, text: str, delimiter: str) -> str:
    # A quote that is left open, or a second row, would move all that follows.
    row = text.rstrip("\r\n")
    lines = io.StringIO(row, newline="\n")
    try:
        rows = list(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise CommandError(f"The correction of line {line} cannot be read: {error}.") from error
    if len(rows) != 1 or not rows[0]:
        raise CommandError(
            f"The correction of line {line} is {len(rows)} rows: one row replaces one."
        )
    return row


def _unwrapped(text: str) -> str:
    # Spreadsheets change the line ends inside cells, which is nobody's correction.
    return text.replace("\r\n", "\n").rstrip("\n")


def _codec(encoding: str, begin: bytes) -> str:
    """Return the codec of what stands in the middle of a file, where no byte order mark does."""
    name = codecs.lookup(encoding).name
    for mark, codec in _MARKS.get(name, {}).items():
        if begin.startswith(mark):
            return codec
    return f"{name}-{_NATIVE}" if name in _MARKS else name.removesuffix("-sig")


def _physical_lines(chunks: Iterable[bytes], newline: bytes) -> Iterator[bytes]:
    width = len(newline)
    rest = b""
    for chunk in chunks:
        pieces = (rest + chunk).split(newline)
        last = pieces.pop()
        line = b""
        for piece in pieces:
            line += piece + newline
            # Two characters side by side may hold the bytes of a newline between them.
            if len(line) % width == 0:
                yield line
                line = b""
        rest = line + last
    if rest:
        yield rest


def _differs(line: int) -> CommandError:
    return CommandError(
        f"Line {line} of the landed file is not what was rejected: the contract has changed since. "
        "Replay the ingestion, and correct its new rejects."
    )


def _lines(numbers: list[int]) -> str:
    named = ", ".join(map(str, numbers[:_NAMED])) + (", …" if len(numbers) > _NAMED else "")
    return f"Line {named} is" if len(numbers) == 1 else f"Lines {named} are"
