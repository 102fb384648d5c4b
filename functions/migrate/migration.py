"""Migration of roles and tables; each table is migrated independently of the others."""

import contextlib
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from pg8000.native import identifier

from functions.migrate import ddl, roles
from functions.migrate.changes import Definition, compare
from functions.migrate.connection import Connection
from functions.migrate.roles import Role
from shared.contract import Contract
from shared.database import retry_until_available
from shared.errors import DatabaseUnavailable, InvalidSettings, PipelineError, SchemaMismatch

_LOCK = 746_231_805  # arbitrary key of the advisory lock that all migrations of a database take

_LOCK_TIMEOUT = "10s"
"""An ALTER that waits for a long load blocks all lookups, so it must give up and retry."""

# The Data API cannot return values of type `name` or `void`, or rows without columns.
_ACQUIRE_LOCK = "SELECT 1 FROM pg_advisory_xact_lock(:lock)"

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

_VIEWS = """
SELECT DISTINCT c.oid::regclass::text, pg_get_viewdef(c.oid),
    c.relkind = 'v' AND pg_has_role(c.relowner, 'USAGE')
FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid JOIN pg_class c ON c.oid = r.ev_class
WHERE d.classid = 'pg_rewrite'::regclass AND d.refobjid = to_regclass(:table)
"""
"""The views that read a table directly, and whether this role can create each again."""

_KIND = "SELECT relkind::text FROM pg_class WHERE oid = to_regclass(:name)"

_TABLE = "r"
_FORMER_COLUMNS = {"id", "source_id", "source_line"}
"""The pipeline's columns in a table of an earlier version."""

_READERS = """
SELECT coalesce(quote_ident(rolname), 'PUBLIC')
FROM pg_class CROSS JOIN aclexplode(relacl) LEFT JOIN pg_roles ON pg_roles.oid = grantee
WHERE pg_class.oid = to_regclass(:view) AND privilege_type = 'SELECT' AND grantee <> relowner
"""

_ROLE = "SELECT 1 FROM pg_roles WHERE rolname = :name"

_MEMBER = """
SELECT 1 FROM pg_auth_members
WHERE member = (SELECT oid FROM pg_roles WHERE rolname = :name)
  AND roleid = (SELECT oid FROM pg_roles WHERE rolname = :group)
"""


@dataclass(slots=True)
class Migration:
    """Result of a migration."""

    tables: list[str] = field(default_factory=list)
    """All tables, whether they were changed or not."""
    created: list[str] = field(default_factory=list)
    altered: list[str] = field(default_factory=list)
    """Columns that were added or widened."""

    def add(self, more: "Migration") -> None:
        """Add the result of another migration."""
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
    """Create and alter tables, each in its own transaction.

    `connected` returns a connection of the administrator. A table that fails is not changed and
    does not stop the others. A table that is locked is retried after all others. Everything is
    retried while the database is unavailable. Return the result, and the error of each table that
    was not migrated.

    Raises:
        DatabaseUnavailable: PostgreSQL was never available; nothing was changed.
        InvalidSettings: administrator, loader and reader are not three roles; nothing was changed.
        PipelineError: PostgreSQL refused the connection or a statement about roles.
    """
    done = Migration()
    failed: dict[str, PipelineError] = {}
    pending = {contract.table: contract for contract in contracts}
    locked: dict[str, DatabaseUnavailable] = {}

    def migrate_pending() -> None:
        if not done.tables:
            with connected() as connection:
                done.add(_prepare(connection, database, loader, reader))
        for table, contract in [*pending.items()]:
            with connected() as connection:
                # The Data API connects only now. An error here concerns all tables.
                connection.run("SELECT 1")
                try:
                    done.add(_migrate_table(connection, contract, loader, reader))
                except DatabaseUnavailable as error:
                    locked[table] = error
                    continue
                except PipelineError as error:
                    failed[table] = error
            del pending[table]
        if pending:
            raise next(locked[table] for table in pending)

    try:
        retry_until_available(migrate_pending)
    except DatabaseUnavailable as error:
        if not done.tables:
            raise
        failed |= {table: locked.get(table, error) for table in pending}
    return done, failed


