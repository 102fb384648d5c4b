"""Benchmark of the lookup API with 1,000,000 rows, relative to its SQL statements alone.

    python -m benchmarks.lookup [--rows 1000000] [--calls 150]

The API's handler connects to PostgreSQL as the reader. After each call, its statements are repeated
by a bare pg8000 connection, so that both are measured under the same conditions. The difference is
routing, validation and JSON. Every two seconds, the handler also queries the log for the ETag; moto
answers in the same process, which affects only the 99th percentile.
"""

import argparse
import contextlib
import json
import os
import random
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

LIMIT_RATIO = 2
ROUNDS = 3
WARM_UP = 20
USERS = 40

TABLE = "/tables/dailycheckins"
ROUTES: dict[str, tuple[str, dict[str, str]]] = {
    "/get, 100 rows": ("/get", {"user": "{user}"}),
    "/get, 1,000 rows": ("/get", {"user": "{user}", "limit": "1000"}),
    "rows, the last 100": (f"{TABLE}/rows", {"key": "{user}", "order": "desc"}),
    "rows, a year": (f"{TABLE}/rows", {"key": "{user}", "from": "2015-01-01", "to": "2016-01-01"}),
    "summary by month": (f"{TABLE}/summary", {"key": "{user}", "by": "month"}),
    "keys by prefix, all": (f"{TABLE}/keys", {"prefix": "user-"}),
}

Statement = tuple[str, dict[str, Any]]


