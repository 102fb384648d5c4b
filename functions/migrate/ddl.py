"""SQL statements that create and alter the tables of contracts."""

import hashlib
import re
from collections.abc import Iterable

from pg8000.native import identifier, literal

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
    load_id integer UNIQUE,
    CONSTRAINT every_row_is_accounted_for CHECK (rows_read = rows_loaded + rows_rejected)
)
"""
"""The ledger: for each landed key, its current load and the version that this load loaded."""

LOAD = (
    """
CREATE TABLE load (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id integer NOT NULL REFERENCES source (id),
    relation text NOT NULL,
    begun_at timestamptz NOT NULL DEFAULT now()
)
""",
    "CREATE INDEX load_source_id_idx ON load (source_id)",
    """
CREATE CONSTRAINT TRIGGER tm_check_no_rows AFTER DELETE ON load
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tm_check_no_rows()
""",
)
"""Every load that wrote rows or is about to, and the table with its rows.

It is the current one of its source, or it is under way, or it was interrupted.
"""

_CHECK_LOAD = """
BEGIN
    PERFORM FROM load
    WHERE id = CAST(nullif(current_setting('tm.load', true), '') AS integer)
      AND relation = TG_TABLE_NAME
    FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE 'the ledger lacks the load of these rows' USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN NULL;
END
"""

_CHECK_NO_ROWS = """
DECLARE
    has_rows boolean;
BEGIN
    IF to_regclass(quote_ident(OLD.relation)) IS NULL THEN
        RETURN NULL;
    END IF;
    EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE load_id = $1)', OLD.relation)
    INTO has_rows USING OLD.id;
    IF has_rows THEN
        RAISE 'the table % has rows of the load %', OLD.relation, OLD.id
        USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END
"""

CHECKS = tuple(
    f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
    f"SET search_path = public, pg_temp AS {literal(body)}"
    for name, body in (("tm_check_load", _CHECK_LOAD), ("tm_check_no_rows", _CHECK_NO_ROWS))
)
"""The functions of the triggers that make a row without a load impossible for the role of Load.

COPY cannot set `load_id`, whose default is the setting `tm.load` of the session. `tm_check_load`
finds that load once per statement, and locks it until the transaction ends. `tm_check_no_rows`
keeps a load that has rows. A foreign key would be checked for each row, which takes as long as the
rest of COPY.
"""

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


_LOAD_OF_SESSION = "CAST(current_setting('tm.load') AS integer)"
_OWN_COLUMNS = (
    f"load_id integer NOT NULL DEFAULT {_LOAD_OF_SESSION}",
    "source_line integer NOT NULL",
)


def columns(contract: Contract) -> list[str]:
    """Return the definitions of all columns of rows: the contract's and the pipeline's own."""
    return [*map(_definition, contract.columns), *_OWN_COLUMNS]


def create_table(contract: Contract) -> str:
    """Return the statement that creates the table of a contract's rows."""
    definitions = [*columns(contract), "PRIMARY KEY (load_id, source_line)"]
    return f"CREATE TABLE {identifier(contract.rows_table)} ({', '.join(definitions)})"


def create_trigger(contract: Contract) -> str:
    """Return the statement that checks the load of rows in each statement that inserts some."""
    return (
        f"CREATE TRIGGER tm_check_load BEFORE INSERT ON {identifier(contract.rows_table)} "
        "FOR EACH STATEMENT EXECUTE FUNCTION tm_check_load()"
    )


def create_view(contract: Contract, existing: Iterable[str] = ()) -> str:
    """Return the statement that creates or extends the view of a contract's current rows.

    `existing` are the columns that the view has, which keep their places.
    """
    own = ("source_id", "source_line", "load_id")
    names = dict.fromkeys([*existing, *contract.physical_names, *own])
    shown = ", ".join(
        "source.id AS source_id" if name == "source_id" else f"loaded.{identifier(name)}"
        for name in names
    )
    return (
        f"CREATE OR REPLACE VIEW {identifier(contract.relation)} AS "  # noqa: S608 - no values
        f"SELECT {shown} FROM {identifier(contract.rows_table)} AS loaded "
        "JOIN source ON source.load_id = loaded.load_id"
    )


