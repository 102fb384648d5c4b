"""Generated files, for which the pipeline and `tests.slow_reader` must agree on every row.

Seeds vary; pytest's header prints the seed of a run. `make test-deep` generates more files.
"""

import codecs
import datetime as dt
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from cli.drafting.draft import draft
from cli.errors import CommandError
from functions.transform.division import can_divide
from shared.column import Column
from shared.contract import Contract, HeaderPolicy
from shared.dialect import Dialect, Footer
from shared.endings import Outcome
from shared.formats import Format
from shared.odcs import load_all, parse
from shared.quality import (
    Allowed,
    Length,
    NotInFuture,
    Pattern,
    Range,
    Required,
    RowCount,
    Threshold,
    Unique,
    UniqueRows,
)
from tests import slow_reader
from tests.fixtures.compression import PACKINGS, packed
from tests.fixtures.contracts import column
from tests.processing import NOW, process, process_in_ranges

UNIQUE, REQUIRED = Unique(name="unique"), Required(name="required")


def at_most(number: int, **more: Any) -> Threshold:
    return Threshold(limit=Decimal(number), **more)


def contract(table: str, *columns: Column, **more: Any) -> Contract:
    return Contract(table=table, relation=table, version="1", columns=columns, **more)


GERMAN = contract(
    "german",
    column(
        *("Größe €", "number", "numeric(6,3)"),
        physical_name="size",
        rules=(
            Range(name="positive", minimum=Decimal("0.0005"), severity="warning"),
            Range(name="few_large", maximum=Decimal(500), threshold=at_most(50, unit="percent")),
        ),
    ),
    column(
        *("Anzahl", "integer", "smallint"),
        physical_name="number",
        rules=(UNIQUE, Range(name="range", minimum=Decimal(-100), maximum=Decimal("30000.5"))),
    ),
    column(
        *("Tag", "date", "date"),
        physical_name="day",
        formats=(Format(pattern="dd.MM.yyyy"), Format(pattern="d. MMMM yyyy", locale="de")),
        rules=(
            NotInFuture(name="not_in_future", severity="warning"),
            Range(name="this_century", minimum=dt.date(2000, 1, 1)),
        ),
    ),
    column(
        *("bezahlt", "boolean", "boolean"),
        physical_name="paid",
        true_tokens=("ja", "J"),
        false_tokens=("nein", "N"),
        rules=(REQUIRED,),
    ),
    column(
        *("Art", "string", "varchar(5)"),
        physical_name="kind",
        rules=(
            Length(name="length", minimum=2, maximum=5),
            Allowed(name="known", values=("süß", "sauer", "", "a;b"), severity="warning"),
            Unique(name="rare", severity="warning", threshold=at_most(3)),
        ),
    ),
    encoding="cp1252",
    dialect=Dialect(delimiter=";", null_sequence=("", "-", "k. A.")),
    decimal_mark=",",
    header_policy=HeaderPolicy(unknown="ignore"),
    timezone="Europe/Berlin",
)
ZONED = contract(
    "zoned",
    column(
        *("at", "timestamp", "timestamptz"),
        timezone="Europe/Berlin",
        formats=(
            Format(pattern="dd/MM/yyyy HH:mm"),
            Format(pattern="M/d/yyyy h:mm a", timezone="America/New_York"),
            Format(pattern="MM/dd/yyyy HH:mm"),
            Format(pattern="d MMMM yyyy 'um' HH:mm:ss[.SSS]", locale="ru"),
        ),
        rules=(
            REQUIRED,
            UNIQUE,
            NotInFuture(name="not_in_future", threshold=at_most(2)),
            Range(name="range", maximum=dt.datetime(2100, 1, 1, tzinfo=dt.UTC)),
        ),
    ),
    column(
        *("key", "integer", "bigint"),
        rules=(Unique(name="unique", threshold=at_most(25, unit="percent", inclusive=True)),),
    ),
    column(
        *("sum", "number", "numeric(38,9)"),
        rules=(Range(name="range", minimum=Decimal("-1e20"), maximum=Decimal("9" * 25)),),
    ),
    column(
        *("code", "string", "text"),
        rules=(Pattern(name="pattern", regex="[a-z]+|[A-Z][0-9]*", severity="warning"),),
    ),
    dialect=Dialect(delimiter="\t", null_sequence=("NA", r"\N")),
    header_policy=HeaderPolicy(order="contract"),
    row_counts=(RowCount(name="rows", minimum=2, maximum=9),),
)
NARROW = contract(
    "narrow",
    column(*("text", "string", "varchar(8)"), rules=(Length(name="maxLength", maximum=8), UNIQUE)),
    encoding="utf-16",
    dialect=Dialect(null_sequence=("null",)),
)
TYPED = contract(
    "typed",
    column(
        *("double", "number", "double precision"),
        rules=(Range(name="range", minimum=Decimal("-1.5"), severity="warning"),),
    ),
    column(
        *("real", "number", "real"), rules=(UNIQUE, Range(name="range", maximum=Decimal("0.1")))
    ),
    column(
        *("time", "time", "time"),
        formats=(Format(pattern="HH:mm:ss[.SSS]"), Format(pattern="h:mm a")),
        rules=(
            Required(name="required", severity="warning"),
            Range(name="range", minimum=dt.time(1), maximum=dt.time(22, 30)),
        ),
    ),
    column("uuid", "string", "uuid"),
    column("json", "string", "jsonb"),
    column("object", "object", "jsonb"),
    dialect=Dialect(delimiter=";"),
    decimal_mark=",",
    max_rejected_percent=Decimal(90),
    unique_rows=(
        UniqueRows(name="pair", columns=("uuid", "double")),
        UniqueRows(name="few", columns=("time", "uuid"), severity="warning", threshold=at_most(2)),
    ),
)
SPELLED = contract(
    "spelled",
    column(
        *("price", "number", "numeric(9,2)"),
        group_char=" ",
        bare_number=False,
        number_styles=("omittedZero", "parentheses", "trailingMinus"),
    ),
    column(*("share", "number", "numeric(38,20)"), trim=True, number_styles=("exponent",)),
    column(
        *("count", "integer", "bigint"),
        null_tokens=("NA", "0"),
        group_char=".",
        bare_number=False,
        number_styles=("exponent", "integralDecimal", "omittedZero"),
    ),
    column(
        *("paid", "boolean", "boolean"),
        trim=True,
        true_tokens=("Ναίς", "1"),
        false_tokens=("nein", "0"),
        ignore_case=True,
    ),
    column(*("code", "string", "text"), null_tokens=("na",), trim=True),
    column("note", "string", "text", quoted_empty="text"),
    decimal_mark=",",
)
MOMENTS = contract(
    "moments",
    column(
        *("stamp", "timestamp", "timestamptz"),
        timezone="Europe/Berlin",
        formats=(
            Format(pattern="iso8601"),
            Format(pattern="epochSeconds", beyond_microseconds="truncate"),
            Format(pattern="EEE, dd MMM yy[ HH:mm:ss[.SSSSSSSSS]][ Z]", pivot=1950),
            Format(pattern="EEEE, d. MMMM yyyy[, h:mm a[ XXX]][ HH 'Uhr' VV]", locale="de"),
        ),
    ),
    column(
        *("month", "date", "date"),
        formats=(
            Format(pattern="[yyyy-MM][MM/yyyy]['Q'Q yyyy]"),
            Format(pattern="[d ]LLLL yyyy", locale="ru"),
            Format(pattern="[dd.MM.yy][MM.dd.yy][dd.MM.yyyy]"),
        ),
    ),
    column(
        *("millis", "timestamp", "timestamptz"),
        formats=(Format(pattern="epochMillis"), Format(pattern="yyyy-MM-dd HH:mm:ss[,SSS][,S]X")),
    ),
    max_rejected_percent=Decimal(90),
)
CONTRACTS = [load_all()["dailycheckins"], GERMAN, ZONED, NARROW, SPELLED, TYPED, MOMENTS]

