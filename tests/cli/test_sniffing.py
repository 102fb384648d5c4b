"""The form that is found from a sample of a file."""

import codecs
import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.sniffing import Sniffed, sample_of, sniff
from shared.dialect import Dialect
from shared.rows import read_table
from shared.verdict import Refusal

ROWS = b"".join(b"%d,%d.5,2024-01-%02d\n" % (i, i, i + 1) for i in range(9))
TEXTS = b"Name,Town\nAda,London\nBob,Paris\nCleo,Rome\n"


def form(data: bytes) -> Sniffed:
    found = sniff(sample_of([data]))
    assert isinstance(found, Sniffed), found
    return found


def refusal(data: bytes) -> str:
    found = sniff(sample_of([data]))
    assert isinstance(found, Refusal), found
    return found.reason


@pytest.mark.parametrize(
    ("data", "dialect", "names"),
    [
        (b"a,b,c\n" + ROWS, {}, ["a", "b", "c"]),
        (b"a;b\n1,5;x\n2,25;y, z\n", {"delimiter": ";"}, ["a", "b"]),
        (b"a\tb\n1\tx, y\n2\tz, w\n", {"delimiter": "\t"}, ["a", "b"]),
        (b"a|b\n1|10:30\n2|11:45\n", {"delimiter": "|"}, ["a", "b"]),
        (b"n:a\n1:x\n2:y\n", {"delimiter": ":"}, ["n", "a"]),
        (b"'OBS' 'GPA'\n1 2.66\n2 2.89\n", {"delimiter": " ", "quoteChar": "'"}, ["OBS", "GPA"]),
        (b"sep=;\na;b\n1,5;x\n2,5;y\n", {"delimiter": ";"}, ["a", "b"]),
        (b'a,b\n"say \\"hi\\", you",1\n"x",2\n', {"escapeChar": "\\"}, ["a", "b"]),
        (b"a,b\nx\\, y,1\nz,2\n", {"escapeChar": "\\"}, ["a", "b"]),
        (b"n,a\n1,'x, y'\n2,'z'\n", {"quoteChar": "'"}, ["n", "a"]),
        (b'n\ta\n1\t"9 in\n2\tx\n3\tpipe 8"\n', {"delimiter": "\t", "quoteChar": None}, ["n", "a"]),
        (b'n,a,b\n1,5" pipe,"x, y"\n2,6" pipe,"z"\n', {"lenientQuotes": True}, ["n", "a", "b"]),
        (b'n,a\n1, "x, y"\n2, "z"\n', {"skipInitialSpace": True}, ["n", "a"]),
        (b"n, a, b\n1, x, 2\n2, y, 3\n", {"skipInitialSpace": True}, ["n", "a", "b"]),
        (b'n,a,b\n1,"two\nlines, one value",y\n2,x,z\n', {}, ["n", "a", "b"]),
        (b"n,a\r1,x\r2,y\r", {"lineTerminator": "\r"}, ["n", "a"]),
        (b"n,a\r\r\n1,x\r\r\n2,y\r\r\n", {}, ["n", "a"]),
        (b"n,a\r\n1,x\r\n2,y\r\n\x1a", {}, ["n", "a"]),
        (b"# by X\nn,a\n# part\n1,x\n2,y\n", {"commentChar": "#"}, ["n", "a"]),
        (b"#n,a\n1,x\n2,y\n", {}, ["#n", "a"]),
        (b"Title, of the report\n\nn,a,b\n1,x,2\n2,y,3\n", {"skipLines": 2}, ["n", "a", "b"]),
        (b"Title,,\n,,\nn,a,b\n1,x,2\n2,y,3\n", {"skipLines": 2}, ["n", "a", "b"]),
        (b"\n\nn,a\n1,x\n2,y\n", {}, ["n", "a"]),
        (b"n,a\n1,x\n2,y\nTRAILER;2\n", {"footer": {"pattern": "^TRAILER"}}, ["n", "a"]),
        (b"n,a\n1,x\n2,y\nTotal,\n", {"footer": {"pattern": "^Total"}}, ["n", "a"]),
        (b"n,a\n1,x\n2,y\n(2 rows)\n", {"footer": {"lines": 1}}, ["n", "a"]),
        (b"a,n\nx,1\ny,2\n,\n,\n", {"skipEmptyRows": True}, ["a", "n"]),
        (b"n;a;\n1;x;\n2;y;\n", {"delimiter": ";", "trailingDelimiter": True}, ["n", "a"]),
        (b"n,a,b\n1,x,2,\n2,y,3,\n", {"trailingDelimiter": True}, ["n", "a", "b"]),
        (b"City,2023,2024\nRome,5,7\nParis,6,8\n", {}, ["City", "2023", "2024"]),
        (b"1,x,2.5\n2,y,3.5\n", {"header": False}, ["column_1", "column_2", "column_3"]),
        (b"red,round\nred,flat\nblue,round\n", {"header": False}, ["column_1", "column_2"]),
        (b"A,,B,\nX,Y,X,Z\n1,2,3,4\n5,6,7,8\n", {"headerRows": [1, 2]}, ["A X", "Y", "B X", "Z"]),
        (TEXTS, {}, ["Name", "Town"]),
        (b"n\n1\n2\n", {}, ["n"]),
        (b"Note\nhello, world\nfoo\nbar\na, b, c\n", {"delimiter": ";"}, ["Note"]),
    ],
)  # fmt: skip
def test_form_has_dialect_and_names(data: bytes, dialect: dict[str, Any], names: list[str]) -> None:
    found = form(data)
    assert found.properties.get("dialect", {}) == dialect
    assert list(found.names) == names
    assert not any("rejected" in doubt or "refused" in doubt for doubt in found.doubts)


