"""Paging while Load replaces files: consistent pages or 410."""

import datetime as dt
import functools
import itertools
import random
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from aws_lambda_powertools.event_handler.exceptions import ServiceError

from functions.api import handler as api
from functions.api.pagination import Pages
from functions.api.session import Session
from functions.api.view import View
from functions.load.loading import Loading
from functions.load.removal import Operation, Request
from functions.load.rows import StagedRows
from functions.load.versions import may_replace
from shared import replacement
from shared.database import Connection, connect
from shared.errors import RowsUnaccounted
from shared.ingestion import Ingestion
from shared.odcs import load_all
from shared.staging import Staging
from tests.fixtures.aws import LANDING, STAGING
from tests.fixtures.contracts import READINGS
from tests.fixtures.database import FORMER_INDEX, Database, Role, former, migrate_to
from tests.fixtures.lookup import ROWS, SUMMARY, all_items, ask, begin_load, found, refused
from tests.functions.load.test_load import NOON, Event, Row, drop
from tests.shared.test_database import settings_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONTRACT = load_all()["dailycheckins"]


def key(name: str) -> str:
    return f"table=dailycheckins/year=2024/month=3/day=3/{name}.csv"


def rows(project: str, count: int, user: str = "ned", at: dt.datetime = NOON) -> list[Row]:
    """Return rows that differ only in their project and line."""
    return [(user, at, Decimal("1.00"), f"{project} {n}") for n in range(count)]


@dataclass(frozen=True)
class Files:
    """Files that Load's code loads or removes, with the loader's role."""

    database: Database
    s3: "S3Client"

    def drop(self, name: str, *parts: list[Row]) -> Event:
        return drop(self.s3, list(itertools.chain(*parts)), key=key(name))

    def load(self, event: Event) -> None:
        ingestion = Ingestion.from_event(event)
        staged = StagedRows(
            Staging(STAGING, ingestion), CONTRACT, event["transform"], event["test"]
        )
        may = functools.partial(may_replace, self.s3, ingestion.source)
        loading = Loading(ingestion, CONTRACT, staged, may)
        with connected(self.database, self.database.loader) as connection:
            assert loading.run(connection, mock.Mock()).outcome == "ok"

    def remove(self, name: str) -> None:
        with connected(self.database, self.database.loader) as connection:
            request = Request(Operation.REMOVE, LANDING, key(name), CONTRACT)
            assert request.answer(connection, lambda version: False)["rows"]

    def dropped(self, name: str, *parts: list[Row]) -> None:
        self.load(self.drop(name, *parts))


@contextmanager
def connected(database: Database, role: Role) -> Iterator[Connection]:
    settings = settings_of(database, database_secret_arn=role.secret_arn)
    with connect(settings, parameters={"TimeZone": "UTC"}) as connection:
        yield connection


@pytest.fixture
def files(reader: Database, s3: "S3Client") -> Files:
    return Files(reader, s3)


WALKS: list[tuple[str, str, dict[str, str]]] = [
    ("/get", "response", {"user": "ned"}),
    (ROWS, "items", {"key": "ned"}),
    (ROWS, "items", {"key": "ned", "order": "desc", "from": "2019-01-01"}),
    (SUMMARY, "items", {"key": "ned", "by": "project"}),
]


@dataclass
class Walk:
    """Paging through a route, after the first page."""

    path: str
    name: str
    parameters: dict[str, str]

    def __post_init__(self) -> None:
        page = found(self.path, limit="2", **self.parameters)
        self.first, self.cursor = page[self.name], page["next"]

    def next(self) -> Any:
        return ask(self.path, limit="2", cursor=self.cursor, **self.parameters)

    def rest(self) -> list[Any]:
        return all_items(self.path, self.name, limit="2", cursor=self.cursor, **self.parameters)


def begin() -> list[Walk]:
    """Request the first page of each route."""
    return [Walk(*each) for each in WALKS]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (rows("old", 3), rows("new", 3)),
        (rows("old", 3), rows("old", 3)),
        (rows("old", 3), rows("new", 3, "robert")),
        (rows("old", 3, "robert"), rows("new", 3)),
        (rows("old", 3), []),
        ([], rows("new", 3)),
    ],
    ids=["both", "the same", "only before", "only after", "emptied", "filled"],
)
def test_paging_ends_with_410_if_source_is_replaced(
    files: Files, before: list[Row], after: list[Row]
) -> None:
    files.dropped("stays", rows("stays", 5))
    files.dropped("replaced", before, rows("old", 1, "sansa"))
    walks = begin()

    files.dropped("replaced", after, rows("new", 1, "sansa"))

    for walk in walks:
        detail = refused(walk.next(), 410)
        assert "Omit the parameter 'cursor' to start again with the first page" in detail
        assert "this user" in detail
    for again in begin():
        whole = found(again.path, limit="1000", **again.parameters)[again.name]
        assert again.first + again.rest() == whole


