"""migrate by the RDS Data API, with npm's emulator and PostgreSQL, and with errors of AWS."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import replace

import boto3
import pg8000.exceptions
import pytest
from botocore.stub import Stubber

from functions.migrate import data_api as module
from functions.migrate.connection import Value
from functions.migrate.data_api import Connection
from functions.migrate.handler import handler
from local.postgres import connected
from shared.database import retry_until_available
from shared.errors import (
    DatabaseRefused,
    DatabaseUnavailable,
    PipelineError,
    SchemaMismatch,
    StatementFailed,
    TablesNotMigrated,
)
from shared.odcs import load_all
from tests.fixtures.aws import DEPLOYED, deploy_contracts, lambda_context
from tests.fixtures.database import Database, Role
from tests.fixtures.rds_data_api import CLUSTER_ARN, Calls

EVENT = {"contracts": "a hash"}
TABLES = ["source", "daily_checkins", "project_budgets"]
RESUMING = (
    "The Aurora DB instance tm-1 is resuming after being auto-paused. Please wait a few seconds "
    "and try again."
)


def _connected(database: str = "tm") -> Connection:
    with module.connect(CLUSTER_ARN, "the secret's ARN", database) as connection:
        return connection


# With npm's emulator


@pytest.mark.npm
def test_migrate_is_idempotent_by_data_api(data_api: Calls, database: Database) -> None:
    # By default, PostgreSQL first searches the schema with the name of the role.
    database.run(f"CREATE SCHEMA AUTHORIZATION {database.administrator.name}")

    first = handler(EVENT, lambda_context())
    before = database.run("SELECT * FROM schema_version")
    second = handler(EVENT, lambda_context())

    assert first == {"tables": TABLES, "created": TABLES, "altered": []}
    assert second == {"tables": TABLES, "created": [], "altered": []}
    assert database.run("SELECT * FROM schema_version") == before
    assert len(before) == len(load_all())
    where = "SELECT DISTINCT schemaname::text FROM pg_tables WHERE tableowner = :owner"
    assert database.run(where, owner=database.administrator.name) == [["public"]]


@pytest.mark.npm
def test_migrate_revokes_public_privileges_on_created_database(
    data_api: Calls, database: Database
) -> None:
    """The administrator is not a superuser, as on Aurora."""
    other = f"{database.name}_other"
    stranger = f"stranger_{database.name}"
    with connected(database.server) as superuser:
        superuser.run(f"CREATE DATABASE {other} OWNER {database.administrator.name}")
        superuser.run(f"CREATE ROLE {stranger} LOGIN PASSWORD 'secret'")
    try:
        for _ in range(2):
            handler(EVENT, lambda_context())

        who = Role(stranger, "secret", "")
        with pytest.raises(pg8000.exceptions.DatabaseError, match="42501"):
            database.run("SELECT 1", who)
        for role in (database.loader, database.reader):
            database.run(f"GRANT {role.name} TO {stranger}")
        assert database.run("SELECT 1", who) == [[1]]
        with pytest.raises(pg8000.exceptions.DatabaseError, match="42501"):
            database.run("CREATE TEMPORARY TABLE mine (n int)", who)
        with pytest.raises(pg8000.exceptions.DatabaseError, match="42501"):
            replace(database, name=other).run("SELECT 1", who)
    finally:
        with connected(database.server) as superuser:
            superuser.run(f"DROP DATABASE {other} WITH (FORCE)")
            superuser.run(f"DROP ROLE {stranger}")


@pytest.mark.npm
def test_failed_statement_rolls_back(data_api: Calls, database: Database) -> None:
    connection = _connected(database.name)

    def work() -> None:
        with connection.transaction():
            connection.run("CREATE TABLE mine (id int)")
            connection.run("SELECT 1 FROM nowhere")

    with pytest.raises(SchemaMismatch, match="42P01") as caught:
        work()

    assert f'{database.name} reports: relation "nowhere" does not exist (code' in str(caught.value)
    assert database.run("SELECT to_regclass('mine')") == [[None]]


@pytest.mark.npm
@pytest.mark.parametrize("statement", ["SELECT current_user", "SELECT pg_sleep(0)"])
def test_unsupported_type_fails_statement(
    data_api: Calls, database: Database, statement: str
) -> None:
    with pytest.raises(StatementFailed, match="unsupported data type"):
        _connected(database.name).run(statement)


@pytest.mark.npm
@pytest.mark.parametrize(
    "fault",
    [
        lambda calls: calls.says("DatabaseResumingException", RESUMING),
        lambda calls: calls.says("ThrottlingException", "Rate exceeded", to="CREATE TABLE"),
        lambda calls: calls.says("TransactionNotFoundException", "gone", to="CREATE INDEX"),
        lambda calls: calls.drop_connection(to="CREATE TABLE"),
        lambda calls: calls.drop_connection(to="/CommitTransaction"),
        lambda calls: calls.drop_connection(to="CREATE TABLE", done=True),
        lambda calls: calls.drop_connection(to="/BeginTransaction", done=True),
    ],
)
def test_transient_error_is_retried_in_new_transaction(
    data_api: Calls, database: Database, fault: Callable[[Calls], None]
) -> None:
    fault(data_api)

    assert sorted(handler(EVENT, lambda_context())["created"]) == sorted(TABLES)
    assert data_api.made.count("/BeginTransaction") == len(TABLES) + 1
    assert database.run("SELECT count(*) FROM schema_version") == [[len(load_all())]]


@pytest.mark.npm
def test_commit_with_lost_response_is_not_repeated(data_api: Calls, database: Database) -> None:
    data_api.drop_connection(to="/CommitTransaction", done=True)

    assert handler(EVENT, lambda_context())["created"] == TABLES[1:]
    assert data_api.made.count("/BeginTransaction") == len(TABLES) + 1


@pytest.mark.npm
def test_failed_table_does_not_stop_others_by_data_api(data_api: Calls, database: Database) -> None:
    """The Data API keeps one connection; `test_migrate.py` connects for each table."""
    database.run("CREATE TABLE daily_checkins (id int)")

    with pytest.raises(
        TablesNotMigrated, match=r"Migrated: projectbudgets\.\n- dailycheckins: the"
    ):
        handler(EVENT, lambda_context())

    assert database.run("SELECT contract FROM schema_version") == [["projectbudgets"]]
    assert data_api.made.count("/RollbackTransaction") == 1


# Without the emulator


@pytest.fixture
def stubbed(aws: None) -> Iterator[tuple[Stubber, Connection]]:
    """A stub of boto3's client that expects requests in order, and its connection."""
    client = boto3.client("rds-data")
    with Stubber(client) as stub:
        yield stub, Connection(client, CLUSTER_ARN, "arn:the-secret", "tm")
        stub.assert_no_pending_responses()