def _prepare(connection: Connection, database: str, loader: Role, reader: Role) -> Migration:
    """Create the roles and the pipeline's own tables, and grant privileges on them."""
    done = Migration()
    with _exclusive(connection):
        _make_roles(connection, loader, reader)
        done.tables.append("source")
        is_former = _kind(connection, "source") and not _kind(connection, "load")
        if not _kind(connection, "source"):
            connection.run(ddl.SOURCE)
            done.created.append("source")
        for statement in ddl.CHECKS:
            connection.run(statement)
        if not _kind(connection, "load"):
            for statement in (*ddl.LOAD, *(ddl.FROM_FORMER if is_former else ())):
                connection.run(statement)
        connection.run(ddl.SCHEMA_VERSION)
        connection.run(ddl.REPLACEMENT)
        for statement in roles.grants(database, loader, reader):
            connection.run(statement)
    return done


def _migrate_table(
    connection: Connection, contract: Contract, loader: Role, reader: Role
) -> Migration:
    done = Migration()
    with _exclusive(connection):
        views = _make_table(connection, contract, done)
        _alter_table(connection, contract, done)
        _make_view(connection, contract)
        for name, definition in views:
            connection.run(f"CREATE OR REPLACE VIEW {name} AS {definition}")
        _make_indexes(connection, contract)
        _record(connection, contract)
        for statement in roles.grants_on(contract, loader, reader):
            connection.run(statement)
        # Last, because it blocks lookups until the transaction ends.
        _drop_indexes(connection, contract)
    return done


