"""Routes to rows, keys and sums of the check-ins, with PostgreSQL."""

import datetime as dt
import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.api import view as views
from functions.api.view import View, max_bytes, max_rows
from shared.odcs import load_all
from tests.fixtures.contracts import column
from tests.fixtures.database import Database, alter_rows
from tests.fixtures.lookup import KEYS, ROWS, SUMMARY, add, all_items, ask, found, pages, refused

NED = [
    ("ned", "bizdev", "7.5", "2019-09-27 00:00:00.123456 UTC"),
    ("ned", "bizdev", "0.25", "2019-09-29 23:59:59.999999 UTC"),
    ("ned", "Zoo", "1", "2019-09-30 00:00:00 UTC"),
    ("ned", None, "2", "2019-10-01 00:00:00 UTC"),
    ("ned", "ärger", "-3", "2020-12-31 12:00:00 UTC"),
]


def _hours(answer: Any) -> list[str]:
    return [row["hours"] for row in answer["items"]]


def test_rows_can_be_filtered_and_sorted(reader: Database) -> None:
    add(reader, *NED, ("robert", "bizdev", "9", "2019-09-30 UTC"))

    def hours(**asked: str) -> list[str]:
        return _hours(found(ROWS, key="ned", **asked))

    assert hours() == ["7.50", "0.25", "1.00", "2.00", "-3.00"]
    assert hours(order="desc") == ["-3.00", "2.00", "1.00", "0.25", "7.50"]
    # The interval includes `from` and excludes `to`.
    assert hours(**{"from": "2019-09-30", "to": "2019-10-01"}) == ["1.00"]
    assert hours(**{"from": "2019-09-29T23:59:59.999999Z"}) == ["0.25", "1.00", "2.00", "-3.00"]
    assert hours(**{"from": "2019-10-01T02:00:00+02:00"}) == ["2.00", "-3.00"]
    assert hours(project="bizdev") == ["7.50", "0.25"]
    assert hours(project="nothing") == []
    assert hours(**{"from": "2020-01-01", "to": "2019-01-01"}) == []
    assert found(ROWS, key="ned", limit="1")["items"] == [
        {
            "user": "ned",
            "project": "bizdev",
            "hours": "7.50",
            "timestamp": "2019-09-27T00:00:00.123456Z",
        }
    ]


SUMS: dict[str, list[tuple[Any, ...]]] = {
    "day": [
        ("2019-09-27", 1, "7.50"),
        ("2019-09-29", 1, "0.25"),
        ("2019-09-30", 1, "1.00"),
        ("2019-10-01", 1, "2.00"),
        ("2020-12-31", 1, "-3.00"),
    ],
    "week": [("2019-W39", 2, "7.75"), ("2019-W40", 2, "3.00"), ("2020-W53", 1, "-3.00")],
    "month": [("2019-09", 3, "8.75"), ("2019-10", 1, "2.00"), ("2020-12", 1, "-3.00")],
    # Sorted by bytes; rows without a group come last.
    "project": [
        ("Zoo", 1, "1.00"),
        ("bizdev", 2, "7.75"),
        ("ärger", 1, "-3.00"),
        (None, 1, "2.00"),
    ],
}


def test_summary_counts_and_sums_rows(reader: Database) -> None:
    add(reader, *NED, ("robert", "bizdev", "9", "2019-09-30 UTC"))

    for by, sums in SUMS.items():
        asked = {"key": "ned", "by": by}
        answer = found(SUMMARY, **asked)

        assert [(each["group"], each["rows"], each["hours"]) for each in answer["items"]] == sums
        assert list(answer["items"][0]) == ["group", "rows", "hours"]
        for limit in ("1", "2"):
            assert all_items(SUMMARY, limit=limit, **asked) == answer["items"]
        of_a_day = found(SUMMARY, **asked, **{"from": "2019-09-30", "to": "2019-10-01"})["items"]
        assert [(each["rows"], each["hours"]) for each in of_a_day] == [(1, "1.00")]


def test_unknown_key_has_no_rows(reader: Database) -> None:
    add(reader, *NED)

    assert found("/get", user="Ned") == {"response": [], "next": None}
    for path in (ROWS, SUMMARY):
        assert found(path, key="Ned") == {"items": [], "next": None}