def test_paging_ignores_changes_of_other_keys(files: Files) -> None:
    files.dropped("stays", rows("stays", 5))
    files.dropped("robert's", rows("old", 3, "robert"), rows("old", 3, "Ned"))
    files.dropped("removed", rows("old", 3, "robert"))
    wholes = [walk.first + walk.rest() for walk in begin()]
    walks = begin()

    # First loads of files with earlier and later rows of the same user.
    files.dropped("first", rows("a new file", 3, at=NOON - dt.timedelta(days=1)))
    files.dropped("robert's", rows("new", 3, "robert"), rows("new", 3, "Ned"))
    files.remove("removed")
    files.dropped("last", rows("another", 3, at=NOON + dt.timedelta(days=1)))

    for walk, whole in zip(walks, wholes, strict=True):
        rest = walk.rest()
        assert [item for item in walk.first + rest if item in whole] == whole
        assert len({str(item) for item in rest}) == len(rest)


@pytest.mark.parametrize("staying", [5, 0], ids=["rows of another file", "no row"])
def test_paging_ends_with_410_if_rows_are_removed(files: Files, staying: int) -> None:
    files.dropped("stays", rows("stays", staying), rows("stays", 1, "sansa"))
    files.dropped("removed", rows("removed", 5))
    walks = begin()

    files.remove("removed")
    for walk in walks:
        refused(walk.next(), 410)
    # The file gets other IDs of its source and its load.
    files.dropped("removed", rows("removed", 5))
    for walk in walks:
        refused(walk.next(), 410)


def test_paging_ignores_failed_load(files: Files) -> None:
    files.dropped("stays", rows("stays", 5))
    walks = begin()
    event = files.drop("stays", rows("new", 5))
    event["transform"]["rowsRead"] += 1

    with pytest.raises(RowsUnaccounted):
        files.load(event)

    assert [len(walk.first + walk.rest()) for walk in walks] == [5] * len(WALKS)


def test_rows_of_equal_order_are_sorted_by_load_and_line(files: Files) -> None:
    for name in ("a", "b", "a"):
        files.dropped(name, rows(name, 3))

    projects = [row["project"] for row in all_items("/get", "response", user="ned", limit="1")]

    assert projects == [f"{name} {n}" for name in "ba" for n in range(3)]


def test_paging_ignores_replacement_in_another_table(reader: Database, files: Files) -> None:
    files.dropped("stays", rows("stays", 5))
    walk = Walk(*WALKS[0])

    reader.run(replacement.add("another", "SELECT 'ned' AS key"), id=1)
    assert len(walk.first + walk.rest()) == 5

    reader.run(replacement.add("daily_checkins", "SELECT 'ned' AS key"), id=1)
    refused(walk.next(), 410)


def test_replacements_contain_no_values(reader: Database, files: Files) -> None:
    files.dropped("removed", rows("removed", 3, "mr-private"))
    files.dropped("removed", rows("removed", 2, "mr-private"))

    files.remove("removed")

    [[kept]] = reader.run("SELECT string_agg(row::text, ';') FROM replacement AS row")
    assert kept
    assert "private" not in kept
    assert b"private".hex() not in kept


FORMER_ROWS = """
INSERT INTO daily_checkins (username, project, hours, timestamp, source_id, source_line)
SELECT user_, 'p' || n, 1, timestamptz '2019-01-01' + n / 50 * interval '1 hour', source.id,
    CASE user_ WHEN 'ned' THEN n ELSE n + 5000 END
FROM source, generate_series(2, 5001) n, unnest(array['ned', 'robert']) user_
"""


