"""Contracts that can never work, files that are not contracts, and hostile files."""

import datetime as dt
import encodings
import itertools
import pkgutil
import re
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from functions.test.rules import Judge, keys_for, repeating_lines
from functions.transform.casts import cast, schema
from shared.contract import Contract
from shared.errors import InvalidContract
from shared.lines import Lines, read_lines
from shared.odcs import CONTRACTS, load
from shared.rows import Indices, Rows
from shared.text import REASON
from tests.processing import NOW, process
from tests.shared.test_odcs import (
    MINIMAL,
    Change,
    both,
    column,
    custom,
    document,
    loaded,
    quality,
    row_count,
    save,
    table,
)


def wider(by: int, **properties: Any) -> Change:
    """Return a change that adds columns to the table."""
    columns = [
        {"name": f"c{number}", "logicalType": "integer", "physicalType": "bigint"} | properties
        for number in range(by)
    ]
    return lambda document: document["schema"][0]["properties"].extend(columns)


def dated(**properties: Any) -> Change:
    return custom(of="day", formats=[{"pattern": "yyyy-MM-dd"} | properties])


def timed(**properties: Any) -> Change:
    """Return a change that makes the day a timestamp with one format."""
    return both(
        dated(**properties), column("day", logicalType="timestamp", physicalType="timestamptz")
    )


