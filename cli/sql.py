"""`tm sql`: what the laptop's database says to the role that may only read."""

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
_AT_ONCE = 1_000
"""Rows that are in memory at the same time."""
_SYNTAX_ERROR = "42601"
"""https://www.postgresql.org/docs/current/errcodes-appendix.html"""

Row = dict[str, Any]


def reader(stack: Stack) -> postgres.Server:
    """Return the laptop's database with the role by which the look-up API reads it.

    Raises:
        CommandError: the stack is on AWS.
    """
    if stack.database is None:
        raise CommandError(
            "`tm sql` asks the laptop's database; that of a deployed stack answers in its own "
            "network only. Ask it by the query editor of RDS or `aws rds-data execute-statement`, "
            "with the outputs database_cluster_arn and database_secret_arn. For the laptop's, "
            "leave --stack and TM_STACK out."
        )
    secret = stack.client("secretsmanager").get_secret_value(SecretId=secret_name("api"))
    found = json.loads(secret["SecretString"])
    return dataclasses.replace(stack.database, user=found["username"], password=found["password"])


def rows(server: postgres.Server, query: str) -> Iterator[Row]:
    """Yield what a query finds, a few rows in memory at a time.

    Raises:
        CommandError: PostgreSQL refuses the query, with its reason, or does not answer.
    """
    try:
        with postgres.connected(server, timeout=None) as connection:
            yield from _rows(connection, query)
    except pg8000.exceptions.DatabaseError as error:
        (said,) = error.args
        parts = (said.get(name) for name in "MDH")  # message, detail, hint
        raise CommandError(f"PostgreSQL: {'. '.join(part for part in parts if part)}") from None
    except pg8000.exceptions.InterfaceError as error:
        raise CommandError(f"The laptop's PostgreSQL does not answer: {error}") from None


def show(found: Iterator[Row]) -> None:
    """Print the first rows for people."""
    shown = list(itertools.islice(found, _SHOWN))
    if not shown:
        console.print("No rows.")
        return
    console.print(table_of(shown))
    if next(found, None) is not None:
        console.print(f"… the first {_SHOWN}; --json gives all")
    else:
        console.print(f"{many(len(shown), 'row')}.")


def _rows(connection: pg8000.native.Connection, query: str) -> Iterator[Row]:
    """By a cursor, or all at once if the statement can have none, as EXPLAIN and SHOW."""
    connection.run("BEGIN")
    try:
        connection.run(f"DECLARE asked NO SCROLL CURSOR FOR {query}")
    except pg8000.exceptions.DatabaseError as error:
        if error.args[0].get("C") != _SYNTAX_ERROR:
            raise
        connection.run("ROLLBACK")
        yield from _named(connection, connection.run(query))
        return
    if connection.columns is not None:
        raise CommandError("Give one statement at a time: of several, not all could be shown.")
    while found := connection.run(f"FETCH {_AT_ONCE} FROM asked"):
        yield from _named(connection, found)


def _named(connection: pg8000.native.Connection, found: list[list[Any]] | None) -> Iterator[Row]:
    names: list[str] = []
    for column in connection.columns or ():
        name = column["name"]
        # Two columns may have one name, as those of `count(*), count(x)`.
        numbered = (f"{name}_{number}" for number in itertools.count(2))
        names.append(next(each for each in itertools.chain([name], numbered) if each not in names))
    return ({n: _plain(each) for n, each in zip(names, row, strict=True)} for row in found or ())


def _plain(value: Any) -> Any:
    """Return a value of PostgreSQL in the types of JSON: text, if it is of none of them."""
    match value:
        case None | bool() | int() | float() | str() | dict():
            return value
        case list() | tuple():
            return [_plain(each) for each in value]
    return str(value)
