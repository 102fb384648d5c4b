import datetime as dt
import re
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from shared import contract_set, regex
from shared.classification import (
    Classified,
    IgnoredKey,
    ManifestKey,
    UnknownKey,
    classify,
    data_key,
    overlaps,
)
from shared.contract import Contract
from shared.contract_set import Contracts
from shared.key_pattern import KeyPattern
from shared.landing_key import LandingKey, disjoint
from shared.odcs import parse
from tests.shared.test_contract_set import set_of, text_of
from tests.shared.test_odcs import custom, document, table

DAY = dt.date(2024, 3, 9)


def dated(pattern: str) -> dict[str, Any]:
    """Return a pattern with a group `date`."""
    example = re.sub(r"\(.*\)", "20240309", pattern).removesuffix(".*")
    return {"pattern": pattern, "examples": [example]}


def with_keys(name: str, *keys: dict[str, Any], **properties: Any) -> str:
    """Return the text of a contract with key patterns."""
    made = document()
    table(name=name, physicalName=name)(made)
    custom(keys=[*keys], **properties)(made)
    return yaml.safe_dump(made)


ERP = with_keys(
    "erp",
    {
        "pattern": r"erp/(?P<region>[a-z]+)_(?P<date>[\d._/ -]+)\.csv",
        "examples": ["erp/eu_20240309.csv"],
    },
    {
        "pattern": r"old/(?P<day>\d+)-(?P<month>\d+)-(?P<year>\d+)(?P<rest>x)?\.csv|old/never.csv",
        "examples": ["old/9-3-2024.csv"],
    },
)
SHOP = with_keys(
    "shop",
    {"pattern": "(shop|both)/.*", "examples": ["shop/a.csv"], "date": "landed"},
    timezone="Asia/Tokyo",
)
BOTH = with_keys(
    "both", {"pattern": r"both/(?P<date>\d{8})", "examples": ["both/20240309"], "date": None}
)
SET = set_of(
    plain=text_of("plain"),
    erp=ERP,
    shop=SHOP,
    both=BOTH,
    bad=ERP.replace(": erp", ": bad").replace("old/(", "(("),
)


def of_erp(key: str, **groups: str) -> LandingKey:
    return LandingKey("erp", DAY, key.rpartition("/")[2], key, groups)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        *(
            (f"erp/eu_{date}.csv", of_erp(f"erp/eu_{date}.csv", region="eu", date=date))
            for date in ("20240309", "2024-03-09", "2024_03_09", "2024/03/09", "2024.03.09")
        ),
        ("old/9-3-2024.csv", of_erp("old/9-3-2024.csv", day="9", month="3", year="2024")),
        ("shop/a b.csv", LandingKey("shop", ZoneInfo("Asia/Tokyo"), "a b.csv", "shop/a b.csv")),
        (
            "table=plain/year=2024/month=03/day=9/f.csv",
            LandingKey("plain", DAY, "f.csv", "table=plain/year=2024/month=03/day=9/f.csv"),
        ),
        *(
            (f"{folder}{name}", IgnoredKey(name))
            for folder in ("", "shop/", "nowhere/", "table=plain/year=2024/month=3/day=9/")
            for name in ("", "_SUCCESS", ".a", ".", "x.csv.filepart", "x.tmp")
            if folder or name
        ),
    ],
)
def test_key_is_classified(key: str, expected: Classified) -> None:
    assert classify(key, SET) == expected


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("elsewhere.csv", "no pattern in the `keys` of a contract matches it"),
        ("elsewhere.csv", "the patterns of invalid contracts are unknown: bad"),
        ("shop/a\0.csv", "contains a NUL character"),
        ("xshop/a.csv", "no pattern"),
        ("both/20240309", "matches patterns of the tables both, shop: make the patterns"),
        ("erp/eu_20240230.csv", "of table 'erp', but has the date '2024-02-30', which does not"),
        ("erp/eu_2024-03_09.csv", "has the date '2024-03_09', which must be 8 digits"),
        ("erp/eu_٢٠٢٤٠٣٠٩.csv", "no pattern"),
        ("old/009-3-2024.csv", "'2024-3-009', which must have 4 digits of the year"),
        ("old/9-3-24.csv", "'24-3-9', which must have 4 digits of the year"),
        ("old/30-2-2024.csv", "has the date '2024-2-30', which does not exist"),
        ("old/never.csv", "of table 'erp', but has no year, month, day"),
        ("table=bad/year=2024/month=3/day=9/f.csv", "the contract of table 'bad' is invalid"),
        ("table=none/year=2024/month=3/day=9/f.csv", "the contracts are for bad, both, erp, plain"),
        ("table=plain/f.csv", "does not have the form"),
    ],
)
def test_unknown_key_has_reason(key: str, reason: str) -> None:
    found = classify(key, SET)

    assert isinstance(found, UnknownKey)
    assert reason in found.reason


