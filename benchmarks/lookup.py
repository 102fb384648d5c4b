"""The lookup API, relative to its SQL statements alone, and with many clients.

The API's handler connects to PostgreSQL as the reader. After each call, a bare pg8000 connection
executes the same statements for another user, so that both are measured under the same conditions.
The difference is routing, validation and JSON. Every two seconds, the handler also queries the log
for the ETag; moto answers in the same process, which affects only the 99th percentile.
"""

import contextlib
import multiprocessing
import random
import socket
import statistics
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks import samples
from benchmarks.database import READER, TABLE, Database, functions, migrated
from benchmarks.measure import Figure, percentile, seconds
from benchmarks.states import States

ROWS, QUICK_ROWS = 10_000_000, 200_000
CALLS, QUICK_CALLS = 400, 100
WARM_UP = 20
ROWS_PER_USER = 1_000
CLIENTS = 50

PATH = "/tables/dailycheckins"
ROUTES: dict[str, tuple[str, dict[str, str]]] = {
    "/get, 100 rows": ("/get", {"user": "{user}"}),
    "/get, 1,000 rows": ("/get", {"user": "{user}", "limit": "1000"}),
    "rows, the last 100": (f"{PATH}/rows", {"key": "{user}", "order": "desc"}),
    "rows, a year": (f"{PATH}/rows", {"key": "{user}", "from": "2015-01-01", "to": "2016-01-01"}),
    "summary by month": (f"{PATH}/summary", {"key": "{user}", "by": "month"}),
    "100 keys by prefix": (f"{PATH}/keys", {"prefix": "user-0"}),
}

Statement = tuple[str, dict[str, Any]]
Call = Callable[[str, dict[str, str]], None]
statements: list[Statement] = []
"""Those of the last call. The handler keeps the function that notes them for its lifetime."""


def lookups(quick: bool) -> Iterator[Figure]:
    """Measure each route."""
    calls, rows = (QUICK_CALLS, QUICK_ROWS) if quick else (CALLS, ROWS)
    users = rows // ROWS_PER_USER
    with migrated() as database, functions(database, READER):
        _fill(database, rows, users)
        with _function() as call, _bare(database) as bare:
            for name, (path, asked) in ROUTES.items():
                pairs = [
                    _pair(path, asked, (_user(users), _user(users)), call, bare)
                    for _ in range(WARM_UP + calls)
                ]
                handled, alone = ([*each] for each in zip(*pairs[WARM_UP:], strict=True))
                halves, tails = (
                    [percentile(each, share) for each in (handled, alone)] for share in (0.5, 0.99)
                )
                yield Figure(
                    f"Lookup to its SQL, {name}",
                    statistics.median(each / other for each, other in pairs[WARM_UP:]),
                    "×",
                    1.5,
                    f"p50 {halves[0] * 1e3:.2f} ms to {halves[1] * 1e3:.2f} ms; "
                    f"p99 {tails[0] * 1e3:.2f} ms to {tails[1] * 1e3:.2f} ms",
                )
        if not quick:
            yield from _crowd(users)


def _pair(
    path: str, asked: dict[str, str], users: tuple[str, str], call: Call, bare: Any
) -> tuple[float, float]:
    """Return the seconds of one call, and of its statements alone, each about its own user.

    Statements about the same user would find what the call has just read in PostgreSQL's cache.
    """
    user, other = users
    statements.clear()
    handled = seconds(lambda: call(path, _about(user, asked)))
    assert statements
    others = [
        (sql, {name: other if value == user else value for name, value in values.items()})
        for sql, values in statements
    ]
    return handled, seconds(lambda: [bare.run(sql, **values) for sql, values in others])


def _user(users: int) -> str:
    return f"user-{random.randrange(users):04}"


def _about(user: str, parameters: dict[str, str]) -> dict[str, str]:
    return {key: value.format(user=user) for key, value in parameters.items()}


def _crowd(users: int) -> Iterator[Figure]:
    """Let many clients call all routes at once, each a process with its own connection."""
    fork = multiprocessing.get_context("fork")  # a function has all modules when it is called
    with fork.Pool(CLIENTS) as pool:
        taken = [
            each
            for client in pool.map(partial(_client, users), range(CLIENTS), chunksize=1)
            for each in client
        ]
    for share in (0.5, 0.99):
        name = f"Lookup with {CLIENTS} clients, p{share * 100:.0f} of all routes"
        yield Figure(name, percentile(taken, share) * 1e3, "ms")


def _client(users: int, seed: int) -> list[float]:
    random.seed(seed)
    with _function() as call:
        asked = [*ROUTES.values()] * 10
        random.shuffle(asked)
        return [
            seconds(partial(call, path, _about(_user(users), values))) for path, values in asked
        ]


def _fill(database: Database, rows: int, users: int) -> None:
    """Load a small file, and add rows of users who are chosen at random to the same load."""
    with tempfile.TemporaryDirectory() as name:
        states = States(samples.write(Path(name), "plain", 1_000), "plain", Path(name))
        states.transform()
        states.test()
        states.load(database)
    values = {
        "username": f"'user-' || to_char(floor(random() * {users}), 'FM0000')",
        "project": "'project-' || floor(random() * 144)",
        "hours": "(random() * 8)::numeric(5,2)",
        "source_line": "n",
        "timestamp": "timestamptz '2010-10-04' + random() * interval '9 years'",
    }
    columns = database.columns(TABLE)
    chosen = [values.get(each, each) for each in columns]
    database.run(f"ALTER TABLE {TABLE} DISABLE TRIGGER USER")  # it wants to know the load
    database.run(
        f"INSERT INTO {TABLE} ({', '.join(columns)}) SELECT {', '.join(chosen)} "
        f"FROM (SELECT * FROM {TABLE} LIMIT 1) first, generate_series(2000, {rows}) n"
    )
    database.run(f"VACUUM ANALYZE {TABLE}")


@contextlib.contextmanager
def _function() -> Iterator[Call]:
    """Yield a function that calls the handler, and notes its statements."""
    from functions.api import handler as api
    from tests.fixtures.aws import lambda_context
    from tests.fixtures.lookup import request

    def recorded(sql: str, **values: Any) -> list[list[Any]]:
        statements.append((sql, values))
        return type(api.session).run(api.session, sql, **values)

    def call(path: str, asked: dict[str, str]) -> None:
        answer = api.handler(request(path, **asked), lambda_context())
        assert answer["statusCode"] == 200, answer

    with mock.patch.object(api.session, "run", recorded):
        yield call
    api.session.close()


@contextlib.contextmanager
def _bare(database: Database) -> Iterator[Any]:
    """Yield a bare pg8000 connection with the handler's role and settings."""
    import pg8000.native

    server = database.server
    sock = socket.create_connection((server.host, server.port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection = pg8000.native.Connection(
        READER.username,
        password=READER.password,
        database=server.database,
        sock=sock,
        startup_params={"search_path": "public", "TimeZone": "UTC"},
    )
    yield connection
    connection.close()
