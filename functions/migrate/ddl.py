"""SQL statements that create and alter the tables of contracts."""

import hashlib
import re

from pg8000.native import identifier

from shared import replacement
from shared.column import Column
from shared.contract import Contract, Lookup

SOURCE = """
CREATE TABLE IF NOT EXISTS source (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_key text NOT NULL UNIQUE,
    version_id text NOT NULL,
    ingested_id text NOT NULL,
    rows_read bigint NOT NULL,
    rows_loaded bigint NOT NULL,
    rows_rejected bigint NOT NULL,
    loaded_at timestamptz NOT NULL,
    CONSTRAINT every_row_is_accounted_for CHECK (rows_read = rows_loaded + rows_rejected)
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
"""Applied versions of contracts; the last entry of a contract is the current one."""

REPLACEMENT = f"""
CREATE TABLE IF NOT EXISTS {replacement.TABLE} (
    relation text NOT NULL,
    key_hash bytea NOT NULL,
    source_id integer NOT NULL,
    times integer NOT NULL,
    PRIMARY KEY (relation, key_hash, source_id)
)
"""
"""See `shared.replacement`. The source of a `source_id` may have been removed."""

_IDENTIFIER_BYTES = 63


def columns(contract: Contract) -> list[str]:
    """Return the definitions of all columns: the contract's and the pipeline's own."""
    return [
        "id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        *map(_definition, contract.columns),
        "source_id integer NOT NULL",
        "source_line integer NOT NULL",
    ]


def create_table(contract: Contract) -> str:
    """Return the statement that creates a contract's table."""
    definitions = [*columns(contract), "FOREIGN KEY (source_id) REFERENCES source (id)"]
    return f"CREATE TABLE {identifier(contract.relation)} ({', '.join(definitions)})"


def add_column(contract: Contract, column: Column) -> str:
    """Return the statement that adds a column to a contract's table."""
    return f"ALTER TABLE {identifier(contract.relation)} ADD COLUMN {_definition(column)}"


def widen_column(contract: Contract, column: Column) -> str:
    """Return the statement that changes a column to the contract's wider type."""
    return (
        f"ALTER TABLE {identifier(contract.relation)} "
        f"ALTER COLUMN {identifier(column.physical_name)} TYPE {column.physical_type}"
    )


def is_wider(wanted: str, found: str) -> bool:
    """Return whether PostgreSQL can widen `found` to `wanted` without rewriting the table.

    Both are types as returned by `format_type`.
    """
    match _type(wanted), _type(found):
        case ("text", []), ("character varying", _):
            return True
        case ("character varying", [more]), ("character varying", [less]):
            return more > less
        case ("numeric", [more, scale]), ("numeric", [less, same]):
            # Another scale changes every value.
            return more > less and scale == same
        case _:
            return False


def create_indexes(contract: Contract) -> dict[str, str]:
    """Return the statements that create a contract's indexes, by name of the index."""
    indexes = [
        tuple(contract.column(name).physical_name for name in index) for index in contract.indexes
    ]
    keys = {names: ", ".join(map(identifier, names)) for names in [*indexes, ("source_id",)]}
    if contract.lookup:
        names = _lookup_columns(contract, contract.lookup)
        keys[names] = _lookup_key(contract.column(contract.lookup.key), names)
    statements: dict[str, str] = {}
    for names, key in keys.items():
        name = _index_name(contract.relation, names)
        if name in statements:  # columns (`a_b`, `c`) and (`a`, `b_c`) give the same name
            name = _marked(name, repr(names))
        statements[name] = (
            f"CREATE INDEX {identifier(name)} ON {identifier(contract.relation)} ({key})"
        )
    return statements


def digest(contract: Contract) -> str:
    """Return a hash of the statements that create a contract's table and indexes."""
    statements = [create_table(contract), *create_indexes(contract).values()]
    return hashlib.sha256("\n".join(statements).encode()).hexdigest()


def former_indexes(contract: Contract) -> set[str]:
    """Return the names of indexes that earlier versions created and no statement uses."""
    # Until 0.1.0, rows of equal order were sorted by `id`, which a reload changes.
    return {_index_name(contract.relation, ("lookup",))} - create_indexes(contract).keys()


def _lookup_columns(contract: Contract, lookup: Lookup) -> tuple[str, ...]:
    """Return the columns of the lookup's index, which serves every page and the list of keys.

    Source and line sort rows of equal order; a reload does not change them.
    """
    key, order = (contract.column(name).physical_name for name in (lookup.key, lookup.order))
    return key, order, "source_id", "source_line"


def _lookup_key(key: Column, columns: tuple[str, ...]) -> str:
    # This operator class compares bytes, so the index finds prefixes in any collation. It also
    # supports `=`.
    by_bytes = " text_pattern_ops" if key.type.is_text else ""
    first, *others = map(identifier, columns)
    return ", ".join([f"{first}{by_bytes}", *others])


def _definition(column: Column) -> str:
    required = " NOT NULL" if column.required else ""
    return f"{identifier(column.physical_name)} {column.physical_type}{required}"


def _type(spelled: str) -> tuple[str, list[int]]:
    name, _, modifiers = spelled.partition("(")
    return name, [int(digits) for digits in re.findall(r"\d+", modifiers)]


def _index_name(relation: str, names: tuple[str, ...]) -> str:
    name = f"{relation}_{'_'.join(names)}_idx"
    # PostgreSQL truncates longer names, so two of them might collide.
    return name if len(name) <= _IDENTIFIER_BYTES else _marked(name, name)


def _marked(name: str, by: str) -> str:
    mark = hashlib.sha256(by.encode()).hexdigest()[:8]
    return f"{name[: _IDENTIFIER_BYTES - 9]}_{mark}"
