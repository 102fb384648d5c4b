"""Brings roles and tables to what contracts and secrets say, in one transaction."""

from collections.abc import Collection
from dataclasses import dataclass, field

from pg8000.native import identifier

from functions.migrate import ddl, roles
from shared.contract import Contract
from shared.database import Connection, Credentials
from shared.errors import InvalidSettings, SchemaMismatch

_LOCK = 7_462_318_055_412_671_001
"""Any number; all migrations of a database take turns on it."""

_COLUMNS = """
SELECT
    attname,
    format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END
FROM pg_attribute
WHERE attrelid = to_regclass(:table) AND attnum > 0 AND NOT attisdropped
"""


@dataclass(slots=True)
class Migration:
    """What a migration found and did."""

    tables: list[str] = field(default_factory=list)
    created: list[str] = field(default_factory=list)


def migrate(
    connection: Connection,
    database: str,
    contracts: Collection[Contract],
    loader: Credentials,
    reader: Credentials,
) -> Migration:
    """Make what is missing; what is there already is left as it is.

    Args:
        connection: of the administrator.
        database: its name.
        contracts: the tables to have.
        loader: the role that loads.
        reader: the role that looks up.

    Raises:
        SchemaMismatch: a table has other columns than its contract; nothing was changed.
        InvalidSettings: the two roles and the administrator are not three.
        PipelineError: what PostgreSQL answered.
    """
    done = Migration()
    with connection.transaction():
        connection.run("SELECT pg_advisory_xact_lock(:lock)", lock=_LOCK)
        _make_roles(connection, loader, reader)
        _make_table(connection, "source", ddl.SOURCE, done)
        connection.run(ddl.SCHEMA_VERSION)
        for contract in contracts:
            _make_table(connection, contract.relation, ddl.create_table(contract), done)
            _compare(connection, contract)
            for statement in ddl.create_indexes(contract):
                connection.run(statement)
            _record(connection, contract)
        for statement in roles.grants(database, loader, reader, contracts):
            connection.run(statement)
    return done


def _make_roles(connection: Connection, loader: Credentials, reader: Credentials) -> None:
    [[administrator]] = connection.run("SELECT current_user")
    if len({administrator, loader.username, reader.username}) < 3:
        raise InvalidSettings(
            "the secrets of migrate, load and api must name three roles, but name "
            f"{administrator!r}, {loader.username!r} and {reader.username!r}"
        )
    for role in (loader, reader):
        there = connection.run("SELECT FROM pg_roles WHERE rolname = :name", name=role.username)
        if not there:
            connection.run(roles.create(role))
        connection.run(roles.let_in(role))


def _make_table(connection: Connection, relation: str, statement: str, done: Migration) -> None:
    done.tables.append(relation)
    [[there]] = connection.run("SELECT to_regclass(:table) IS NOT NULL", table=identifier(relation))
    if not there:
        connection.run(statement)
        done.created.append(relation)


def _compare(connection: Connection, contract: Contract) -> None:
    # PostgreSQL itself says how it spells the types of the contract: it is shown a table of them.
    connection.run(f"CREATE TEMPORARY TABLE expected ({', '.join(ddl.columns(contract))})")
    expected = dict(connection.run(_COLUMNS, table="pg_temp.expected"))
    connection.run("DROP TABLE pg_temp.expected")
    found = dict(connection.run(_COLUMNS, table=f"public.{identifier(contract.relation)}"))
    differences = [
        *(f"lacks {name} {expected[name]}" for name in expected.keys() - found.keys()),
        *(f"has {name}, which the contract has not" for name in found.keys() - expected.keys()),
        *(
            f"has {name} {found[name]} where the contract has {expected[name]}"
            for name in expected.keys() & found.keys()
            if expected[name] != found[name]
        ),
    ]
    if differences:
        raise SchemaMismatch(
            f"the table {contract.relation} is not what the contract {contract.table} "
            f"{contract.version} asks for: it {'; it '.join(sorted(differences))}. Nothing was "
            "changed: alter the table by hand, or give the contract another physicalName"
        )


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
