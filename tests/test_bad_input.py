"""Faulty files: for each, its outcome and the reason that its sender reads."""

import codecs
import datetime as dt
import gzip
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from functions.transform.transformation import transform
from shared import lines
from shared.column import Column
from shared.contract import Contract, HeaderPolicy
from shared.dialect import Dialect, Footer
from shared.endings import Outcome
from shared.formats import Format
from shared.ingestion import Source
from shared.manifest import Manifest
from shared.odcs import load_all
from shared.quality import Length, Pattern, RowCount, UniqueRows
from shared.staging import Staging
from tests import slow_reader
from tests.fixtures.aws import KEY, LANDING, ingestion_of
from tests.fixtures.contracts import column
from tests.processing import NOW, process

CHECKINS = load_all()["dailycheckins"]
AT = "2019-09-27 00:00:00 UTC"
HEADER = "user,timestamp,hours,project\n"
GOOD = f"ned,{AT},8.0,x\n"


def contract(other: Column | None = None, **changes: Any) -> Contract:
    """Return a contract with a text column `a` and a second column `b`."""
    columns = (column("a", "string", "text"), other or column("b", "string", "text"))
    return Contract(table="t", relation="t", version="1", columns=columns, **changes)


PLAIN = contract()
SEMICOLONS = contract(
    column("b", "number", "numeric(5,2)"), dialect=Dialect(delimiter=";"), decimal_mark=","
)
SMALL = contract(column("b", "integer", "smallint"))
BOOLEAN = contract(column("b", "boolean", "boolean", true_tokens=("yes",), false_tokens=("no",)))
BOTH = (Format(pattern="dd/MM/yyyy"), Format(pattern="MM/dd/yyyy"))
DATES = contract(column("b", "date", "date", formats=BOTH))
STAMPS = (Format(pattern="iso8601"), Format(pattern="EEE, d MMM yy"))
STAMPED = contract(column("b", "timestamp", "timestamptz", formats=STAMPS))
LOCAL = {"timezone": "Europe/Berlin", "formats": (Format(pattern="yyyy-MM-dd HH:mm"),)}
BERLIN = contract(column("b", "timestamp", "timestamptz", **LOCAL))
RULES = (Length(name="maxLength", maximum=3), Pattern(name="letters", regex="[a-zß]*"))
SHORT = contract(column("b", "string", "varchar(3)", rules=RULES))
PAIRS = contract(unique_rows=(UniqueRows(name="primaryKey", columns=("a", "b")),))
ORDERED = contract(header_policy=HeaderPolicy(order="contract"))
QUARANTINE = contract(encoding_errors="reject")
COUNTRIES = contract(
    column("b", "string", "text", null_tokens=()), dialect=Dialect(null_sequence=("NA",))
)
PRICES = contract(
    column("b", "number", "numeric(12,2)", group_char=",", bare_number=False, trim=True)
)
TOLERANT = contract(header_policy=HeaderPolicy(unknown="ignore"))
FOLDED = contract(
    column("b", "string", "text", aliases=("Straße",)), header_policy=HeaderPolicy(match="folded")
)
RENAMED = contract(column("b", "string", "text", aliases=("old b", "older b")))
OPTIONAL = contract(column("b", "string", "text", optional=True))
OPTIONAL_ELSE_IGNORED = contract(
    column("b", "string", "text", optional=True), header_policy=HeaderPolicy(unknown="ignore")
)
BY_POSITION = contract(header_policy=HeaderPolicy(match="position"))
FIRST_TWO = contract(header_policy=HeaderPolicy(match="position", unknown="ignore"))
FIRST_OR_BOTH = contract(
    column("b", "string", "text", optional=True), header_policy=HeaderPolicy(match="position")
)
JSON = contract(column("b", "string", "jsonb"), file_format="jsonLines")
JSON_TOLERANT = contract(
    column("b", "string", "text", aliases=("Straße",), quoted_empty="text"),
    header_policy=HeaderPolicy(match="folded", unknown="ignore"),
    file_format="jsonLines",
)
JSON_QUARANTINE = contract(encoding_errors="reject", file_format="jsonLines")
NO_JSON_ROWS = contract(file_format="jsonLines", row_counts=(RowCount(name="any", minimum=0),))
NO_ROWS = contract(row_counts=(RowCount(name="any", minimum=0),))
FEW_ROWS = contract(row_counts=(RowCount(name="few", maximum=5),))


@dataclass(frozen=True)
class Loaded:
    """All rows are loaded; `values` are some values of the last one, if there is one."""

    values: dict[str, Any]
    rows: int = 1


@dataclass(frozen=True)
class Rejected:
    """A row is rejected, with these fields of the first reject, and `loaded` rows are loaded."""

    rule: str
    line: int
    reason: str
    column: str | None = None
    loaded: int = 0


@dataclass(frozen=True)
class Refused:
    """Transform refuses the file."""

    reason: str


@dataclass(frozen=True)
class Halted:
    """Test halts the file, although its rows are valid."""

    reason: str


def checkin(**changes: str) -> str:
    row = {"user": "ned", "timestamp": AT, "hours": "8.0", "project": "x"} | changes
    return HEADER + ",".join(row.values()) + "\n"


def unchanged(**changes: str) -> tuple[str, Loaded]:
    """Return a check-in whose values are loaded as written."""
    return checkin(**changes), Loaded(changes)


def bad(rule: str, reason: str, loaded: int = 0, **change: str) -> tuple[str, Rejected]:
    """Return a check-in with one changed value, to which the rule applies."""
    [column] = change
    return checkin(**change), Rejected(rule, 2, f"^{column} {reason}", column, loaded)


def bad_hours(text: str, reason: str) -> tuple[str, Rejected]:
    return bad("number", reason, hours=text)


def bad_time(text: str) -> tuple[str, Rejected]:
    reason = "is not a valid date in any of the formats yyyy-MM-dd HH:mm:ss"
    return bad("timestamp", reason, timestamp=text)


def not_utf8(line: int, byte: str) -> Refused:
    return Refused(
        f"^line {line} is not utf-8 text: byte {byte} .*; send the file as utf-8, or change"
    )


def at(*parts: int) -> dict[str, dt.datetime]:
    return {"timestamp": dt.datetime(*parts, tzinfo=dt.UTC)}  # type: ignore[misc, arg-type]


def typed(physical_type: str, text: str, value: object = None) -> "Case":
    """Return a file with a missing value and one to load as `value`, or to reject if it is None."""
    logical_type = {"time": "time", "uuid": "string", "jsonb": "string"}.get(
        physical_type, "number"
    )
    formats = {"formats": [Format(pattern="HH:mm")]} if physical_type == "time" else {}
    b = column("b", logical_type, physical_type, **formats)
    rejected = Rejected(b.kind, 3, "^b ", "b", loaded=1)
    outcome = rejected if value is None else Loaded({"b": value}, 2)
    return f"a,b\nx,\nx,{text}\n", outcome, contract(b)