CHARACTERS = "ab Z09-.,;:\t'\"\n\r\0=ßёЯ€é\u00a0\u2028\x85\x1c\ufeff\u200b𝄞“"
TEXTS = st.sampled_from(
    ["x", "süß", "sauer", "NA", "0012", "null", "=1+1", "A1", "\ufeffx"]
) | st.text(CHARACTERS, max_size=9)
LONG = st.sampled_from(["é" * 100, "𝄞" * 101, "x" * 8, "x" * 200])
ODD = (
    "|NaN|Infinity|1e3|1,5|1.5|.5|5.|1.000,5| 1|٣|0x1|-0|1_0|00000-1|--1|NA|\\N|-|True|JA"
    "|29.02.2023|0000|31/04/2024 00:00|02/29/2024 00:00|99999-01-01 00:00:00 UTC|24:00"
    "|31/03/2024 02:30|27/10/2024 02:30|13/13/2024 10:00|3/10/2024 2:30 AM|01/01/0001 00:00"
    "|2024-03-31T02:30|2024-10-27 02:30Z|2024-01-01T00:00:00.1234567|2024-01-01T00:00+19:00"
    "|-62135596800.000001|-0.0000001|253402300800|Q5 2024|Mon, 01 Jan 24 00:00:00.1 +0000"
    "|0001-01-01 00:00:00 UTC|0000-01-01 00:00:00 UTC|8/8/2024 0:10 PM|31/12/9999 23:59"
)
FLOATS = (
    "16777217 16777219"
    " 3,4028234663852886e38 3,4028235677973366e38 3,4028235677973365e38 -1e39 1e-45"
    " 7,006492321624085e-46 7,006492321624086e-46 1,5E-300 -1,7976931348623159e308 5e-324 2e-324"
    " 1,00000017881393432617187499 1,00000017881393432617187500 1,00000017881393432617187501"
    " +1e+05 1e 1,e5 1e5,5 --1 +-1 -+1 1e99999999999999999999 1.5"
)
UUIDS = [f"6b9f2a2e-0000-4000-8000-00000000000{n}" for n in "1a"]
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text('aé\0𝄞\\"['),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3),
    max_leaves=5,
).flatmap(lambda value: st.booleans().map(lambda plain: json.dumps(value, ensure_ascii=plain)))
ODD_DOCUMENTS = [
    *("{", "[1,]", "{'a':1}", "01", "1.", "+1", "nul", "Infinity", "[NaN]", '"a" "b"', r'"\q"'),
    *('{"a":1,"a":2}', ' {"a" : 1} ', '{"a":[],"b":"[["}', '"\ta"', "\ufeff1", '"\x7f"'),
    *(r'"\u0000"', r'"\\u0000"', r'"\ud800"'),
    *(r'"\ud834\udd1e"', r'"\udd1e\ud834"', r'"\ud834\ud834"'),
    *("1e999", "1e1000", "1e-1000", "1e-1001", "9" * 1001, "-1.5E+3", "[1e99999999999999999999]"),
    *("[" * 100 + "]" * 100, "[" * 101 + "]" * 101, "[" * 5000, '{"a":' * 101 + "1" + "}" * 101),
    '"' + "[" * 101 + '"',
]
PADDING = st.sampled_from(["", "", " ", "\t ", "\u00a0", "\u2003", "\u200b", "\x1f"])
TIMES = st.integers(-20_000, 30_000).map(lambda days: NOW + dt.timedelta(days, 60 * days))