UNFIT: list[tuple[str, dict[str, Any], str]] = [
    ("yyyy-MM-dd hh:mm", {}, "must have the hour as H or HH, or as h or hh toge"),
    ("yyyy-MM-dd HH a", {}, "must have the hour as H or HH, or as h or hh toget"),
    ("[yyyy-MM-dd][dd.MM.yyyy][ hh:mm]", {}, "must have the hour as H or HH, or as h"),
    ("yyyy-MM-dd X VV", {}, "has both an offset and a zone name: remove one of"),
    *(
        (text, {"timezone": "Etc/UTC"}, "reads the time zone from the text: rem")
        for text in ("yyyy-MM-dd HH:mm XXX", "yyyy-MM-dd HH:mm VV", "epochSeconds")
    ),
    ("yyyy-MM-dd", {"pivot": 1950}, "has no yy: remove 'pivot'"),
    (
        "yyyy-MM-dd HH:mm:ss.SSSSSS",
        {"beyondMicroseconds": "truncate"},
        "has no fraction of more than 6 digits: remove 'beyondMicroseconds'",
    ),
]
"""Formats that no timestamp can have."""
WRONG_MANIFESTS: list[tuple[dict[str, Any], str]] = [
    *(
        ({"name": name}, f"manifest.name: {name!r} is not the name of a manifest: write a")
        for name in ("", "{name}", "{stem}{region}", "a/{name}", "{na me}.ok")
    ),
    *(
        ({"name": name}, f"manifest.name: data files may have the name {name!r} too, and would")
        for name in ("{stem}.csv", "{name}.gz", "{stem}_{stem}.CSV.zip")
    ),
    ({"name": "{region}.ok"}, "has the placeholders region, but only name, stem are"),
    ({"pattern": "("}, "the pattern '(' is not valid RE2: missing ): ("),
    ({"pattern": r"\Qa"}, "the pattern '\\\\A(?:\\\\Qa)"),
    ({"pattern": "OK"}, "the pattern 'OK' has no named group, so that it verifies nothing"),
    ({"pattern": "(?P<Rows>.)"}, "manifest's pattern has the group 'Rows', but only name,"),
    ({"pattern": "(?P<sum_day>.)"}, "has the group 'sum_day', but only name, size, md5, "),
    ({"entries": "a["}, "manifest.entries: 'a[' is not a JMESPath expression: Invalid"),
    ({"entries": "(" * 9_000}, "is not a JMESPath expression: maximum recursion depth"),
    ({"entries": "a", "pattern": "(?P<rows>.)"}, "has either a pattern or entries: remov"),
    ({"withinHours": 0}, "manifest.withinHours: Input should be greater than or equal to"),
]
NEVER: list[tuple[Change, str]] = [
    (custom(encoding="../x"), "encoding: '../x' is not a text encoding of Python"),
    *(
        (custom(dialect={"delimiter": text}), f"the delimiter {text!r} is not valid")
        for text in ("a", "Z", "7", "\n", ",a")
    ),
    (custom(dialect={"delimiter": r"\t"}), r"NUL; YAML reads \t only in double quotes"),
    (dated(pattern=r"yyyy\tMM"), r"epochMillis; YAML reads \t only in double quotes"),
    (custom(dialect={"delimiter": "\0"}), "a text contains NUL"),
    *(
        (dated(pattern=pattern), f"column 'day': format {pattern!r}: {part} is not sup")
        for pattern, part in (
            ("yyyy-MM-dd G", "'G'"),
            ("yyyy-MM-dd'T", '"\'"'),
            ("yyyy-MM-dd[.SSSSSSSSSS]", "'[.SSSSSSSSSS]'"),
            ("yyyy-MM-dd SSSSSSSSSS", "'SSSSSSSSSS'"),
        )
    ),
    *(
        (dated(pattern=pattern), f"column 'day': format {pattern!r} {what}")
        for pattern, what in (
            ("yyyy-MM-dd yyyy", "has a part twice: remove one of them"),
            ("yyyy-dd", "must have one year and one month or quarter; a day is optional"),
            ("dd MM MMM yyyy", "must have one year and one month or quarter"),
            ("yyyy yy MM", "must have one year and one month or quarter"),
            ("dd Q yyyy", "has a quarter and a day: remove one of them"),
            ("EEE MM/yyyy", "has a weekday but no day: remove the weekday, or add d or dd"),
            ("yyyy-MM-dd[ yyyy]", "has a part twice: remove one of them"),
            *(
                (text, "has a [ without a ], or a ] without a [")
                for text in ("yyyy[-MM", "yyyy-MM]", "]MM[yyyy")
            ),
            ("yyyy-MM" + "[d]" * 7, "has more than 64 combinations of optional sections: write"),
        )
    ),
    (dated(pattern="yyyy-MM-dd HH:mm"), "column 'day': the date format 'yyyy-MM-dd HH:mm' has the"),
    (dated(pattern="epochMillis"), "column 'day': the date format 'epochMillis' has the times ["),
    *(
        (timed(pattern=pattern, **more), f"column 'day': format {pattern!r} {what}")
        for pattern, more, what in UNFIT
    ),
    (dated(pattern="yyyy-MM-dd", timezone="Etc/UTC"), "'day': format 'yyyy-MM-dd' has no time"),
    (dated(pattern="yy-MM", pivot=0), "column 'day': formats.0.pivot: Input should be greater"),
    (dated(pattern="yyyy" * 51), "column 'day': formats.0.pattern: String should have at most 200"),
    *(
        (dated(locale=name), f"column 'day': {name!r} is not a locale: use e.g. de or")
        for name in ("../de", "de-AT", "xx", "")
    ),
    *(
        (
            quality("name", arguments={"pattern": pattern}),
            f"column 'name': the rule 'q': regex: the pattern {pattern!r} is not valid RE2: {why}",
        )
        for pattern, why in (
            ("(?=x)y", "invalid perl operator: (?="),
            ("(?<!x)y", "invalid perl operator: (?<"),
            (r"(.)\1", r"invalid escape sequence: \1"),
            ("(", "missing ): ("),
            ("a)|(b", "unexpected ): a)|(b"),
            ("(((a{9}){9}){9}){9}", "invalid repetition size"),
        )
    ),
    (quality("name", arguments={"pattern": r"\Qa"}), "the pattern '\\\\A(?:\\\\Qa)"),
    (quality("name", arguments={"pattern": "x" * 10_001}), "should have at most 10000 characters"),
    (table(physicalName="pg_class"), "pg_class could be hidden by a system table of PostgreSQL:"),
    (table(physicalName="source_pkey"), "the table source_pkey is reserved for the pipeline"),
    (both(table(name="Feed"), table(physicalName="f")), "'Feed' is not a valid table name"),
    *(
        (column("name", physicalName=name), f"columns ['{name}'] are reserved for PostgreSQL")
        for name in ("cmax", "cmin", "ctid", "tableoid", "xmax", "xmin")
    ),
    (column("amount", name=""), "column '': physicalName: '' is not a plain lower-case PostgreSQL"),
    *(
        (column(name, physicalType=physical_type), f"column {name!r}: {message}")
        for name, physical_type, message in (
            ("name", "varchar(99999999999)", "varchar(99999999999) must have 1 to 10,485,760 char"),
            ("name", "varchar(10485761)", "varchar(10485761) must have 1 to 10,485,760 characters"),
            ("name", "varchar(0)", "varchar(0) must have 1 to 10,485,760 characters"),
            (
                "name",
                "varchar(" + "9" * 5000 + ")",
                "the type string cannot be stored as 'varchar(9",
            ),
            ("name", "varchar(\u0663)", "the type string cannot be stored as 'varchar(\u0663)'"),
            ("amount", "numeric(99999999999,2)", "the type number cannot be stored as 'numeric(9"),
        )
    ),
    (wider(1_594), "the table has 1,598 columns, but the maximum is 1,597"),
    (wider(1_021, required=True), "columns alone need 8,201 bytes per row, but a PostgreSQL page"),
    (
        both(wider(33), custom(indexes=[[f"c{number}" for number in range(33)]])),
        "the index that begins with 'c0' has 33 columns, but PostgreSQL allows 32",
    ),
    *(
        (quality(name, arguments=arguments), "is greater than the maximum")
        for name, arguments in (
            ("name", {"minLength": 3, "maxLength": 2}),
            ("amount", {"minimum": 2, "maximum": 1}),
            ("day", {"minimum": dt.date(2020, 1, 2), "maximum": "2020-01-01"}),
        )
    ),
    *(
        (
            custom(dialect={"footer": {"pattern": pattern}}),
            f"the footer's pattern has the group {why}",
        )
        for pattern, why in (
            ("^T(?P<sum_day>.)", "'sum_day', but only rows, sum_amount are known (sums are of col"),
            ("^T(?P<md5>.)", "'md5', but only rows, sum_amount are known"),
        )
    ),
    *(
        (custom(manifest={"name": "{name}.ok"} | wrong), message)
        for wrong, message in WRONG_MANIFESTS
    ),
    (row_count(mustBeBetween=[3, 2]), "the minimum 3 is greater than the maximum 2"),
    *(
        (
            quality("amount", arguments={"minimum": 0}, mustBe=None, mustBeLessThan=limit),
            f"the limit of fewer than {limit} rows halts every file",
        )
        for limit in (0, -1)
    ),
    *(
        (quality("amount", arguments={"minimum": bound}), "more than 38 digits before or after")
        for bound in (10**38, f"0.{'0' * 38}1", "1e1000000")
    ),
    (quality("name", arguments={"minLength": 2**31}), "less than or equal to 2147483647"),
    (
        quality("day", arguments={"minimum": "0001-01-01T00:00:00+01:00"}),
        "is outside the calendar (years 1 to 9999) in UTC",
    ),
]