NO_NUMBER = r"is not a number \(digits, optionally followed by '\.' and digits\)"
TOO_LARGE = "has more than 3 digits before the decimal mark"
TOO_LONG = "does not have at most 100 characters"
TABLE = "Report\na,b\n1,2\nTOTAL,3\n,\n4,5\n"


def bad_line(rule: str, reason: str, line: str) -> "Case":
    """Return a file with one bad JSON line among good ones."""
    good = '{"a": "x", "b": {}}\n'
    return (f"{good}\n{good}{line}\n{good}", Rejected(rule, 4, reason, loaded=3), JSON)


def framed(**dialect: Any) -> Contract:
    return contract(dialect=Dialect(**dialect))


TRAILER = r"^T,(?P<rows>[^,]*),(?P<sum_b>.*)$"
TOTALED = contract(
    column("b", "number", "numeric(6,2)", group_char="'"),
    dialect=Dialect(footer=Footer(pattern=TRAILER)),
    row_counts=(RowCount(name="any", minimum=0),),
)
DELIVERY = b"a,b\nx,0.125\ny,\nz,1'000\n,abc\n"
"""Four rows with the sum 1000.125."""
ZIPPED = gzip.compress(DELIVERY)


def vouched(**manifest: Any) -> Contract:
    """Return a contract whose files have a manifest."""
    return contract(column("b", "number", "numeric(6,2)", group_char="'")).model_copy(
        update={"manifest": Manifest.model_validate({"name": "control.txt"} | manifest)}
    )


SUMMED = vouched(pattern=r"(?P<name>\S+) (?P<rows>\S+)(?: (?P<sum_b>\S+))?")
SIZED = vouched(pattern="size=(?P<size>.*)|(?i)md5=(?P<md5>.*)|sha256=(?P<sha256>.*)")
LISTED = vouched(entries="files[].{name: path, rows: n, sum_b: total}")


def width(values: int, *, line: int, loaded: int = 0) -> Rejected:
    """Return the rejection of a row with another number of values."""
    reason = f"^{values} value{'s' * (values > 1)} instead of [24]$"
    return Rejected("columnCount", line, reason, loaded=loaded)


NO_HEADER = Refused("the file has no header")
ONLY_HEADER = Refused("the file has a header but no rows")
ONE_TWO = Loaded({"a": "1", "b": "2"})
NOTHING = Loaded({}, rows=0)
ONE_BAD_NUMBER = Rejected("number", 5, "b is not a number", "b", loaded=3)
ANY = Loaded({"user": "ned", "project": "x"})
Result = Loaded | Rejected | Refused | Halted
Case = (
    tuple[str | bytes, Result]
    | tuple[str | bytes, Result, Contract]
    | tuple[str | bytes, Result, Contract, bytes]  # with the content of the manifest
)

