"""Brings roles and tables to what contracts and secrets say, each table by itself."""

import contextlib
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from pg8000.native import identifier

from functions.migrate import ddl, roles
from functions.migrate.changes import Kept, compare
from functions.migrate.connection import Connection
from functions.migrate.roles import Role
from shared.contract import Contract
from shared.database import patiently
from shared.errors import DatabaseUnavailable, InvalidSettings, PipelineError, SchemaMismatch

_LOCK = 746_231_805
"""Any number; all migrations of a database take turns on it."""

_LOCK_TIMEOUT = "10s"
"""An ALTER that waits for a long load holds all look-ups up: better to give way and come again."""

# What the Data API cannot bring back is cast, or not asked for: `name`, `void`, a row of nothing.
_LOCKED = "SELECT 1 FROM pg_advisory_xact_lock(:lock)"

_COLUMNS = """
SELECT attname::text, format_type(atttypid, atttypmod), attnotnull
FROM pg_attribute
WHERE attrelid = to_regclass(:table) AND attnum > 0 AND NOT attisdropped
ORDER BY attnum
"""

_INDEXES = """
SELECT relname::text, indisvalid
FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
WHERE indrelid = to_regclass(:table)
"""

_ROLE = "SELECT 1 FROM pg_roles WHERE rolname = :name"

_MEMBER = """
SELECT 1 FROM pg_auth_members
WHERE member = (SELECT oid FROM pg_roles WHERE rolname = :name)
  AND roleid = (SELECT oid FROM pg_roles WHERE rolname = :group)
"""


@dataclass(slots=True)
class Migration:
    """What a migration found and did: all tables, those it made, the columns it altered."""

    tables: list[str] = field(default_factory=list)
    created: list[str] = field(default_factory=list)
    altered: list[str] = field(default_factory=list)

    def add(self, more: "Migration") -> None:
        """Take in what another one found and did."""
        self.tables += more.tables
        self.created += more.created
        self.altered += more.altered


def migrate(
    connected: Callable[[], AbstractContextManager[Connection]],
    database: str,
    contracts: Collection[Contract],
    loader: Role,
    reader: Role,
) -> tuple[Migration, dict[str, PipelineError]]:
    """Make what is missing and add what may be added, each table in a transaction of its own.

    A table that fails stays as it is, and the others go on. A table that somebody holds is tried
    again after all others, like everything while the database is away.

    Args:
        connected: connects the administrator.
        database: its name.
        contracts: the tables to have.
        loader: the role that loads.
        reader: the role that looks up.

    Returns:
        What was found and done, and by table why the others were left as they are.

    Raises:
        DatabaseUnavailable: PostgreSQL was away all the time; nothing was changed.
        InvalidSettings: the two roles and the administrator are not three; nothing was changed.
        PipelineError: what PostgreSQL answered when we connected or made roles.
    """
    done = Migration()
    failed: dict[str, PipelineError] = {}
    left = {contract.table: contract for contract in contracts}
    held: dict[str, DatabaseUnavailable] = {}

    def go_on() -> None:
        if not done.tables:
            with connected() as connection:
                done.add(_prepare(connection, database, loader, reader))
        for table, contract in [*left.items()]:
            with connected() as connection:
                # The Data API connects only now. If the database is away, it is for all tables.
                connection.run("SELECT 1")
                try:
                    done.add(_bring(connection, contract, loader, reader))
                except DatabaseUnavailable as error:
                    held[table] = error
                    continue
                except PipelineError as error:
                    failed[table] = error
            del left[table]
        if left:
            raise next(held[table] for table in left)

    try:
        patiently(go_on)
    except DatabaseUnavailable as error:
        if not done.tables:
            raise
        failed |= {table: held.get(table, error) for table in left}
    return done, failed


def _prepare(connection: Connection, database: str, loader: Role, reader: Role) -> Migration:
    """Make the roles and the pipeline's own tables, and grant all that is no contract's."""
    done = Migration()
    with _turn(connection):
        _make_roles(connection, loader, reader)
        _make_table(connection, "source", ddl.SOURCE, done)
        connection.run(ddl.SCHEMA_VERSION)
        connection.run(ddl.REPLACEMENT)
        for statement in roles.grants(database, loader, reader):
            connection.run(statement)
    return done


def _bring(connection: Connection, contract: Contract, loader: Role, reader: Role) -> Migration:
    """Bring one table to its contract."""
    done = Migration()
    with _turn(connection):
        _make_table(connection, contract.relation, ddl.create_table(contract), done)
        _alter_table(connection, contract, done)
        _make_indexes(connection, contract)
        _record(connection, contract)
        for statement in roles.grants_on(contract, loader, reader):
            connection.run(statement)
        # Last, because from here on look-ups wait until the transaction ends.
        _drop_indexes(connection, contract)
    return done