WHOSE = {"resourceArn": CLUSTER_ARN, "secretArn": "arn:the-secret"}
WHERE = WHOSE | {"database": "tm"}
BEGUN = {"transactionId": "a transaction"}


def test_transaction_passes_and_returns_values(stubbed: tuple[Stubber, Connection]) -> None:
    stub, connection = stubbed
    values: dict[str, Value] = {"a": "é:'\"", "b": 2**40, "c": True, "d": None}
    kinds = ("stringValue", "longValue", "booleanValue", "isNull")
    fields = [{kind: value or True} for kind, value in zip(kinds, values.values(), strict=True)]
    public = {"sql": "SET LOCAL search_path TO public", "parameters": []}
    given = {
        "sql": "SELECT :a, :b, :c, :d",
        "parameters": [{"name": n, "value": f} for n, f in zip(values, fields, strict=True)],
    }
    stub.add_response("begin_transaction", BEGUN, WHERE)
    stub.add_response("execute_statement", {}, WHERE | BEGUN | public)
    stub.add_response("execute_statement", {"records": [fields]}, WHERE | BEGUN | given)
    stub.add_response("commit_transaction", {}, WHOSE | BEGUN)

    with connection.transaction():
        assert connection.run("SELECT :a, :b, :c, :d", **values) == [[*values.values()]]


def test_exception_in_transaction_rolls_back(stubbed: tuple[Stubber, Connection]) -> None:
    """A failed rollback does not hide the exception, and the next statement has no transaction."""
    stub, connection = stubbed
    stub.add_response("begin_transaction", BEGUN)
    stub.add_response("execute_statement", {})
    stub.add_client_error("rollback_transaction", expected_params=WHOSE | BEGUN)
    stub.add_response("execute_statement", {}, WHERE | {"sql": "SELECT 1", "parameters": []})

    with pytest.raises(KeyboardInterrupt), connection.transaction():
        raise KeyboardInterrupt

    assert connection.run("SELECT 1") == []