@st.composite
def written_moments(draw: st.DrawFn, column: Column) -> str:
    """Draw a date or time in one of a column's formats."""
    form = draw(st.sampled_from(column.formats))
    at = draw(TIMES)
    fractions = st.sampled_from(["", ".5", ".123", ".1234560", ".1234567"])
    match form.pattern:
        case "iso8601":
            day, time = at.date().isoformat(), f"{at:%H:%M:%S}{draw(fractions)}"
            separator = draw(st.sampled_from("T t"))
            offset = draw(st.sampled_from(["", "Z", "z", "+02", "-0330", "+05:45"]))
            times = (time, time[:5])
            return draw(
                st.sampled_from([day, *(day + separator + each + offset for each in times)])
            )
        case "epochSeconds":
            return f"{int(at.timestamp())}{draw(fractions)}"
        case "epochMillis":
            return f"{int(at.timestamp() * 1_000)}"
        case pattern:
            return draw(written(pattern, at, form.locale))


@st.composite
def written(draw: st.DrawFn, pattern: str, at: dt.datetime, locale: str) -> str:
    """Draw a text of a Java pattern."""
    while "[" in pattern:
        # A text has at most one fraction.
        fractions = re.match(r"(.*?)((?:\[[.,]S+\])+)(.*)", pattern)
        if fractions:
            before, sections, pattern = fractions.groups()
            choices = ["", *re.findall(r"\[(.*?)\]", sections)]
        else:
            before, section, pattern = re.split(r"\[([^\[\]]*)\]", pattern, maxsplit=1)
            choices = ["", section]
        pattern = before + draw(st.sampled_from(choices)) + pattern
    offset = draw(st.sampled_from(["+0000", "-0330", "+0545"]))
    numbers = {
        "yyyy": f"{at.year:04}",
        "yy": f"{at.year % 100:02}",
        "Q": f"{(at.month + 2) // 3}",
        "MM": f"{at.month:02}",
        "M": f"{at.month}",
        "dd": f"{at.day:02}",
        "d": f"{at.day}",
        "HH": f"{at.hour:02}",
        "hh": f"{at.hour % 12 or 12:02}",
        "h": f"{at.hour % 12 or 12}",
        "mm": f"{at.minute:02}",
        "ss": f"{at.second:02}",
        "Z": offset,
        "XXX": f"{offset[:3]}:{offset[3:]}",
        "X": draw(st.sampled_from(["Z", offset, offset[:3]])),
        "VV": draw(st.sampled_from(["Europe/Berlin", "America/New_York", "UTC", "Z", "Mars"])),
    }
    indices = {"M": at.month - 1, "L": at.month - 1, "E": at.weekday(), "a": at.hour // 12}
    cases: list[Callable[[str], str]] = [str, str, str.upper, str.lower]
    case = draw(st.sampled_from(cases))

    def part(token: re.Match[str]) -> str:
        run = token["run"] or ""
        if run in numbers or not run:
            return numbers.get(run) or token["literal"] or token[0]
        if (run, locale) in slow_reader.NAMES:
            return case(slow_reader.NAMES[run, locale].split()[indices[run[0]]])
        return f"{draw(st.integers(0, 10 ** len(run) - 1)):0{len(run)}}"  # a fraction

    return re.sub(r"'(?P<literal>.*?)'|(?P<run>([A-Za-z])\3*)|.", part, pattern)


def spelled(column: Column, mark: str) -> st.SearchStrategy[str]:
    """Return a strategy for numbers in the spellings of a column, and for some near them."""
    group = column.group_char or ""
    wholes = ["7", "0", "1234", "", "9" * 17, f"12{group}345", f"1{group}234{group}567"]
    wholes += ["1\u00a0234\u202f567", f"0{group}125", f"12{group}34", f"{group}123", "0" * 50 + "5"]
    parts = (
        st.sampled_from(["", "", "$", "-$", "€ -", "(", "$(", "-", "+", " ", "EUR" * 4]),
        st.sampled_from(wholes),
        st.sampled_from(["", "", mark, f"{mark}5", f"{mark}000", f"{mark}125", f"{mark}00e"]),
        st.sampled_from(["", "", "", "e5", "E-07", "e+0003", "e" + "9" * 30, "e-" + "9" * 30]),
        st.sampled_from(["", "", "%", ")", ") kr", "-", "- €", " EUR", "\u00a0", "EUR" * 4]),
    )
    return st.tuples(*parts).map("".join)


def values(column: Column, contract: Contract) -> st.SearchStrategy[str]:
    """Return a strategy for texts of a column, most of them valid."""
    match column.kind:
        case "string":
            good = TEXTS | LONG
        case "integer":
            few = st.integers(0, 40).map(str)
            edges = ["+7", "-32768", "32767", "32768", "0007", f"{2**63 - 1}", f"{2**63}", "9" * 38]
            good = few | few | few | st.sampled_from(edges)
        case "number":
            edges = ["005", "0005", "125", "1235", "9" * 38, "9" * 9 + "5", "49" * 9]
            digits = st.text("0459", max_size=5) | st.sampled_from(edges)
            signs = st.sampled_from(["", "", "", "+", "-"])
            whole = st.sampled_from([*"0123456789", "007", "24", "499", "500", "1000", "9" * 29])
            rests = digits.map(lambda rest: contract.decimal_mark + rest if rest else "")
            good = st.tuples(signs, whole, rests).map("".join)
        case "boolean":
            good = st.sampled_from(column.true_tokens + column.false_tokens)
        case "date" | "timestamp" | "time":
            good = written_moments(column)
        case "float":
            few = st.sampled_from(["0", "-0", "0,1", "-0,10", "1", "1e0", "0e999"])
            floats = st.floats(allow_nan=False, width=32) | st.floats(allow_nan=False)
            written = floats.map(lambda each: f"{each}".replace(".", contract.decimal_mark))
            good = st.one_of(*[few] * 6, *[written] * 2, st.sampled_from(FLOATS.split()))
        case "uuid":
            good = st.sampled_from([*UUIDS * 9, UUIDS[0].upper(), f"{{{UUIDS[0]}}}"])
        case "json":
            form = '{{"a": {}}}' if column.logical_type == "object" else "{}"
            good = st.one_of(*[DOCUMENTS.map(form.format)] * 9, st.sampled_from(ODD_DOCUMENTS))
    if column.spells_numbers:
        good = good | spelled(column, contract.decimal_mark)
    if column.trim:
        good = st.tuples(PADDING, good, PADDING).map("".join)
    if column.ignore_case:
        good = good | good.map(str.upper)
    missing = st.sampled_from(contract.missing(column))
    return st.one_of(*[good] * 18, missing, st.sampled_from(ODD.split("|")))


@st.composite
def cells(draw: st.DrawFn, text: str, dialect: Dialect) -> str:
    """Draw a value as a cell, usually with quotes if they are needed."""
    quote, escape = dialect.quote_char, dialect.escape_char
    marks = [dialect.delimiter, quote, escape, "\r", "\n"]
    needed = any(mark and mark in text for mark in marks)
    if quote is None or draw(st.integers(0, 9)) >= (9 if needed else 2):
        return text
    if escape:
        text = text.replace(escape, escape * 2)
    text = text.replace(quote, (quote if dialect.double_quote else escape or "") + quote)
    before, after = draw(GAPS) if dialect.skip_initial_space else ("", "")
    return f"{before}{quote}{text}{quote}{after}"


GAPS = st.sampled_from([("", ""), ("", " "), (" ", ""), ("  ", "  ")])


def trailer(contract: Contract) -> Footer:
    """Return a trailer with the number of rows and the sums of all columns that have one."""
    summed = [f"sum_{each.physical_name}" for each in contract.columns if each.type.is_summed]
    totals = "".join(rf" (?P<{name}>[^ ]*)" for name in ["rows", *summed])
    return Footer(pattern=rf"^TRAILER{totals}$")


@st.composite
def dialects(draw: st.DrawFn, contract: Contract) -> Contract:
    """Draw how the files of a contract separate values, and what surrounds the rows."""
    has_quotes = contract.distinguishes_quoted_empty
    header_rows = draw(st.sampled_from([(1,), (1,), (1, 2), (2,), (1, 3)]))
    footers = [Footer(lines=1), Footer(lines=2), Footer(pattern="^TOTAL"), Footer(pattern="-*$")]
    footers.append(trailer(contract))
    quote = draw(st.sampled_from(['"', '"', "'", '"' if has_quotes else None]))
    changes: dict[str, Any] = {
        "skip_lines": draw(st.sampled_from([0, 0, 0, 1, 2])),
        "header": draw(st.integers(0, 3)) > 0,
        "footer": draw(st.sampled_from([None, None, None, *footers])),
        "skip_empty_rows": draw(st.booleans()),
        "trailing_delimiter": draw(st.booleans()),
        "delimiter": draw(st.sampled_from([contract.dialect.delimiter, "||", ";~"])),
        "line_terminator": draw(st.sampled_from(["\r\n", "\r\n", "\r"])),
        "quote_char": quote,
        "escape_char": draw(st.sampled_from([None, None, "\\"])),
        "skip_initial_space": draw(st.booleans()),
        "comment_char": draw(st.sampled_from([None, "#"])),
    }
    if quote:
        changes["double_quote"] = draw(st.integers(0, 3)) > 0
        changes["lenient_quotes"] = changes["escape_char"] is None and draw(st.booleans())
    if changes["header"]:
        changes["header_rows"] = header_rows
        if len(header_rows) > 1:
            changes["header_join"] = draw(st.sampled_from([" ", "", "\n"]))
    return contract.model_copy(update={"dialect": contract.dialect.model_copy(update=changes)})


@st.composite
def beginnings(draw: st.DrawFn, contract: Contract, header: list[str]) -> list[str]:
    """Draw the lines of a file before its first row."""
    dialect = contract.dialect
    lines = draw(st.lists(TEXTS, min_size=dialect.skip_lines, max_size=dialect.skip_lines))
    if draw(st.integers(0, 4)) == 0:
        delimiter = dialect.delimiter if draw(st.integers(0, 9)) else ":"
        lines.append(draw(st.sampled_from(["sep={}", '"sep={}"', 'sep="{}"'])).format(delimiter))
    if not dialect.header:
        return lines
    last = dialect.header_rows[-1]
    parts: list[dict[int, str]] = []
    for name in header:
        pieces = name.split(dialect.header_join or None)
        places = sorted(draw(st.permutations(dialect.header_rows))[: len(pieces)])
        split = dict(zip(places, pieces, strict=False))
        is_split = len(pieces) == len(places) and dialect.header_join.join(pieces) == name
        parts.append(split if is_split else {places[0]: name})
    for number in range(1, last + 1):
        if number in dialect.header_rows:
            texts = [draw(cells(part.get(number, ""), dialect)) for part in parts]
            while len(texts) > 1 and not texts[-1] and draw(st.booleans()):
                texts.pop()
            row = dialect.delimiter.join(texts or [""]) or '""'
            trailing = dialect.trailing_delimiter and draw(st.booleans())
            lines.append(row + dialect.delimiter * trailing)
        else:
            lines.append(
                draw(st.sampled_from(["Report", 'the "best" year', '"x"y', "a;b,c", '""']))
            )
    return lines


@st.composite
def endings(draw: st.DrawFn, dialect: Dialect) -> list[str]:
    """Draw the lines of a file after its last row."""
    empty = st.sampled_from([dialect.delimiter, dialect.delimiter * 3, "", '""'])
    lines = draw(st.lists(empty, max_size=2))
    if dialect.footer:
        footers = st.sampled_from(["TOTAL;1,2\t3", "--", "", '"TOTAL', "Sum"])
        lines += draw(st.lists(footers, max_size=3)) + [""] * draw(st.integers(0, 1))
        lines += ["TRAILER"] * (draw(st.integers(0, 9)) > 0 and len(dialect.footer.totals) > 0)
    return lines


@st.composite
def with_totals(draw: st.DrawFn, body: bytes, contract: Contract) -> bytes:
    """Draw the control totals of a file's trailer: usually those of its rows."""
    if contract.dialect.footer is None or not contract.dialect.footer.totals:
        return body
    without = contract.dialect.model_copy(update={"footer": Footer(pattern="^TRAILER")})
    found = slow_reader.read(body, contract.model_copy(update={"dialect": without}), NOW)
    texts = [f"{len(found.raw):0{draw(st.integers(0, 3))}}"]
    for each in contract.columns:
        if each.type.is_summed:
            number = found.sums[each.physical_name]
            with localcontext(prec=100):
                total = Decimal(number.numerator) / number.denominator
            texts.append(f"{total:f}".replace(".", contract.decimal_mark))
    wrong = draw(st.integers(0, 3 * len(texts)))
    if wrong < len(texts):
        texts[wrong] = draw(st.sampled_from(["", "0", "1", "x", texts[wrong] + "1", texts[0]]))
    codec = "utf-16-be" if body.startswith(codecs.BOM_UTF16_BE) else contract.encoding
    codec = "utf-16-le" if codec == "utf-16" else codec
    return body.replace("TRAILER".encode(codec), " ".join(["TRAILER", *texts]).encode(codec))


@st.composite
def rows(draw: st.DrawFn, contract: Contract, header: list[Column | None]) -> str:
    """Draw a row, which is sometimes damaged."""
    dialect = contract.dialect
    texts = [draw(values(column, contract) if column else TEXTS) for column in header]
    written = [draw(cells(text, dialect)) for text in texts]
    row = contract.dialect.delimiter.join(written)
    place = draw(st.integers(0, len(row)))
    if dialect.trailing_delimiter and draw(st.integers(0, 9)):
        row += dialect.delimiter
    match draw(st.integers(0, 27)):
        case 8 | 9 as which:
            return dialect.delimiter.join(["", '""'][which - 8] for _ in texts)
        case 0:
            return row + contract.dialect.delimiter
        case 1:
            return contract.dialect.delimiter.join(written[1:])
        case 2:
            return ""
        case 3 | 4 | 5 as which:
            return row[:place] + f"{dialect.quote_char or '!'}\r\0"[which - 3] + row[place:]
        case 6:
            return row[:place]
        case 7:
            return (dialect.quote_char or "!") + row
        case 10 if dialect.comment_char:
            return dialect.comment_char + row
    return row


@st.composite
def headers(draw: st.DrawFn, contract: Contract) -> list[Column | None]:
    """Draw the contract's columns, sometimes in another order, too many (None) or too few."""
    policy = contract.header_policy
    header = [each for each in contract.columns if not (each.optional and draw(st.booleans()))]
    if contract.by_position:
        header = list(contract.columns[: len(header)])
    elif policy.order == "any" or draw(st.integers(0, 19)) == 0:
        header = draw(st.permutations(header))
    known: list[Column | None] = [*header]
    if draw(st.integers(0, 19 if policy.unknown == "refuse" else 2)) == 0:
        place = len(known) if contract.by_position else draw(st.integers(0, len(known)))
        known.insert(place, None)
    if len(known) > 1 and draw(st.integers(0, 29)) == 0:
        known.pop()
    if draw(st.integers(0, 29)) == 0:
        known.append(draw(st.sampled_from([*contract.columns, None])))
    return known or [contract.columns[0]]


@st.composite
def header_names(draw: st.DrawFn, contract: Contract, column: Column | None) -> str:
    """Draw a name of a column in the header; None is an unknown column."""
    others = ["", "more", "A b"]
    if column is None or (contract.by_position and draw(st.booleans())):
        return draw(st.sampled_from(others))
    name = draw(st.sampled_from(column.names))
    if draw(st.integers(0, 1 if contract.header_policy.match == "folded" else 149)) == 0:
        return draw(st.sampled_from([name.upper(), name.swapcase(), f" {name}", f"{name}\u00a0"]))
    return name


@st.composite
def files(draw: st.DrawFn, contract: Contract) -> bytes:
    lines: list[str] = []
    if contract.file_format == "csv":
        header = draw(headers(contract))
        names = [draw(header_names(contract, column)) for column in header]
        lines = draw(beginnings(contract, names))
        row = rows(contract, header)
    else:
        row = objects(contract)
    first = len(lines)
    lines += draw(st.lists(row, min_size=0, max_size=10))
    for _ in range(draw(st.integers(0, 2)) if len(lines) > first else 0):
        again = draw(st.sampled_from(lines[first:]))
        lines.insert(draw(st.integers(first, len(lines))), again)
    if contract.file_format == "csv":
        lines += draw(endings(contract.dialect))
    ends = draw(st.sampled_from([["\n"], ["\r\n"], ["\n", "\r\n"]]))
    text = "".join(line + draw(st.sampled_from(ends)) for line in lines)
    if draw(st.booleans()):
        text = text.removesuffix("\n").removesuffix("\r")
    if contract.dialect.line_terminator == "\r":
        text = text.translate({10: "\r", 13: "\n"})
    text += "\x1a" * draw(st.sampled_from([0, 0, 0, 1, 3]))
    body = text.encode(contract.encoding, "ignore")
    if contract.encoding == "utf-8" and draw(st.booleans()):
        body = codecs.BOM_UTF8 + body
    if contract.encoding == "utf-16" and draw(st.booleans()):
        body = codecs.BOM_UTF16_BE + text.encode("utf-16-be", "ignore")
    # Hypothesis prefers small numbers. An error in the header would refuse the file.
    place = len(body) - draw(st.integers(0, len(body)))
    if draw(st.integers(0, 14 if contract.encoding_errors == "refuse" else 1)) == 0:
        body = body[:place] + draw(st.sampled_from([b"\xff", b"\x81"])) + body[place:]
    match draw(st.integers(0, 29)):
        case 0:
            body = body[:place]
        case 1:
            return b""
    if contract.allows_no_rows and draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from([b"", "\n\n".encode(contract.encoding)]))
    return body


