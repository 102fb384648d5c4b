"""The API handler with API Gateway events and PostgreSQL."""

import itertools
import threading
import time
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from functions.api import handler as api
from functions.api import session as sessions
from functions.api.responses import value_schema
from shared import replacement
from shared.contract import Contract, Lookup
from shared.errors import DatabaseRefused
from shared.odcs import load_all
from shared.settings import read
from tests.fixtures.contracts import READINGS, column
from tests.fixtures.database import Database, eventually, migrate_to
from tests.fixtures.lookup import (
    KEYS,
    ROWS,
    SUMMARY,
    TABLE,
    add,
    ask,
    begin_load,
    found,
    pages,
    refused,
    request,
    send,
)
from tests.fixtures.proxy import Asleep, forgetful, report_starting_up, stay_silent, waking


def get(**parameters: str) -> tuple[int, dict[str, Any]]:
    answer = ask("/get", **parameters)
    return answer.status, answer.body


def test_get_returns_rows_of_a_key(reader: Database) -> None:
    add(
        reader,
        ("ned", "bizdev", "7.5", "2019-09-27 00:00:00.123456 UTC"),
        ("robert", "bizdev", "1", "2019-09-27 00:00:00 UTC"),
        ("ned", None, "0", "2019-09-26 23:00:00-05"),
        ("Ned", "other", "1", "2019-09-27 00:00:00 UTC"),
        ("ned", 'é "\\ 🦆', "-999.99", "0001-01-01 00:00:00 UTC"),
    )

    rows = get(user="ned")[1]["response"]

    assert [tuple(row.values()) for row in rows] == [
        ("ned", 'é "\\ 🦆', "-999.99", "0001-01-01T00:00:00.000000Z"),
        ("ned", "bizdev", "7.50", "2019-09-27T00:00:00.123456Z"),
        ("ned", None, "0.00", "2019-09-27T04:00:00.000000Z"),
    ]


def test_get_returns_100_rows_by_default_and_1000_at_most(reader: Database) -> None:
    reader.run(
        "INSERT INTO daily_checkins_rows (username, hours, timestamp, source_line) "
        "SELECT 'ned', 1, now(), n FROM generate_series(1, 1001) n"
    )

    assert len(get(user="ned")[1]["response"]) == 100
    status, answer = get(user="ned", limit="1000")
    assert (status, len(answer["response"])) == (200, 1000)
    assert len(get(user="ned", cursor=answer["next"])[1]["response"]) == 1


READING = """
INSERT INTO order_rows ("group", "table", date, time, value, rank, floor, guess, note, price, read,
    "end", factor, pressure, clock, device, raw, source_line)
SELECT 7, t, CAST(d AS date), CAST(z AS timestamptz), CAST(v AS numeric), CAST(r AS bigint), 3,
    true, 'ä"', 5, CAST('2024-01-01 00:00:00+02' AS timestamptz), CAST('2024-02-29' AS date),
    0.1, 1.5e-300, CAST('08:30' AS time), '6b9f2a2e-0000-4000-8000-00000000000A',
    '{"b": 1.10, "a": "ä"}', l
FROM unnest(
    CAST(:t AS text[]), CAST(:d AS text[]), CAST(:z AS text[]), CAST(:v AS text[]),
    CAST(:r AS text[]), CAST(:l AS integer[])
) AS row (t, d, z, v, r, l)
"""


def _look_up(monkeypatch: pytest.MonkeyPatch, order: str, *fields: str) -> None:
    lookup = Lookup(key="Zähler-Nr.", order=order, fields=fields or READINGS.header)
    contract = Contract.model_validate(
        READINGS.model_copy(update={"lookup": lookup}).model_dump(exclude_unset=True)
    )
    contracts = {"projectbudgets": load_all()["projectbudgets"], "readings": contract}
    monkeypatch.setattr("shared.contract_store._once", lambda *_: contracts)
    api.app.cache_clear()


