"""Tests of `tm contract` for a table that has a contract: a patch that accepts further files."""

import itertools
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cli.check import checked
from cli.drafting.edits import Written, edited
from shared import contract_yaml, odcs
from tests.fixtures.operator import tm

HEAD = """\
apiVersion: v3.1.0
kind: DataContract
id: urn:t  # an ID
version: 1.0.0
status: active
schema:
  - name: t   # the table
"""
BLOCK = (
    HEAD
    + """\
    customProperties:
      - property: dialect      # as the ERP writes
        value:
          delimiter: ";"  # not a comma
    properties:
      # the customer
      - name: Name  # in the header
        physicalName: name
        logicalType: string
        physicalType: varchar(5)
        required: true
        logicalTypeOptions: {maxLength: 5}

      # the day
      - name: day
        logicalType: date
        physicalType: date
        customProperties:
        - property: formats
          value:
          - pattern: dd/MM/yyyy   # British
            locale: en
      - name: amount
        logicalType: number
        physicalType: numeric(4, 2)
      - name: n
        logicalType: integer
        physicalType: smallint

# the end
"""
)
FLOW = (
    HEAD
    + """\
    customProperties: [{property: dialect, value: {delimiter: ';'}}, ]
    properties: [
      {name: Name, physicalName: name, logicalType: string, physicalType: varchar(5),
       required: true, logicalTypeOptions: {maxLength: 5}},
      {name: day, logicalType: date, physicalType: date,
       logicalTypeOptions: {format: dd/MM/yyyy}}, # British
      {name: amount, logicalType: number, physicalType: "numeric(4, 2)"},
      {name: n, logicalType: integer, physicalType: smallint}  # the end
    ]"""
)
STYLES = [BLOCK.replace("\n", "\r\n"), FLOW]
EARLIER = "Name;day;amount;n\nada;13/02/2024;1.5;1\n"
CASES = [
    (["Name;day;amount;n;new day", "ada;13/02/2024;1.5;1;2024-01-31"], ["name: new day", "MM-dd"]),
    (["Name;amount;n", "ada;1.5;1"], ["optional"]),
    (["NAME;day;amount;n", "ada;13/02/2024;1.5;1"], ["aliases", "NAME"]),
    (
        ["Name;day;amount;n", "ada;2024-02-13;1.5;1", "bob;13.2.2024;1;1"],
        ["yyyy-MM-dd", "d.M.yyyy"],
    ),
    (["Name;day;amount;n", "ada;n/a;NA;-"], ["nullTokens", "n/a", "NA", '"-"']),
    (["Name;day;amount;n", "ada;;1,234.5;1"], ["groupChar", "numeric(7,2)"]),
    (["Name;day;amount;n", "ada;;12345;1"], ["numeric(8,2)"]),
    (["Name;day;amount;n", "ada; 13/02/2024;(5);1.0"], ["trim", "parentheses", "integralDecimal"]),
    (["Name;day;amount;n", "augusta;13/02/2024;1;1"], ["varchar(7)", "maxLength: 7"]),
    (["Name,day,amount,n", "ada,13/02/2024,1,1"], ['delimiter: ","']),
    (["Report", "Name;day;amount;n", '"a;b";13/02/2024;1;1'], ["skipLines: 1"]),
    (["Name;day;amount;n", "Zoë;13/02/2024;1;1"], ["encoding", "cp1252"]),
]
"""Lines of a file in cp1252, and texts of the lines that the patch adds."""


KEYS = st.text("ab", min_size=1)
SCALARS = st.none() | st.booleans() | st.integers() | st.text("a: #\n'\"-[]{},é|>\t&*!%\u2028")
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


