"""`tm rejects fix`: upload of a landed file with corrected rows in place of rejected ones."""

import codecs
import contextlib
import csv
import itertools
import re
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
from shared import json_lines, undecodable
from shared.compression import pack, unpack
from shared.contract import Contract
from shared.dialect import Dialect
from shared.file_types import start_of
from shared.grammar import Fault, grammar
from shared.ingestion import Ingestion, Source
from shared.json_lines import Objects
from shared.landing import LandedFile
from shared.spreadsheet import unescaped
from shared.verdict import Refusal

_NAMED = 5  # maximum number of lines in a message

_MAX_CELL = 2**31 - 1
_ENDS = {b"", b"\r", b"\n", b"\r\n"}
"""What may follow the text of a row, if lines end with LF or are swapped."""
_STATEFUL = ("hz", "iso2022", "utf-7")
"""Codecs in which the bytes of a line may change the meaning of later ones."""
_MARKS = {
    "utf-16": {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"},
    "utf-32": {codecs.BOM_UTF32_LE: "utf-32-le", codecs.BOM_UTF32_BE: "utf-32-be"},
}


@dataclass(frozen=True, slots=True)
class Replacement:
    """The old and new text of one row, without its line end."""

    old: str
    new: str


def fix(
    stack: Stack, item: Item, corrected: Path, contracts: Mapping[str, Contract], *, force: bool
) -> Ingestion:
    """Upload a corrected version of an ingestion's file; return the new version's ingestion.

    `corrected` is a CSV with the columns `line` and `raw` of `rejects.csv`. With `force`, replace a
    version that is newer than the ingestion's.

    Raises:
        CommandError: the ingestion has no rejects, `corrected` does not match them, or a newer
            version of the file has landed.
        SourceUnreadable: the ingestion's version no longer exists.
        InvalidContract: the contract of the table is invalid.
    """
    if not has_run(item):
        raise CommandError(rejects.none_of(item))
    ingestion = Ingestion.from_item(item)
    try:
        contract = contracts[ingestion.table]
    except KeyError:
        raise CommandError(
            f"The stack no longer has a contract for {ingestion.table}: deploy one, then try again."
        ) from None
    rows = replacements(corrections(corrected), rejects.records(stack, item), contract, item)
    with tempfile.TemporaryFile() as file:
        landed = unpack(LandedFile(stack.s3, ingestion.source), contract.compression)
        chunks = rewritten(_bytes(landed.chunks), rows, contract.encoding, contract.dialect)
        pack(chunks, file, landed.packed)
        new = _upload(stack, ingestion.source, file, force=force)
    renewed = drop.ingestion(stack, new)
    console.print(
        f"Uploaded {new.key.rpartition('/')[2]} ({new.size:,} bytes) with "
        f"{many(len(rows), 'corrected row')} as s3://{new.bucket}/{new.key}",
        f"Ingestion {renewed.id}",
        sep="\n",
    )
    drop.print_waiting(stack, renewed)
    return renewed


def corrections(corrected: Path) -> dict[int, list[str]]:
    """Return the texts in the column `raw` of a correction file, by line number.

    Raises:
        CommandError: the file is not a CSV with the columns `line` and `raw`, or a cell is invalid.
    """
    name = corrected.name
    found: dict[int, list[str]] = {}
    try:
        with _long_cells(), corrected.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            if not {"line", "raw"} <= set(reader.fieldnames or ()):
                raise CommandError(
                    f"{name} must be a comma-separated CSV with the columns 'line' and 'raw', like "
                    "the output of `tm rejects ID --csv`; its first line has "
                    f"{', '.join(map(repr, reader.fieldnames or ['nothing']))}."
                )
            for record in reader:
                line, raw = record["line"] or "", record["raw"]
                if not re.fullmatch("[0-9]{1,18}", line):
                    raise CommandError(
                        f"{name}, line {reader.line_num}: {line!r} is not a line number."
                    )
                if not raw:
                    raise CommandError(
                        f"{name}, line {reader.line_num}: 'raw' is empty, but a correction cannot "
                        f"remove a line. To keep line {line} unchanged, delete this record."
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
    contract: Contract,
    item: Item,
) -> dict[int, Replacement]:
    """Return the rows to replace, by their first physical line.

    `corrections` are the new texts by line number, `records` the rejects of the ingestion. An
    unchanged cell is not a correction: `rejects.csv` lists a row once for each rule that it failed,
    and one corrected record is enough.

    Raises:
        CommandError: a corrected line was not rejected, a line has two different corrections, a
            correction is not one row, or there are no corrections.
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
            f"uploaded: `tm rejects {item['ingestedID']}` lists the rejected lines."
        )
    rows = {}
    for line, raw in sorted(old.items()):
        new = {cell for cell in corrections[line] if _unwrapped(cell) != _unwrapped(raw)}
        if len(new) > 1:
            raise CommandError(f"Line {line} has {len(new)} different corrections: keep only one.")
        for cell in new:
            rows[line] = Replacement(raw, _one_row(line, cell, contract))
    if not rows:
        raise CommandError("No row is corrected: every 'raw' is the same as in the landed file.")
    return rows


def rewritten(
    chunks: Iterable[bytes], rows: Mapping[int, Replacement], encoding: str, dialect: Dialect
) -> Iterator[bytes]:
    """Yield a file's bytes with some rows replaced; all other bytes stay unchanged.

    The chunks may be split anywhere. `rows` are the replacements by first physical line.

    Raises:
        CommandError: a row differs from the rejected one, or the encoding cannot express its new
            text.
    """
    start, chunks = start_of(chunks)
    codec, mark = _codec(encoding, start)
    yield mark
    newline = dialect.swapped(b"\n").decode()
    lines = _physical_lines(_after(mark, chunks), newline.encode(codec))
    numbered = enumerate(lines, start=1)
    left = dict(rows)
    for number, line in numbered:
        row = left.pop(number, None)
        if row is None:
            yield line
            continue
        further = (text for _, text in itertools.islice(numbered, row.old.count(newline)))
        yield _replaced(number, b"".join([line, *further]), row, codec, dialect)
    for number in left:
        raise _differs(number)


def _bytes(chunks: Iterable[bytes | Refusal]) -> Iterator[bytes]:
    for chunk in chunks:
        if isinstance(chunk, Refusal):
            raise CommandError(f"The landed file can no longer be read: {chunk.reason}.")
        yield chunk


def _after(mark: bytes, chunks: Iterable[bytes]) -> Iterator[bytes]:
    left = len(mark)
    for chunk in chunks:
        yield chunk[left:]
        left = max(left - len(chunk), 0)


def _replaced(number: int, lines: bytes, row: Replacement, codec: str, dialect: Dialect) -> bytes:
    """Return the bytes of the new row in place of the old one, which is all of `lines`."""
    try:
        text = undecodable.decoded(lines, codec)
    except UnicodeDecodeError:
        raise _differs(number) from None
    if codec.startswith(_STATEFUL) and lines != text.encode(codec, "replace"):
        raise CommandError(
            f"Line {number} cannot be replaced, because in {codec} it may change the meaning of "
            "other lines: upload a corrected file instead."
        )
    old = undecodable.shown(text)
    end = old.removeprefix(row.old)
    # The character 0x1A may end a file.
    is_end = dialect.swapped(end.rstrip("\x1a").encode()) in _ENDS
    if not old.startswith(row.old) or not is_end:
        raise _differs(number)
    if left := sorted(each for each in undecodable.escapes(text) if each in row.new):
        raise CommandError(
            f"The correction of line {number} still contains {left[0]}, which stands for a byte "
            "that is not a character: replace it by the character."
        )
    try:
        return (row.new + end).encode(codec)
    except UnicodeEncodeError as error:
        raise CommandError(
            f"Line {number}: the file's encoding {codec} has no character "
            f"{error.object[error.start]!r}. Use a character that it has."
        ) from error


def _upload(stack: Stack, source: Source, file: IO[bytes], *, force: bool) -> Source:
    place = {"Bucket": source.bucket, "Key": source.key}
    newer = CommandError(
        f"s3://{source.bucket}/{source.key} was uploaded again or deleted after this ingestion. "
        "Correct the rejects of the newest version, or replace it with --force."
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
        # S3 checks again when it stores the file.
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
    # A row may have been rejected because a value exceeds the default limit.
    limit = csv.field_size_limit(_MAX_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _one_row(line: int, text: str, contract: Contract) -> str:
    # An open quote or a second row would change all later rows.
    row = text.rstrip("\r\n")
    fault = _fault(row, contract)
    if fault is not None:
        raise CommandError(f"The correction of line {line} {fault}.")
    return row


def _fault(row: str, contract: Contract) -> str | None:
    """Return why a text is not exactly one row of the contract's files; None if it is."""
    match contract.file_format:
        case "csv":
            lines = contract.dialect.swapped(row.encode()) + b"\n"
            rules = grammar(contract.dialect, lines)
            found = rules and rules.first(rules.encoded(lines), final=True)
            if isinstance(found, Fault):
                return f"cannot be read: {found}"
            is_one = rules is not None and found == (0, len(rules.encoded(lines)))
            return None if is_one else "must be exactly one row"
        case "jsonLines":
            [read] = Objects(contract).read([row.encode()])
            if isinstance(read, json_lines.Fault):
                return f"cannot be read: {read.reason}"
            return None if read is not None and "\n" not in row else "must be exactly one row"


def _unwrapped(text: str) -> str:
    # Spreadsheets change line ends inside cells. That is not a correction.
    return text.replace("\r\n", "\n").rstrip("\n")


def _codec(encoding: str, start: bytes) -> tuple[str, bytes]:
    """Return the codec for the text of a file that begins with `start`, and its byte order mark."""
    name = undecodable.plain_codec(encoding)
    for mark, codec in _MARKS.get(name, {}).items():
        if start.startswith(mark):
            return codec, mark
    mark = "\ufeff".encode(name, "ignore")
    return name, mark if start.startswith(mark) else b""


def _physical_lines(chunks: Iterable[bytes], newline: bytes) -> Iterator[bytes]:
    width = len(newline)
    rest = b""
    for chunk in chunks:
        text = rest + chunk
        begin, at = 0, text.find(newline)
        while at != -1:
            # The last byte of one character and the first of the next may look like a newline.
            is_newline = at % width == 0
            if is_newline:
                yield text[begin : at + width]
                begin = at + width
            at = text.find(newline, at + (width if is_newline else 1))
        rest = text[begin:]
    if rest:
        yield rest


def _differs(line: int) -> CommandError:
    return CommandError(
        f"Line {line} of the landed file differs from the rejected row because the contract has "
        "changed. Replay the ingestion, then correct its new rejects."
    )


def _lines(numbers: list[int]) -> str:
    named = ", ".join(map(str, numbers[:_NAMED])) + (", …" if len(numbers) > _NAMED else "")
    return f"Line {named} is" if len(numbers) == 1 else f"Lines {named} are"
