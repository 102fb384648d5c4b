"""The tables that contracts ask for, as SQL; nothing here talks to a database."""

import hashlib

from pg8000.native import identifier

from shared.contract import Contract

SOURCE = """
CREATE TABLE IF NOT EXISTS source (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_key text NOT NULL UNIQUE,
    version_id text NOT NULL,
    ingested_id text NOT NULL,
    rows_read bigint NOT NULL,
    rows_loaded bigint NOT NULL,
    rows_rejected bigint NOT NULL,
    loaded_at timestamptz NOT NULL
)
"""
"""The ledger: for each landed key, the version whose rows the tables hold."""

SCHEMA_VERSION = """
CREATE TABLE IF NOT EXISTS schema_version (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    contract text NOT NULL,
    version text NOT NULL,
    ddl_hash text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""
"""What was applied when; the last entry of a contract is what holds."""

_IDENTIFIER_BYTES = 63


def columns(contract: Contract) -> list[str]:
    """Return the definitions of a contract's columns, and of the pipeline's own around them."""
    return [
        "id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        *(
            f"{identifier(column.physical_name)} {column.physical_type}"
            + (" NOT NULL" if column.required else "")
            for column in contract.columns
        ),
        "source_id integer NOT NULL",
        "source_line integer NOT NULL",
    ]


def create_table(contract: Contract) -> str:
    """Return the statement that makes a contract's table."""
    definitions = [*columns(contract), "FOREIGN KEY (source_id) REFERENCES source (id)"]
    return f"CREATE TABLE {identifier(contract.relation)} ({', '.join(definitions)})"


def create_indexes(contract: Contract) -> list[str]:
    """Return the statements that make a contract's indexes, where they are not there yet."""
    indexes = [
        tuple(contract.column(name).physical_name for name in index) for index in contract.indexes
    ]
    return [
        f"CREATE INDEX IF NOT EXISTS {identifier(_index_name(contract.relation, names))} "
        f"ON {identifier(contract.relation)} ({', '.join(map(identifier, names))})"
        for names in [*indexes, ("source_id",)]
    ]


def digest(contract: Contract) -> str:
    """Return a hash that changes whenever a contract asks for other tables or indexes."""
    statements = [create_table(contract), *create_indexes(contract)]
    return hashlib.sha256("\n".join(statements).encode()).hexdigest()


def _index_name(relation: str, names: tuple[str, ...]) -> str:
    name = f"{relation}_{'_'.join(names)}_idx"
    if len(name) <= _IDENTIFIER_BYTES:
        return name
    # PostgreSQL would cut it, and two that are alike at the beginning would be one.
    mark = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: _IDENTIFIER_BYTES - 9]}_{mark}"
