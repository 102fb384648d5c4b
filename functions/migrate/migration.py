"""Brings roles and tables to what contracts and secrets say, in one transaction."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from pg8000.native import identifier

from functions.migrate import ddl, roles
from functions.migrate.changes import Kept, compare
from functions.migrate.connection import Connection
from functions.migrate.roles import Role
from shared.contract import Contract
from shared.errors import InvalidSettings, SchemaMismatch

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


def migrate(
    connection: Connection,
    database: str,
    contracts: Collection[Contract],
    loader: Role,
    reader: Role,
) -> Migration:
    """Make what is missing, add what may be added; everything else is left as it is.

    Args:
        connection: of the administrator.
        database: its name.
        contracts: the tables to have.
        loader: the role that loads.
        reader: the role that looks up.

    Raises:
        SchemaMismatch: a contract asks for what would break a table; nothing was changed.
        DatabaseUnavailable: a load was at work on a table that must be altered, or PostgreSQL away.
        InvalidSettings: the two roles and the administrator are not three.
        PipelineError: what PostgreSQL answered.
    """
    done = Migration()
    with connection.transaction():
        connection.run(_LOCKED, lock=_LOCK)
        connection.run(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
        _make_roles(connection, loader, reader)
        _make_table(connection, "source", ddl.SOURCE, done)
        connection.run(ddl.SCHEMA_VERSION)
        connection.run(ddl.REPLACEMENT)
        for contract in contracts:
            _make_table(connection, contract.relation, ddl.create_table(contract), done)
            _alter_table(connection, contract, done)
            _make_indexes(connection, contract)
            _record(connection, contract)
        for statement in roles.grants(database, loader, reader, contracts):
            connection.run(statement)
        # Last, because from here on look-ups wait until the transaction ends.
        for contract in contracts:
            _drop_indexes(connection, contract)
    return done


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
            f"{contract.version} asks for: it {'; it '.join(changes.breaking)}. Nothing was "
            "changed: take that back in the contract, or alter the table by hand, or give the "
            "contract another physicalName, for a new table, and replay its files"
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
