"""migrate: creating and altering roles and tables, with PostgreSQL."""

import dataclasses
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from unittest import mock

import boto3
import pg8000.exceptions
import pytest

from cli.contract_diff import Effect, effects
from functions.migrate import ddl, roles
from functions.migrate import migration as migrations
from functions.migrate.handler import handler
from functions.migrate.migration import Migration, migrate
from shared import naming
from shared.column import Column
from shared.contract import MAX_COLUMNS, Contract
from shared.database import connect, retry_until_available
from shared.errors import (
    DatabaseUnavailable,
    InvalidSettings,
    SchemaMismatch,
    StatementFailed,
    TablesNotMigrated,
)
from shared.odcs import load_all
from shared.settings import DatabaseSettings, read
from tests.fixtures.aws import lambda_context
from tests.fixtures.contracts import READINGS, column, contract_set
from tests.fixtures.database import (
    FORMER_INDEX,
    FORMER_ROW,
    Database,
    Role,
    eventually,
    former,
    migrate_to,
)
from tests.fixtures.lookup import begin_load

EVENT = {"contracts": "a hash"}
LOOKUP_INDEX = "daily_checkins_username_timestamp_load_id_source_line_idx"


@pytest.fixture(autouse=True)
def one_contract(monkeypatch: pytest.MonkeyPatch) -> Contract:
    """The only deployed contract."""
    _deploy(monkeypatch, contract := load_all()["dailycheckins"])
    return contract


def _migrate(database: Database, *contracts: Contract) -> Migration:
    """Migrate, and raise the error of a table that failed."""
    done, failed = migrate(
        lambda: connect(read(DatabaseSettings)),
        database.name,
        contracts,
        *(roles.Role(each.name, each.password) for each in (database.loader, database.reader)),
    )
    for error in failed.values():
        raise error
    return done


def _deploy(monkeypatch: pytest.MonkeyPatch, *contracts: Contract, **invalid: str) -> None:
    found = contract_set({contract.table: contract for contract in contracts}, invalid)
    monkeypatch.setattr("shared.contract_store._once", lambda *_: found)


def _failure() -> str:
    """Run the handler and return its error message."""
    with pytest.raises(TablesNotMigrated) as caught:
        handler(EVENT, lambda_context())
    return str(caught.value)


def _tables(database: Database) -> set[str]:
    """Return the existing tables of contracts."""
    found = database.run("SELECT viewname FROM pg_views WHERE schemaname = 'public'")
    return {name for [name] in found}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrations, "_LOCK_TIMEOUT", "100ms")
    monkeypatch.setattr(
        migrations, "retry_until_available", partial(retry_until_available, patience=0.5)
    )