ODD_OBJECTS = [
    *("5", "[]", '"x"', "null", "{}", '{"more": 1}', "{", '{"a', '{"x": [', '{"x": "', "NaN"),
    *('{"a":1} {"a":1}', '{"a":1},', '{"a":1,}', "{'a':1}", "{a:1}", '{"a":"\t"}', "\ufeff{}"),
    "\x0b",
]
ODD_VALUES = [
    *("NaN", "-Infinity", "01", "1.", ".5", "+1", "True", "'x'", "", '"\\x"', '"\\u00e"', "-"),
    *(r'"\ud800"', r'"\udd1e\ud834"', r'"\ud834\udd1e"', r'"\u0000"', '"\x7f"', "[1, 2 ]"),
    *("1e5", '{"a": {}}', *("[" * levels + "]" * levels for levels in (99, 100, 101, 5000))),
]


@st.composite
def members(draw: st.DrawFn, contract: Contract, column: Column | None) -> str:
    """Draw a key and its value in JSON."""
    text = draw(values(column, contract) if column else TEXTS)
    key = json.dumps(draw(header_names(contract, column)), ensure_ascii=draw(st.booleans()))
    value = json.dumps(text, ensure_ascii=draw(st.booleans()))
    is_plain = re.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?|true|false", text, re.ASCII) is not None
    is_json = column is not None and column.kind == "json"
    match draw(st.integers(0, 19)):
        case 0:
            value = draw(st.sampled_from(ODD_VALUES))
        case 1:
            value = "null"
        case which if (is_plain and which < 16) or (is_json and "\n" not in text):
            value = text
    gaps = st.sampled_from(["", "", " ", "\t"])
    return f"{draw(gaps)}{key}{draw(gaps)}:{draw(gaps)}{value}{draw(gaps)}"