class Plain(yaml.SafeDumper):
    """A dumper that writes no aliases."""

    def ignore_aliases(self, _: Any) -> bool:
        """Return True."""
        return True


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an empty folder for contracts."""
    (tmp_path / "contracts").mkdir()
    return tmp_path / "contracts"


def patched(
    folder: Path, contract: str, *files: str, exit_code: int = 0, encoding: str = "cp1252"
) -> tuple[str, str]:
    """Return the patch of the contract of `t` for files, and its explanation."""
    (folder / "t.odcs.yaml").write_bytes(contract.encode())
    paths = [folder.parent / f"{number}.csv" for number in range(len(files))]
    for path, content in zip(paths, files, strict=True):
        path.write_text(content, encoding)
    result = tm("contract", *paths, "--table", "t", "--contracts", folder)
    assert result.exit_code == exit_code, result.stderr
    return result.stdout_bytes.decode(), result.stderr  # with line ends as they are


def apply(text: str, folder: Path) -> None:
    """Apply a patch as a person would."""
    git = shutil.which("git")
    assert git is not None
    subprocess.run([git, "apply", "-"], cwd=folder, input=text.encode(), check=True)


@pytest.mark.programs
@pytest.mark.parametrize("style", range(len(STYLES)))
@pytest.mark.parametrize(("lines", "expected"), CASES, ids=lambda each: str(each)[:40])
def test_patch_accepts_file_and_keeps_the_rest(
    lines: list[str], expected: list[str], style: int, folder: Path
) -> None:
    contract = STYLES[style]
    text, explained = patched(folder, contract, "\n".join(lines) + "\n")
    added = "\n".join(line for line in text.split("\n") if line.startswith("+"))
    assert all(each in added for each in expected), text
    assert "refuses" not in explained

    apply(text, folder)

    new = (folder / "t.odcs.yaml").read_bytes().decode()
    for comment in (line.partition("#")[2] for line in contract.split("\n") if "#" in line):
        assert f"#{comment}" in new
    assert new.count("\r") == (new.count("\n") if "\r" in contract else 0)
    if not any("delimiter" in each or "skipLines" in each for each in expected):
        file = folder / "earlier.csv"
        file.write_text(EARLIER)
        with checked(file, odcs.load(folder / "t.odcs.yaml"), hard=True) as found:
            assert found.would_be_loaded, "earlier files still load"


def test_patch_covers_all_files(folder: Path) -> None:
    text, explained = patched(
        folder,
        BLOCK,
        "Name;day;amount;n;a\nada;;1;1;5\n",
        "Name;day;amount;b;a\nada;;1;x;1000\n",
        exit_code=0,
    )
    assert "+        physicalType: integer" in text
    assert explained.count("is new\n") == 2
    assert "adds the column a integer" in explained


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["day;amount;n", "13/02/2024;1;1"], "is missing, and it cannot be optional, because"),
        (["Name;day;amount;n", "ada;02/13/2024;1;1"], "'02/13/2024'"),
        (["Name;day;amount;n", "ada;;1;70000"], "would need integer instead of smallint, which"),
        (["Name;day;amount;n", "ada;;A5;1"], "'A5': amount is not a number"),
        (["x;y", "1;2"], "does not match the header"),
    ],
)
def test_patch_does_not_change_what_it_must_not(
    lines: list[str], reason: str, folder: Path
) -> None:
    text, explained = patched(folder, BLOCK, "\n".join(lines) + "\n", exit_code=1)
    assert reason in explained
    assert "No change of t.odcs.yaml is known" in explained
    assert not text


def test_patch_of_json_lines_adds_keys(folder: Path) -> None:
    contract = HEAD + (
        "    customProperties: [{property: fileFormat, value: jsonLines}]\n"
        "    properties:\n"
        "      - {name: a, logicalType: integer, physicalType: integer}\n"
    )
    text, explained = patched(folder, contract, '{"a": 1}\n{"a": "1.0", "b": true}\n')
    assert '+          - { property: trueTokens, value: ["true"] }' in text
    assert "integralDecimal" in text
    assert "optional" not in text
    assert "adds the column b boolean" in explained


@pytest.mark.parametrize(("name", "value"), [("trim", "true"), ("nullTokens", "['ada    ']")])
def test_patch_is_empty_if_files_load(name: str, value: str, folder: Path) -> None:
    option = f"customProperties: [{{property: {name}, value: {value}}}]"
    contract = BLOCK.replace("        required: true\n", f"        {option}\n")
    text, explained = patched(folder, contract, EARLIER.replace("ada", "ada    "))
    assert (text, "nothing needs to change" in explained) == ("", True)


def test_contract_without_contract_of_table_is_drafted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "t.odcs.yaml").write_text(BLOCK)
    file = folder / "dailycheckins.csv"
    file.write_text("a\n1\n")
    monkeypatch.setenv("TM_CONTRACTS", str(folder))
    assert tm("contract", file).stdout.startswith("# Drafted")
    known = tm("contract", file, "--table", "t", "--out", folder)
    assert known.exit_code == 2
    assert "leave out --out" in " ".join(known.stderr.replace("│", "").split())


def test_patch_needs_valid_contract_without_aliases(folder: Path) -> None:
    lines = "        customProperties: &x [{property: trim, value: true}]\n"
    shared = BLOCK.replace("      - name: n\n", f"{lines}      - name: n\n")
    shared = shared.replace("smallint\n", "smallint\n        customProperties: *x\n")
    _, explained = patched(folder, shared, "Name;day;amount;n\nada;;1;n/a\n", exit_code=1)
    assert "without anchors and aliases" in explained
    invalid = BLOCK.replace("required: true", "required: maybe")
    assert patched(folder, invalid, EARLIER, exit_code=1)[1].startswith("tm: t.odcs.yaml: ")


@pytest.mark.parametrize(
    ("text", "have", "want"),
    [
        ("a: {}", {"a": {}}, {"a": {"b": [1]}}),
        ("a: []\n", {"a": []}, {"a": [1, "x: y"]}),
        ("a: [1,]\n", {"a": [1]}, {"a": [0, 1, 2]}),
        ("a:\n- 1\n# x\n- 3\n", {"a": [1, 3]}, {"a": [0, 1, 2, 3]}),
        ("a: |\n  x\n\nb: 1 # y\n", {"a": "x\n", "b": 1}, {"a": "x\n", "b": 2, "c": [3]}),
        ("a:\n  - name: x\n    b: >\n      y\n", {"a": [{"name": "x", "b": "y\n"}]}, None),
    ],
)
def test_edited_text_has_wanted_value(text: str, have: object, want: object) -> None:
    if want is None:
        want = {"a": [{"name": "x", "b": "y\n", "c": 1}, Written(["# z", "- name: w"])]}
    new = edited(text, have, want)
    assert contract_yaml.load(new.encode()) == want
    assert [line for line in text.split("\n") if "#" in line] == [
        line for line in new.split("\n") if "#" in line and "z" not in line
    ] or "b: 2 # y" in new


@st.composite
def grown(draw: st.DrawFn, value: Any) -> Any:
    """Return a value with further keys and items, and other scalars."""
    match value:
        case dict():
            kept = {key: draw(grown(each)) for key, each in value.items()}
            added = draw(st.dictionaries(KEYS, VALUES, max_size=2))
            return kept | {f"+{key}": each for key, each in added.items()}
        case list():
            parts = [[*draw(st.lists(VALUES, max_size=1)), each] for each in value]
            return [*itertools.chain.from_iterable(parts), draw(VALUES)]
        case _:
            return draw(st.just(value) | VALUES)


@given(st.data(), st.dictionaries(KEYS, VALUES), st.sampled_from([True, False, None]))
def test_any_text_can_be_edited(data: st.DataObject, have: Any, is_flow: bool | None) -> None:
    text = yaml.dump(have, Dumper=Plain, default_flow_style=is_flow, allow_unicode=True, width=30)
    want = data.draw(grown(have))
    assert contract_yaml.load(edited(text, have, want).encode()) == want