USERS = ["", "B", "a", "a'; --", "a\\", "ab", "aä", "b", "z", "ß", "ä", "äz", "田", "🦆", "🦆🦆"]


def test_keys_are_distinct_and_sorted_by_bytes(reader: Database) -> None:
    add(reader, *((user, None, "1", f"2019-09-{n} UTC") for user in USERS for n in (1, 2, 3)))
    by_bytes = sorted(USERS, key=str.encode)

    assert found(KEYS) == {"items": by_bytes, "next": None}
    for prefix in ["a", "a'", "ä", "🦆", "\U0010ffff", "nobody", "%", "_"]:
        wanted = [user for user in by_bytes if user.startswith(prefix)]
        assert found(KEYS, prefix=prefix)["items"] == wanted
        for limit in ("1", "2"):
            assert all_items(KEYS, prefix=prefix, limit=limit) == wanted


def test_rows_accept_any_text_as_key(reader: Database) -> None:
    names = ["a b", "a/b", "100% & +", "ä🦆", '"\\#?', "%41", ".", "a\nb", "%", ":user", "$1"]
    names += ["' OR '1'='1", "'; DROP TABLE daily_checkins; --", "A\\' OR 1=1 --", "A' --"]
    add(reader, ("A", None, "99", "2019-09-27 UTC"))
    add(reader, *((name, None, str(n), "2019-09-27 UTC") for n, name in enumerate(names)))

    for n, name in enumerate(names):
        assert _hours(found(ROWS, key=name)) == [f"{n}.00"]
        assert [row["hours"] for row in found("/get", user=name)["response"]] == [f"{n}.00"]


def test_cursor_of_another_query_is_refused(reader: Database) -> None:
    add(reader, *NED, ("robert", None, "1", "2019-09-27 UTC"), ("robert", None, "1", "2019-09-28"))
    asked = {"key": "ned"}
    cursor = found(ROWS, **asked, limit="1")["next"]

    assert found(ROWS, **asked, limit="7", cursor=cursor)["items"]
    for path, other in (
        (ROWS, {"key": "robert"}),
        ("/get", {"user": "ned"}),
        (KEYS, {}),
        (SUMMARY, asked),
        (ROWS, asked | {"order": "desc"}),
        (ROWS, asked | {"project": "bizdev"}),
        (ROWS, asked | {"from": "2000-01-01"}),
        (ROWS, asked | {"to": "2030-01-01"}),
    ):
        assert "'cursor' is not a 'next'" in refused(ask(path, cursor=cursor, **other), 400)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    hours=st.lists(st.integers(0, 60), max_size=12),
    bounds=st.tuples(st.integers(-5, 65), st.integers(-5, 65)),
    limit=st.integers(1, 5),
    descending=st.booleans(),
)
def test_pages_match_filtered_and_sorted_list(
    reader: Database, hours: list[int], bounds: tuple[int, int], limit: int, descending: bool
) -> None:
    begin = dt.datetime(2019, 9, 27, tzinfo=dt.UTC)
    times = [begin + dt.timedelta(hours=each) for each in hours]
    since, until = (begin + dt.timedelta(hours=each) for each in bounds)
    reader.run("DELETE FROM daily_checkins_rows")
    add(reader, *(("ned", "p", str(n), time.isoformat()) for n, time in enumerate(times)))
    add(reader, ("ned", "outside", "0", "1990-01-01 UTC"))
    parameters = {
        "from": since.isoformat().replace("+00:00", "Z"),
        "to": until.isoformat().replace("+00:00", "Z"),
        "order": "desc" if descending else "asc",
        "limit": str(limit),
    }
    wanted = sorted((time, n) for n, time in enumerate(times) if since <= time < until)

    shown = all_items(ROWS, key="ned", **parameters)

    expected = [f"{n}.00" for _, n in (reversed(wanted) if descending else wanted)]
    assert [row["hours"] for row in shown] == expected