@st.composite
def objects(draw: st.DrawFn, contract: Contract) -> str:
    """Draw a JSON line, which is sometimes damaged."""
    columns: list[Column | None] = [each for each in contract.columns if draw(st.integers(0, 9))]
    if draw(st.integers(0, 2)) == 0:
        columns = draw(st.permutations(columns))
    if draw(st.integers(0, 5 if contract.header_policy.unknown == "refuse" else 2)) == 0:
        columns.insert(draw(st.integers(0, len(columns))), None)
    if draw(st.integers(0, 5)) == 0:
        columns.append(draw(st.sampled_from(contract.columns)))
    written = [draw(members(contract, each)) for each in columns]
    row = "{" + ",".join(written) + "}"
    place = draw(st.integers(0, len(row)))
    match draw(st.integers(0, 24)):
        case 0:
            return draw(st.sampled_from(ODD_OBJECTS))
        case 1:
            return row[:place] + draw(st.sampled_from('"\\{}[],: x\r\0')) + row[place:]
        case 2:
            return row[:place]
        case 3:
            return draw(st.sampled_from(["", " ", "\t\r"]))
    return row


@st.composite
def in_json(draw: st.DrawFn, contract: Contract) -> Contract:
    """Draw a contract of JSON lines with the same columns."""
    columns = []
    for each in contract.columns:
        changes: dict[str, Any] = {"group_char": ","} if each.group_char == "." else {}
        if draw(st.booleans()):
            changes["aliases"] = (f"old {each.name}", f"{each.name}_2")
        columns.append(each.model_copy(update=changes))
    policy = {"match": draw(st.sampled_from(["exact", "folded"])), "unknown": draw(UNKNOWN)}
    few = RowCount(name="rows", minimum=0, maximum=9)
    fields = {name: getattr(contract, name) for name in contract.model_fields_set} | {
        "file_format": "jsonLines",
        "columns": tuple(columns),
        "dialect": Dialect(null_sequence=contract.dialect.null_sequence),
        "decimal_mark": ".",
        "header_policy": HeaderPolicy.model_validate(policy),
        "row_counts": draw(st.sampled_from([contract.row_counts, (few,)])),
    }
    return Contract(**fields)