def test_upgraded_table_is_paged_by_new_index(
    function: None, database: Database, plans: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    former(database, FORMER_ROWS)
    migrate_to(CONTRACT)
    monkeypatch.setenv("DATABASE_SECRET_ARN", database.reader.secret_arn)
    database.run("ANALYZE daily_checkins_rows")

    projects = [row["project"] for row in all_items("/get", "response", user="ned")]
    api.session.close()

    assert projects == [f"p{n}" for n in range(2, 5002)]
    assert len(plans) == 50
    for plan in plans:
        assert "daily_checkins_username_timestamp_load_id_source_line_idx" in plan
    # PostgreSQL may sort if only a few rows remain.
    for plan in plans[:-10]:
        assert "Sort" not in plan
        # Each page reads its own rows and one more, at any depth.
        assert max(float(n) for n in re.findall(r"actual .*?rows=([0-9.]+)", plan)) <= 101
    assert FORMER_INDEX not in str(database.run("SELECT indexname FROM pg_indexes"))


SOURCES = "abc"
VERSIONS = 15


def test_concurrent_replacements_give_consistent_pages_or_410(files: Files) -> None:
    """Three sources are replaced and others loaded while three clients read pages."""
    rng = random.Random(7)
    versions = {
        (name, n): rows(f"{name} {n}", rng.choice([0, 3, 10, 20]))
        for name in SOURCES
        for n in range(VERSIONS)
    }
    # Each version of a source is newer than the one before.
    events = {at: files.drop(at[0], made, rows("x", 2, "robert")) for at, made in versions.items()}
    first = [files.drop(f"first{n}", rows(f"first {n}", 3)) for n in range(7)]
    state = dict.fromkeys(SOURCES, 0)
    for name in SOURCES:
        files.load(events[name, 0])
    moments = [dict(state)]
    done = threading.Event()
    view = View.of(CONTRACT)
    assert view is not None

    def replace() -> None:
        try:
            for n in range(1, VERSIONS):
                for name in SOURCES:
                    # Before the load, because a client may see the rows before `load` returns.
                    moments.append(state | {name: n})
                    files.load(events[name, n])
                    state[name] = n
                    time.sleep(rng.random() / 20)
                if n % 2 and first:
                    files.load(first.pop())
        finally:
            done.set()

    def walks(number: int) -> tuple[list[list[str]], int]:
        whole, gone = [], 0
        with connected(files.database, files.database.reader) as connection:
            session = Session(lambda within: connection)
            paged = Pages(view, session.run)
            while not done.is_set():
                try:
                    whole.append(walk(paged, limit=(2, 5, 11)[number], descending=number == 2))
                except ServiceError as error:
                    if error.status_code != HTTPStatus.GONE:
                        raise
                    gone += 1
            whole.append(walk(paged, limit=7, descending=False))
        return whole, gone

    with ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(walks, number) for number in range(3)]
        pool.submit(replace).result()
    whole = [seen for client in clients for seen in client.result()[0]]
    gone = sum(client.result()[1] for client in clients)

    expected = {
        tuple(sorted(str(row[3]) for name, n in moment.items() for row in versions[name, n]))
        for moment in moments
    }
    for seen in whole:
        assert len(set(seen)) == len(seen), "a row came twice"
        replaced = sorted(project for project in seen if not project.startswith("first"))
        assert tuple(replaced) in expected
    assert gone > 0
    # No replacement interrupts the last pass of each client.
    assert len(whole) > 3


def walk(paged: Pages, *, limit: int, descending: bool) -> list[str]:
    """Return the projects of all pages."""
    seen: list[str] = []
    cursor = None
    while True:
        page = paged.rows("rows", "ned", limit, cursor, descending=descending)
        seen += [row["project"] for row in page.items]
        cursor = page.next
        if cursor is None:
            return seen


def test_paging_detects_replacement_of_numeric_key(
    function: None, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up = {"key": "Zähler-Nr.", "order": "Rang", "fields": ("Rang",)}
    contract = type(READINGS).model_validate(
        READINGS.model_dump(exclude_unset=True) | {"lookup": look_up}
    )
    migrate_to(contract)
    monkeypatch.setenv("DATABASE_SECRET_ARN", database.reader.secret_arn)
    monkeypatch.setattr("shared.contract_store._once", lambda *_: {"readings": contract})
    api.app.cache_clear()
    former_rows = (
        'INSERT INTO order_rows ("group", "table", date, time, value, rank, source_line) '
        "SELECT -7, '', date '2024-01-01', now(), 0, n, n FROM generate_series(2, 9) n"
    )
    begin_load(database, "order")
    database.run(former_rows)
    walk = Walk("/get", "response", {"Zähler-Nr.": "-7"})
    assert [row["Rang"] for row in walk.first + walk.rest()] == list(range(2, 10))

    database.run(replacement.add("order", 'SELECT "group" AS key FROM "order"'), id=1)

    assert "this Zähler-Nr." in refused(walk.next(), 410)
    api.session.close()
