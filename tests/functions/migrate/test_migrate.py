"""migrate: from nothing to roles and tables, again and at once, against the real PostgreSQL."""

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor

import boto3
import pg8000.exceptions
import pytest

from functions.migrate import ddl, roles
from functions.migrate.handler import handler
from functions.migrate.migration import migrate
from shared.contract import Contract
from shared.odcs import load_all
from shared.database import Credentials, connect
from shared.errors import InvalidSettings, SchemaMismatch
from shared.settings import MigrateSettings, read
from tests.fixtures.aws import lambda_context
from tests.fixtures.database import Database, Role

EVENT = {"contracts": "a hash"}


def _migrate(database: Database, contract: Contract) -> None:
    settings = read(MigrateSettings)
    loader, reader = (Credentials(r.name, r.password) for r in (database.loader, database.reader))
    with connect(settings, boto3.client("secretsmanager")) as connection:
        migrate(connection, database.name, [contract], loader, reader)


def test_makes_all_that_there_is_not(database: Database) -> None:
    result = handler(EVENT, lambda_context())

    assert result == {
        "tables": ["source", "daily_checkins"],
        "created": ["source", "daily_checkins"],
    }
    assert json.loads(json.dumps(result)) == result


def test_makes_the_agreed_columns(migrated: Database) -> None:
    columns = migrated.run(
        "SELECT column_name, format_type(atttypid, atttypmod), is_nullable, is_identity "
        "FROM information_schema.columns JOIN pg_attribute "
        "ON attrelid = 'daily_checkins'::regclass AND attname = column_name "
        "WHERE table_name = 'daily_checkins' ORDER BY ordinal_position"
    )

    assert columns == [
        ["id", "bigint", "NO", "YES"],
        ["username", "character varying(100)", "NO", "NO"],
        ["timestamp", "timestamp with time zone", "NO", "NO"],
        ["hours", "numeric(5,2)", "NO", "NO"],
        ["project", "character varying(100)", "YES", "NO"],
        ["source_id", "integer", "NO", "NO"],
        ["source_line", "integer", "NO", "NO"],
    ]


def test_makes_the_contracts_indexes(migrated: Database) -> None:
    indexes = migrated.run("SELECT indexdef FROM pg_indexes WHERE tablename = 'daily_checkins'")

    keys = {definition.partition(" USING btree ")[2] for [definition] in indexes}
    assert keys == {"(id)", '(username, "timestamp")', "(source_id)"}


def test_again_changes_nothing(migrated: Database) -> None:
    before = migrated.run("SELECT contract, version, ddl_hash, applied_at FROM schema_version")

    result = handler(EVENT, lambda_context())

    assert result == {"tables": ["source", "daily_checkins"], "created": []}
    assert before == migrated.run(
        "SELECT contract, version, ddl_hash, applied_at FROM schema_version"
    )
    assert [row[:2] for row in before] == [["dailycheckins", "1.0.0"]]


def test_four_at_once_take_turns(database: Database) -> None:
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: handler(EVENT, lambda_context()), range(4)))

    assert sorted(len(result["created"]) for result in results) == [0, 0, 0, 2]
    assert database.run("SELECT count(*) FROM schema_version") == [[1]]


def test_another_version_of_a_contract_is_recorded(migrated: Database) -> None:
    contract = load_all()["dailycheckins"]
    newer = contract.model_copy(update={"version": "1.0.1", "indexes": (("project",),)})

    _migrate(migrated, newer)
    _migrate(migrated, newer)

    assert migrated.run("SELECT version FROM schema_version ORDER BY id") == [["1.0.0"], ["1.0.1"]]
    assert migrated.run(
        "SELECT count(*) FROM pg_indexes WHERE indexname = 'daily_checkins_project_idx'"
    ) == [[1]]


def test_a_table_of_other_columns_is_left_alone(migrated: Database) -> None:
    migrated.run("ALTER TABLE daily_checkins ALTER hours TYPE integer")
    migrated.run("ALTER TABLE daily_checkins DROP project")
    migrated.run("ALTER TABLE daily_checkins ADD mood text")
    migrated.run("ALTER TABLE daily_checkins ALTER username DROP NOT NULL")

    with pytest.raises(SchemaMismatch) as caught:
        handler(EVENT, lambda_context())

    message = str(caught.value)
    assert "it has hours integer NOT NULL where the contract has numeric(5,2) NOT NULL" in message
    assert "it lacks project character varying(100)" in message
    assert "it has mood, which the contract has not" in message
    assert "it has username character varying(100) where the contract has" in message