@st.composite
def compressed(draw: st.DrawFn, body: bytes) -> bytes:
    """Draw a file that is compressed or not, and sometimes ends early."""
    packing = draw(st.sampled_from([None, None, *PACKINGS]))
    if packing is None:
        return body
    made = packed(packing, body)
    return made[: draw(st.integers(4, len(made)))] if draw(st.integers(0, 9)) == 0 else made


UNKNOWN = st.sampled_from(["refuse", "ignore"])
FileForm = Literal["csv", "with trailer", "jsonLines"]


@st.composite
def matched(draw: st.DrawFn, contract: Contract) -> Contract:
    """Draw another way to match the header of a contract, and whether it may have no rows."""
    policy = {"unknown": draw(UNKNOWN)}
    if contract.dialect.header:
        policy["match"] = draw(st.sampled_from(["exact", "folded", "position"]))
    by_position = policy.get("match", "position") == "position"
    if not by_position:
        policy["order"] = draw(st.sampled_from(["any", "contract"]))
    elif len(contract.columns) == 1:
        policy["unknown"] = "refuse"
    least = draw(st.integers(2, 5)) if by_position else 1
    columns: list[Column] = []
    for number, each in reversed([*enumerate(contract.columns)]):
        may_lack = not any(isinstance(rule, Required) for rule in each.rules)
        is_last = not by_position or all(column.optional for column in columns)
        changes: dict[str, Any] = {"optional": number >= least and may_lack and is_last}
        if not by_position and draw(st.booleans()):
            changes["aliases"] = (f"old {each.name}", f"{each.name}_2")
        columns.insert(0, each.model_copy(update=changes))
    few = RowCount(name="rows", minimum=0, maximum=9)
    fields = {name: getattr(contract, name) for name in contract.model_fields_set} | {
        "columns": tuple(columns),
        "header_policy": HeaderPolicy.model_validate(policy),
        "row_counts": draw(st.sampled_from([contract.row_counts, (few,)])),
    }
    return Contract(**fields)