@pytest.fixture
def readings(
    function: None, database: Database, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Database]:
    """A table with a column of every type, 25 rows of key 7, and one row of another key."""
    migrate_to(READINGS)
    monkeypatch.setenv("DATABASE_SECRET_ARN", database.reader.secret_arn)
    begin_load(database, "order")
    days = [f"2024-{n:02}-01" for n in (12, 3, 2, 11, 1)] * 5
    database.run(
        READING,
        t=["", "b", "ä", "B", "'\\"] * 5,
        d=days,
        z=[f"{day} 12:00:00.5+00" for day in days],
        v=["-10", "9", "10.5", "-0.001", "999999999.999"] * 5,
        r=[str(n) for n in (-(2**63), -1, 0, 2, 2**63 - 1)] * 5,
        l=list(range(2, 27)),
    )
    database.run(
        'INSERT INTO order_rows ("group", "table", date, time, value, rank, source_line) '
        "VALUES (-1, '', CAST('0001-01-01' AS date), CAST('2024-07-01' AS date), 0, 1, 27)"
    )
    yield database
    api.session.close()


def test_get_returns_every_type_as_json(
    readings: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    _look_up(monkeypatch, "Rang")

    status, answer = get(**{"Zähler-Nr.": "7", "limit": "1"})

    assert status == 200
    assert answer["response"] == [
        {
            "Zähler-Nr.": 7,
            "Raum": "",
            "Tag": "2024-12-01",
            "Zeit": "2024-12-01T12:00:00.500000Z",
            "Stand": "-10.000",
            "Rang": -(2**63),
            "Etage": 3,
            "Geschätzt": True,
            "Notiz": 'ä"',
            "Preis": "5",
            "Ablesung": "2023-12-31T22:00:00.000000Z",
            "Ende": "2024-02-29",
            "Faktor": 0.1,
            "Druck": 1.5e-300,
            "Uhrzeit": "08:30:00.000000",
            "Gerät": "6b9f2a2e-0000-4000-8000-00000000000a",
            "Rohdaten": '{"a": "ä", "b": 1.10}',
        }
    ]
    for name, value in answer["response"][0].items():
        jsonschema.validate(value, value_schema(READINGS.column(name)))
    assert list(answer["response"][0]) == list(READINGS.header)
    assert type(answer["response"][0]["Geschätzt"]) is bool


def test_get_returns_null_for_missing_values(
    readings: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    optional = [column.name for column in READINGS.columns if not column.required]
    _look_up(monkeypatch, "Tag", *optional, "Tag")

    assert get(**{"Zähler-Nr.": "-1"}) == (
        200,
        {"response": [dict.fromkeys(optional) | {"Tag": "0001-01-01"}], "next": None},
    )


DEVICES = Contract(
    table="devices",
    relation="devices",
    version="1",
    columns=(
        column("device", "string", "uuid", required=True),
        column("site", "string", "uuid"),
        column("doc", "object", "jsonb"),
        column("n", "integer", "integer"),
    ),
    lookup=Lookup(
        key="device", order="device", fields=("device", "n", "doc"), group="site", measure="n"
    ),
)


def test_uuid_can_be_key_order_and_group(
    function: None, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate_to(DEVICES)
    monkeypatch.setenv("DATABASE_SECRET_ARN", database.reader.secret_arn)
    monkeypatch.setattr("shared.contract_store._once", lambda *_: {"devices": DEVICES})
    begin_load(database, "devices")
    device, *sites = (f"6b9f2a2e-0000-4000-8000-00000000000{n}" for n in "abc")
    for line, site in enumerate([*sites, sites[0], None], start=2):
        database.run(
            "INSERT INTO devices_rows (device, site, doc, n, source_line) "
            "SELECT CAST(:device AS uuid), CAST(:site AS uuid), "
            "jsonb_build_object('text', repeat('x', 3000000)), :line, :line",
            device=device,
            site=site,
            line=line,
        )
    path = "/tables/devices"

    def numbers(**more: str) -> list[list[int]]:
        shown = pages(f"{path}/rows", key=device.upper(), **more)
        return [[row["n"] for row in page] for page in shown]

    assert numbers() == [[2], [3], [4], [5]], "an answer has at most 6 MB"
    assert numbers(site=sites[0]) == [[2], [4]]
    assert list(pages(f"{path}/keys", limit="1")) == [[device]]
    assert list(pages(f"{path}/summary", key=device, by="site", limit="1")) == [
        [{"group": sites[0], "rows": 2, "n": "6"}],
        [{"group": sites[1], "rows": 1, "n": "3"}],
        [{"group": None, "rows": 1, "n": "5"}],
    ]
    for wrong in ("7", f"{{{device}}}", device.replace("-", "")):
        assert "must be one UUID" in ask(f"{path}/rows", key=wrong).text
    database.run(replacement.add("devices", "SELECT device AS key FROM devices"), id=1)
    assert found(f"{path}/rows", key=device, limit="1")["items"]
    api.session.close()


def test_pages_are_sorted_by_order_of_any_type(
    readings: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for order in ("Raum", "Tag", "Zeit", "Stand", "Rang"):
        _look_up(monkeypatch, order, "Raum")  # the order's column need not be shown
        column = READINGS.column(order).physical_name
        expected = readings.run(
            f'SELECT "table" FROM "order" WHERE "group" = 7 ORDER BY "{column}", source_line'
        )

        for limit in (1, 7, 24, 25, 26):
            found = list(pages("/get", "response", limit=str(limit), **{"Zähler-Nr.": "7"}))
            assert [[row["Raum"]] for page in found for row in page] == expected, order
            assert [len(page) for page in found[:-1]] == [limit] * (len(found) - 1)
            assert len(found) == -(-25 // limit)


def test_get_refuses_cursor_of_another_contract(
    readings: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    _look_up(monkeypatch, "Tag")
    cursor = get(**{"Zähler-Nr.": "7", "limit": "1"})[1]["next"]
    _look_up(monkeypatch, "Rang")

    assert get(**{"Zähler-Nr.": "7", "cursor": cursor})[0] == 400


def test_routes_accept_numeric_key(readings: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    _look_up(monkeypatch, "Tag", "Raum")

    rows, keys, summary = (f"/tables/readings/{part}" for part in ("rows", "keys", "summary"))
    assert "'Zähler-Nr.' is missing" in refused(ask("/get"), 400)
    assert ask(keys).body == {"items": [-1, 7], "next": None}
    assert [*pages(keys, limit="1")] == [[-1], [7]]
    assert "Unknown parameter 'prefix'" in refused(ask(keys, prefix="7"), 400)
    assert len(ask(rows, key="7").body["items"]) == 25
    assert ask(rows, key="8").body["items"] == []
    assert "whole number from -2147483648" in refused(ask(rows, key="x"), 400)
    assert "Unknown parameter 'Raum'" in refused(ask(rows, key="7", Raum="a"), 400)
    assert "must name a 'measure'" in refused(ask(summary, key="7"), 404)


@pytest.mark.parametrize("order", ["Rang", "Tag"])
def test_rows_accept_from_and_to_only_for_times(
    readings: Database, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    _look_up(monkeypatch, order, "Tag")

    times = {"from": "2024-02-01", "to": "2024-03-01"}
    answer = ask("/tables/readings/rows", key="7", **times)

    if order == "Tag":
        assert {row["Tag"] for row in answer.body["items"]} == {"2024-02-01"}
    else:
        assert "Unknown parameter 'from', 'to'" in refused(answer, 400)


@pytest.mark.parametrize(
    ("path", "parameters", "detail"),
    [
        ("/get", {}, "The parameter 'user' is missing."),
        ("/get", {"user": ""}, "The parameter 'user' is empty."),
        ("/get", {"user": "a\0"}, "The parameter 'user' is not UTF-8 text without NUL."),
        ("/get", {"user": "ned", "limit": "0"}, "'limit' must be a whole number from 1 to 1000."),
        ("/get", {"user": "ned", "cursor": "?"}, "'cursor' is not a 'next' value"),
        ("/get", {"user": "ned", "froom": "1"}, "Unknown parameter 'froom'. Allowed: 'cursor', "),
        (ROWS, {}, "The parameter 'key' is missing."),
        (ROWS, {"key": "ned", "order": "up"}, "'order' must be asc or desc."),
        (ROWS, {"key": "ned", "from": "yesterday"}, "'from' must be a date (2019-09-27, "),
        (ROWS, {"key": "ned", "project": ""}, "The parameter 'project' is empty."),
        (ROWS, {"key": "ned", "user": "ned"}, "Unknown parameter 'user'. Allowed: 'cursor', "),
        (SUMMARY, {"key": "ned", "by": "year"}, "'by' must be day or week or month or project."),
        ("/tables", {"limit": "0"}, "'limit' must be a whole number from 1 to 1000."),
        ("/tables", {"cursor": "x"}, "'cursor' is not a 'next' value"),
        (TABLE, {"key": "ned"}, "Unknown parameter 'key'. Allowed: none."),
        ("/ingestions", {"status": "done"}, "'status' must be waiting or queued or running"),
        ("/ingestions", {"since": "2019"}, "'since' must be a date"),
        ("/ingestions/A_b", {}, "'id' must match ^[a-z0-9-]{1,64}$."),
    ],
)
def test_problem_describes_invalid_parameter(
    function: None, path: str, parameters: dict[str, str], detail: str
) -> None:
    assert detail in refused(ask(path, **parameters), 400)


def test_problem_lists_all_invalid_parameters(function: None) -> None:
    problem = ask(SUMMARY, limit="x", by="y").body

    errors = [(each["in"], each["name"]) for each in problem["errors"]]
    assert errors == [("query", name) for name in ("key", "by", "limit")]


def test_repeated_parameter_is_refused(function: None) -> None:
    event = request(user="ned")
    event["multiValueQueryStringParameters"] = {"user": ["ned", "robert"]}

    assert "'user' occurs more than once" in refused(send(event), 400)


def test_unknown_routes_and_methods_are_refused(function: None) -> None:
    # Paths are neither decoded nor normalized, because IAM policies match them as sent.
    for path in ("/", "/other", "/tables//dailycheckins", "/users/ned/checkins", f"{TABLE}/x"):
        assert refused(ask(path), 404) == "Unknown route. See /docs for all routes."
    for path in ("/tables/x/../dailycheckins/keys", "/tables/dailycheckin%73/keys", "/tables/ü"):
        assert "No table" in refused(ask(path), 404)
    for path, method in itertools.product(
        ("/tables", KEYS, "/get", "/tables/x", "/x"), ("POST", "HEAD", "OPTIONS", "DELETE")
    ):
        answer = send(request(path, method))
        assert refused(answer, 405) == f"Method {method} is not allowed. Use GET."
        assert answer.headers["Allow"] == "GET"


def test_cors_headers_only_for_configured_origins(
    function: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin = {"origin": "https://a.example"}
    assert not [name for name in ask("/health", origin).headers if "Access-Control" in name]

    monkeypatch.setenv("CORS_ORIGINS", '["https://a.example", "https://b.example"]')
    read.cache_clear()
    api.app.cache_clear()

    for path, status in (("/health", 200), ("/get", 400), (ROWS, 400), ("/tables/x/rows", 404)):
        answer = ask(path, origin)
        assert answer.status == status
        assert answer.headers["Access-Control-Allow-Origin"] == "https://a.example"
        assert answer.headers["Access-Control-Expose-Headers"] == "ETag,Retry-After"
    assert "Access-Control-Allow-Origin" not in ask("/health", {"origin": "https://c.exam"}).headers
    for path in (KEYS, "/get", "/tables/x/rows"):
        preflight = send(request(path, "OPTIONS", origin))
        assert preflight.status == 204
        assert "GET" in preflight.headers["Access-Control-Allow-Methods"]
        assert "If-None-Match" in preflight.headers["Access-Control-Allow-Headers"]


def test_log_contains_no_values(reader: Database, caplog: pytest.LogCaptureFixture) -> None:
    add(reader, ("mr-private", "hidden", "1", "2019-09-27 UTC"))

    with caplog.at_level("INFO"):
        assert len(get(user="mr-private")[1]["response"]) == 1

    [line] = [record for record in caplog.records if record.message == "looked up"]
    assert (vars(line)["table"], vars(line)["rows"]) == ("dailycheckins", 1)
    everything = str([vars(record) for record in caplog.records])
    assert "private" not in everything
    assert "hidden" not in everything


def _connections(database: Database) -> list[int]:
    sql = "SELECT pid FROM pg_stat_activity WHERE usename = :name"
    return [pid for [pid] in database.run(sql, name=database.reader.name)]


def test_session_keeps_one_connection(reader: Database) -> None:
    get(user="ned")
    first = _connections(reader)
    get(user="ned")

    assert _connections(reader) == first
    assert len(first) == 1
    assert api.session.run("SHOW idle_session_timeout") == [["1min"]]
    assert api.session.run("SHOW statement_timeout") == [["8s"]]


def test_session_replaces_connection_closed_while_idle(
    reader: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sessions.PARAMETERS, "idle_session_timeout", "100ms")
    add(reader, ("ned", "before", "1", "2019-09-27 UTC"))
    get(user="ned")
    first = _connections(reader)

    eventually(lambda: not _connections(reader))
    reader.run("UPDATE daily_checkins_rows SET project = 'after'")

    assert _projects("ned") == ["after"]
    assert not set(_connections(reader)) & set(first)


def _projects(user: str) -> list[str | None]:
    status, answer = get(user=user)
    assert status == 200
    return [row["project"] for row in answer["response"]]


def test_session_replaces_connection_dropped_by_network(
    reader: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A real network drops idle connections only after minutes.
    monkeypatch.setattr(sessions, "FRESH", 0)
    add(reader, ("ned", "neds", "1", "2019-09-27 UTC"), ("jon", "jons", "1", "2019-09-27 UTC"))
    with forgetful((reader.server.host, reader.server.port)) as network:
        monkeypatch.setenv("DATABASE_PORT", str(network.port))
        assert _projects("ned") == ["neds"]
        network.forget()
        start = time.monotonic()

        assert _projects("jon") == ["jons"]

        assert time.monotonic() - start < sessions.ANSWER_WITHIN / 2
        api.session.close()


def test_session_survives_connection_that_fails_during_statement(reader: Database) -> None:
    add(reader, ("ned", "neds", "1", "2019-09-27 UTC"), ("jon", "jons", "1", "2019-09-27 UTC"))
    assert _projects("jon") == ["jons"]
    [pid] = _connections(reader)
    with reader.connected() as connection:
        connection.run("BEGIN")
        connection.run("LOCK daily_checkins_rows")
        sql = "SELECT pg_terminate_backend(:pid)"
        threading.Timer(0.3, lambda: reader.run(sql, pid=pid)).start()
        _assert_unavailable(within=3)
        connection.run("ROLLBACK")

    assert _projects("ned") == ["neds"]
    assert pid not in _connections(reader)


def _assert_unavailable(within: float) -> None:
    start = time.monotonic()
    answer = ask("/get", user="ned")

    assert time.monotonic() - start < within
    assert "Retry in 15 seconds" in refused(answer, 503)
    assert answer.headers["Retry-After"] == "15"


@pytest.mark.parametrize("asleep", [stay_silent, report_starting_up])
def test_resuming_database_answers_503_until_it_is_ready(
    reader: Database, asleep: Asleep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "ANSWER_WITHIN", 0.5)
    add(reader, ("ned", "neds", "1", "2019-09-27 UTC"))
    with waking((reader.server.host, reader.server.port), 2, asleep) as port:
        monkeypatch.setenv("DATABASE_PORT", str(port))
        _assert_unavailable(within=1.5)

        eventually(lambda: get(user="ned")[0] == 200)

        assert _projects("ned") == ["neds"]
        api.session.close()


def test_statement_timeout_answers_503(reader: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sessions.PARAMETERS, "statement_timeout", "200ms")
    with reader.connected() as connection:
        connection.run("BEGIN")
        connection.run("LOCK daily_checkins_rows")
        _assert_unavailable(within=3)
        connection.run("ROLLBACK")

    assert get(user="ned")[0] == 200


def test_wrong_password_answers_500(
    reader: Database, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    reader.run(f"ALTER ROLE {reader.reader.name} PASSWORD 'another'")

    answer = ask("/get", user="ned")

    assert refused(answer, 500) == "Internal error. Report the requestId to the operators."
    assert reader.reader.name not in answer.text
    [record] = [each for each in caplog.records if each.message == "a defect"]
    assert record.exc_info is not None
    assert record.exc_info[0] is DatabaseRefused
    assert '"Defects":[1.0]' in capsys.readouterr().out