def test_invalid_contracts_do_not_stop_other_tables(
    database: Database, one_contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    budgets, hours = "budgets.odcs.yaml: it is broken", "hours.odcs.yaml: column x: no such type"
    _deploy(monkeypatch, one_contract, READINGS, budgets=budgets, hours=hours)

    first = _failure()

    assert first.splitlines() == [
        "2 of 4 tables were not migrated and are unchanged. Fix the problems below and apply "
        "again.",
        f"Migrated: dailycheckins, {READINGS.table}.",
        f"- {budgets}",
        f"- {hours}",
    ]
    assert _tables(database) == {"daily_checkins", "order"}
    assert database.run("SELECT * FROM daily_checkins", database.reader) == []
    assert database.run('SELECT * FROM "order"', database.reader) == []

    # The next migration changes nothing and still fails, until the contracts are corrected.
    assert _failure() == first
    _deploy(monkeypatch, one_contract, READINGS)
    assert handler(EVENT, lambda_context())["created"] == []


def test_overlapping_patterns_fail_migration_of_all_tables(
    database: Database, one_contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    pattern = {"pattern": "in/.*", "examples": ["in/a.csv", "in/b.csv"], "date": "landed"}
    both = [
        Contract.model_validate(
            each.model_dump(exclude_unset=True) | {"keys": [pattern], "sla": None}
        )
        for each in (one_contract, READINGS)
    ]
    _deploy(monkeypatch, *both)

    head, migrated, *problems = _failure().splitlines()

    assert head == (
        "All tables were migrated, but their contracts have problems. Fix the problems below and "
        "apply again."
    )
    assert migrated == "Migrated: dailycheckins, readings."
    assert len(problems) == 4
    assert problems[0].startswith("- dailycheckins and readings: patterns in the `keys` of each")
    assert _tables(database) == {"daily_checkins", "order"}


def test_migrate_without_valid_contract_creates_own_tables(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    _deploy(monkeypatch, budgets="budgets.odcs.yaml: it is broken")

    assert "\nMigrated: none.\n- budgets.odcs.yaml" in _failure()
    assert database.run("SELECT * FROM source", database.loader) == []


def test_failed_table_does_not_stop_others(
    migrated: Database, one_contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failed table is neither the first nor the last."""
    breaking = _with(one_contract, user={"physical_name": "person"})
    other = READINGS.model_copy(update={"table": "another", "relation": "other"})
    _deploy(monkeypatch, READINGS, breaking, other)

    message = _failure()

    assert message.startswith("1 of 3 tables were not migrated and are unchanged. ")
    assert f"\nMigrated: another, {READINGS.table}.\n- dailycheckins: the table " in message
    assert "lacks column person character varying(100) NOT NULL, for which existing" in message
    assert "it has column username character varying(100) NOT NULL, which is not" in message
    assert _tables(migrated) == {"daily_checkins", "order", "other"}
    assert migrated.run("SELECT count(*) FROM schema_version WHERE contract = 'dailycheckins'") == [
        [1]
    ]

    _deploy(monkeypatch, READINGS, _with(one_contract, *OPTIONAL), other)
    result = handler(EVENT, lambda_context())
    assert result["created"] == []
    assert len(result["altered"]) == len(OPTIONAL)


def test_all_reasons_are_reported_and_logged(
    migrated: Database,
    one_contract: Contract,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    reasons = {f"t{n:03}": f"t{n:03}.odcs.yaml: {'x' * 150}" for n in range(300)}
    breaking = _with(one_contract, user={"physical_name": "person"})

    _deploy(monkeypatch, READINGS, **reasons)
    assert _failure().splitlines()[2:] == [f"- {reason}" for reason in reasons.values()]
    [line] = (vars(record) for record in caplog.records if record.message == "broken")
    assert all(reason in line["reason"] for reason in reasons.values())

    _deploy(monkeypatch, breaking, **reasons)
    assert _failure().endswith("\n- and 1 more problems")


@pytest.mark.usefixtures("impatient")
def test_locked_table_does_not_stop_others(
    migrated: Database, one_contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    richer = _with(one_contract, *OPTIONAL)
    _deploy(monkeypatch, richer, READINGS)
    with migrated.connected() as load:
        load.run("BEGIN")
        load.run("LOCK daily_checkins_rows IN ROW EXCLUSIVE MODE")

        message = _failure()

        assert f"\nMigrated: {READINGS.table}.\n- dailycheckins: PostgreSQL" in message
        assert "lock timeout (code 55P03). If a run locks the table, apply again" in message
        assert _tables(migrated) == {"daily_checkins", "order"}
        load.run("ROLLBACK")

    assert len(handler(EVENT, lambda_context())["altered"]) == len(OPTIONAL)


def test_locked_table_is_retried_after_others(
    migrated: Database, one_contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "_LOCK_TIMEOUT", "100ms")
    with migrated.connected() as load, ThreadPoolExecutor(1) as pool:
        load.run("BEGIN")
        load.run("LOCK daily_checkins_rows IN ROW EXCLUSIVE MODE")
        migration = pool.submit(_migrate, migrated, _with(one_contract, *OPTIONAL), READINGS)
        eventually(lambda: "order" in _tables(migrated))
        load.run("ROLLBACK")

    assert migration.result().tables == ["source", "order", "daily_checkins"]
    assert len(migration.result().altered) == len(OPTIONAL)


def test_killed_migration_is_completed_by_next(database: Database, one_contract: Contract) -> None:
    killed = mock.patch.object(migrations, "_record", side_effect=[None, KeyboardInterrupt])
    with killed, pytest.raises(KeyboardInterrupt):
        _migrate(database, READINGS, one_contract)
    assert _tables(database) == {"order"}

    assert _migrate(database, READINGS, one_contract).created == ["daily_checkins"]


def test_reserved_names_are_those_of_postgresql_and_own_tables(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    _deploy(monkeypatch)
    handler(EVENT, lambda_context())

    columns = database.run(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'source'::regclass AND attnum < 0"
    )
    assert {name for [name] in columns} == naming.SYSTEM_COLUMNS
    ours = database.run("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace")
    assert {name for [name] in ours} == naming.OWN_RELATIONS
    hiding = database.run(
        "SELECT relname FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace "
        "AND NOT starts_with(relname, 'pg_')"
    )
    assert hiding == []


def test_largest_contracts_have_a_table(database: Database) -> None:
    """`tests/shared/test_limits_of_contracts.py` tests that larger contracts are refused."""
    wide = [column(f"c{n}", "integer", "bigint") for n in range(MAX_COLUMNS)]
    heavy = [column(f"c{n}", "integer", "bigint", required=True) for n in range(1_015)]
    contracts = [
        Contract(
            table=name,
            relation=name,
            version="1",
            columns=tuple(columns),
            indexes=(tuple(each.name for each in columns[:32]),),
        )
        for name, columns in (("wide", wide), ("heavy", heavy))
    ]

    migrate_to(*contracts)

    values = ", ".join(["1"] * 1_015)
    begin_load(database, "heavy")
    database.run(f"INSERT INTO heavy_rows VALUES ({values}, 1, 1)")


def test_migrate_is_idempotent(migrated: Database) -> None:
    versions = "SELECT contract, version, ddl_hash, applied_at FROM schema_version"
    before = migrated.run(versions)

    result = handler(EVENT, lambda_context())

    assert result == {"tables": ["source", "daily_checkins"], "created": [], "altered": []}
    assert json.loads(json.dumps(result)) == result
    assert migrated.run(versions) == before
    assert [row[:2] for row in before] == [["dailycheckins", "1.0.0"]]


def test_new_contract_version_is_recorded(migrated: Database, one_contract: Contract) -> None:
    newer = one_contract.model_copy(update={"version": "1.0.1", "indexes": (("project",),)})

    _migrate(migrated, newer)
    _migrate(migrated, newer)

    assert migrated.run("SELECT version FROM schema_version ORDER BY id") == [["1.0.0"], ["1.0.1"]]
    assert migrated.run(
        "SELECT count(*) FROM pg_indexes WHERE indexname = 'daily_checkins_project_idx'"
    ) == [[1]]


def _with(contract: Contract, *more: Column, **changed: Mapping[str, object]) -> Contract:
    """Return the contract with `more` columns and with some columns `changed`."""
    columns = [
        column.model_copy(update=changed.get(column.name, {})) for column in contract.columns
    ]
    return contract.model_copy(update={"columns": (*columns, *more)})


OPTIONAL = tuple(column for column in READINGS.columns if not column.required)
"""A column of every type, with reserved words of SQL as names."""

INSERT = (
    "INSERT INTO daily_checkins_rows (username, timestamp, hours, source_line{names}) "
    "VALUES ('ned', now(), 1, 2{values})"
)


def _foretold(old: Contract, new: Contract) -> list[Effect]:
    """Return what `tm contract diff` says about migrate."""
    return [each for each in effects(old, new) if each.audience == "migrate"]


def test_new_columns_are_added(migrated: Database, one_contract: Contract) -> None:
    begin_load(migrated)
    migrated.run(INSERT.format(names="", values=""))
    richer = _with(one_contract, *OPTIONAL)

    done = _migrate(migrated, richer)

    assert done.created == []
    assert done.altered == [f"daily_checkins.{column.physical_name}" for column in OPTIONAL]
    assert [each.text.split()[:4] for each in _foretold(one_contract, richer)] == [
        ["adds", "the", "column", column.physical_name] for column in OPTIONAL
    ]
    assert migrated.run('SELECT hours::text, note, "end", guess FROM daily_checkins') == [
        ["1.00", None, None, None]
    ]
    assert _migrate(migrated, richer).altered == []
    hashes = migrated.run("SELECT ddl_hash FROM schema_version ORDER BY id")
    assert hashes == [[ddl.digest(one_contract)], [ddl.digest(richer)]]


@pytest.mark.parametrize(
    ("column", "wider"),
    [
        ("project", "varchar(101)"),
        ("project", "text"),
        ("user", "varchar(1000)"),
        ("hours", "numeric(7,2)"),
    ],
)
def test_column_is_widened(
    migrated: Database, one_contract: Contract, column: str, wider: str
) -> None:
    begin_load(migrated)
    migrated.run(INSERT.format(names=", project", values=", 'bizdev'"))
    contract = _with(one_contract, **{column: {"physical_type": wider}})

    done = _migrate(migrated, contract)

    name = contract.column(column).physical_name
    assert done.altered == [f"daily_checkins.{name}"]
    [foretold] = _foretold(one_contract, contract)
    assert foretold.text.startswith(f"widens the column {name} from ")
    assert foretold.text.endswith(f" to {wider}")
    assert _migrate(migrated, contract).altered == []
    row = "SELECT username, project, hours::text FROM daily_checkins"
    assert migrated.run(row) == [["ned", "bizdev", "1.00"]]


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        ({"project": {"physical_type": "varchar(99)"}}, "project character varying(100), but"),
        ({"hours": {"physical_type": "numeric(4,2)"}}, "hours numeric(5,2) NOT NULL, but"),
        ({"hours": {"physical_type": "numeric(7,3)"}}, ", but the contract has numeric(7,3)"),
        (
            {"hours": {"logical_type": "integer", "physical_type": "bigint"}},
            ", but the contract has bigint NOT NULL",
        ),
        (
            {"project": {"required": True}},
            "project character varying(100), but the contract has character varying(100) NOT NULL",
        ),
        (
            {"project": {"required": True, "physical_type": "text"}},
            "project character varying(100), but the contract has text NOT NULL",
        ),
        ({"user": {"required": False}}, "column username character varying(100) NOT NULL, but"),
        ({"user": {"physical_name": "person"}}, "lacks column person character varying(100) NOT"),
        (
            {"project": {"physical_name": "task"}},
            "has column project character varying(100), which is not in the contract",
        ),
    ],
)
def test_breaking_change_is_refused(
    migrated: Database,
    one_contract: Contract,
    changed: dict[str, dict[str, object]],
    difference: str,
) -> None:
    before = _everything(migrated)

    contract = _with(one_contract, *OPTIONAL, **changed)

    # Optional columns are not added either.
    with pytest.raises(SchemaMismatch) as caught:
        _migrate(migrated, contract)

    message = str(caught.value)
    foretold = [each.text for each in _foretold(one_contract, contract) if each.is_refused]
    assert f"it {'; it '.join(text.partition('the table ')[2] for text in foretold)}." in message
    assert "table daily_checkins does not match the contract dailycheckins 1.0.0: it" in message
    assert difference in message
    assert "The table was not changed. Revert the contract" in message
    assert _everything(migrated) == before


def _everything(database: Database) -> list[list[object]]:
    columns = database.run(
        "SELECT attrelid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull "
        "FROM pg_attribute WHERE attrelid IN (SELECT oid FROM pg_class "
        "WHERE relnamespace = 'public'::regnamespace) ORDER BY 1, attnum"
    )
    return [*columns, *database.run("SELECT * FROM schema_version ORDER BY id")]


def test_users_view_shows_same_rows_after_upgrade(
    database: Database, one_contract: Contract
) -> None:
    former(database, FORMER_ROW)
    database.run(
        "CREATE VIEW theirs AS SELECT username, count(*) FROM daily_checkins GROUP BY 1",
        database.administrator,
    )
    shown = "SELECT * FROM theirs"
    assert database.run(shown) == [["ned", 1]]

    _migrate(database, one_contract)

    assert database.run(shown) == [["ned", 1]]
    begin_load(database)
    database.run("UPDATE source SET load_id = NULL WHERE source_key <> 'a key'")
    database.run(INSERT.format(names="", values=""))
    assert database.run(shown) == [["ned", 1]], "not the row of a load that is not current"


def test_views_that_migrate_cannot_change_stop_upgrade(
    database: Database, one_contract: Contract
) -> None:
    former(database, FORMER_ROW)
    database.run("CREATE MATERIALIZED VIEW theirs AS SELECT username FROM daily_checkins")
    database.run("CREATE VIEW hers AS SELECT username FROM daily_checkins")

    with pytest.raises(SchemaMismatch, match=r"^hers, theirs read the table"):
        _migrate(database, one_contract)


@pytest.mark.parametrize("role", ["reader", "PUBLIC"])
def test_grants_on_view_survive_widening(
    migrated: Database, one_contract: Contract, role: str
) -> None:
    name = role if role == "PUBLIC" else "pg_monitor"
    migrated.run(f"GRANT SELECT ON daily_checkins TO {name}")

    _migrate(migrated, _with(one_contract, project={"physical_type": "text"}))

    kept = migrated.run("SELECT relacl::text FROM pg_class WHERE relname = 'daily_checkins'")
    assert f"{'' if role == 'PUBLIC' else name}=r/" in kept[0][0]


@pytest.mark.usefixtures("impatient")
def test_former_index_is_dropped_after_running_lookups(
    migrated: Database, one_contract: Contract
) -> None:
    migrated.run(f"CREATE INDEX {FORMER_INDEX} ON daily_checkins_rows (username, timestamp)")
    with migrated.connected(migrated.reader) as look_up:
        look_up.run("BEGIN")
        look_up.run("SELECT * FROM daily_checkins")
        with pytest.raises(DatabaseUnavailable, match="lock timeout"):
            _migrate(migrated, one_contract)

    _migrate(migrated, one_contract)

    assert _indexes(migrated) == {
        "daily_checkins_rows_pkey",
        LOOKUP_INDEX,
    }


def test_index_of_contract_is_not_dropped_as_former(
    migrated: Database, one_contract: Contract
) -> None:
    contract = _with(one_contract, column("lookup", "string", "text"))
    contract = contract.model_copy(update={"indexes": (("lookup",),)})

    for _ in range(2):
        _migrate(migrated, contract)

    assert FORMER_INDEX in _indexes(migrated)


def test_ambiguous_index_names_are_distinct(migrated: Database, one_contract: Contract) -> None:
    contract = _with(
        one_contract, *(column(name, "string", "text") for name in ["a", "b_c", "a_b", "c"])
    )
    contract = contract.model_copy(update={"indexes": (("a", "b_c"), ("a_b", "c"))})

    for _ in range(2):
        _migrate(migrated, contract)

    indexes = migrated.run(
        "SELECT indexdef FROM pg_indexes WHERE tablename = 'daily_checkins_rows'"
    )
    keys = {definition.partition(" USING btree ")[2] for [definition] in indexes}
    assert {"(a, b_c)", "(a_b, c)"} <= keys


def test_index_created_by_hand_is_accepted_if_valid(
    migrated: Database, one_contract: Contract
) -> None:
    migrated.run(f"DROP INDEX {LOOKUP_INDEX}")
    by_hand = ddl.create_indexes(one_contract)[LOOKUP_INDEX].replace("INDEX", "INDEX CONCURRENTLY")
    migrated.run(by_hand, migrated.administrator)
    with migrated.connected() as load:
        load.run("BEGIN")
        load.run("LOCK daily_checkins_rows IN ROW EXCLUSIVE MODE")

        _migrate(migrated, one_contract)

    # The index is invalid while it is created concurrently, and after that failed.
    migrated.run(
        f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{LOOKUP_INDEX}'::regclass"
    )
    with pytest.raises(SchemaMismatch, match=f"the index {LOOKUP_INDEX} of .* is invalid"):
        _migrate(migrated, one_contract)


def _indexes(database: Database) -> set[str]:
    found = database.run("SELECT indexname FROM pg_indexes WHERE tablename = 'daily_checkins_rows'")
    return {name for [name] in found}


def test_mismatch_lists_all_differences(migrated: Database) -> None:
    migrated.run("DROP VIEW daily_checkins")
    for change in (
        "ALTER hours TYPE integer",
        "DROP source_line",
        "ADD mood text",
        "ALTER username DROP NOT NULL",
    ):
        migrated.run(f"ALTER TABLE daily_checkins_rows {change}")

    message = _failure()

    assert "it has column hours integer NOT NULL, but the contract has numeric(5,2) NOT" in message
    assert "it lacks column source_line integer NOT NULL, which every table of the" in message
    assert "it has column mood text, which is not in the contract" in message
    assert "it has column username character varying(100), but the contract has" in message


def test_failure_of_preparation_rolls_back(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ddl, "REPLACEMENT", "CREATE TABLE replacement (id nothing)")

    with pytest.raises(StatementFailed):
        handler(EVENT, lambda_context())

    assert database.run("SELECT to_regclass('source')") == [[None]]
    assert not database.run("SELECT FROM pg_roles WHERE rolname = :name", name=database.loader.name)


def test_long_and_reserved_names_are_supported(migrated: Database, one_contract: Contract) -> None:
    columns = {
        each.name: {"physical_name": f"{each.physical_name}_{'x' * 40}"}
        for each in one_contract.columns
    }
    indexes = (("user", "timestamp"), ("user", "hours"))
    contract = _with(one_contract, **columns).model_copy(
        update={"relation": "order", "indexes": indexes}
    )

    _migrate(migrated, contract)
    _migrate(migrated, contract)

    indexes = migrated.run("SELECT indexname FROM pg_indexes WHERE tablename = 'order_rows'")
    assert len(indexes) == 4
    assert ddl.digest(contract) != ddl.digest(one_contract)


def test_loader_may_only_load_and_remove(migrated: Database) -> None:
    for statement in (
        "SELECT hours FROM daily_checkins_rows",
        "SELECT * FROM daily_checkins",
        "INSERT INTO daily_checkins_rows (username, timestamp, hours, load_id, source_line)"
        " VALUES ('ned', now(), 1, 1, 2)",
        "UPDATE load SET source_id = 1",
        "SELECT * FROM schema_version",
        "DELETE FROM replacement",
        "UPDATE daily_checkins_rows SET hours = 1",
        "DELETE FROM schema_version",
        "TRUNCATE daily_checkins_rows",
        "TRUNCATE source",
        "DROP TABLE daily_checkins_rows",
        "ALTER TABLE daily_checkins_rows ADD COLUMN x int",
        "CREATE TABLE mine (id int)",
        "CREATE ROLE mine",
        "COPY (SELECT 1) TO PROGRAM 'true'",
    ):
        _is_denied(migrated, migrated.loader, statement)


def test_reader_may_only_read(migrated: Database) -> None:
    assert migrated.run("SELECT * FROM daily_checkins", migrated.reader) == []
    for statement in (
        "INSERT INTO daily_checkins_rows (username, timestamp, hours, source_line)"
        " VALUES ('ned', now(), 1, 2)",
        "SELECT * FROM daily_checkins_rows",
        "UPDATE daily_checkins_rows SET hours = 1",
        "DELETE FROM daily_checkins_rows",
        "TRUNCATE daily_checkins_rows",
        "SELECT * FROM source",
        "UPDATE replacement SET times = 0",
        "SELECT * FROM daily_checkins FOR UPDATE",
        "CREATE TABLE mine (id int)",
        "COPY daily_checkins_rows FROM PROGRAM 'true'",
    ):
        _is_denied(migrated, migrated.reader, statement)


def _is_denied(database: Database, role: Role, statement: str) -> None:
    with pytest.raises(pg8000.exceptions.DatabaseError) as caught:
        database.run(statement, role)
    assert caught.value.args[0]["C"] == "42501", statement


def test_extra_privileges_are_revoked(migrated: Database) -> None:
    migrated.run(f"GRANT ALL ON daily_checkins_rows, source TO {migrated.reader.name}")
    migrated.run(f"GRANT UPDATE (hours) ON daily_checkins_rows TO {migrated.loader.name}")

    handler(EVENT, lambda_context())

    _is_denied(migrated, migrated.reader, "DELETE FROM daily_checkins_rows")
    _is_denied(migrated, migrated.loader, "UPDATE daily_checkins_rows SET hours = 1")


def test_changed_password_in_secret_is_applied(migrated: Database) -> None:
    reader = dataclasses.replace(migrated.reader, password="another one")
    boto3.client("secretsmanager").put_secret_value(
        SecretId=reader.secret_arn,
        SecretString=json.dumps({"username": reader.name, "password": reader.password}),
    )

    handler(EVENT, lambda_context())

    assert migrated.run("SELECT current_user::text", reader) == [[reader.name]]
    with pytest.raises(pg8000.exceptions.DatabaseError):
        migrated.run("SELECT 1", migrated.reader)


def test_statements_contain_no_password() -> None:
    password = "a secret word"  # pragma: allowlist secret
    role = roles.Role("someone", password)

    assert password not in repr(role)
    assert password not in roles.set_password(role)
    assert roles.verifier(password) != roles.verifier(password), "the salt is constant"


@pytest.mark.parametrize("other", ["administrator", "loader"])
def test_shared_role_is_refused(
    database: Database, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    monkeypatch.setenv("READER_SECRET_ARN", getattr(database, other).secret_arn)

    with pytest.raises(InvalidSettings, match="three different roles"):
        handler(EVENT, lambda_context())


def test_existing_database_keeps_public_privileges_and_migrate_lists_them(
    migrated: Database,
) -> None:
    """Other applications may use the database."""
    migrated.run("CREATE TEMPORARY TABLE mine (n int)", migrated.reader)

    found = handler({"operation": "privileges"}, lambda_context())["public"]

    assert {
        f"connect to the database {migrated.name}",
        "connect to the database postgres",
        f"create temporary tables in the database {migrated.name}",
        f"create large objects in the database {migrated.name}",
    } <= {*found}

    migrated.run(f"REVOKE CONNECT, TEMPORARY ON DATABASE {migrated.name} FROM PUBLIC")
    migrated.run("REVOKE EXECUTE ON FUNCTION lo_create(oid) FROM PUBLIC")
    left = handler({"operation": "privileges"}, lambda_context())["public"]
    assert not [words for words in left if words.endswith(f" {migrated.name}")]