def main() -> None:
    """Run the benchmark; exit with 1 if a median exceeds the limit."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the table")
    parser.add_argument("--calls", type=int, default=150, help="calls per route and round")
    arguments = parser.parse_args()
    worst = 0.0
    report = sys.stdout
    with (
        # The function logs each request, and a terminal is slower than the pipe of Lambda.
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        _database(arguments.rows) as server,
        _function(server) as (call, statements),
        _bare(server) as bare,
    ):
        for name, (path, parameters) in ROUTES.items():
            # The best of several rounds is the one least disturbed by other processes.
            rounds = [
                _times(path, parameters, call, statements, bare, arguments.calls)
                for _ in range(ROUNDS)
            ]
            handled, alone = min(rounds, key=lambda round_: _p50(round_[0]) / _p50(round_[1]))
            ratios = [of(handled) / of(alone) for of in (_p50, _p99)]
            worst = max(worst, ratios[0])
            print(
                f"{name:23} p50 {_p50(handled) * 1e3:6.2f} ms = {ratios[0]:4.2f} × SQL alone, "
                f"p99 {_p99(handled) * 1e3:6.2f} ms = {ratios[1]:4.2f} ×",
                file=report,
            )
    raise SystemExit(int(worst > LIMIT_RATIO))


def _times(
    path: str,
    parameters: dict[str, str],
    call: Callable[[str, dict[str, str]], dict[str, Any]],
    statements: list[Statement],
    bare: Any,
    calls: int,
) -> tuple[list[float], list[float]]:
    """Return the seconds of each call, and of its statements alone."""
    rng = random.Random(1)
    handled, alone = [], []
    for number in range(WARM_UP + calls):
        user = f"user-{rng.randrange(USERS):02}"
        asked = {key: value.format(user=user) for key, value in parameters.items()}
        statements.clear()
        begin = time.perf_counter()
        answer = call(path, asked)
        between = time.perf_counter()
        assert answer["statusCode"] == 200, answer
        assert statements
        again = time.perf_counter()
        for sql, values in statements:
            bare.run(sql, **values)
        end = time.perf_counter()
        if number >= WARM_UP:
            handled.append(between - begin)
            alone.append(end - again)
    return handled, alone


def _p50(times: list[float]) -> float:
    return sorted(times)[len(times) // 2]


def _p99(times: list[float]) -> float:
    return sorted(times)[len(times) * 99 // 100]


@contextlib.contextmanager
def _database(rows: int) -> Iterator[Any]:
    """Yield a PostgreSQL server with migrated tables and that many rows; moto replaces AWS."""
    from moto import mock_aws

    from functions.migrate.migration import migrate
    from functions.migrate.roles import Role
    from local import postgres
    from shared.database import connect
    from shared.odcs import load_all
    from shared.settings import DatabaseSettings

    os.environ |= dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "testing")
    os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
    with (
        mock_aws(),
        tempfile.TemporaryDirectory() as folder,
        postgres.running(Path(folder, "postgres")) as server,
    ):
        settings = DatabaseSettings(
            database_host=server.host,
            database_port=server.port,
            database_name=server.database,
            database_secret_arn=_secret(server.user, server.password),
        )
        roles = Role("loader", "x"), Role("reader", "y")
        migrate(lambda: connect(settings), server.database, list(load_all().values()), *roles)
        with connect(settings) as connection:
            connection.run(
                "INSERT INTO source (source_key, version_id, ingested_id, rows_read, rows_loaded, "
                "rows_rejected, loaded_at) VALUES ('x', '1', 'x', :rows, :rows, 0, now())",
                rows=rows,
            )
            connection.run(
                "INSERT INTO daily_checkins "
                "(username, project, hours, timestamp, source_id, source_line) "
                "SELECT 'user-' || to_char(floor(random() * CAST(:users AS integer)), 'FM00'), "
                "'project-' || floor(random() * 144), (random() * 8)::numeric(5,2), "
                "timestamptz '2010-10-04' + random() * interval '9 years', 1, n "
                "FROM generate_series(1, CAST(:rows AS integer)) n",
                users=USERS,
                rows=rows,
            )
            connection.run("VACUUM ANALYZE daily_checkins")
        yield server


@contextlib.contextmanager
def _function(server: Any) -> Iterator[tuple[Callable[..., dict[str, Any]], list[Statement]]]:
    """Yield a function that calls the handler, and the statements of its last call."""
    from tests.fixtures.aws import CONFIG, DEPLOYED, deploy_contracts, lambda_context

    os.environ |= {
        "DATABASE_HOST": server.host,
        "DATABASE_PORT": str(server.port),
        "DATABASE_NAME": server.database,
        "DATABASE_SECRET_ARN": _secret("reader", "y"),
        "LOG_TABLE": _log_table(),
        "CONFIG_BUCKET": CONFIG,
        "CONTRACTS_HASH": deploy_contracts(DEPLOYED),
    }
    from functions.api import handler as api
    from tests.fixtures.lookup import request

    statements: list[Statement] = []
    run = api.session.run

    def recorded(sql: str, **values: Any) -> list[list[Any]]:
        statements.append((sql, values))
        return run(sql, **values)

    api.session.run = recorded  # type: ignore[method-assign]
    yield lambda path, asked: api.handler(request(path, **asked), lambda_context()), statements
    api.session.close()


def _secret(user: str, password: str) -> str:
    import boto3

    made = boto3.client("secretsmanager").create_secret(
        Name=user, SecretString=json.dumps({"username": user, "password": password})
    )
    return str(made["ARN"])


def _log_table() -> str:
    import boto3

    names = ("ingestedID", "ingestedTable", "status", "updatedAt")
    table = boto3.resource("dynamodb").create_table(
        TableName="log",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
        KeySchema=[
            {"AttributeName": "ingestedID", "KeyType": "HASH"},
            {"AttributeName": "ingestedTable", "KeyType": "RANGE"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "status",
                "KeySchema": [
                    {"AttributeName": "status", "KeyType": "HASH"},
                    {"AttributeName": "updatedAt", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
    table.put_item(
        Item={
            "ingestedID": "20240303-0000000000",
            "ingestedTable": "dailycheckins",
            "status": "success",
            "updatedAt": "2024-03-03T00:00:00.000000+00:00",
        }
    )
    return "log"


@contextlib.contextmanager
def _bare(server: Any) -> Iterator[Any]:
    """Yield a bare pg8000 connection with the handler's role and settings."""
    import pg8000.native

    sock = socket.create_connection((server.host, server.port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection = pg8000.native.Connection(
        "reader",
        password="y",
        database=server.database,
        sock=sock,
        startup_params={"search_path": "public", "TimeZone": "UTC"},
    )
    yield connection
    connection.close()


if __name__ == "__main__":
    main()
