"""Replacement of rows in the bytes of a file."""

import codecs
import itertools
import re
import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from cli.errors import CommandError
from cli.fix import Replacement, replacements, rewritten
from shared import undecodable
from shared.dialect import Dialect, Footer
from shared.rows import read_table
from shared.undecodable import EncodingErrors
from shared.verdict import Refusal
from tests.fixtures.contracts import any_file

CSV = Dialect()
MARKS = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-32-le": codecs.BOM_UTF32_LE,
}


def cut(body: bytes, size: int) -> Iterator[bytes]:
    return (body[i : i + size] for i in range(0, len(body), size))


def fixed(
    body: bytes,
    rows: dict[int, Replacement],
    encoding: str = "utf-8",
    dialect: Dialect = CSV,
    size: int = 1000,
) -> bytes:
    return b"".join(rewritten(cut(body, size), rows, encoding, dialect))


@pytest.mark.parametrize("size", [1, 3, 7, 10_000])
@pytest.mark.parametrize(
    ("encoding", "codec", "is_marked"),
    [
        ("utf-8", "utf-8", False),
        ("utf-8", "utf-8", True),
        ("utf-8-sig", "utf-8", True),
        ("utf-16", "utf-16-be", True),
        ("utf-16", "utf-16-le", True),
        ("utf-16-be", "utf-16-be", False),
        ("utf-16-le", "utf-16-le", True),
        ("utf-32", "utf-32-le", True),
        ("cp1251", "cp1251", False),
        ("cp932", "cp932", False),
        ("iso2022_jp", "iso2022_jp", False),
        ("cp037", "cp037", False),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r"])
def test_fix_keeps_all_other_bytes(
    encoding: str, codec: str, is_marked: bool, end: str, size: int
) -> None:
    letter = "é" if codec == "cp037" else "я"
    # In UTF-16 and UTF-32, adjacent characters of this text contain the bytes of a line end.
    between = "\u0a0a\u0000\u0a00\u000b\u0d0d\u0d00" if codec.startswith("utf") else letter
    old = [f"{between};1", f'{letter};"1{end}2"', f'"{end}{between}";2', "", f"last;{letter}"]
    new = ["a;b", f"{letter}{letter};1", old[2], "", f"end;{letter}"]
    firsts = itertools.accumulate((row.count(end) + 1 for row in old), initial=1)
    rows = {
        first: Replacement(*pair)
        for first, *pair in zip(firsts, old, new, strict=False)
        if pair[0] != pair[1]
    }
    body, expected = (
        (MARKS[codec] if is_marked else b"") + end.join(texts).encode(codec) for texts in (old, new)
    )

    dialect = Dialect.model_validate({"delimiter": ";", "line_terminator": end})
    assert fixed(body, rows, encoding, dialect, size) == expected
    assert fixed(body, {}, encoding, dialect, size) == body


@st.composite
def files(draw: st.DrawFn) -> tuple[Dialect, str, bytes]:
    """Draw a dialect, an encoding and a file of the dialect's marks, some of them misplaced."""
    dialect = Dialect(
        skip_lines=draw(st.integers(0, 1)),
        header=draw(st.booleans()),
        footer=draw(st.sampled_from([None, Footer(lines=1)])),
        trailing_delimiter=draw(st.booleans()),
        delimiter=draw(st.sampled_from([",", "||", "\t"])),
        line_terminator=draw(st.sampled_from(["\n", "\r"])),
        quote_char=(quote := draw(st.sampled_from(['"', "'", None]))),
        double_quote=quote is None or draw(st.booleans()),
        escape_char=(escape := draw(st.sampled_from([None, "\\"]))),
        lenient_quotes=quote is not None and escape is None and draw(st.booleans()),
        skip_initial_space=draw(st.booleans()),
        comment_char=draw(st.sampled_from([None, "#"])),
    )
    encoding = draw(st.sampled_from(["utf-8", "utf-16", "cp1252", "gb18030"]))
    marks = [dialect.delimiter, quote or '"', "a", dialect.line_terminator] * 3
    pieces = st.sampled_from([*marks, "b", "\r", "\n", " ", "#", "\\", '"', "é", "\x1a"])
    texts = [f"a{dialect.delimiter}b{dialect.line_terminator}"] * (1 + dialect.skip_lines)
    mark = "" if encoding == "utf-16" else draw(st.sampled_from(["", "\ufeff"]))
    first = "".join([mark, *texts]).encode(encoding, "ignore")
    rows = "".join(draw(st.lists(pieces, max_size=40))).encode(encoding)
    if encoding != "utf-16" and draw(st.booleans()):
        rows = b"".join(
            bytes([byte]) + draw(st.sampled_from([b"", b"", b"", b"\xff", b"\x81", b"\xe9"]))
            for byte in rows
        )
    return dialect, encoding, first + rows.removeprefix(codecs.BOM_UTF16_LE)


def rows_of(body: bytes, encoding: str, dialect: Dialect) -> dict[int, str]:
    """Return the text of each row by line."""
    errors: EncodingErrors = "refuse" if undecodable.problem(encoding) else "reject"
    contract = any_file(dialect, encoding=encoding, encoding_errors=errors)
    table = read_table([body], contract)
    assume(not isinstance(table, Refusal))
    assert not isinstance(table, Refusal)
    found: dict[int, str] = {}
    for chunk in table.chunks:
        assert not isinstance(chunk, Refusal)
        rows = chunk()
        texts = rows.raw_texts(np.arange(len(rows.lines)))
        found |= dict(zip(rows.lines.to_pylist(), texts.to_pylist(), strict=True))
        found |= {row["line"]: row["raw"] for row in rows.malformed.to_pylist()}
    return found


@pytest.mark.scaled
@settings(suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(files(), st.integers(1, 40), st.data())
def test_fix_changes_only_the_row(
    file: tuple[Dialect, str, bytes], size: int, data: st.DataObject
) -> None:
    dialect, encoding, body = file
    rows = rows_of(body, encoding, dialect)
    assume(rows)
    assert fixed(body, {}, encoding, dialect, size) == body
    line = data.draw(st.sampled_from(sorted(rows)))
    new = Replacement(rows[line], "new" + dialect.delimiter + "é")

    made = fixed(body, {line: new}, encoding, dialect, size)

    codec = {codecs.BOM_UTF16_LE: "utf-16-le"}.get(body[:2], encoding)
    before, after = made.split(new.new.encode(codec))
    assert body.startswith(before)
    assert body.endswith(after)
    replaced = undecodable.decoded(body[len(before) : len(body) - len(after)], codec)
    assert undecodable.shown(replaced) == new.old
    lines = undecodable.decoded(before, codec).removeprefix("\ufeff")
    assert lines.endswith(dialect.line_terminator) or not lines
    assert lines.count(dialect.line_terminator) == line - 1


def test_fix_restores_undecodable_bytes_of_other_rows() -> None:
    body = b"a,b\n\xe9,1\n\xe9,x\n\\xe9 \xff,1"

    rows = {3: Replacement("\\xe9,x", "é,2")}
    assert fixed(body, rows) == b"a,b\n\xe9,1\n\xc3\xa9,2\n\\xe9 \xff,1"
    # A backslash that is in the file stays one.
    rows = {4: Replacement("\\xe9 \\xff,1", "\\xe9 ÿ,1")}
    assert fixed(body, rows).endswith("\n\\xe9 ÿ,1".encode())
    with pytest.raises(CommandError, match=r"line 4 still contains \\xff, which stands for a byte"):
        fixed(body, {4: Replacement("\\xe9 \\xff,1", "\\xe9 \\xff,2")})


@pytest.mark.parametrize("end", ["", "\x1a", "\r\n\x1a\x1a"])
def test_fix_keeps_end_of_file(end: str) -> None:
    assert fixed(f"a\nb{end}".encode(), {2: Replacement("b", "c")}) == f"a\nc{end}".encode()


@pytest.mark.parametrize(
    "body",
    [
        b'a\n\x1b$B$"\n$"\x1b(B\n',  # the second row changes the meaning of the third
        b"\x1b$)Ca\n\x0e0!\x0f\nb\n",  # the first row gives the second one a meaning
    ],
)
def test_fix_refuses_row_that_others_depend_on(body: bytes) -> None:
    encoding = "iso2022_jp" if b"$B" in body else "iso2022_kr"
    old = body.decode(encoding).split("\n")[1]
    with pytest.raises(CommandError, match="Line 2 cannot be replaced, because in iso2022_"):
        fixed(body, {2: Replacement(old, "x")}, encoding)


def test_fix_refuses_character_outside_encoding() -> None:
    with pytest.raises(CommandError, match=r"Line 2: the file's encoding cp1252 has no .* 'я'"):
        fixed(b"a\nb\n", {2: Replacement("b", "я")}, "cp1252")


@pytest.mark.parametrize("line", [2, 9])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_fix_refuses_row_that_is_not_in_file(line: int, encoding: str) -> None:
    with pytest.raises(CommandError, match=f"Line {line} of the landed file differs from"):
        fixed(b"a\nc\n\n\n\n\n\n\nbb", {line: Replacement("b", "c")}, encoding)


@pytest.mark.parametrize(
    ("new", "complaint"),
    [
        (' {"a": 1, "b": "é"}\t\n', None),
        ('{"a": 1', "The correction of line 2 cannot be read: the line is not valid JSON from"),
        ('{"a": 1}\n{"a": 2}', "The correction of line 2 cannot be read: the line is not valid"),
        ('{"a":\n1}', "The correction of line 2 must be exactly one row."),
        ("[1]", "The correction of line 2 cannot be read: the line is JSON, but not an object"),
        (" ", "The correction of line 2 must be exactly one row."),
    ],
)
def test_fix_takes_one_json_object(new: str, complaint: str | None) -> None:
    contract = any_file(CSV, file_format="jsonLines")
    body = b'{"a": 0}\r\n{"a": x}\r\n{"a": 1}'
    records = [{"line": 2, "raw": '{"a": x}'}]

    if complaint is None:
        rows = replacements({2: [new]}, records, contract, {"ingestedID": "i"})
        expected = body.replace(b'{"a": x}', new.rstrip("\n").encode())
        assert fixed(body, rows) == expected
        return
    with pytest.raises(CommandError, match=re.escape(complaint)):
        replacements({2: [new]}, records, contract, {"ingestedID": "i"})


def test_fix_takes_linear_time_for_bytes_like_line_ends() -> None:
    body = ("\u0a0a" * 2_000_000 + "\nb").encode("utf-16-be")
    begin = time.process_time()

    made = fixed(body, {2: Replacement("b", "c")}, "utf-16-be", size=2**24)

    assert made == body[:-1] + b"c"
    assert time.process_time() - begin < 10