@st.composite
def examples(
    draw: st.DrawFn, form: FileForm, *, compresses: bool = True
) -> tuple[Contract, bytes, int, bool]:
    """Draw a contract, a file, the size of its chunks, and whether to use hard testing."""
    contract = draw(st.sampled_from(CONTRACTS))
    match form:
        case "csv":
            if draw(st.booleans()):
                contract = draw(dialects(contract))
            contract = draw(st.just(contract) | matched(contract))
        case "with trailer":
            contract = draw(dialects(contract))
            dialect = contract.dialect.model_copy(update={"footer": trailer(contract)})
            contract = contract.model_copy(update={"dialect": dialect})
            contract = draw(st.just(contract) | matched(contract))
        case "jsonLines":
            contract = draw(in_json(contract))
    if contract.encoding != "utf-16" and draw(st.booleans()):
        contract = contract.model_copy(update={"encoding_errors": "reject"})
    body = draw(with_totals(draw(files(contract)), contract))
    if compresses:
        body = draw(compressed(body))
    size = draw(st.integers(1, 64) | st.integers(64, 1000))
    return contract, body, size, draw(st.booleans())


def typed(loaded: dict[int, dict[str, Any]]) -> dict[int, list[tuple[str, type, Any]]]:
    """Return rows with the types of values, because True == 1 == Decimal(1) in Python."""
    return {
        line: [(name, type(value), value) for name, value in row.items()]
        for line, row in loaded.items()
    }


ANY = ("refused", "read", "empty", "loaded", "encoding", "compressed")
TOTALS = ("no trailer", "rows", "sum")
"""The reasons of files that differ from their control totals."""


def outcomes(found: slow_reader.Reading) -> Iterator[str]:
    """Yield the outcomes and failed rules of an example."""
    yield "refused" if found.refused else "read"
    if not found.refused and not found.raw:
        yield "empty"
    if found.halted:
        yield "halted"
    if found.loaded:
        yield "loaded"
    if found.repeats:
        yield "repeats"
    if found.totals_verified:
        yield "verified"
    if any(found.sums.values()) and found.totals_verified:
        yield "verified sum"
    if found.refused in TOTALS:
        yield f"refused: {found.refused}"
    yield from {rule for _, _, rule, _ in found.failures}