def test_a_mismatch_undoes_all(database: Database) -> None:
    database.run("CREATE TABLE daily_checkins (id int)")

    with pytest.raises(SchemaMismatch):
        handler(EVENT, lambda_context())

    assert database.run("SELECT to_regclass('source')") == [[None]]
    assert not database.run("SELECT FROM pg_roles WHERE rolname = :name", name=database.loader.name)


def _columns(relation: str, contract: Contract) -> Contract:
    columns = tuple(
        column.model_copy(update={"physical_name": f"{column.physical_name}_{'x' * 40}"})
        for column in contract.columns
    )
    return contract.model_copy(
        update={
            "relation": relation,
            "columns": columns,
            "indexes": (("user", "timestamp"), ("user", "hours")),
        }
    )


def test_long_and_reserved_names_work(migrated: Database) -> None:
    contract = _columns("order", load_all()["dailycheckins"])

    _migrate(migrated, contract)
    _migrate(migrated, contract)

    indexes = migrated.run("SELECT indexname FROM pg_indexes WHERE tablename = 'order'")
    assert len(indexes) == 4
    assert ddl.digest(contract) != ddl.digest(load_all()["dailycheckins"])


def test_the_loader_may_do_no_more_than_load(migrated: Database) -> None:
    for statement in (
        "SELECT username FROM daily_checkins",
        "SELECT * FROM schema_version",
        "UPDATE daily_checkins SET hours = 1",
        "DELETE FROM source",
        "TRUNCATE daily_checkins",
        "TRUNCATE source",
        "DROP TABLE daily_checkins",
        "ALTER TABLE daily_checkins ADD COLUMN x int",
        "CREATE TABLE mine (id int)",
        "CREATE ROLE mine",
        "COPY (SELECT 1) TO PROGRAM 'true'",
    ):
        _is_denied(migrated, migrated.loader, statement)


def test_the_reader_may_do_no_more_than_read(migrated: Database) -> None:
    assert migrated.run("SELECT * FROM daily_checkins", migrated.reader) == []
    for statement in (
        "INSERT INTO daily_checkins (username, timestamp, hours, source_id, source_line)"
        " VALUES ('ned', now(), 1, 1, 2)",
        "UPDATE daily_checkins SET hours = 1",
        "DELETE FROM daily_checkins",
        "TRUNCATE daily_checkins",
        "SELECT * FROM source",
        "SELECT * FROM daily_checkins FOR UPDATE",
        "CREATE TABLE mine (id int)",
        "COPY daily_checkins FROM PROGRAM 'true'",
    ):
        _is_denied(migrated, migrated.reader, statement)


def _is_denied(database: Database, role: Role, statement: str) -> None:
    with pytest.raises(pg8000.exceptions.DatabaseError) as caught:
        database.run(statement, role)
    assert caught.value.args[0]["C"] == "42501", statement


def test_what_a_role_got_besides_is_taken_away(migrated: Database) -> None:
    migrated.run(f"GRANT ALL ON daily_checkins, source TO {migrated.reader.name}")
    migrated.run(f"GRANT UPDATE (hours) ON daily_checkins TO {migrated.loader.name}")

    handler(EVENT, lambda_context())

    _is_denied(migrated, migrated.reader, "DELETE FROM daily_checkins")
    _is_denied(migrated, migrated.loader, "UPDATE daily_checkins SET hours = 1")


def test_another_password_in_the_secret_becomes_the_roles(migrated: Database) -> None:
    reader = dataclasses.replace(migrated.reader, password="another one")
    boto3.client("secretsmanager").put_secret_value(
        SecretId=reader.secret_arn,
        SecretString=json.dumps({"username": reader.name, "password": reader.password}),
    )

    handler(EVENT, lambda_context())

    assert migrated.run("SELECT current_user::text", reader) == [[reader.name]]
    with pytest.raises(pg8000.exceptions.DatabaseError):
        migrated.run("SELECT 1", migrated.reader)


def test_no_password_reaches_the_servers_log() -> None:
    role = Credentials("someone", "a secret word")

    assert role.password not in repr(role)
    assert role.password not in roles.let_in(role)
    assert roles.verifier(role) != roles.verifier(role), "each time salted anew"


def test_one_role_for_two_functions_is_refused(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("READER_SECRET_ARN", database.administrator.secret_arn)

    with pytest.raises(InvalidSettings, match="three roles"):
        handler(EVENT, lambda_context())