CASES: dict[str, Case] = {
    # The file as a whole.
    "nothing at all": (b"", Refused("the file is empty")),
    "a byte order mark alone": (codecs.BOM_UTF8, NO_HEADER),
    "one newline": (b"\n", NO_HEADER),
    "newlines alone": (b"\r\n" * 50, NO_HEADER),
    "a header alone": (HEADER, ONLY_HEADER),
    "a header without line end": (HEADER.strip(), ONLY_HEADER),
    "a header and blank lines": (HEADER + "\n\r\n", ONLY_HEADER),
    "nothing where that is allowed": (b"", NOTHING, NO_ROWS),
    "newlines alone where no rows are allowed": (b"\n\r\n", NOTHING, NO_ROWS),
    "a header alone where no rows are allowed": ("a,b\n", NOTHING, NO_ROWS),
    "a wrong header alone where no rows are allowed": (
        "a,c\n",
        Refused("missing: 'b'; unknown: 'c'"),
        NO_ROWS,
    ),
    "every row rejected where no rows are allowed": ("a,b\n1\n", width(1, line=2), NO_ROWS),
    "a header alone with a maximum of rows": ("a,b\n", ONLY_HEADER, FEW_ROWS),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", not_utf8(1, "0x89")),
    "gzip": (gzip.compress(checkin().encode()), ANY),
    "gzip that ends early": (
        gzip.compress(checkin().encode())[:-1],
        Refused("^the gzip file ends early: upload it again$"),
    ),
    "gzip whose checksum is wrong": (
        gzip.compress(checkin().encode())[:-8] + b"\0" * 8,
        Refused(r"^the gzip file cannot be read \(CRC check failed .*\): compress the file again"),
    ),
    "gzip of nothing": (gzip.compress(b""), Refused("^the file is empty$")),
    "gzip of nothing where that is allowed": (gzip.compress(b""), NOTHING, NO_ROWS),
    "gzip of a PDF document": (
        gzip.compress(b"%PDF-1.7\n%\xe2\xe3"),
        Refused("^the unpacked file is a PDF document: send its table as CSV$"),
    ),
    "a malformed row in gzip": (gzip.compress(b"a,b\n1,2\n3\n"), width(1, line=3, loaded=1), PLAIN),
    "half a workbook": (
        b"PK\x03\x04\x14\0\x06\0\x08\0\0\0!\0\xcf",
        Refused(r"^the ZIP archive cannot be read \(File is not a zip file\): compress the file"),
    ),
    "half a workbook whose rows may be rejected": (
        b"PK\x03\x04\x14\0\x06\0\x08\0\0\0!\0\xcf\n\xcf",
        Refused("^the ZIP archive cannot be read"),
        QUARANTINE,
    ),
    "a name like a type of file": ("PAR1,b\n1,2\n", Refused("unknown: 'PAR1'"), PLAIN),
    "JSON": (
        '{"user": "ned"}\n{"user": "al"}\n',
        Refused("^the file is JSON: send it as CSV, or set fileFormat: jsonLines in the contract$"),
    ),
    "HTML": (
        "<!DOCTYPE html>\n<p>502</p>\n",
        Refused("^the file is a web page .HTML., perhaps a server's error message: send the data"),
    ),
    "UTF-16": (checkin().encode("utf-16"), Refused("^the file looks like UTF-16 text: send it in")),
    "UTF-16 without a mark": (
        checkin().encode("utf-16-le"),
        Refused("^the file looks like UTF-16 text: send it in the contract's encoding, or change"),
    ),
    "another code page": (checkin().encode() + "Zoë,".encode("cp1252"), not_utf8(3, "0xeb")),
    "an invalid byte in quotes": (b'a,b\n1,2\n"1,\xff', not_utf8(3, "0xff"), PLAIN),
    "half a character at the end": (checkin().encode() + "ё".encode()[:1], not_utf8(3, "0xd1")),
    "a surrogate as UTF-8": (checkin().encode() + b"\xed\xa0\x80", not_utf8(3, "0xed")),
    "a byte that is not in cp1252": (
        b"a,b\nx,\x81\n",
        Refused("line 2 is not cp1252 text: byte 0x81 .*; send the file as cp1252"),
        contract(encoding="cp1252"),
    ),
    "a byte that may be rejected": (
        b"a,b\nx,1\n\\xe9 \xe9,\xc3\n",
        Rejected(
            "encoding",
            3,
            "^byte 0xe9 at character 6 is not utf-8, nor is 1 more; send the row as utf-8$",
            loaded=1,
        ),
        QUARANTINE,
    ),
    "a byte that may be rejected, in a damaged row": (
        b'a,b\nx,1\n"\xe9,1\ny,2\n',
        Rejected("encoding", 3, "^byte 0xe9 at character 2 is not utf-8", loaded=2),
        QUARANTINE,
    ),
    "a byte that may be rejected, in a row of three values": (
        b'a,b\nx,1\ny,2,\x81\n"\n",3',
        Rejected("encoding", 3, "^byte 0x81 at character 5 is not cp1252", loaded=2),
        QUARANTINE.model_copy(update={"encoding": "cp1252"}),
    ),
    "private characters like those that replace bytes": (
        "a,b\n\uec80,\uecff\n",
        Loaded({"a": "\uec80", "b": "\uecff"}),
        QUARANTINE,
    ),
    "a byte that may be rejected, but is in the header": (
        b"a,b,\xe9\n1,2,3\n",
        Refused("^the name of column 3: byte 0xe9 at character 1 is not utf-8; send the file as"),
        QUARANTINE,
    ),
    "UTF-16 is expected and marked": (
        "a,b\nё,\u010a\n".encode("utf-16"),
        Loaded({"a": "ё", "b": "\u010a"}),
        contract(encoding="utf-16"),
    ),
    "UTF-8 instead of UTF-16": (
        b"a,b\nx,y\n",
        Refused("line 1 is not utf-16 text: .*; send the file as utf-16"),
        contract(encoding="utf-16"),
    ),
    "too few rows": (
        b"a,b\n1,2\n",
        Halted("the number of rows is 1; rule enough requires at least 2"),
        contract(row_counts=(RowCount(name="enough", minimum=2),)),
    ),
    "too many rows": (
        b"a,b\n1,2\n3,4\n",
        Halted("the number of rows is 2; rule few requires at most 1"),
        contract(row_counts=(RowCount(name="few", maximum=1),)),
    ),
    # Line ends.
    "CRLF": (checkin().replace("\n", "\r\n"), ANY),
    "LF and CRLF": (HEADER + GOOD.replace("\n", "\r\n") + GOOD, Loaded({"project": "x"}, rows=2)),
    "no last newline": (checkin().strip(), ANY),
    "a byte order mark": (codecs.BOM_UTF8 + checkin().encode(), ANY),
    "a byte order mark before a quote": (
        codecs.BOM_UTF8 + b'"a","b"\n"1","2"\n',
        ONE_TWO,
        contract(encoding="UTF-8-SIG"),
    ),
    "two byte order marks": (codecs.BOM_UTF8 * 2 + checkin().encode(), Refused("unknown: .*user")),
    "a byte order mark in a row": unchanged(user="\ufeffned"),
    "CR alone ends lines": (
        checkin().replace("\n", "\r"),
        Refused(
            "line 1 cannot be read as a header: "
            "a carriage return without a line feed; end lines with LF or CRLF"
        ),
    ),
    "lines converted to CRLF twice": (checkin().replace("\n", "\r\r\n"), ANY),
    "CR alone ends a line": (
        HEADER + GOOD.replace("\n", "\r") + GOOD + GOOD,
        Rejected("quoting", 2, "a carriage return without a line feed; end lines", loaded=1),
    ),
    "CR alone, as the contract says": (
        'a,b\r1,"2\r\n3"\r',
        Loaded({"a": "1", "b": "2\r\n3"}),
        framed(line_terminator="\r"),
    ),
    "NULs at the end": ("a,b\n1,2\n" + "\0" * 512, width(1, line=3, loaded=1), PLAIN),
    "a form feed, NEL and LINE SEPARATOR end no line": (
        "a,b\nx\fx,y\x85\u2028y\n",
        Loaded({"a": "x\fx", "b": "y\x85\u2028y"}),
        PLAIN,
    ),
    "blank lines between rows": (HEADER + "\n" + GOOD + "\r\n" + GOOD, Loaded({}, rows=2)),
    "a line of spaces": (HEADER + GOOD + "  \n", width(1, line=3, loaded=1)),
    # What surrounds the rows.
    "a line for Excel": (codecs.BOM_UTF8 + b"sep=,\r\n" + checkin().encode(), ANY),
    "a line for Excel with another delimiter": (
        "sep=;\n" + checkin(),
        Refused("^line 1 says that ';' is the delimiter, but the contract says ','"),
    ),
    "a line for Excel after the header": (HEADER + "sep=,\n" + GOOD, width(2, line=2, loaded=1)),
    "DOS's end of file": (checkin() + "\x1a\x1a", ANY),
    "DOS's end of file in UTF-16": (
        "a,b\n1,2\x1a".encode("utf-16"),
        Loaded({"b": "2"}),
        contract(encoding="utf-16"),
    ),
    "DOS's end of file before the last line": unchanged(project="\x1a"),
    "DOS's end of file alone": (b"\x1a", NO_HEADER),
    "skipped lines": (
        "a\n,b\n" + TABLE,
        Loaded({"a": "4", "b": "5"}, rows=4),
        framed(skip_lines=3),
    ),
    "too few skipped lines": (
        "x\n\ny\n" + TABLE,
        Refused("^line 3 does not match the header of t"),
        framed(skip_lines=1),
    ),
    "only skipped lines": (TABLE, NO_HEADER, framed(skip_lines=10)),
    "two header rows": ('Report,"\n"\na,\n,b\n1,2\n', ONE_TWO, framed(header_rows=(2, 3))),
    "a header without its second row": ("a,b\n", NO_HEADER, framed(header_rows=(1, 2))),
    "a file without header": (
        "1,2\n3,4\n",
        Loaded({"a": "3", "b": "4"}, rows=2),
        framed(header=False),
    ),
    "a wrong first row without header first row": (
        "1\n3,4\n",
        width(1, line=1, loaded=1),
        framed(header=False),
    ),
    "further values without header": (
        "1,2,x\n3,4,y\n",
        Loaded({"a": "3", "b": "4"}, rows=2),
        contract(dialect=Dialect(header=False), header_policy=HeaderPolicy(unknown="ignore")),
    ),
    "no rows without header": ("\n\n", Refused("the file has no rows"), framed(header=False)),
    "a footer of three lines": (TABLE, ONE_TWO, framed(skip_lines=1, footer=Footer(lines=3))),
    "only a footer": ("a,b\n1,2\n", ONLY_HEADER, framed(footer=Footer(lines=1))),
    "a footer with a pattern": (
        TABLE + "\n",
        ONE_TWO,
        framed(skip_lines=1, footer=Footer(pattern="TOTAL,")),
    ),
    "a footer that begins with a row far from the end": (
        "a,b\n1,2\nTOTAL,3\n" + "1,2\n" * 100,
        Loaded({"a": "1", "b": "2"}, rows=102),
        framed(footer=Footer(pattern="TOTAL")),
    ),
    "a line like a footer in a quoted value": (
        'a,b\n1,"2\nTOTAL"\n1,3\nTOTAL,5\n',
        Loaded({"a": "1", "b": "3"}, rows=2),
        framed(footer=Footer(pattern="TOTAL")),
    ),
    "a footer of lines in a quoted value": (
        'a,b\n1,2\n1,"2\nTOTAL"\n',
        Rejected("quoting", 3, "has no closing quote", loaded=1),
        framed(footer=Footer(lines=1)),
    ),
    # Control totals.
    "a trailer with correct totals": (
        DELIVERY + b"T, 0004 ,+1'000.1250\n",
        ONE_BAD_NUMBER,
        TOTALED,
    ),
    "a trailer with other totals": (
        DELIVERY[:10] + b"\nT,4,1'000.125\n",
        Refused(
            "^the trailer says 4 rows, but the file has 1; the trailer says a sum of 1000.125 for b"
            ", but the file has 0.12: upload the complete file, or correct the totals$"
        ),
        TOTALED,
    ),
    "a file cut off before its trailer": (
        DELIVERY,
        Refused("^the file has no trailer, a line at its end that matches .* it may be cut off"),
        TOTALED,
    ),
    "an empty file without its trailer": ("", Refused("^the file has no trailer"), TOTALED),
    "no rows and a trailer": ("a,b\nT,0,0\n", NOTHING, TOTALED),
    "a sum that differs in the third decimal": (
        DELIVERY + b"T,4,1000.124\n",
        Refused(
            "^the trailer says a sum of 1000.124 for b, but the file has 1000.125 "
            r"\(1 row without a number\): upload"
        ),
        TOTALED,
    ),
    "a trailer without its sum": (
        DELIVERY + b"T,4,\n",
        Refused("^the trailer has no value for sum_b, but must have a number as in the column 'b'"),
        TOTALED,
    ),
    "a trailer with words": (
        DELIVERY + b"T,four,1\n",
        Refused("^the trailer has 'four' for rows, but must have a number of digits only$"),
        TOTALED,
    ),
    "a manifest with correct totals": (
        DELIVERY,
        ONE_BAD_NUMBER,
        SUMMED,
        b"\xef\xbb\xbffiles\r\nother.csv 1 5\r\ns3://x/dailycheckins.csv 4 1'000.125\r\n",
    ),
    "a file cut off before the last row of its manifest": (
        DELIVERY[:-5],
        Refused("^the manifest 'control.txt' says 4 rows, but the file has 3: upload the complete"),
        SUMMED,
        b"dailycheckins.csv 4 1000.125",
    ),
    "a manifest without a total of its pattern": (
        DELIVERY,
        Refused("^the manifest 'control.txt' has no value for sum_b, but must have a number as in"),
        SUMMED,
        b"dailycheckins.csv 4",
    ),
    "another size than that of the manifest": (
        DELIVERY,
        Refused(f"^the manifest 'control.txt' says 9 bytes, but the file has {len(DELIVERY)}: upl"),
        SIZED,
        b"size=9\nmd5=" + b"0" * 32 + b"\nsha256=" + b"0" * 64,
    ),
    "another hash than that of the manifest": (
        ZIPPED,
        Refused("^the manifest 'control.txt' says the SHA256 0+, but the file has [0-9a-f]{64}"),
        SIZED,
        b"size=%d\nMD5=%b\nsha256=%b"
        % (
            len(ZIPPED),
            hashlib.md5(ZIPPED, usedforsecurity=False).hexdigest().upper().encode(),
            b"0" * 64,
        ),
    ),
    "a manifest in JSON": (
        DELIVERY,
        ONE_BAD_NUMBER,
        LISTED,
        b'{"files": [{"path": "a/dailycheckins.csv", "n": "4", "total": 1000.1250}]}',
    ),
    "a manifest in JSON with another sum": (
        DELIVERY,
        Refused("says a sum of 1000.1250000000000000001 for b, but the file has 1000.125 "),
        LISTED,
        b'{"files": [{"path": "dailycheckins.csv", "n": 4, "total": 1000.1250000000000000001}]}',
    ),
    "a line for Excel that Excel saved again": ("SEP=,,\na,b\n1,2\n", ONE_TWO, PLAIN),
    "empty rows": (
        TABLE + ',\n"",\n' * 9,
        Loaded({"a": "4", "b": "5"}, rows=3),
        framed(skip_lines=1, skip_empty_rows=True),
    ),
    "empty rows of a wrong size": (
        "a,b\n1,2\n,,\n",
        width(3, line=3, loaded=1),
        framed(skip_empty_rows=True),
    ),
    "only empty rows": ("a,b\n,\n", ONLY_HEADER, framed(skip_empty_rows=True)),
    "trailing delimiters": (
        "a,b,\n1,2,\n3,4\n",
        Loaded({"a": "3", "b": "4"}, rows=2),
        framed(trailing_delimiter=True),
    ),
    "two trailing delimiters": (
        "a,b,\n1,2,,\n3,4\n",
        width(4, line=2, loaded=1),
        framed(trailing_delimiter=True),
    ),
    "a trailing delimiter in the header only": ("a,b,\n1,2\n", Refused("unknown: ''"), PLAIN),
    # The header.
    "another delimiter": (
        checkin().replace(",", ";"),
        Refused(
            "line 1 does not match the header of dailycheckins .* unknown: 'user;timestamp;hours"
        ),
    ),
    "the contract's delimiter": (
        "a;b\nx;1,5\n",
        Loaded({"a": "x", "b": Decimal("1.50")}),
        SEMICOLONS,
    ),
    "columns in another order": ("b,a\n2,1\n", ONE_TWO, PLAIN),
    "columns in an order that is not allowed": (
        "b,a\n2,1\n",
        Refused("the order of the columns differs"),
        ORDERED,
    ),
    "a column too many": ("a,b,c\n1,2,3\n", Refused("unknown: 'c'"), PLAIN),
    "a column too many that is ignored": ("a,c,b\n1,3,2\n", ONE_TWO, TOLERANT),
    "a column missing": ("a\n1\n", Refused("missing: 'b'"), PLAIN),
    "a column missing, others ignored": (
        "a,c\n1,2\n",
        Refused("missing: 'b'; ignored: 'c'$"),
        TOLERANT,
    ),
    "a column twice": ("a,b,a\n1,2,3\n", Refused("repeated: 'a'"), PLAIN),
    "a column twice, others ignored": ("a,b,a\n1,2,3\n", Refused("repeated: 'a'"), TOLERANT),
    "no header": (GOOD, Refused("line 1 does not match the header .* missing: .* unknown: ")),
    "another case": (
        "A,b\n1,2\n",
        Refused(
            r"missing: 'a'; unknown: 'A'; different only in case or blanks: 'A' instead of 'a' "
            r"\(correct the header, or set match: folded in the headerPolicy\)$"
        ),
        PLAIN,
    ),
    "spaces in the header": (
        "a, b\n1,2\n",
        Refused("missing: 'b'; unknown: ' b'; different only .*: ' b' instead of 'b' "),
        PLAIN,
    ),
    "another case and spaces that are ignored": ("A,\u00a0STRASSE \n1,2\n", ONE_TWO, FOLDED),
    "names that differ only in case": (
        "a,b,B,A\n1,2,3,4\n",
        Refused(r": repeated: 'a' \(as 'a', 'A'\), 'b' \(as 'b', 'B'\)$"),
        FOLDED,
    ),
    "a former name": ("old b,a\n2,1\n", ONE_TWO, RENAMED),
    "two names of one column": (
        "a,older b,old b\n1,2,3\n",
        Refused(r": repeated: 'b' \(as 'older b', 'old b'\)$"),
        RENAMED,
    ),
    "a former name in another case": (
        "a,Old B\n1,2\n",
        Refused("missing: 'b'; unknown: 'Old B'; .*: 'Old B' instead of 'old b'"),
        RENAMED,
    ),
    "an optional column": ("a,b\n1,2\n", ONE_TWO, OPTIONAL),
    "an optional column missing": ("a\n1\n", Loaded({"a": "1", "b": None}), OPTIONAL),
    "an optional column missing, others ignored": (
        "c,a\n2,1\n",
        Loaded({"a": "1", "b": None}),
        OPTIONAL_ELSE_IGNORED,
    ),
    "an optional column in another case, others ignored": (
        "B,a\n2,1\n",
        Refused(r": different only in case or blanks: 'B' instead of 'b' \("),
        OPTIONAL_ELSE_IGNORED,
    ),
    "a header that says something else": ("b,b\n1,2\n", ONE_TWO, BY_POSITION),
    "a damaged header by position": ('"a"x,b,c\n1,2\n', ONE_TWO, BY_POSITION),
    "a row with a value too many by position": (
        "a,b\n1,2,3\n1,2\n",
        width(3, line=2, loaded=1),
        BY_POSITION,
    ),
    "a column too many by position, which is ignored": ("a,b\n1,2,3\n", ONE_TWO, FIRST_TWO),
    "a column too few by position, others ignored": (
        "a,b\n\n1\n",
        Refused(
            r"^line 3 does not match the columns of t \(a,b\): 1 column instead of at least 2$"
        ),
        FIRST_TWO,
    ),
    "a damaged first row by position, others ignored": (
        'a,b\n1,"2"x\n1,2\n',
        Refused("^line 2 cannot be read as the first row: text follows the closing quote"),
        FIRST_TWO,
    ),
    "an optional column missing by position": (
        "x\n1\n",
        Loaded({"a": "1", "b": None}),
        FIRST_OR_BOTH,
    ),
    "more than the optional columns by position": (
        "x,y\n1,2,3\n",
        Refused(": 3 columns instead of 1 to 2$"),
        FIRST_OR_BOTH,
    ),
    "trailing delimiters, ignored": ("a,b,,\n1,2,,\n", ONE_TWO, TOLERANT),
    "a delimiter behind the header": ("a,b,\n1,2,\n", Refused("unknown: ''"), PLAIN),
    "more columns than a reason can list": (
        ",".join(["user", *(f"колонка {number}" for number in range(9_990)), "\x1b[31m", "user"]),
        Refused(
            r"^line 1 does not match the header of dailycheckins \(user,timestamp,hours,project\): "
            r"missing: 'hours', 'project', 'timestamp'; unknown: '\\x1b\[31m', 'колонка 0', "
            r"'колонка 1', 'колонка 10', 'колонка 100', 'колонка 1000', 'колонка 1001', "
            r"'колонка 1002', 'колонка 1003', 'колонка 1004', … \(9,981 more\); repeated: 'user'$"
        ),
    ),
    "10,001 columns": (
        ",".join(map(str, range(10_001))),
        Refused("^line 1 has 10,001 columns, but the maximum is 10,000: remove some$"),
    ),
    "a column name longer than a reason": (
        HEADER.strip() + "," + "x" * 100_000,
        Refused(r"project\): unknown: 'x{22}… \(99,979 more characters\)$"),
    ),
    "quotes in the header": ('"a","b"\n1,2\n', ONE_TWO, PLAIN),
    "an open quote in the header": (
        '"a,b\n1,2\n',
        Refused("line 1 cannot be read as a header: the opening quote of a value has no closing"),
        PLAIN,
    ),
    # Rows and quotes.
    "a value too few": ("a,b\n1\n", width(1, line=2), PLAIN),
    "a value too many": ("a,b\n1,2,3\n4,5\n", width(3, line=2, loaded=1), PLAIN),
    "a delimiter behind the row": ("a,b\n1,2,\n", width(3, line=2), PLAIN),
    "tabs": ("a,b\n1\t2\n", width(1, line=2), PLAIN),
    "a newline in quotes": ('a,b\n"x\r\ny",2\n', Loaded({"a": "x\r\ny", "b": "2"}), PLAIN),
    "a row behind a newline in quotes": ('a,b\n"x\ny",2\n3\n', width(1, line=4, loaded=1), PLAIN),
    "quotes in quotes": ('a,b\n"he said ""no""",2\n', Loaded({"a": 'he said "no"'}), PLAIN),
    "a quote inside a value": (
        'a,b\n5" pipe,2\n3,4\n',
        Rejected("quoting", 2, "a value that does not begin with a quote contains one", loaded=1),
        PLAIN,
    ),
    "an open quote": (
        'a,b\n"1,2\n3,4\n5,6\n',
        Rejected("quoting", 2, "the opening quote of a value has no closing quote", loaded=2),
        PLAIN,
    ),
    "text behind quotes": (
        'a,b\n"1"x,2\n3,4\n',
        Rejected("quoting", 2, "text follows the closing quote of a value", loaded=1),
        PLAIN,
    ),
    "a backslash before a quote": (
        'a,b\n"x\\"y",2\n',
        Rejected("quoting", 2, "text follows the closing quote of a value"),
        PLAIN,
    ),
    "a backslash before a quote, as the contract says": (
        'a,b\n"x\\"y","C:\\\\"\n',
        Loaded({"a": 'x"y', "b": "C:\\"}),
        framed(escape_char="\\"),
    ),
    "quotes that are text": (
        'a\tb\n"12 in\tx\n6"\ty\n',
        Loaded({"a": '6"', "b": "y"}, rows=2),
        framed(delimiter="\t", quote_char=None),
    ),
    "spaces around quotes": (
        'a, b\n1 , "2, 3" \n',
        Loaded({"a": "1 ", "b": "2, 3"}),
        framed(skip_initial_space=True),
    ),
    "comments": (
        "# of today\na,b\n#1,2\n3,#4\n",
        Loaded({"a": "3", "b": "#4"}),
        framed(comment_char="#"),
    ),
    "a header with a line end": (
        'a,"b\n(pcs)"\n1,2\n',
        Loaded({"a": "1", "b\n(pcs)": "2"}),
        contract(column("b\n(pcs)", "string", "text", physical_name="b")),
    ),
    "a column with a name of the pipeline's": (
        "a,line\n1,Main\n",
        Loaded({"a": "1", "line": "Main"}),
        contract(column("line", "string", "text", physical_name="address")),
    ),
    "single quotes": ("a,b\n'1,1',2\n", width(3, line=2), PLAIN),
    "a row cut short at the end": (HEADER + GOOD + "ned,2019-", width(2, line=3, loaded=1)),
    "a value of 200,000 characters": (
        "a,b\n" + "x" * 200_000 + ",2\n",
        Loaded({"a": "x" * 200_000}),
        PLAIN,
    ),
    # Text.
    "NUL": bad("string", "contains the character NUL", user="n\0d"),
    "NA is text": unchanged(user="NA"),
    "null, None and nan are text": unchanged(user="null", project="nan"),
    "COPY's end of data is text": unchanged(user="\\."),
    "0012 is text": unchanged(project="0012"),
    "a long number is text": unchanged(project="1" * 30),
    "true is text": unchanged(project="true"),
    "a formula is text": unchanged(user="=cmd|' /C calc'!A0", project="@SUM(1)"),
    "SQL is text": unchanged(user="x'); DROP TABLE source; --"),
    "spaces stay": unchanged(user=" ned "),
    "spaces are not missing": unchanged(user=" "),
    "invisible spaces stay": unchanged(user="\u00a0ned\u200b"),
    "smart quotes are text": unchanged(user="“ned”"),
    "letters in two parts stay": unchanged(user="e\u0301"),
    "missing where it may be": (checkin(project=""), Loaded({"project": None})),
    "quotes around nothing": (checkin(project='""'), Loaded({"project": None})),
    "missing where it must not be": bad("required", "is missing", user=""),
    "no timestamp": bad("required", "is missing", timestamp=""),
    "no hours": bad("required", "is missing", hours=""),
    "an empty text in quotes": (
        'a,b\n"",\nx,""\n',
        Loaded({"a": "x", "b": ""}, rows=2),
        contract(column("b", "string", "text", quoted_empty="text")),
    ),
    "a row of delimiters": (HEADER + ",,,\n", Rejected("required", 2, "user is missing", "user")),
    "100 characters": unchanged(user="x" * 100),
    "101 characters": bad("maxLength", TOO_LONG, user="x" * 101),
    "a project of 101 characters": bad("maxLength", TOO_LONG, project="x" * 101),
    "100 characters of four bytes": unchanged(user="𝄞" * 100),
    "101 characters of two bytes": bad("maxLength", TOO_LONG, user="ё" * 101),
    "a pattern is for the whole text": (
        "a,b\n1,ab\n2,aB\n3,ab \n",
        Rejected("letters", 3, r"b does not match \[a-zß\]\*", "b", loaded=1),
        SHORT,
    ),
    # Numbers.
    "a decimal comma in quotes": bad_hours('"1,5"', NO_NUMBER),
    "a decimal comma": (checkin(hours="1,5"), width(5, line=2)),
    "a decimal point instead of a comma": (
        "a;b\nx;1.5\n",
        Rejected(
            "number",
            2,
            r"^b is not a number \(digits, optionally followed by ',' and digits\); to accept it, "
            r"set decimalMark: '\.'$",
            "b",
        ),
        SEMICOLONS,
    ),
    "thousands": bad_hours('"1,000.5"', NO_NUMBER),
    "NaN": bad_hours("NaN", NO_NUMBER),
    "Infinity": bad_hours("Infinity", NO_NUMBER),
    "minus infinity": bad_hours("-inf", NO_NUMBER),
    "1e3": bad_hours("1e3", NO_NUMBER),
    "hexadecimal": bad_hours("0x10", NO_NUMBER),
    "underscores": bad_hours("1_0", NO_NUMBER),
    "other digits": bad_hours("٣", NO_NUMBER),
    "a unit": bad_hours("8h", NO_NUMBER),
    "a formula for a number": bad_hours("=4+4", NO_NUMBER),
    "a space before a number": bad_hours(" 8", NO_NUMBER),
    "an invisible space after a number": bad_hours(
        "8\u00a0", f"{NO_NUMBER}; to accept it, set trim: true or bareNumber: false"
    ),
    "a typographic minus": bad_hours("−8", NO_NUMBER),
    "a point alone": bad_hours(".", NO_NUMBER),
    "no digit before the point": bad_hours(".5", NO_NUMBER),
    "no digit behind the point": bad_hours("5.", NO_NUMBER),
    "two points": bad_hours("1.2.3", NO_NUMBER),
    "a number of 60 digits": bad_hours("9" * 60, TOO_LARGE),
    "1000 with a maximum of 999.99": bad_hours("1000", TOO_LARGE),
    "999.995 is 1000 once rounded": bad_hours("999.995", TOO_LARGE),
    "half a cent goes up": (checkin(hours="0.125"), Loaded({"hours": Decimal("0.13")})),
    "half a cent below zero goes down": (
        "a;b\nx;-0,125\n",
        Loaded({"b": Decimal("-0.13")}),
        SEMICOLONS,
    ),
    "zeros before a number": (checkin(hours="007.5"), Loaded({"hours": Decimal("7.50")})),
    "a day": (checkin(hours="24.00"), Loaded({"hours": Decimal("24.00")})),
    "more than a day": bad(
        "hours_within_a_day", "is not between 0 and 24", loaded=1, hours="24.01"
    ),
    "less than no time": bad(
        "hours_within_a_day", "is not between 0 and 24", loaded=1, hours="-0.01"
    ),
    "32768 as smallint": (
        "a,b\nx,32767\ny,32768\n",
        Rejected("integer", 3, "b is too large for smallint", "b", loaded=1),
        SMALL,
    ),
    "a fraction for an integer": (
        "a,b\nx,1.0\n",
        Rejected("integer", 2, r"b is not an integer \(digits only\)", "b"),
        SMALL,
    ),
    "an integer of 41 digits": (
        "a,b\nx," + "1" * 41 + "\n",
        Rejected("integer", 2, "^b is too large for smallint$", "b"),
        SMALL,
    ),
    "NA is a country but a missing name": (
        "a,b\nNA,NA\n",
        Loaded({"a": None, "b": "NA"}),
        COUNTRIES,
    ),
    "a price with a currency and thousands separators": (
        'a,b\nx,"$1,234.50"\ny," 1,234.50 EUR "\n',
        Loaded({"b": Decimal("1234.50")}, rows=2),
        PRICES,
    ),
    "YES instead of yes": (
        "a,b\nx,yes\ny,YES\n",
        Rejected("boolean", 3, "^b is not yes or no; to accept it, set ignoreCase", "b", loaded=1),
        BOOLEAN,
    ),
    "TRUE instead of yes": (
        "a,b\nx,yes\ny,TRUE\n",
        Rejected("boolean", 3, "b is not yes or no", "b", loaded=1),
        BOOLEAN,
    ),
    # Dates.
    "a date that fits two formats": (
        "a,b\nx,03/10/2024\n",
        Rejected("date", 2, "b matches two formats with different results: dd/MM/yyyy", "b"),
        DATES,
    ),
    "a date that fits two formats with one result": (
        "a,b\nx,10/10/2024\n",
        Loaded({"b": dt.date(2024, 10, 10)}),
        DATES,
    ),
    "a date that fits one of two formats": (
        "a,b\nx,13/10/2024\ny,10/13/2024\n",
        Loaded({"b": dt.date(2024, 10, 13)}, rows=2),
        DATES,
    ),
    "29 February in a leap year": (
        checkin(timestamp="2020-02-29 00:00:00 UTC"),
        Loaded(at(2020, 2, 29)),
    ),
    "29 February in another year": bad_time("2019-02-29 00:00:00 UTC"),
    "29 February 1900": bad_time("1900-02-29 00:00:00 UTC"),
    "30 February": bad_time("2020-02-30 00:00:00 UTC"),
    "31 April": bad_time("2019-04-31 00:00:00 UTC"),
    "month 13": bad_time("2019-13-01 00:00:00 UTC"),
    "day 0": bad_time("2019-01-00 00:00:00 UTC"),
    "year 0001": (checkin(timestamp="0001-01-01 00:00:00 UTC"), Loaded(at(1, 1, 1))),
    "year 0000": bad_time("0000-01-01 00:00:00 UTC"),
    "year 9999": (
        checkin(timestamp="9999-12-31 23:59:59 UTC"),
        Loaded(at(9999, 12, 31, 23, 59, 59)),
    ),
    "year 99999": bad_time("99999-01-01 00:00:00 UTC"),
    "a year of two digits": bad_time("19-01-01 00:00:00 UTC"),
    "24 o'clock": bad_time("2019-01-01 24:00:00 UTC"),
    "a leap second": bad_time("2016-12-31 23:59:60 UTC"),
    "nanoseconds": bad(
        "timestamp",
        "has a fraction of more than 6 digits: the format is yyyy-MM-dd HH:mm:ss",
        timestamp="2019-01-01 00:00:00.123456789 UTC",
    ),
    "another zone": bad_time("2019-01-01 00:00:00 CET"),
    "ISO 8601": bad_time("2019-01-01T00:00:00Z"),
    "seconds since 1970": bad_time("1569542400"),
    "a spreadsheet's day": bad_time("43735"),
    "13 o'clock AM": bad_time("09/27/2019 13:00 AM"),
    "0 o'clock PM": bad_time("09/27/2019 00:30 PM"),
    "am in small letters": (checkin(timestamp="09/27/2019 12:00 am"), Loaded(at(2019, 9, 27))),
    "day and month changed": bad_time("27/09/2019 12:00 AM"),
    "midnight is 12 AM": (checkin(timestamp="09/27/2019 12:00 AM"), Loaded(at(2019, 9, 27))),
    "a Russian month": (checkin(timestamp="6 мая 2019 00:00"), Loaded(at(2019, 5, 6))),
    "a Russian month in another case": bad_time("6 май 2019 00:00"),
    "an English month instead of a Russian one": bad_time("6 May 2019 00:00"),
    "a time without its date": bad_time("00:00:00"),
    "NaT": bad_time("NaT"),
    "an hour that a clock change skips": (
        "a,b\nx,2024-03-31 02:30\ny,2024-03-31 03:00\n",
        Rejected(
            "timestamp",
            2,
            "b is in an hour that the clock change in Europe/Berlin skips",
            "b",
            loaded=1,
        ),
        BERLIN,
    ),
    "an hour that a clock change repeats": (
        "a,b\nx,2024-10-27 02:30\ny,2024-10-27 03:00\n",
        Rejected(
            "timestamp",
            2,
            "b is in an hour that the clock change in Europe/Berlin repeats",
            "b",
            loaded=1,
        ),
        BERLIN,
    ),
    "the calendar's first hour, which is year 0 in UTC": (
        "a,b\nx,0001-01-01 00:00\n",
        Rejected("timestamp", 2, "b is outside the calendar .years 1 to 9999. in UTC", "b"),
        BERLIN,
    ),
    "an offset that does not exist": (
        "a,b\nx,2024-01-01 00:00+19:00\ny,2024-01-01 00:00Z\n",
        Rejected("timestamp", 2, "b has an unknown time zone, or an offset of more", "b", loaded=1),
        STAMPED,
    ),
    "digits beyond microseconds": (
        "a,b\nx,2024-01-01T00:00:00.1234567\ny,2024-01-01T00:00:00.1234560\n",
        Rejected("timestamp", 2, "b has a fraction of more than 6 digits, but", "b", loaded=1),
        STAMPED,
    ),
    "another weekday than that of the date": (
        'a,b\nx,"Tue, 1 Jan 24"\ny,"Mon, 1 Jan 24"\n',
        Rejected("timestamp", 2, "b has another weekday than its date", "b", loaded=1),
        STAMPED,
    ),
    "summer time in 2040": (
        "a,b\nx,2040-07-01 12:00\n",
        Loaded({"b": dt.datetime(2040, 7, 1, 10, tzinfo=dt.UTC)}),
        BERLIN,
    ),
    # Types of PostgreSQL.
    "a float": typed("double precision", "1.5e-300", 1.5e-300),
    "a float that is not a number": typed("real", "NaN"),
    "a float beyond its type": typed("real", "1e39"),
    "a float that would become 0": typed("double precision", "1e-400"),
    "a time of day": typed("time", "08:30", dt.time(8, 30)),
    "the end of the day": typed("time", "24:00"),
    "a UUID": typed(
        "uuid", "6B9F2A2E-0000-4000-8000-00000000000A", "6b9f2a2e-0000-4000-8000-00000000000a"
    ),
    "a UUID in braces": typed("uuid", "{6b9f2a2e-0000-4000-8000-00000000000a}"),
    "a JSON document": typed("jsonb", '"{""a"": [1]}"', '{"a": [1]}'),
    "JSON without its end": typed("jsonb", '"{""a"": [1"'),
    "JSON with NUL": typed("jsonb", r'"""\u0000"""'),
    "JSON in JSON in JSON": typed("jsonb", "[" * 50_000),
    # JSON lines.
    "JSON lines": (
        '\ufeff {"b": [1, 2.0e5 ,{"c": "\\u00e9"}], "a": -1.50}\r\n\n',
        Loaded({"a": "-1.50", "b": '[1, 2.0e5 ,{"c": "\\u00e9"}]'}),
        JSON,
    ),
    "values of every kind in JSON": (
        '{"A ": true, "STRASSE": ""}\n{"a": null, "b": "\\ud834\\udd1e"}\n{"a": 1e400, "c": {}}',
        Loaded({"a": "1e400", "b": None}, rows=3),
        JSON_TOLERANT,
    ),
    "an empty text in JSON": ('{"b": ""}', Loaded({"a": None, "b": ""}), JSON_TOLERANT),
    "a column twice in JSON": (
        '{"b": "x"}\n{"b": "y"}\n{"straße": "x", "B": null}\n',
        Rejected("repeatedColumn", 3, "^repeated: 'b'$", loaded=2),
        JSON_TOLERANT,
    ),
    "an unknown key": bad_line(
        "unknownColumn", "^unknown: 'A' instead of 'a'$", '{"b": 1, "A": 2}'
    ),
    "a key twice": bad_line("repeatedColumn", "^repeated: 'a'$", '{"a": 1, "a": null}'),
    "a key of another case in JSON": (
        '{"a": 1}\n{"a": 1}\n{"B": 1, "a": 1, "c": 2}\n',
        Rejected(
            "unknownColumn", 3, "^different only in case or blanks: 'B' instead of 'b'$", None, 2
        ),
        JSON_TOLERANT.model_copy(update={"header_policy": HeaderPolicy(unknown="ignore")}),
    ),
    "a damaged JSON line": bad_line("json", "not valid JSON from character 9 on", '{"a": 1 "b"'),
    "a JSON line without its end": bad_line("json", "is not valid JSON from", '{"a": {"b": ['),
    "two objects on a line": bad_line("json", "valid JSON from character 9 on", '{"a": 1}{"a": 1}'),
    "a number that JSON lacks": bad_line("json", "Infinity is not a number", '{"a": -Infinity}'),
    "an array among objects": bad_line("json", "but not an object", "[1]"),
    "an empty object": bad_line("json", "the object has no column of the table", "{}"),
    "a text that is not Unicode": bad_line("json", "half of a surrogate pair", r'{"a": "\ud800"}'),
    "JSON that is too deep": bad_line(
        "json", "more than 100 levels", '{"a": ' + "[" * 101 + "]" * 101 + "}"
    ),
    "JSON that is deeper than any stack": bad_line("json", "more than 100 levels", "[" * 500_000),
    "a text instead of JSON": (
        '{"a": 1}\n{"b": "x"}\n',
        Rejected("json", 2, "b is not valid JSON", "b", loaded=1),
        JSON,
    ),
    "undecodable bytes in JSON": (
        b'{"a": 1}\n{"a": "\xff"}\n\xff\n{"a": 2}\n',
        Rejected("encoding", 2, "byte 0xff at character 8 is not utf-8", loaded=2),
        JSON_QUARANTINE,
    ),
    "a JSON array": ('\n [{"a": 1}]', Refused("^line 2 begins a JSON array: write each row"), JSON),
    "a JSON object of several lines": (
        '{\n  "a": 1\n}\n',
        Refused("^line 1 begins a JSON object of several lines: write each row as one JSON object"),
        JSON,
    ),
    "rows inside a JSON object": ('{"rows": [\n{"a": 1}\n]}', Refused("of several lines"), JSON),
    "a CSV file instead of JSON lines": (
        "a,b\n1,{}\n",
        Refused(
            r"^the file does not match the columns of t \(a, b\): no line is a JSON object with "
            "one of these keys; line 1: the line is not valid JSON from character 1 on$"
        ),
        JSON,
    ),
    "JSON lines of another table": ('{}\n{"c": 1}\n', Refused("line 1: the object has no"), JSON),
    "blank JSON lines": (" \r\n\t\n", Refused("^the file has no rows$"), JSON),
    "no JSON lines where that is allowed": (b"\n\n", NOTHING, NO_JSON_ROWS),
    # Uniqueness over several columns.
    "a repeated pair": (
        "a,b\nx,y\nx,z\nx,y\nx,\nx,\n",
        Rejected("primaryKey", 4, "^a, b repeat the values of an earlier row", "a, b", loaded=4),
        PAIRS,
    ),
}