@pytest.mark.parametrize(
    ("data", "names", "why"),
    [
        (b"n,a,a\n1,x,2\n2,y,3\n", ["n", "a", "a_2"], "names are repeated in the header: a"),
        (b",a,b\n1,x,2\n2,y,3\n", ["column_1", "a", "b"], "columns without a name"),
        (b"a,b\nr1,1,2\nr2,3,4\n", ["column_1", "a", "b"], "2 names for 3 columns"),
        (b"a,b,n,m,o\nx,y,1\nx,z,2\n", ["a", "b", "n"], "5 names for 3 columns"),
    ],
)
def test_form_finds_columns_by_position_if_names_are_bad(
    data: bytes, names: list[str], why: str
) -> None:
    found = form(data)
    assert found.properties == {"headerPolicy": {"match": "position"}}
    assert list(found.names) == names
    assert why in " ".join(found.doubts)


@pytest.mark.parametrize(
    ("data", "encoding", "doubt"),
    [
        ("n,a\n1,é\n".encode(), {}, ""),
        (codecs.BOM_UTF8 + "n,a\n1,é\n".encode(), {}, ""),
        ("n,a\n1,é\n".encode("utf-16"), {"encoding": "utf-16"}, ""),
        (codecs.BOM_UTF16_BE + "n,a\n1,é\n".encode("utf-16-be"), {"encoding": "utf-16"}, ""),
        ("n,a\n1,é\n2,xyz\n".encode("utf-16-le"), {"encoding": "utf-16-le"}, ""),
        (
            ("n,a\n1,Käsebrot\n" + "2,x\n" * 9 + "3,5 €\n").encode("cp1252"),
            {"encoding": "cp1252"},
            "contains 'Käsebrot', '€': are",
        ),
        ("n,a\n" + "1,Привет друг\n2,хорошая погода\n" * 9, {"encoding": "cp1251"}, "Привет"),
        (("1,é\n" * 30).encode() + b"2,\xff\n", {"encodingErrors": "reject"}, "e.g. ff"),
    ],
)  # fmt: skip
def test_form_has_encoding(data: bytes | str, encoding: dict[str, str], doubt: str) -> None:
    found = form(data.encode("cp1251") if isinstance(data, str) else data)
    assert found.properties | {"dialect": 0} == encoding | {"dialect": 0}
    assert doubt in " ".join(found.doubts)


