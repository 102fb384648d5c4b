import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import undecodable
from shared.dialect import Dialect
from shared.rows import read_table
from shared.verdict import Refusal
from tests.fixtures.contracts import any_file

RESTORING = [
    *("utf-8", "UTF8", "utf-8-sig", "ascii", "cp1252", "cp1253", "iso-8859-7", "cp874"),
    *("gb18030", "gbk", "gb2312", "euc_kr", "cp949", "shift_jis"),
]


@pytest.mark.parametrize("encoding", RESTORING)
def test_rows_may_be_rejected_in_encoding_that_restores_bytes(encoding: str) -> None:
    assert undecodable.problem(encoding) is None


@pytest.mark.parametrize(
    ("encoding", "reason"),
    [
        *((name, "cannot restore") for name in ("utf-16", "utf-32-le", "utf-7", "cp037")),
        # These have two byte sequences for some characters.
        *((name, "cannot restore") for name in ("cp932", "big5", "euc_jp", "johab")),
        *((name, "cannot restore") for name in ("hz", "iso2022_jp", "iso2022_kr")),
        *((name, "every byte is a character") for name in ("latin-1", "cp437", "koi8-r")),
    ],
)
def test_rows_cannot_be_rejected_in_other_encoding(encoding: str, reason: str) -> None:
    assert reason in str(undecodable.problem(encoding))


@given(st.sampled_from(RESTORING), st.binary(max_size=30))
def test_bytes_are_restored(encoding: str, body: bytes) -> None:
    lines = body.split(b"\n")

    texts = undecodable.decoded(body, encoding).split("\n")

    assert [undecodable.encoded(text, encoding) for text in texts] == lines
    for text, line in zip(texts, lines, strict=True):
        try:
            line.decode(undecodable.plain_codec(encoding))
        except UnicodeDecodeError:
            assert undecodable.fault(text, encoding)
            assert undecodable.escapes(text)
        else:
            assert undecodable.fault(text, encoding) is None
            assert undecodable.shown(text) == text
        undecodable.shown(text).encode()
        undecodable.masked(text.encode("utf-8", "surrogatepass")).decode()


def test_rows_with_undecodable_bytes_are_malformed_in_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shared.rows._BATCH", 2)
    body = b"a,b\n" + b'x,1\n\xe9,2\n\xc3,3\nz\nq"\xff\n' * 3

    table = read_table([body], any_file(Dialect(), encoding_errors="reject"))

    assert not isinstance(table, Refusal)
    [chunk] = table.chunks
    assert not isinstance(chunk, Refusal)
    rows = chunk()
    assert rows.lines.to_pylist() == [2, 7, 12]
    assert rows.raw_texts(np.array([0, 2])).to_pylist() == ["x,1", "x,1"]
    found = sorted(rows.malformed.to_pylist(), key=lambda row: row["line"])
    assert [(row["line"], row["raw"], row["rawBase64"]) for row in found[:4]] == [
        (3, "\\xe9,2", "6Swy"),
        (4, "\\xc3,3", "wywz"),
        (5, "z", None),
        (6, 'q"\\xff', "cSL/"),
    ]
    assert [row["rule"] for row in found] == ["encoding", "encoding", "columnCount", "encoding"] * 3
    assert found[2]["reason"].startswith("1 value")


def test_fault_and_escapes_name_bytes() -> None:
    text = undecodable.decoded(b"\\xe9\xe9\xc3(\xe9", "utf-8")

    assert undecodable.shown(text) == r"\xe9\xe9\xc3(\xe9"
    assert undecodable.escapes(text) == {r"\xe9", r"\xc3"}
    assert undecodable.fault(text, "utf-8") == (
        "byte 0xe9 at character 5 is not utf-8, nor are 2 more"
    )