def assert_is_for_people(message: str) -> None:
    """Check that a message has no traceback, no exception's name and no repr."""
    assert message
    assert not re.search(r"Traceback|File \"|\w(Error|Exception|Invalid)\b|<.* object at", message)


@pytest.mark.parametrize("size", [7, 2**24])
@pytest.mark.parametrize("kind", CASES)
def test_faulty_file_has_one_outcome(kind: str, size: int, tmp_path: Path) -> None:
    file, outcome, *others = CASES[kind]
    body = file.encode() if isinstance(file, str) else file
    expected, manifest = (*(others or [CHECKINS]), None)[:2]

    size = size if len(body) < 5000 else 2**16
    found = process(tmp_path, body, expected, size=size, manifest=manifest)

    match outcome:
        case Refused(reason):
            assert found.verdict.as_result() == {"outcome": "refused", "reason": found.refused}
            assert re.search(reason, str(found.refused))
            assert_is_for_people(str(found.refused))
        case Halted(reason):
            assert found.verdict.outcome == Outcome.FAILED_TESTS
            assert found.verdict.reason == reason
        case Loaded(values, rows):
            assert found.verdict.outcome == Outcome.OK
            assert found.rejects == []
            assert len(found.loaded) == rows
            last = found.loaded[max(found.loaded)] if rows else {}
            assert {name: last[name] for name in values} == values
        case Rejected(rule, line, reason, column, loaded):
            most = 2 * len(found.rejected) > found.report["rowsRead"]
            assert found.verdict.outcome == (Outcome.FAILED_TESTS if most else Outcome.OK)
            first = found.rejects[0]
            assert (first["rule"], first["line"], first["column"]) == (rule, line, column)
            assert re.search(reason, first["reason"])
            assert_is_for_people(first["reason"])
            assert len(found.loaded) == loaded
    if manifest is None or not found.refused:
        slow = slow_reader.read(body, expected, NOW)
        assert (found.loaded, found.rejected) == (slow.loaded, slow.rejected)
    if not found.refused:
        counts = found.verdict.counts
        assert counts["rowsRead"] == len(found.loaded) + counts["rowsRejected"]


@pytest.mark.parametrize("row", ["ned" * 6_000_000 + ",\n", "ned" * 6_000_000])
def test_line_of_17_mib_is_refused(row: str, tmp_path: Path) -> None:
    body = (HEADER + GOOD + row).encode()

    for size in (2**20, 2**24, 2**26):
        assert process(tmp_path, body, CHECKINS, size=size).refused == (
            "line 3 is longer than 16 MiB: end each row with a line end"
        )


def test_line_of_one_gigabyte_is_refused_early(tmp_path: Path) -> None:
    read = 0

    class Gigabyte:
        size = 2**30

        def chunks(self, begin: int = 0, end: int | None = None) -> Iterator[bytes]:
            nonlocal read
            yield HEADER.encode() + GOOD.encode()
            while read < self.size:
                read += 2**20
                yield b"x" * 2**20

    staging = Staging(tmp_path, ingestion_of(Source(LANDING, KEY, "version", 0)))
    verdict = transform(Gigabyte(), CHECKINS, staging)

    assert str(verdict.reason).startswith("line 3 is longer than 16 MiB")
    assert read < 2 * lines.MAX_LINE_BYTES