def add_column(contract: Contract, column: Column) -> str:
    """Return the statement that adds a column to a contract's table."""
    return f"ALTER TABLE {identifier(contract.rows_table)} ADD COLUMN {_definition(column)}"


def widen_column(contract: Contract, column: Column) -> str:
    """Return the statement that changes a column to the contract's wider type."""
    return (
        f"ALTER TABLE {identifier(contract.rows_table)} "
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
    keys = {names: ", ".join(map(identifier, names)) for names in indexes}
    if contract.lookup:
        names = _lookup_columns(contract, contract.lookup)
        keys[names] = _lookup_key(contract.column(contract.lookup.key), names)
    statements: dict[str, str] = {}
    for names, key in keys.items():
        name = _index_name(contract.relation, names)
        if name in statements:  # columns (`a_b`, `c`) and (`a`, `b_c`) give the same name
            name = _marked(name, repr(names))
        statements[name] = (
            f"CREATE INDEX {identifier(name)} ON {identifier(contract.rows_table)} ({key})"
        )
    return statements


def digest(contract: Contract) -> str:
    """Return a hash of the statements that create a contract's table and indexes."""
    statements = [create_table(contract), create_view(contract), *create_indexes(contract).values()]
    return hashlib.sha256("\n".join(statements).encode()).hexdigest()


def former_indexes(contract: Contract) -> set[str]:
    """Return the names of indexes that earlier versions created and no statement uses."""
    # Until 0.1.0, rows of equal order were sorted by `id`, which a reload changes, and the primary
    # key did not begin with the load.
    former = {_index_name(contract.relation, (name,)) for name in ("lookup", "source_id")}
    return former - create_indexes(contract).keys()


def from_former(contract: Contract) -> list[str]:
    """Return the statements that make the table of an earlier version the table of rows.

    Until 0.1.0, the rows of a key had the ID of their source, and each key had one load. That ID
    becomes the ID of the load. Rows stay where they are.
    """
    former, rows = identifier(contract.relation), identifier(contract.rows_table)
    # PostgreSQL shortened the name of the table, so that the constraint's name has 63 bytes.
    foreign_key = f"{contract.relation[:48]}_source_id_fkey"
    statements = [
        f"ALTER TABLE {former} DROP COLUMN id",
        f"ALTER TABLE {former} DROP CONSTRAINT {identifier(foreign_key)}",
        f"ALTER TABLE {former} RENAME TO {rows}",
        f"ALTER TABLE {rows} RENAME COLUMN source_id TO load_id",
        f"ALTER TABLE {rows} ALTER COLUMN load_id SET DEFAULT {_LOAD_OF_SESSION}",
        f"ALTER TABLE {rows} ADD PRIMARY KEY (load_id, source_line)",
        create_trigger(contract),
        "INSERT INTO load (id, source_id, relation) OVERRIDING SYSTEM VALUE "  # noqa: S608
        f"SELECT id, id, {literal(contract.rows_table)} FROM source "
        f"WHERE EXISTS (SELECT FROM {rows} WHERE {rows}.load_id = source.id)",
        "UPDATE source SET load_id = load.id FROM load "  # noqa: S608
        f"WHERE load.source_id = source.id AND relation = {literal(contract.rows_table)}",
    ]
    if contract.lookup:
        columns = _lookup_columns(contract, contract.lookup)
        was = tuple("source_id" if name == "load_id" else name for name in columns)
        old, new = (_index_name(contract.relation, names) for names in (was, columns))
        statements.append(f"ALTER INDEX IF EXISTS {identifier(old)} RENAME TO {identifier(new)}")
    return statements


FROM_FORMER = (
    "ALTER TABLE source ADD COLUMN load_id integer UNIQUE",
    # Each ID below may be the ID of a source, which becomes the ID of its load.
    "ALTER TABLE load ALTER COLUMN id RESTART WITH 1000000000",
)
"""The statements that extend the ledger of an earlier version."""


def _lookup_columns(contract: Contract, lookup: Lookup) -> tuple[str, ...]:
    """Return the columns of the lookup's index, which serves every page and the list of keys.

    Load and line sort rows of equal order.
    """
    key, order = (contract.column(name).physical_name for name in (lookup.key, lookup.order))
    return key, order, "load_id", "source_line"


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