def test_form_of_large_file_is_that_of_its_begin_and_end() -> None:
    rows = b"".join(b"%d;x;%d,5\n" % (i, i) for i in range(80_000))
    for encoding in ("utf-8", "utf-16"):
        data = ("n;ä;b\n" + rows.decode() + "End of file\n").encode(encoding)
        found = form(data)
        expected = {"dialect": {"delimiter": ";", "footer": {"pattern": "^End"}}}
        assert (
            found.properties == ({} if encoding == "utf-8" else {"encoding": encoding}) | expected
        )
        assert found.names == ("n", "ä", "b")
        assert f"Of {len(data):,} bytes" in found.evidence[0]


def test_encoding_is_that_of_all_bytes() -> None:
    assert form(b"n,a\n" + b"1,x\n" * 500_000 + b"2,\xe9t\xe9\n").encoding == "cp1252"


def test_form_of_json_lines_has_all_keys() -> None:
    lines = [{"a": 1}, {"b": [2], "a": None}]
    found = form("".join(json.dumps(each) + "\n" for each in lines).encode())
    assert (found.properties, found.names) == ({"fileFormat": "jsonLines"}, ("a", "b"))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"\n\n \n", "has no rows"),
        (b"PK\x03\x04\0\0", "byte 0"),
        (b"%PDF-1.7\n", "is a PDF"),
        (b"<html>\n", "is a web page"),
        (b'[{"a": 1}]\n', "is JSON"),
        (b'{"a":\n 1}\n', "is JSON"),
        (b"a,b\n1,\0\n", "line 2 contains the byte 0"),
        (b"x" * (1 << 21), "a line is longer than 512 KiB"),
        (b"," * 2_000 + b"\n", "has 2,001 columns, but the maximum of a table is 1,597"),
        (bytes(range(0x80, 0x100)) * 9, "neither UTF-8 nor text"),
    ],
)
def test_file_that_is_no_table_is_refused(data: bytes, reason: str) -> None:
    assert reason in refusal(data)


def test_sample_takes_constant_memory() -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(64):
            yield b"x" * (1 << 20)

    tracemalloc.start()
    sample_of(chunks())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 << 20


@settings(max_examples=30)
@given(st.text(st.sampled_from("a1,;\t\"'\\\n #\r."), max_size=60))
def test_form_of_any_text_reads_it(text: str) -> None:
    found = sniff(sample_of([text.encode()]))
    if isinstance(found, Sniffed):
        assert len({*found.names}) == len(found.names)
        assert all(found.names)
        assert Dialect.model_validate(found.dialect.model_dump()) == found.dialect
        table = read_table([text.encode()], found.contract)
        refused = isinstance(table, Refusal)
        assert refused == any("would be refused" in doubt for doubt in found.doubts)


@settings(max_examples=20)
@given(
    st.lists(
        st.tuples(st.integers(0, 9999), st.text("abc ,;\"'\n", max_size=8), st.dates()),
        min_size=3,
    ),
    st.sampled_from(",;\t|"),
)
def test_form_of_written_rows_reads_them_all(
    rows: list[tuple[object, ...]], delimiter: str
) -> None:
    def cell(value: object) -> str:
        text = str(value)
        return '"' + text.replace('"', '""') + '"' if set(text) & {*"\n\"'", delimiter} else text

    data = "".join(delimiter.join(map(cell, row)) + "\n" for row in [("n", "a", "d"), *rows])
    found = form(data.encode())
    assert found.dialect.delimiter == delimiter
    assert found.names == ("n", "a", "d")
    table = read_table([data.encode()], found.contract)
    assert not isinstance(table, Refusal)
    chunks = [each() for each in table.chunks if not isinstance(each, Refusal)]
    assert sum(len(each.lines) for each in chunks) == len(rows)
