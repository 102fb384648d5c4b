import json
import time
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pytest
import yaml

from shared import contract_set
from shared.contract import Contract
from shared.contract_set import Contracts
from shared.contract_yaml import MAX_BYTES
from shared.errors import InvalidContract
from shared.odcs import CONTRACTS, parse
from tests.shared.test_odcs import document, save, table


def text_of(name: str, relation: str | None = None) -> str:
    """Return the text of a valid contract."""
    made = document()
    table(name=name, physicalName=relation)(made)
    return yaml.safe_dump(made)


def set_of(**texts: str | bytes) -> Contracts:
    return Contracts(
        {
            f"{name}.odcs.yaml": text.encode() if isinstance(text, str) else text
            for name, text in texts.items()
        }
    )


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    names = []

    def noting(name: str, content: bytes) -> Contract:
        names.append(name)
        return parse(name, content)

    monkeypatch.setattr(contract_set, "parse", noting)
    return names


def test_lookup_parses_only_file_of_table(parsed: list[str]) -> None:
    contracts = set_of(**{name: text_of(name) for name in ("one", "two", "twos", "a_two")})

    assert contracts["two"].table == "two"
    assert contracts["two"] is contracts["two"]
    assert "two" in contracts
    with pytest.raises(KeyError):
        contracts["nobody"]
    assert "nobody" not in contracts
    assert parsed == ["two.odcs.yaml"]

    assert list(contracts) == ["a_two", "one", "two", "twos"]
    assert len(contracts) == 4
    assert contracts.invalid == {}
    assert contracts.all_valid() is contracts
    assert sorted(parsed) == [
        *("a_two.odcs.yaml", "one.odcs.yaml", "two.odcs.yaml", "twos.odcs.yaml")
    ]


@pytest.mark.parametrize(
    "written",
    [
        *("same", "&a same # it is", "'same'", '"same"', r'"s\x61me"', r'"\u0073ame"'),
        *('"sa\\\n      me"', ">-\n      same\n"),
    ],
)
def test_conflicting_contracts_are_invalid_and_others_stay_valid(
    parsed: list[str], written: str
) -> None:
    two = text_of("two", "PLACEHOLDER").replace("PLACEHOLDER", written)
    texts = {"feed": text_of("feed"), "one": text_of("one", "same"), "two": two}

    # In either order of lookups.
    for asked in ("one", "two"):
        contracts = set_of(**texts)
        parsed.clear()
        with pytest.raises(
            InvalidContract, match=rf"^{asked}\.odcs\.yaml: one and two define the same"
        ):
            contracts[asked]
        assert "feed.odcs.yaml" not in parsed
    assert list(contracts) == ["feed"]
    assert contracts.invalid == {
        name: f"{name}.odcs.yaml: one and two define the same PostgreSQL table same: give each its "
        "own physicalName"
        for name in ("one", "two")
    }
    assert contracts.problems == list(contracts.invalid.values())


def test_invalid_contract_causes_no_conflict() -> None:
    contracts = set_of(one=text_of("one", "same"), two=text_of("two", "same") + "\nfoo: 1")

    assert contracts["one"].relation == "same"
    assert contracts.invalid.keys() == {"two"}


