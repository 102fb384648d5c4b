"""Check of the database schema against the deployed contracts."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol

import pg8000.exceptions
import tenacity

from cli.health.finding import Finding, one_or_all, unknown, wrong
from cli.stack import Stack
from functions.migrate import data_api, ddl
from local import postgres
from shared.contract import Contract
from shared.errors import DatabaseUnavailable

_PATIENCE = 60.0
_PAUSE = 2.0
"""Both in seconds: Aurora resumes in 15 to 30."""

_IS_THERE = "SELECT to_regclass(:table) IS NOT NULL"
_APPLIED = """
SELECT DISTINCT ON (contract) contract, version, ddl_hash FROM schema_version
ORDER BY contract, id DESC
"""


class _Connection(Protocol):
    def run(self, sql: str, **parameters: Any) -> Any: ...


def schema(stack: Stack) -> Iterator[Finding]:
    """Compare the schema versions that migrate applied with the contracts."""
    connect = _connector(stack)
    if connect is None:
        yield unknown(
            "the database cannot be reached from here because the module did not create it",
            f"run migrate, which reports and fixes differences: {stack.migrate}",
        )
        return
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(DatabaseUnavailable),
        stop=tenacity.stop_after_delay(_PATIENCE),
        wait=tenacity.wait_fixed(_PAUSE),
        reraise=True,
    )
    try:
        yield from retrying(_compare, stack, connect)
    except (pg8000.exceptions.InterfaceError, pg8000.exceptions.DatabaseError) as error:
        yield wrong(f"the laptop cloud's PostgreSQL does not answer: {error}", stack.apply)


def _connector(stack: Stack) -> Callable[[], AbstractContextManager[_Connection]] | None:
    if stack.database is not None:
        return functools.partial(postgres.connected, stack.database)
    cluster = stack.outputs.get("database_cluster_arn")
    secret = stack.outputs.get("database_secret_arn")
    if not (cluster and secret):
        return None
    name = stack.outputs["database_name"]
    connection: _Connection = data_api.Connection(stack.client("rds-data"), cluster, secret, name)
    return lambda: contextlib.nullcontext(connection)


def _compare(
    stack: Stack, connect: Callable[[], AbstractContextManager[_Connection]]
) -> list[Finding]:
    contracts = stack.contracts
    with connect() as connection:
        [[migrated]] = connection.run(_IS_THERE, table="public.schema_version")
        if not migrated:
            return [wrong("the database has no tables because migrate has not run", stack.migrate)]
        applied = {name: applied for name, *applied in connection.run(_APPLIED)}
        found = [
            finding
            for contract in contracts.values()
            for finding in _table(stack, connection, contract, applied.get(contract.table))
        ]
    return one_or_all(found, ", ".join(f"{c.table} {c.version}" for c in contracts.values()))


def _table(
    stack: Stack, connection: _Connection, contract: Contract, applied: list[str] | None
) -> Iterator[Finding]:
    [[there]] = connection.run(_IS_THERE, table=f'public."{contract.relation}"')
    if applied is None:
        yield wrong(f"{contract.table} has no table: migrate has not created it", stack.apply)
    elif not there:
        yield wrong(
            f"the table {contract.relation}, which migrate created, no longer exists",
            f"create it again: {stack.migrate}; then load its files again: `tm backfill`",
        )
    elif applied != [contract.version, ddl.digest(contract)]:
        version, _ = applied
        yield wrong(
            f"the table of {contract.table} has contract version {version}, but {contract.version} "
            "is deployed: migrate has failed",
            f"{stack.apply} and fix the error that it reports for {contract.table}",
        )