def test_response_stays_below_lambda_limit(reader: Database) -> None:
    # The characters with the longest encodings in nested JSON.
    for character in '\U0010ffff\x01"\\':
        reader.run(
            "INSERT INTO daily_checkins_rows (username, project, hours, timestamp, source_line) "
            "SELECT :user, repeat(:text, 100), -999.99, timestamptz '2019-01-01', n + :text_line "
            "FROM generate_series(1, 1001) n",
            text_line=1001 * ord(character),
            user=character * 100,
            text=character,
        )
        asked = {"key": character * 100, "limit": "1000"}

        answer = ask(ROWS, **asked)
        assert (answer.status, len(answer.body["items"])) == (200, 1000)
        # Some versions of Lambda's runtime escape non-ASCII characters, others do not.
        size = len(json.dumps({"statusCode": 200, "body": answer.text}).encode())
        assert 500_000 < size < 6 * 1024**2, character


def test_pages_of_unlimited_texts_stay_below_limit(
    reader: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    character = "\U0010ffff"
    # A small limit, of which the names and punctuation of 1,000 rows take the larger part.
    alter_rows(reader, "ALTER project TYPE text, ALTER username TYPE text")
    monkeypatch.setattr(views, "MAX_RESPONSE_BYTES", 100_000 + 1000 * 200)
    monkeypatch.setattr("functions.api.pagination.max_rows", lambda columns: 0)
    add(
        reader,
        *(("ned", character * (n * 97), str(n), "2019-09-27 UTC") for n in range(40)),
        *((f"{character * 5000}{n}", None, "1", "2019-09-27 UTC") for n in range(10)),
        ("ned", character * 200_000, "40", "2019-09-28 UTC"),
        ("ned", "the last", "41", "2019-09-29 UTC"),
    )

    by_pages = list(pages(ROWS, key="ned", limit="1000"))

    assert [row["hours"] for page in by_pages for row in page] == [f"{n}.00" for n in range(42)]
    # A single row may exceed the limit because it cannot be split.
    *others, alone, last = by_pages
    assert len(others) > 1
    assert (len(alone), len(last)) == (1, 1)
    assert all(len(json.dumps(json.dumps(page))) < 300_000 for page in others)
    users = list(pages(KEYS))
    assert len(users) > 1
    assert len([user for page in users for user in page]) == 11


def test_fitting_depends_on_maximum_lengths() -> None:
    view = View.of(load_all()["dailycheckins"])
    assert view is not None

    assert max_rows((*view.fields, view.order)) == 1000
    wide = column(
        "w", "string", "varchar(9000)", rules=({"name": "m", "kind": "length", "maximum": 9000},)
    )
    assert max_rows([wide]) == 50
    text = column("t", "string", "text")
    assert max_rows([text]) == 0
    assert 700_000 < max_bytes([text]) < 786_000


ASKED: list[tuple[str, dict[str, str]]] = [
    ("/get", {"user": "user-7"}),
    (KEYS, {}),
    (KEYS, {"prefix": "user-7"}),
    (ROWS, {"key": "user-7"}),
    (ROWS, {"key": "user-7", "order": "desc", "project": "p3", "from": "2020-01-01"}),
    (ROWS, {"key": "user-7", "to": "2020-01-01"}),
    (SUMMARY, {"key": "user-7", "by": "project"}),
    (SUMMARY, {"key": "user-7", "by": "week", "from": "2020-01-01"}),
    (ROWS, {"key": "nobody"}),
]


def test_lookups_use_index(reader: Database, plans: list[str]) -> None:
    reader.run(
        "INSERT INTO daily_checkins_rows (username, project, hours, timestamp, source_line) "
        "SELECT 'user-' || n % 500, 'p' || n % 9, 1, timestamptz '2019-01-01' + n * interval '1 h',"
        " n FROM generate_series(1, 50000) n"
    )
    reader.run("ANALYZE daily_checkins_rows")
    for path, parameters in ASKED:
        plans.clear()
        first = ask(path, **parameters, limit="1")
        if first.status == 200:
            ask(path, **parameters, limit="1", cursor=first.body["next"])

        plan = "\n".join(plans)
        assert "daily_checkins_username_timestamp_load_id_source_line_idx" in plan, path
        assert "Seq Scan" not in plan, path
        if path == KEYS:
            assert max(float(n) for n in re.findall(r"actual rows=([0-9.]+)", plan)) <= 3