@contextlib.contextmanager
def _exclusive(connection: Connection) -> Iterator[None]:
    """Run the block in a transaction that excludes other migrations."""
    with connection.transaction():
        connection.run(_ACQUIRE_LOCK, lock=_LOCK)
        connection.run(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
        yield


def _make_roles(connection: Connection, loader: Role, reader: Role) -> None:
    [[administrator]] = connection.run("SELECT current_user::text")
    if len({administrator, loader.name, reader.name}) < 3:
        raise InvalidSettings(
            "migrate, load and api use the roles "
            f"{administrator!r}, {loader.name!r} and {reader.name!r}. Configure three different "
            "roles"
        )
    for role in (loader, reader):
        if role.by_iam and not connection.run(_ROLE, name=roles.IAM):
            raise InvalidSettings(
                f"the role {role.name!r} cannot log in by IAM: this server has no role "
                f"{roles.IAM!r}, so it is not on RDS. Configure a secret for load and for api"
            )
        if not connection.run(_ROLE, name=role.name):
            connection.run(roles.create(role))
        connection.run(roles.set_password(role))
        if role.by_iam != bool(connection.run(_MEMBER, name=role.name, group=roles.IAM)):
            connection.run(roles.set_iam_login(role))


def _kind(connection: Connection, relation: str) -> str | None:
    """Return PostgreSQL's letter for the kind of a relation; None if there is none."""
    found = connection.run(_KIND, name=f"public.{identifier(relation)}")
    return str(found[0][0]) if found else None


def _make_table(connection: Connection, contract: Contract, done: Migration) -> list[list[str]]:
    """Create the table of rows, or make it from the table of an earlier version.

    Return name and definition of each view that read the latter, to be created again.
    """
    done.tables.append(contract.relation)
    if _kind(connection, contract.rows_table):
        return []
    if kind := _kind(connection, contract.relation):
        return _convert_table(connection, contract, kind)
    connection.run(ddl.create_table(contract))
    connection.run(ddl.create_trigger(contract))
    done.created.append(contract.relation)
    return []


def _convert_table(connection: Connection, contract: Contract, kind: str) -> list[list[str]]:
    name = f"public.{identifier(contract.relation)}"
    if kind != _TABLE or not _columns(connection, name).keys() >= _FORMER_COLUMNS:
        raise SchemaMismatch(
            f"the table {contract.relation} in the schema public is of another program: set "
            "another physicalName in the contract"
        )
    views = connection.run(_VIEWS, table=name)
    if others := [view for view, _, is_ours in views if not is_ours]:
        raise SchemaMismatch(
            f"{', '.join(others)} read the table {contract.relation}, which becomes a view, and "
            "migrate cannot change them: drop them, apply again, and create them again"
        )
    for statement in ddl.from_former(contract):
        connection.run(statement)
    return [[view, definition] for view, definition, _ in views]


def _make_view(connection: Connection, contract: Contract) -> None:
    """Create the view of current rows, or add new columns to it."""
    existing = _columns(connection, f"public.{identifier(contract.relation)}").keys()
    # Replacing a view blocks lookups until the transaction ends.
    if not existing >= {*contract.physical_names}:
        connection.run(ddl.create_view(contract, existing))


def _alter_table(connection: Connection, contract: Contract, done: Migration) -> None:
    # A temporary table shows how PostgreSQL spells the types of the contract.
    connection.run(f"CREATE TEMPORARY TABLE expected ({', '.join(ddl.columns(contract))})")
    wanted = _columns(connection, "pg_temp.expected")
    connection.run("DROP TABLE pg_temp.expected")
    found = _columns(connection, f"public.{identifier(contract.rows_table)}")
    changes = compare(contract, wanted, found)
    if changes.breaking:
        raise SchemaMismatch(
            f"the table {contract.relation} does not match the contract {contract.table} "
            f"{contract.version}: it {'; it '.join(changes.breaking)}. The table was not changed. "
            "Revert the contract, or alter the table by hand, or set another physicalName in the "
            "contract to create a new table and replay its files"
        )
    for column in changes.added:
        connection.run(ddl.add_column(contract, column))
    if changes.widened:
        # PostgreSQL changes no column of a view.
        view = identifier(contract.relation)
        readers = connection.run(_READERS, view=f"public.{view}")
        connection.run(f"DROP VIEW {view}")
        for column in changes.widened:
            connection.run(ddl.widen_column(contract, column))
        connection.run(ddl.create_view(contract))
        for [reader] in readers:
            connection.run(f"GRANT SELECT ON {view} TO {reader}")
    done.altered += [
        f"{contract.relation}.{column.physical_name}"
        for column in (*changes.added, *changes.widened)
    ]


def _columns(connection: Connection, table: str) -> dict[str, Definition]:
    rows = connection.run(_COLUMNS, table=table)
    return {name: Definition(*definition) for name, *definition in rows}


def _make_indexes(connection: Connection, contract: Contract) -> None:
    # IF NOT EXISTS would wait for running loads even if all indexes exist.
    indexes = _indexes(connection, contract)
    found = {name for name, _ in indexes}
    invalid = {name for name, is_valid in indexes if not is_valid}
    for name, statement in ddl.create_indexes(contract).items():
        if name in invalid:
            raise SchemaMismatch(
                f"the index {name} of the table {contract.relation} is invalid: CREATE INDEX "
                "CONCURRENTLY is running or has failed. Wait until it ends, or drop the index and "
                "create it again"
            )
        if name not in found:
            connection.run(statement)


def _drop_indexes(connection: Connection, contract: Contract) -> None:
    for name in ddl.former_indexes(contract) & {name for name, _ in _indexes(connection, contract)}:
        connection.run(f"DROP INDEX {identifier(name)}")


def _indexes(connection: Connection, contract: Contract) -> list[list[Any]]:
    return connection.run(_INDEXES, table=f"public.{identifier(contract.rows_table)}")


def _record(connection: Connection, contract: Contract) -> None:
    last = connection.run(
        "SELECT version, ddl_hash FROM schema_version WHERE contract = :contract "
        "ORDER BY id DESC LIMIT 1",
        contract=contract.table,
    )
    version, digest = contract.version, ddl.digest(contract)
    if last != [[version, digest]]:
        connection.run(
            "INSERT INTO schema_version (contract, version, ddl_hash) "
            "VALUES (:contract, :version, :hash)",
            contract=contract.table,
            version=version,
            hash=digest,
        )