# The test proves nothing if all files are valid, or all are invalid. In a thousand files, each of
# these outcomes occurs dozens of times; in a few, one may not occur.
@pytest.mark.scaled
@pytest.mark.timeout(1800)  # Hypothesis may take five minutes to shrink a failure
@pytest.mark.parametrize(
    ("form", "occurring"),
    [
        ("csv", [*ANY, "repeats", "absent", "quoting", "columnCount"]),
        ("with trailer", ["verified", "verified sum", *(f"refused: {what}" for what in TOTALS)]),
        ("jsonLines", [*ANY, "json", "unknownColumn", "repeatedColumn"]),
    ],
)
def test_pipeline_agrees_with_slow_reader(
    form: FileForm, occurring: list[str], tmp_path: Path
) -> None:
    seen: Counter[str] = Counter()

    @settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(examples(form))
    def check(example: tuple[Contract, bytes, int, bool]) -> None:
        contract, body, size, hard = example
        expected = slow_reader.read(body, contract, NOW)
        is_compressed = expected.loaded and re.match(rb"\x1f\x8b|PK|\x28\xb5", body)
        for outcome in (*outcomes(expected), *(["compressed"] if is_compressed else [])):
            seen[outcome] += 1
            event(outcome)

        found = process(tmp_path, body, contract, size=size, hard=hard)

        assert bool(found.refused) == bool(expected.refused), (found.refused, expected.refused)
        if expected.refused:
            return
        for each in contract.columns:
            if each.optional and expected.clean:
                seen["absent"] += all(row[each.name] is None for row in expected.clean.values())
        assert typed(found.loaded) == typed(expected.loaded)
        assert found.rejected == expected.rejected
        assert [each["line"] for each in found.rejects] == sorted(
            each["line"] for each in found.rejects
        )
        assert sorted(
            (each["line"], str(each["column"]), each["rule"], each["severity"], each["raw"])
            for each in found.rejects
        ) == sorted(
            (line, str(column), rule, severity, expected.raw[line])
            for line, column, rule, severity in expected.failures
        )
        counts = found.verdict.counts
        assert counts["rowsRead"] == len(expected.raw)
        assert counts["rowsRead"] == len(found.loaded) + counts["rowsRejected"]
        halts = expected.halted or (hard and bool(expected.rejected))
        assert found.verdict.outcome == (Outcome.FAILED_TESTS if halts else Outcome.OK)
        assert found.report["exactRepeats"] == expected.repeats
        assert found.report["footerLines"] == expected.footer_lines
        assert found.report["totalsVerified"] == expected.totals_verified
        for name, profile in found.report["columns"].items():
            assert profile["nulls"] == sum(row[name] is None for row in expected.clean.values())

    check()

    if settings().max_examples >= 1_000:
        assert {outcome for outcome in occurring if not seen[outcome]} == set(), seen


@pytest.mark.scaled
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("form", ["csv", "with trailer", "jsonLines"])
def test_ranges_give_the_same_files_as_the_whole(
    form: FileForm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.frame.MAX_TAIL", 64)
    seen: Counter[str] = Counter()

    @settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
    @given(examples(form, compresses=False), st.integers(10, 200))
    def check(example: tuple[Contract, bytes, int, bool], stretch: int) -> None:
        contract, body, size, hard = example
        assume(can_divide(contract))
        for folder in ("whole", "ranges"):
            shutil.rmtree(tmp_path / folder, ignore_errors=True)

        found, ranges = process_in_ranges(
            tmp_path / "ranges", body, contract, stretch, size=size, hard=hard
        )

        expected = process(tmp_path / "whole", body, contract, size=size, hard=hard)
        assert found.refused == expected.refused
        assert found.verdict.outcome == expected.verdict.outcome
        assert found.verdict.reason == expected.verdict.reason
        assert found.verdict.counts == expected.verdict.counts
        assert [*typed(found.clean).items()] == [*typed(expected.clean).items()]
        assert results(tmp_path / "ranges") == results(tmp_path / "whole")
        if ranges > 1:
            seen["several ranges"] += 1
            seen["loaded"] += len(found.loaded) > 1
            seen["rejected"] += len(found.rejected) > 1
            seen["refused"] += found.refused is not None
        event(f"{min(ranges, 5)} ranges")

    check()

    if settings().max_examples >= 1_000:
        assert min(seen.values()) > 0, seen


def results(folder: Path) -> dict[str, bytes]:
    """Return the files with rejects and the report of a whole file."""
    files = folder.glob("state=failed_tests/table=*/year=*/month=*/day=*/ingestedID=*/*.*")
    return {file.name: file.read_bytes() for file in files}


@pytest.mark.scaled
@pytest.mark.timeout(1800)
def test_draft_loads_its_file_or_lists_rows(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"

    @settings(
        max_examples=settings().max_examples // 8,  # each file is read many times
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(st.sampled_from(CONTRACTS).flatmap(dialects).flatmap(files))
    def check(body: bytes) -> None:
        path.write_bytes(body)
        try:
            drafted = draft([path], "t")
        except CommandError:
            event("not a table")
            return
        contract = parse("t.odcs.yaml", drafted.text.encode())
        found = process(tmp_path, body, contract)

        assert bool(drafted.failed) == bool(found.refused or found.rejected)
        event("refused" if found.refused else "loaded" if found.loaded else "halted")
        # Only malformed rows, and no types and rules, may reject a row.
        assert {each["rule"] for each in found.rejects if "\0" not in (each["value"] or "")} <= {
            *("columnCount", "quoting", "encoding", "known_value")
        }

    check()
