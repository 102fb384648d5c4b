"""`tm sql`: queries of the laptop cloud's database with a read-only role."""

import dataclasses
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pg8000.exceptions
import pg8000.native

from cli.console import console, table_of
from cli.errors import CommandError
from cli.items import many
from cli.stack import Stack
from local import postgres
from local.stack import secret_name

_SHOWN = 100
_FETCHED = 1_000  # rows that one FETCH holds in memory
_SYNTAX_ERROR = "42601"
"""https://www.postgresql.org/docs/current/errcodes-appendix.html"""

Row = dict[str, Any]


def reader(stack: Stack) -> postgres.Server:
    """Return the laptop cloud's database with the read-only role; raise CommandError on AWS."""
    if stack.database is None:
        raise CommandError(
            "`tm sql` queries the laptop cloud only, because the database of a deployed stack is "
            "reachable from its own network only. Query it with the RDS query editor or "
            "`aws rds-data execute-statement`, using the outputs database_cluster_arn and "
            "database_secret_arn. For the laptop cloud, omit --stack and TM_STACK."
        )
    secret = stack.client("secretsmanager").get_secret_value(SecretId=secret_name("api"))
    found = json.loads(secret["SecretString"])
    return dataclasses.replace(stack.database, user=found["username"], password=found["password"])


def rows(server: postgres.Server, query: str) -> Iterator[Row]:
    """Yield the rows of a query, with few of them in memory.

    Raises:
        CommandError: PostgreSQL refuses the query or does not answer.
    """
    try:
        with postgres.connected(server, timeout=None) as connection:
            yield from _rows(connection, query)
    except pg8000.exceptions.DatabaseError as error:
        (fields,) = error.args
        parts = (fields.get(name) for name in "MDH")  # message, detail, hint
        raise CommandError(f"PostgreSQL: {'. '.join(part for part in parts if part)}") from None
    except pg8000.exceptions.InterfaceError as error:
        raise CommandError(
            f"The laptop cloud's PostgreSQL does not answer: {error}. Restart it with `tm up`."
        ) from None


def show(found: Iterator[Row]) -> None:
    """Print the first rows for people."""
    shown = list(itertools.islice(found, _SHOWN))
    if not shown:
        console.print("No rows.")
        return
    console.print(table_of(shown))
    if next(found, None) is not None:
        console.print(f"… the first {_SHOWN}; --json prints all")
    else:
        console.print(f"{many(len(shown), 'row')}.")


def _rows(connection: pg8000.native.Connection, query: str) -> Iterator[Row]:
    """Yield rows from a cursor, or all at once for statements without one, e.g. EXPLAIN."""
    connection.run("BEGIN")
    try:
        connection.run(f"DECLARE query NO SCROLL CURSOR FOR {query}")
    except pg8000.exceptions.DatabaseError as error:
        if error.args[0].get("C") != _SYNTAX_ERROR:
            raise
        connection.run("ROLLBACK")
        yield from _named(connection, connection.run(query))
        return
    if connection.columns is not None:
        raise CommandError("The query has several statements: pass one statement at a time.")
    while found := connection.run(f"FETCH {_FETCHED} FROM query"):
        yield from _named(connection, found)


def _named(connection: pg8000.native.Connection, found: list[list[Any]] | None) -> Iterator[Row]:
    names: list[str] = []
    for column in connection.columns or ():
        name = column["name"]
        # Two columns may have the same name, e.g. in `SELECT count(*), count(x)`.
        numbered = (f"{name}_{number}" for number in itertools.count(2))
        names.append(next(each for each in itertools.chain([name], numbered) if each not in names))
    return ({n: _plain(each) for n, each in zip(names, row, strict=True)} for row in found or ())


def _plain(value: Any) -> Any:
    """Return a PostgreSQL value in JSON's types, or as text if it has no JSON type."""
    match value:
        case None | bool() | int() | float() | str() | dict():
            return value
        case list() | tuple():
            return [_plain(each) for each in value]
    return str(value)