def test_invalid_contract_affects_only_its_own_table(tmp_path: Path) -> None:
    save(tmp_path, document())
    (tmp_path / "broken.odcs.yaml").write_text("a: [", "utf-8")
    (tmp_path / "latin.odcs.yaml").write_bytes("name: é".encode("latin-1"))
    (tmp_path / "folder.odcs.yaml").mkdir()
    (tmp_path / "large.odcs.yaml").write_text(text_of("large") + "#" * MAX_BYTES, "utf-8")
    save(tmp_path, document(), "a table")
    save(tmp_path, document(), "\x1b[31m")
    (tmp_path / "README.md").write_text("- no contract", "utf-8")

    contracts = Contracts.of_folder(tmp_path)

    assert list(contracts) == ["feed"]
    assert contracts.invalid.keys() == {
        *("a table", "broken", "folder", "large", "latin", "\x1b[31m")
    }
    assert "broken" not in contracts
    for name, reason in contracts.invalid.items():
        with pytest.raises(InvalidContract) as error:
            contracts[name]
        assert str(error.value) == reason
        assert reason.isprintable()
        assert reason.startswith(f"{name}.odcs.yaml: ") or name == "\x1b[31m"
    with pytest.raises(KeyError):
        contracts["nobody"]
    with pytest.raises(InvalidContract, match=r"broken\.odcs.*; folder\.odcs") as all_of_them:
        contracts.all_valid()
    assert [*all_of_them.value.problems] == contracts.problems
    assert len(contracts.problems) == 6


def test_folder_without_contract_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidContract, match=r"no contract \(\*\.odcs\.yaml\) in .*: write one"):
        Contracts.of_folder(tmp_path)


def packed(texts: Mapping[str, object]) -> bytes:
    return json.dumps(texts).encode()


def test_unpacked_reads_json_of_terraform() -> None:
    # Terraform's jsonencode escapes `&`.
    content = packed({"feed.odcs.yaml": text_of("feed"), "README.md": "<&>"}).replace(
        b"&", b"\\u0026"
    )

    contracts = Contracts.unpacked(content)

    assert list(contracts) == ["feed"]
    assert contracts.invalid == {}


def test_unpacked_text_with_surrogate_is_one_invalid_contract() -> None:
    contracts = Contracts.unpacked(
        packed({"feed.odcs.yaml": text_of("feed"), "half.odcs.yaml": "a: \ud800"})
    )

    assert list(contracts) == ["feed"]
    assert contracts.invalid.keys() == {"half"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the deployed contracts are not JSON: .*: run terraform apply again"),
        (b"\xff", "the deployed contracts are not JSON: .*: run terraform apply again"),
        (b"[" * 100_000, "the deployed contracts are not JSON: .*: run terraform apply again"),
        (b"[]", "are not a JSON object of file names and texts: run terraform apply again"),
        (packed({"a.odcs.yaml": 1}), "are not a JSON object of file names and texts"),
        (b"{}", r"no contract \(\*\.odcs\.yaml\) is deployed: add one to .*contracts_dir"),
        (packed({"README.md": ""}), r"no contract \(\*\.odcs\.yaml\) is deployed"),
    ],
    ids=range(7),
)
def test_unpacked_refuses_other_content(content: bytes, message: str) -> None:
    with pytest.raises(InvalidContract, match=message):
        Contracts.unpacked(content)


def test_hostile_file_is_not_parsed_for_other_tables(parsed: list[str]) -> None:
    hostile = (
        b'kind: "\\x41"\nschema:\n - name: hostile\n   quality:\n' + 20_000 * b"    - {a: 1}\n"
    )
    contracts = set_of(ours=text_of("ours"), hostile=hostile)

    assert contracts["ours"].table == "ours"
    assert parsed == ["ours.odcs.yaml"]


def test_validation_stops_after_many_errors() -> None:
    text = b"schema:\n - name: hostile\n   quality:\n" + 20_000 * b"    - {a: 1}\n"
    begun = time.process_time()
    with pytest.raises(InvalidContract, match="hostile") as error:
        parse("hostile.odcs.yaml", text)
    whole = time.process_time() - begun
    assert len(error.value.problems) == 21
    begun = time.process_time()
    yaml.safe_load(text)
    assert whole < 10 * (time.process_time() - begun)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_contract_text_is_normalized_to_nfc(form: Literal["NFC", "NFD"]) -> None:
    text = (CONTRACTS / "projectbudgets.odcs.yaml").read_text("utf-8")
    files = {"projectbudgets.odcs.yaml": unicodedata.normalize(form, text).encode()}
    assert "Geschäftsfeld" in Contracts(files)["projectbudgets"].header