@pytest.mark.parametrize(
    ("change", "message"), NEVER, ids=[f"{i}-{each[1][:50]!a}" for i, each in enumerate(NEVER)]
)
def test_contract_that_can_never_work_is_invalid(
    change: Change, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidContract, match=re.escape(message)) as error:
        loaded(tmp_path, change)

    assert re.match(r"(feed|Feed)\.odcs\.yaml: ", str(error.value))


def test_longest_text_of_postgresql_is_valid(tmp_path: Path) -> None:
    longest = loaded(
        tmp_path,
        column(
            "name", physicalType="varchar(10485760)", logicalTypeOptions={"maxLength": 10_485_760}
        ),
    )

    assert longest.column("name").limits.length == 10_485_760


_BOMB = "a: &a [x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in itertools.pairwise("abcdefghijk")
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (_BOMB, "line 6: the contract exceeds 512 KiB or 100,000 values"),
        (f"a: &a {'x' * 100_000}\nb: [{'*a,' * 9}]", "line 2: the contract exceeds 512 KiB"),
        ("a: &a {b: *a}", "line 1: an alias refers to a value that contains it"),
        ("[" * 100_000, "line 1 is nested more than 20 levels deep"),
        ("- " * 100_000, "line 1 is nested more than 20 levels deep"),
        (
            "- &a0 [x]\n" + "".join(f"- &a{i + 1} [*a{i}]\n" for i in range(20)),
            "line 20 is nested more than 20 levels deep",
        ),
        ("#" * 600_000, "the file is larger than 512 KiB: shorten it"),
        ("a" + ",a" * 200_000, "at $: 'a,a"),
        ("[" + "a," * 200_000, "line 1: the contract exceeds 512 KiB or 100,000 values"),
        ("a: 1" + ":1" * 100_000, "line 1: a number or date has more than 100 characters"),
        (f"{'k' * 101}: 1", " characters) is not a text of up to 100 characters"),
        ("yes: 1", "the key 'True' is not a text"),
        ("? [a]\n: 1", "the key \"['a']\" is not a text"),
        ('!!int ""', "line 1: the tag 'tag:yaml.org,2002:int' is not allowed: remove it"),
        ('a: "\\ud800"', "line 1, column 4 found invalid Unicode character escape code"),
        ('a: "\\0"', "line 1: a text contains NUL or an unpaired surrogate"),
        ("---\n---\n", "expected a single document"),
        ("a: 2020-13-45", "month must be in 1..12"),
        (
            MINIMAL + "    foo: [" + "{}, " * 20_000 + "]",
            "at $.schema[0]: ODCS does not define 'foo' here",
        ),
    ],
    ids=range(19),
)
def test_oversized_or_malformed_yaml_is_invalid(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "feed.odcs.yaml"
    path.write_text(text, "utf-8")

    with pytest.raises(InvalidContract, match=re.escape(message)) as error:
        load(path)

    assert str(error.value).startswith("feed.odcs.yaml: ")
    assert len(str(error.value)) <= REASON


@pytest.mark.parametrize(
    "change",
    [
        wider(300, requird=True),
        wider(300, logicalType=[]),
        wider(300, physicalType="text"),
        wider(300, quality=[{"metric": "rowCount", "mustBe": 0}]),
        lambda document: document.update(tags=[{}] * 3_000),
        quality("name", arguments={"validValues": [1] * 2_500}),
        custom(indexes=[[f"x{number}"] for number in range(2_500)]),
    ],
    ids=range(7),
)
def test_only_first_of_many_problems_are_reported(change: Change, tmp_path: Path) -> None:
    with pytest.raises(InvalidContract) as error:
        loaded(tmp_path, change)

    *first, last = error.value.problems
    assert len(first) == len(set(first)) == 20
    assert re.fullmatch(r"feed\.odcs\.yaml: and at least [\d,]+ more: correct these first", last)
    assert len(str(error.value)) <= REASON


def test_nested_aliases_are_refused_before_they_are_expanded(tmp_path: Path) -> None:
    path = tmp_path / "feed.odcs.yaml"
    path.write_text(_BOMB, "utf-8")
    with pytest.raises(InvalidContract):
        load(path)  # fills the caches, which must not count
    tracemalloc.start()
    try:
        with pytest.raises(InvalidContract):
            load(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 1024**2


def test_plain_alias_is_valid(tmp_path: Path) -> None:
    made = document()
    made["schema"][0]["tags"] = made["tags"] = ["a"]
    path = save(tmp_path, made)

    assert "*id001" in path.read_text("utf-8")
    assert load(path).table == "feed"


def test_problems_escape_control_characters(tmp_path: Path) -> None:
    made = document()
    column("name", name="\x1b[31m\u202e", physicalType="\x9b" * 5_000)(made)

    with pytest.raises(InvalidContract) as error:
        load(save(tmp_path, made))

    assert r"column '\x1b[31m\u202e'" in str(error.value)
    assert str(error.value).isprintable()
    assert len(str(error.value)) <= REASON


def test_every_accepted_encoding_reads_what_it_wrote(tmp_path: Path) -> None:
    """Every text encoding of Python must work, or be refused by name."""
    text = 'a,b\r\n"x\\n\\u0041",xn--a-b\n' * 3
    refused = set()
    for name in sorted({module.name for module in pkgutil.iter_modules(encodings.__path__)}):
        try:
            contract = loaded(tmp_path, custom(encoding=name))
        except InvalidContract:
            refused.add(name)
            continue
        body = text.encode(contract.encoding)
        chunks = [body[at : at + 1] for at in range(len(body))]
        lines = list(read_lines(chunks, contract.encoding, contract.dialect))
        assert b"".join(each.text for each in lines if isinstance(each, Lines)) == text.encode()

    assert refused == {
        *("aliases", "base64_codec", "bz2_codec", "charmap", "hex_codec", "idna", "mbcs", "oem"),
        *("palmos", "punycode", "quopri_codec", "raw_unicode_escape", "rot_13", "undefined"),
        *("unicode_escape", "uu_codec", "zlib_codec"),
        *({"_win_cp_codecs"} if sys.version_info >= (3, 14) else ()),
    }


def test_header_may_use_reserved_column_names(tmp_path: Path) -> None:
    """Only a `physicalName` is restricted."""
    names = {"id": "customer", "line": "address", "source_id": "a", "source_line": "b", "": "c"}
    made = document()
    table(customProperties=None, quality=None)(made)
    made["schema"][0]["properties"] = [
        {"name": name, "physicalName": physical, "logicalType": "string", "physicalType": "text"}
        | {"unique": True}
        for name, physical in names.items()
    ]
    contract = load(save(tmp_path, made))

    header = ",".join(names)
    processed = process(tmp_path, f"{header}\n1,2,3,4,5\n6,7,8,9,5\n".encode(), contract)

    assert processed.clean == {
        2: dict(zip(names, "12345", strict=True)),
        3: dict(zip(names, "67895", strict=True)),
    }
    assert [(each["line"], each["column"]) for each in processed.rejects] == [(3, "")]
    assert processed.report is not None
    assert [*processed.report["columns"]] == [*names]


# Any other file yields either one error, or a contract that can read every text.

_VALUES: list[Any] = [
    *(None, True, 0, -1, 10**40, 2**63, 1.5, 1e308, float("nan"), float("inf"), "", "x" * 3_000),
    *("\x1b[31m", "\u202e", "\ud800", "\0", "\n", "é", ",", ";", "0", "1e999999", "NaN"),
    *([], {}, [[]], [None], {"a": 1}, {1: 2}, dt.date(1, 1, 1), dt.date(9999, 12, 31)),
    *(
        dt.datetime(2020, 1, 1, 1, tzinfo=dt.UTC),
        "2020-01-01T01:00:00",
        "9999-12-31T23:59:59-12:00",
        "2020-01-01T00:00:00+01:00",
    ),
    *("ctid", "pg_class", "id", "line", "source", "(?=a)", "(a)\\1", "[a-z]+", "\\C", "\\Qa"),
    *("idna", "utf-16", "cp037", "utf-7", "unicode_escape", "../x", "Europe/Berlin", "de", "ja"),
    *("varchar(99999999999)", "varchar(1)", "text", "numeric(38,38)", "numeric(1,0)", "smallint"),
    *("string", "integer", "number", "boolean", "date", "timestamp", "time", "timestamptz"),
    *("yyyy", "dd.MM.yyyy", "d MMMM yyyy h:mm a", "yyyy-MM-dd'T'HH:mm:ss[.SSS]", "MMM d yyyy"),
    *("nullValues", "invalidValues", "rowCount", "duplicateValues", "percent", "warning"),
]
_KEYS = [
    *("name", "physicalName", "logicalType", "physicalType", "required", "unique", "quality"),
    *("customProperties", "property", "value", "properties", "arguments", "minimum", "maximum"),
    *("minLength", "maxLength", "pattern", "validValues", "notInFuture", "mustBe", "metric"),
    *("mustBeLessThan", "mustBeBetween", "unit", "logicalTypeOptions", "format", "examples"),
    *("slaProperties", "schema", "x", "locale", "timezone", "defaultTimezone", "severity"),
]
_SNIPPETS = [
    *("&a ", "*a", "!!int ", "!!binary ", "!x ", "- ", "? ", ": ", "{", "}", "[", "]", '"', "'"),
    *("|\n", ">\n", "\t", "<<: ", "---\n", "%YAML 1.1\n", "# ", "\0", "\x85", "\ufeff", "\n", "  "),
    *("~", "0x", "1:1:1", ".inf", "2020-13-45", "=", "\\", "\u2028"),
]
_DOCUMENTS = [MINIMAL, *(path.read_text("utf-8") for path in sorted(CONTRACTS.glob("*.yaml")))]
_TEXTS = [
    *(None, "", "-", "a", "ё", "x" * 200, "\0", "0", "-1", "1.5", "1,5", "9" * 38, "9" * 39),
    *("ja", "nein", "2020-01-01", "01.03.2024", "26 сентября 2019 00:00", "09/27/2019 12:00 AM"),
    *("2019-09-27 00:00:00 UTC", "0001-01-01 00:00:00 UTC", "9999-12-31 23:59:59 UTC"),
]


def _places(part: Any) -> list[tuple[Any, Any]]:
    """Return every container in a document with each of its keys."""
    keys: list[Any] = list(part) if isinstance(part, dict) else list(range(len(part)))
    inner = [part[key] for key in keys if isinstance(part[key], dict | list)]
    return [(part, key) for key in keys] + [place for each in inner for place in _places(each)]


@st.composite
def _texts(draw: st.DrawFn) -> str:
    """Draw a valid contract with some values, and then some characters, replaced."""
    made = yaml.safe_load(draw(st.sampled_from(_DOCUMENTS)))
    values = st.sampled_from(_VALUES)
    for _ in range(draw(st.integers(0, 4))):
        places = _places(made)
        if not places:
            break
        container, key = draw(st.sampled_from(places))
        match draw(st.sampled_from(["set", "set", "add", "delete", "move", "nest"])):
            case "set":
                container[key] = draw(values)
            case "add" if isinstance(container, dict):
                container[draw(st.sampled_from(_KEYS))] = draw(values)
            case "delete":
                del container[key]
            case "move":
                other, there = draw(st.sampled_from(places))
                container[key] = yaml.safe_load(yaml.safe_dump(other[there]))
            case _:
                container[key] = [container[key]]
    text = yaml.safe_dump(made, allow_unicode=True, sort_keys=False)
    for _ in range(draw(st.integers(0, 2))):
        begin = draw(st.integers(0, len(text)))
        end = begin + draw(st.sampled_from([0, 0, 1, 10]))
        text = text[:begin] + draw(st.sampled_from(_SNIPPETS)) + text[end:]
    return text


@pytest.mark.scaled
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(text=_texts())
def test_any_file_yields_contract_or_one_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "feed.odcs.yaml"
    for name in ("dailycheckins", "projectbudgets"):
        if f"name: {name}" in text:
            path = tmp_path / f"{name}.odcs.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        contract = load(path)
    except InvalidContract as error:
        text = str(error)
        assert text.startswith(f"{path.name}: ")
        assert text.isprintable()
        assert len(text) <= REASON
        problems = error.problems
        assert 1 <= len(problems) <= 21
        for problem in problems:
            assert problem.startswith(f"{path.name}: ")
            assert problem.isprintable()
            assert len(problem) <= REASON
        event("refused")
        return
    event("accepted")
    _read_every_text(contract)


def _raws(rows: Indices) -> pa.StringArray:
    return pa.array(_TEXTS, pa.string()).take(pa.array(rows))


def _read_every_text(contract: Contract) -> None:
    """Cast and test texts of all kinds in every column, as Transform and Test do."""
    columns = [pa.array(_TEXTS, pa.string())] * len(contract.columns)
    rows = Rows(pa.array(range(len(_TEXTS)), pa.int64()), columns, _raws)
    _check(contract, cast(rows, range(len(contract.columns)), contract).clean)
    for each in contract.columns:
        # Each column separately, because one invalid value rejects the whole row.
        alone = contract.model_copy(update={"columns": (each,)})
        clean = cast(Rows(rows.lines, columns[:1], _raws), [0], alone).clean
        _check(alone, clean)


def _check(contract: Contract, clean: pa.Table) -> None:
    clean = clean.cast(schema(contract))
    keys = [keys_for(contract, clean)]
    Judge(contract, NOW, repeating_lines(contract, keys, Path("unused"))).violations(clean)