@contextlib.contextmanager
def _turn(connection: Connection) -> Iterator[None]:
    """Make the block one transaction, in which no other migration is at work."""
    with connection.transaction():
        connection.run(_LOCKED, lock=_LOCK)
        connection.run(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
        yield


def _make_roles(connection: Connection, loader: Role, reader: Role) -> None:
    [[administrator]] = connection.run("SELECT current_user::text")
    if len({administrator, loader.name, reader.name}) < 3:
        raise InvalidSettings(
            "migrate, load and api must have three roles, but have "
            f"{administrator!r}, {loader.name!r} and {reader.name!r}"
        )
    for role in (loader, reader):
        if role.by_iam and not connection.run(_ROLE, name=roles.IAM):
            raise InvalidSettings(
                f"{role.name!r} is to log in by IAM, but this PostgreSQL is not of RDS: it has no "
                f"role {roles.IAM!r}. Give load and api a secret each instead"
            )
        if not connection.run(_ROLE, name=role.name):
            connection.run(roles.create(role))
        connection.run(roles.let_in(role))
        if role.by_iam != bool(connection.run(_MEMBER, name=role.name, group=roles.IAM)):
            connection.run(roles.by_iam(role))


def _make_table(connection: Connection, relation: str, statement: str, done: Migration) -> None:
    done.tables.append(relation)
    [[there]] = connection.run("SELECT to_regclass(:table) IS NOT NULL", table=identifier(relation))
    if not there:
        connection.run(statement)
        done.created.append(relation)


def _alter_table(connection: Connection, contract: Contract, done: Migration) -> None:
    # PostgreSQL itself says how it spells the types of the contract: it is shown a table of them.
    connection.run(f"CREATE TEMPORARY TABLE expected ({', '.join(ddl.columns(contract))})")
    wanted = _columns(connection, "pg_temp.expected")
    connection.run("DROP TABLE pg_temp.expected")
    found = _columns(connection, f"public.{identifier(contract.relation)}")
    changes = compare(contract, wanted, found)
    if changes.breaking:
        raise SchemaMismatch(
            f"the table {contract.relation} is not what the contract {contract.table} "
            f"{contract.version} asks for: it {'; it '.join(changes.breaking)}. Nothing of "
            "it was changed: take that back in the contract, or alter the table by hand, or give "
            "the contract another physicalName, for a new table, and replay its files"
        )
    for column in changes.added:
        connection.run(ddl.add_column(contract, column))
    for column in changes.widened:
        connection.run(ddl.widen_column(contract, column))
    done.altered += [
        f"{contract.relation}.{column.physical_name}"
        for column in (*changes.added, *changes.widened)
    ]


def _columns(connection: Connection, table: str) -> dict[str, Kept]:
    return {name: Kept(*kept) for name, *kept in connection.run(_COLUMNS, table=table)}


def _make_indexes(connection: Connection, contract: Contract) -> None:
    # Not IF NOT EXISTS: that would wait for running loads even where there is nothing to do.
    indexes = _indexes(connection, contract)
    found = {name for name, _ in indexes}
    invalid = {name for name, is_valid in indexes if not is_valid}
    for name, statement in ddl.create_indexes(contract).items():
        if name in invalid:
            raise SchemaMismatch(
                f"the index {name} of the table {contract.relation} is not valid: somebody is "
                "making it by hand now, or that failed. Wait until it is made, or drop it and make "
                "it again"
            )
        if name not in found:
            connection.run(statement)


def _drop_indexes(connection: Connection, contract: Contract) -> None:
    for name in ddl.former_indexes(contract) & {name for name, _ in _indexes(connection, contract)}:
        connection.run(f"DROP INDEX {identifier(name)}")


def _indexes(connection: Connection, contract: Contract) -> list[list[Any]]:
    return connection.run(_INDEXES, table=f"public.{identifier(contract.relation)}")


def _record(connection: Connection, contract: Contract) -> None:
    last = connection.run(
        "SELECT version, ddl_hash FROM schema_version WHERE contract = :contract "
        "ORDER BY id DESC LIMIT 1",
        contract=contract.table,
    )
    applied = [contract.version, ddl.digest(contract)]
    if last != [applied]:
        connection.run(
            "INSERT INTO schema_version (contract, version, ddl_hash) "
            "VALUES (:contract, :version, :hash)",
            contract=contract.table,
            version=applied[0],
            hash=applied[1],
        )