MEANINGS: list[tuple[str, str, type[PipelineError], str]] = [
    ("DatabaseResumingException", RESUMING, DatabaseUnavailable, "resuming"),
    ("DatabaseUnavailableException", "", DatabaseUnavailable, "DatabaseUnavailable"),
    ("ServiceUnavailableError", "", DatabaseUnavailable, "ServiceUnavailableError"),
    ("InternalServerErrorException", "", DatabaseUnavailable, "InternalServerError"),
    (
        "StatementTimeoutException",
        "Request timed out",
        DatabaseUnavailable,
        "cancels statements after 45 s. If this persists, create by hand",
    ),
    ("TransactionNotFoundException", "Transaction x", DatabaseUnavailable, "Transaction x"),
    ("BadRequestException", "Transaction x is not found", DatabaseUnavailable, "not found"),
    ("InvalidResourceStateException", "modifying", DatabaseUnavailable, "modifying"),
    ("ThrottlingException", "Rate exceeded", DatabaseUnavailable, "Rate exceeded"),
    (
        "DatabaseErrorException",
        "FATAL: the database system is starting up; SQLState: 57P03",
        DatabaseUnavailable,
        "57P03",
    ),
    (
        "BadRequestException",
        "ERROR: canceling statement due to lock timeout\n  Position: 1; SQLState: 55P03",
        DatabaseUnavailable,
        r"reports: canceling statement due to lock timeout \(code 55P03\)",
    ),
    (
        "DatabaseErrorException",
        "ERROR: deadlock detected\n  Detail: Key (id)=(a private word; SQLState: 22000).\n"
        "  Hint: See server log for query details.; SQLState: 40P01",
        DatabaseUnavailable,
        r"deadlock detected \(code 40P01\)",
    ),
    (
        "DatabaseErrorException",
        'FATAL: password authentication failed for user "x"; SQLState: 28P01',
        DatabaseRefused,
        "28P01",
    ),
    (
        "DatabaseErrorException",
        "ERROR: permission denied for schema public; Position: 14; SQLState: 42501",
        DatabaseRefused,
        r"permission denied for schema public \(code 42501\)",
    ),
    ("AccessDeniedException", "not authorized", DatabaseRefused, "may use the endpoint"),
    ("ForbiddenException", "", DatabaseRefused, "ForbiddenException"),
    ("HttpEndpointNotEnabledException", "", DatabaseRefused, "HTTP endpoint is enabled"),
    ("SecretsErrorException", "no such secret", DatabaseRefused, "no such secret"),
    ("UnsupportedResultException", "type 19", StatementFailed, "type 19"),
    (
        "DatabaseErrorException",
        'ERROR: invalid input syntax for type integer: "a private word"; SQLState: 22P02',
        StatementFailed,
        r"refuses a value \(code 22P02\)",
    ),
    (
        "DatabaseErrorException",
        'ERROR: duplicate key value violates unique constraint "mine_id_key"\n'
        "  Detail: Key (id)=(a private word) already exists.; SQLState: 23505",
        StatementFailed,
        r"refuses a value \(code 23505\)",
    ),
    ("DatabaseErrorException", "something new\nof many words", StatementFailed, "new$"),
]


@pytest.mark.parametrize(("name", "message", "error", "said"), MEANINGS)
def test_errors_are_translated(
    data_api_calls: Calls, name: str, message: str, error: type[PipelineError], said: str
) -> None:
    data_api_calls.says(name, message)

    with pytest.raises(error, match=said) as caught:
        _connected().run("SELECT 1")

    assert type(caught.value) is error
    assert CLUSTER_ARN in str(caught.value)
    assert "private" not in str(caught.value), "no value of a row and no secret"
    assert caught.value.__cause__ is None
    assert data_api_calls.made == ["SELECT 1"], "the statement was retried"


def test_missing_response_means_unavailable_database(data_api_calls: Calls) -> None:
    data_api_calls.drop_connection()
    for _ in ("closed connection", "refused connection"):
        with pytest.raises(DatabaseUnavailable, match="did not answer"):
            _connected().run("SELECT 1")
    assert data_api_calls.made == ["SELECT 1"] * 2, "boto3 retried a statement"


def test_migrate_gives_up_if_database_never_resumes(
    data_api_calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy_contracts(DEPLOYED)
    impatient = functools.partial(retry_until_available, patience=1.5)
    monkeypatch.setattr("functions.migrate.migration.retry_until_available", impatient)
    data_api_calls.says("DatabaseResumingException", RESUMING, times=1000)

    with pytest.raises(DatabaseUnavailable, match="resuming after being auto-paused"):
        handler(EVENT, lambda_context())

    assert len(data_api_calls.made) > 1