@given(
    st.dates(),
    st.sampled_from(["", *"-_./ "]),
    st.text(st.characters(exclude_characters="/=", exclude_categories=["Cs"]), max_size=20),
)
def test_date_is_read_with_each_separator(date: dt.date, separator: str, name: str) -> None:
    written = f"{date.year:04}{separator}{date:%m}{separator}{date:%d}"
    pattern = KeyPattern(pattern="(?s)in/(?P<date>.*)=.*", examples=("in/20240309=",))

    read = pattern.read(f"in/{written}={name}", "t", ZoneInfo("Etc/UTC"))

    assert isinstance(read, LandingKey)
    assert (read.date, read.groups) == (date, {"date": written})


@given(
    st.sampled_from(
        [
            (r"in/a_[0-9]+\.csv", "in/a_"),
            ("(in|inside)/x", "in"),
            ("ä/(x|y)*", "ä/"),
            ("(é|è)x?", ""),
            ("(?i)ab.*", ""),
            (".*x", ""),
            ("a|b", ""),
            ("", ""),
        ]
    ),
    st.data(),
)
def test_each_matching_key_begins_with_literal_prefix(
    regex_and_prefix: tuple[str, str], data: st.DataObject
) -> None:
    pattern, prefix = regex_and_prefix
    key = data.draw(st.from_regex(pattern, fullmatch=True))

    assert regex.literal_prefix(pattern) == prefix
    assert key.startswith(prefix)


KEYS = st.text(max_size=30) | st.from_regex(
    r"(erp/eu_|both/|shop/|old/|table=plain/year=)[0-9=_./-]{0,12}(\.csv|\.tmp|/day=[0-9]/f)?",
    fullmatch=True,
)


@given(KEYS)
def test_each_key_has_one_meaning(key: str) -> None:
    """Whatever a key is, reading it is total, and all readings agree."""
    found = classify(key, SET)

    match found:
        case LandingKey():
            assert (str(found), found.filename) == (key, key.rpartition("/")[2])
            assert data_key(key, SET) == found
            prefixes = [f"table={found.table}/", *(e.prefix for e in SET[found.table].keys)]
            assert sum(map(key.startswith, disjoint(prefixes))) == 1
        case UnknownKey(reason):
            assert len(reason) < 2_000
        case ManifestKey():
            raise AssertionError
        case IgnoredKey(name):
            assert key.endswith(name)


def test_classification_parses_only_contracts_that_may_tell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parsed = []

    def noting(name: str, content: bytes) -> Contract:
        parsed.append(name)
        return parse(name, content)

    monkeypatch.setattr(contract_set, "parse", noting)
    hidden = ERP.replace(": erp", ": hidden").replace(": keys", r': "k\x65ys"')
    contracts = set_of(plain=text_of("plain"), erp=ERP, other=text_of("other"), hidden=hidden)

    classify("table=plain/year=2024/month=3/day=9/f.csv", contracts)
    assert parsed == ["plain.odcs.yaml"]
    classify("nowhere/f.csv", contracts)
    assert parsed[1:] == ["erp.odcs.yaml", "hidden.odcs.yaml"]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("in/20240309.csv.ctl", ManifestKey(("fed",))),
        ("elsewhere/x.ctl", ManifestKey(("fed",))),
        ("in/_SUCCESS.ctl", ManifestKey(("fed",))),
        ("table=fed/year=2024/month=3/day=9/f.ctl", ManifestKey(("fed",))),
        ("in/a/_SUCCESS", ManifestKey(("marked",))),
        ("in/20240309.csv", LandingKey("fed", DAY, "20240309.csv", "in/20240309.csv")),
        ("both/20240309.ctl", LandingKey("both", DAY, "20240309.ctl", "both/20240309.ctl")),
    ],
)
def test_manifest_is_no_file_of_its_own_table(key: str, expected: Classified) -> None:
    contracts = set_of(
        fed=with_keys("fed", dated("in/(?P<date>.{8}).*"), manifest={"name": "{name}.ctl"}),
        marked=with_keys("marked", dated("m/(?P<date>.*)"), manifest={"name": "_SUCCESS"}),
        both=with_keys("both", dated("both/(?P<date>.{8}).*")),
    )
    found = classify(key, contracts)

    if isinstance(expected, LandingKey):
        expected = replace(expected, groups={"date": "20240309"})
    assert found == expected
    assert isinstance(data_key("in/20240309.csv.ctl", contracts), LandingKey)


def test_examples_that_two_contracts_match_are_reported() -> None:
    assert overlaps(SET) == [
        "both and shop: patterns in the `keys` of each match 'both/20240309', an example of both, "
        "so files with such keys are rejected: make the patterns differ"
    ]


def test_empty_contract_set_knows_no_key() -> None:
    assert isinstance(classify("a.csv", Contracts({})), UnknownKey)
