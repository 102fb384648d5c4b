"""Tests of `tm contract diff`. tests/functions/migrate compares what it says with migrate."""

import json
from pathlib import Path

import pytest

from shared.odcs import CONTRACTS
from tests.fixtures.operator import one_line, tm

OLD = CONTRACTS / "dailycheckins.odcs.yaml"


def changed(folder: Path, *replacements: tuple[str, str]) -> Path:
    text = OLD.read_text("utf-8")
    for before, after in replacements:
        assert before in text
        text = text.replace(before, after)
    path = folder / "new.yaml"
    path.write_text(text, "utf-8")
    return path


NOTE = "      - {name: Note, physicalName: note, logicalType: string, physicalType: text"
LAST = "        examples: [bizdev]\n"
LOOKUP = "          group: project\n          measure: hours\n"


@pytest.mark.parametrize(
    ("replacements", "effects"),
    [
        ([("The person's login.", "A login.")], []),
        ([('delimiter: ","', 'delimiter: ";"')], ['files dialect.delimiter: ";" instead of ","']),
        (
            [(LAST, f"{LAST}{NOTE}}}\n")],
            [
                "migrate adds the column note text, which is null in all rows that are loaded "
                "already",
                "files the column 'Note' is new: files that lack it are refused",
            ],
        ),
        (
            [(LAST, f"{LAST}{NOTE}, customProperties: [{{property: optional, value: true}}]}}\n")],
            [
                "migrate adds the column note text, which is null in all rows that are loaded "
                "already",
                "files the column 'Note' is new: files may lack it",
            ],
        ),
        (
            [("physicalName: username\n", "physicalName: person\n")],
            [
                "migrate refuses the change, because the table lacks column person character "
                "varying(100) NOT NULL, for which existing rows have no value: make it optional",
                "migrate refuses the change, because the table has column username character "
                "varying(100) NOT NULL, which is not in the contract",
                "migrate creates the index daily_checkins_person_timestamp_load_id_source_line_"
                "idx; loads of the table wait until it is built",
                "migrate keeps the index daily_checkins_username_timestamp_load_id_source_line_"
                "idx, although the contract no longer has it",
                "files the column 'user' is new: files that lack it are refused",
                "files the column 'user' is unknown: files with it are refused",
            ],
        ),
        (
            [
                ("name: project\n", "name: task\n        physicalName: project\n"),
                ("group: project", "group: task"),
                ("[user, project, hours", "[user, task, hours"),
            ],
            [
                "files the column 'project' is named 'task': files with the old name are refused; "
                'to load both, add aliases: ["project"]',
                "readers API: rows no longer have 'project'",
                "readers API: rows also have 'task'",
                "readers API: 'hours' can be summed by day, week, month, task",
            ],
        ),
        (
            [("physicalName: daily_checkins", "physicalName: checkins")],
            [
                "migrate creates the table checkins, which is empty until `tm backfill --table "
                "dailycheckins` loads the files again; daily_checkins keeps its rows, but no load "
                "changes them any more",
                "readers SQL: daily_checkins is no longer loaded; checkins takes its place",
            ],
        ),
        ([(LOOKUP, "")], ["readers API: rows can no longer be summed"]),
        (
            [("maximum: 24", "maximum: 25"), ("mustBeGreaterThan: 0", "mustBeGreaterThan: 9")],
            [
                'files rowCounts: without {"name": "at_least_one_row", "minimum": 1}, with '
                '{"name": "at_least_one_row", "minimum": 10}',
                "files the column 'hours': rules: without "
                '{"name": "hours_within_a_day", "severity": "warning", "kind": "range", '
                '"minimum": "0", "maximum": "24"}, with '
                '{"name": "hours_within_a_day", "severity": "warning", "kind": "range", '
                '"minimum": "0", "maximum": "25"}',
            ],
        ),
    ],
)
def test_diff_lists_effects(
    tmp_path: Path, replacements: list[tuple[str, str]], effects: list[str]
) -> None:
    result = tm("contract", "diff", OLD, changed(tmp_path, *replacements), "--json")

    found = json.loads(result.stdout)
    assert [f"{each['audience']} {each['text']}" for each in found] == effects
    assert result.exit_code == any(each["isRefused"] for each in found)


def test_diff_without_effects_says_so() -> None:
    result = tm("contract", "diff", OLD, OLD)

    assert result.exit_code == 0
    assert result.stdout == "Nothing changes for migrate, files and readers.\n"


def test_diff_of_two_tables_is_an_error() -> None:
    result = tm("contract", "diff", OLD, CONTRACTS / "projectbudgets.odcs.yaml")

    assert result.exit_code == 1
    assert "is the contract of dailycheckins, but" in one_line(result)
