from decimal import Decimal

import pytest

from shared.control_totals import Statement
from shared.manifest import FoundManifest, Manifest
from shared.verdict import Refusal
from tests.processing import Pieces

SUMS = "(?P<sha256>[0-9a-f]+) [ *](?P<name>.+)"
PAIRS = "(?i)rows=(?P<rows>.*)|md5: (?P<md5>.*)"
LISTED = "files[].{name: key, rows: n}"


@pytest.mark.parametrize(
    ("name", "file", "groups", "manifest"),
    [
        ("{name}.ctl", "a.csv.gz", {}, "a.csv.gz.ctl"),
        ("{stem}.ok", "a.csv.gz", {}, "a.ok"),
        ("control_{region}_{stem}.txt", "a.csv", {"region": "eu"}, "control_eu_a.txt"),
        ("{region}.ok", "a.csv", {"region": None}, None),
        ("{region}.ok", "a.csv", {}, None),
        ("_SUCCESS", "a.csv", {}, "_SUCCESS"),
        ("{name}.md5", r"\1.{stem}", {}, r"\1.{stem}.md5"),
    ],
)
def test_manifest_is_named_after_data_file(
    name: str, file: str, groups: dict[str, str | None], manifest: str | None
) -> None:
    model = Manifest(name=name)

    assert model.name_for(file, groups) == manifest
    assert manifest is None or model.is_name(manifest)
    assert not model.is_name(file)


@pytest.mark.parametrize(
    ("form", "content", "says"),
    [
        ({}, b"\xff" * 2**21, {}),
        ({"pattern": SUMS}, b"# sums\n12 *b.csv\r\n34  dir/a.csv", {"sha256": "34"}),
        ({"pattern": SUMS}, "12  ä.csv\n".encode(), "has no entries for the file 'a.csv', but mus"),
        ({"pattern": SUMS}, b"12  a.csv\n34  s3://b/a.csv\n", "has 2 entries for the file 'a.csv'"),
        ({"pattern": SUMS}, b"x12  a.csv!\n", "has no line that matches '(?P<sha256>"),
        ({"pattern": SUMS}, b"", "has no line that matches"),
        ({"pattern": PAIRS}, b"MD5: a\nx\nROWS=5\n", {"rows": "5", "md5": "a"}),
        ({"pattern": PAIRS}, b"rows=5\n", {"rows": "5", "md5": None}),
        ({"pattern": PAIRS}, b"rows=5\nrows=5\n", "has several values for rows; correct it, or"),
        ({"pattern": PAIRS}, b"rows=\xe4", "is not UTF-8 text: unexpected end of data at byte 5;"),
        ({"pattern": PAIRS}, b"x" * (2**20 + 1), "is larger than 1 MiB; correct it"),
        ({"entries": "[@]"}, b'\xef\xbb\xbf{"rows": 1.50}', {"rows": Decimal("1.50")}),
        ({"entries": "[@]"}, b'{"rows": NaN}', "is not JSON: it contains NaN"),
        ({"entries": "[@]"}, b'{"rows": 1', "is not JSON: Expecting ',' delimiter: line 1 column"),
        ({"entries": "[@]"}, b"9" * 5_000, "is not JSON: Exceeds the limit (4300 digits) for int"),
        ({"entries": "[@]"}, b"[" * 10**5, "is not JSON: maximum recursion depth exceeded while"),
        ({"entries": "@"}, b"1e99999999999999999999", "is not JSON: the exponent of '1e9999999999"),
        *(
            ({"entries": "[{rows: to_number(@)}]"}, content, {"rows": number})
            for content, number in (
                *((b"7.75", Decimal("7.75")), (b'" -7.75"', Decimal("-7.75")), (b'"0012"', 12)),
                *((b"1e999999999", Decimal("1e999999999")), (b"5", 5), (b"true", None)),
                *((b'"1_000"', None), (b"[]", None)),
            )
        ),
        ({"entries": "@"}, b'{"rows": 1}', "does not fit the expression '@', which must select a"),
        ({"entries": "[?@ > `1`]"}, b'["a"]', "does not fit the expression '[?@ > `1`]': '>' not"),
        ({"entries": "[::0]"}, b"[]", "does not fit the expression '[::0]': slice step cannot be"),
        ({"entries": "[sum(@)]"}, b'["a"]', "does not fit the expression '[sum(@)]': In function"),
        ({"entries": "@"}, b"[]", "has no entries without a name, but must have one; correct it"),
        ({"entries": "@"}, b'[{"rows": 1}, {}]', "has 2 entries without a name, but must have on"),
        (
            {"entries": LISTED},
            b'{"files": [{"key": "b.csv"}, {"key": "/a.csv", "n": 1}, {}]}',
            {"rows": 1},
        ),
    ],
)
def test_manifest_states_totals_of_one_file(
    form: dict[str, str], content: bytes, says: dict[str, object] | str
) -> None:
    manifest = Manifest.model_validate({"name": "x"} | form)

    found = manifest.statement(FoundManifest("x.ctl", Pieces(content)), "a.csv")

    if isinstance(says, str):
        assert isinstance(found, Refusal)
        assert found.reason.startswith(f"the manifest 'x.ctl' {says}")
    else:
        assert found == Statement("the manifest 'x.ctl'", says)
