"""migrate by the RDS Data API: what the fixture of that name shows, and what it does not."""

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pg8000.exceptions
import pytest

from functions.migrate import data_api as module
from functions.migrate.connection import Value
from functions.migrate.data_api import Connection
from functions.migrate.handler import handler
from local.postgres import connected
from shared.database import patiently
from shared.errors import (
    DatabaseRefused,
    DatabaseUnavailable,
    InvalidSettings,
    PipelineError,
    SchemaMismatch,
    StatementFailed,
)
from shared.odcs import load_all
from tests.fixtures.aws import lambda_context
from tests.fixtures.contracts import READINGS, column
from tests.fixtures.database import Database, Role, migrate_to
from tests.fixtures.rds_data_api import CLUSTER_ARN, RESUMING, DataApi

EVENT = {"contracts": "a hash"}
TABLES = ["source", "daily_checkins", "project_budgets"]


def _connected(database: Database, cluster_arn: str = CLUSTER_ARN) -> Connection:
    secret_arn = database.administrator.secret_arn
    with module.connect(cluster_arn, secret_arn, database.name) as connection:
        return connection


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler that waits for the database for a second and a half."""
    monkeypatch.setattr(
        "functions.migrate.handler.patiently", functools.partial(patiently, patience=1.5)
    )


# What migrate does, by the fake and, where it is installed, by the emulator from npm.


def test_makes_all_that_there_is_not_and_again_nothing(
    any_data_api: None, database: Database
) -> None:
    first = handler(EVENT, lambda_context())
    before = database.run("SELECT * FROM schema_version")
    second = handler(EVENT, lambda_context())

    assert first == {"tables": TABLES, "created": TABLES, "altered": [], "invalid": {}}
    assert second == {"tables": TABLES, "created": [], "altered": [], "invalid": {}}
    assert database.run("SELECT * FROM schema_version") == before
    assert len(before) == len(load_all())


def test_four_at_once_take_turns(any_data_api: None, database: Database) -> None:
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: handler(EVENT, lambda_context()), range(4)))

    assert sorted(len(result["created"]) for result in results) == [0, 0, 0, len(TABLES)]
    assert database.run("SELECT count(*) FROM schema_version") == [[len(load_all())]]


def test_a_created_database_is_closed_to_all_who_are_not_granted_it(
    any_data_api: None, database: Database
) -> None:
    """The administrator is no superuser, here and on Aurora."""
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


def test_a_column_that_a_contract_gains_is_added(any_data_api: None, database: Database) -> None:
    contract = load_all()["dailycheckins"]
    richer = contract.model_copy(
        update={"columns": (*contract.columns, column("mood", "string", "text"))}
    )
    migrate_to(contract)

    assert migrate_to(richer)["altered"] == ["daily_checkins.mood"]
    assert migrate_to(richer)["altered"] == []


def test_names_that_must_be_quoted_work(any_data_api: None, database: Database) -> None:
    assert migrate_to(READINGS)["created"] == ["source", "order"]
    assert migrate_to(READINGS)["created"] == []


def test_a_mismatch_undoes_all(any_data_api: None, database: Database) -> None:
    database.run("CREATE TABLE daily_checkins (id int)")

    with pytest.raises(SchemaMismatch, match="daily_checkins is not what the contract"):
        handler(EVENT, lambda_context())

    assert database.run("SELECT to_regclass('source')") == [[None]]
    assert not database.run("SELECT 1 FROM pg_roles WHERE rolname = :n", n=database.loader.name)


def test_a_statement_that_fails_is_named_and_undoes_all(
    any_data_api: None, database: Database
) -> None:
    connection = _connected(database)

    def work() -> None:
        with connection.transaction():
            connection.run("CREATE TABLE mine (id int)")
            connection.run("SELECT 1 FROM nowhere")

    with pytest.raises(SchemaMismatch, match="42P01") as caught:
        work()

    assert f'{database.name} says: relation "nowhere" does not exist (code' in str(caught.value)
    assert database.run("SELECT to_regclass('mine')") == [[None]]


# What the transport does.


def test_values_come_and_go(data_api: DataApi, database: Database) -> None:
    connection = _connected(database)
    wanted: dict[str, Value] = {"a": "é:'\"", "b": 2**40, "c": True, "d": False, "e": None}

    [row] = connection.run("SELECT :a, :b, :c, :d, CAST(:e AS text), 1.50, now()::date", **wanted)

    assert row[:5] == list(wanted.values())
    assert row[5] == "1.50", "what the API has no type for is text"
    assert connection.run("CREATE TABLE mine (id int)") == []
    assert connection.run("SELECT id FROM mine") == []


def test_a_type_that_cannot_come_back_is_the_statements_fault(
    data_api: DataApi, database: Database
) -> None:
    for statement in ("SELECT current_user", "SELECT pg_advisory_xact_lock(1)"):
        with pytest.raises(StatementFailed, match="unsupported data type"):
            _connected(database).run(statement)


def test_whatever_else_goes_wrong_in_the_block_undoes_it(
    data_api: DataApi, database: Database
) -> None:
    connection = _connected(database)

    def work() -> None:
        with connection.transaction():
            connection.run("CREATE TABLE mine (id int)")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()

    assert data_api.calls[-1] == "RollbackTransaction"
    assert data_api.begun == 0
    assert database.run("SELECT to_regclass('mine')") == [[None]]
    connection.run("CREATE TABLE mine (id int)")
    assert database.run("SELECT to_regclass('mine')::text") == [["mine"]], "it is of none now"


def test_a_rollback_that_fails_hides_nothing(data_api: DataApi, database: Database) -> None:
    connection = _connected(database)
    data_api.says("InternalServerErrorException", to="RollbackTransaction")

    with pytest.raises(ZeroDivisionError), connection.transaction():
        1 / 0  # noqa: B018


def test_no_value_of_a_row_and_no_secret_reaches_a_message(
    data_api: DataApi, database: Database
) -> None:
    connection = _connected(database)
    connection.run("CREATE TABLE mine (id text UNIQUE)")
    connection.run("INSERT INTO mine VALUES ('a private word')")

    for statement in (
        "INSERT INTO mine VALUES ('a private word')",
        "SELECT CAST('a private word' AS integer)",
    ):
        with pytest.raises(StatementFailed, match=r"cannot take a value \(code 2") as caught:
            connection.run(statement)
        assert "private" not in str(caught.value)
        assert caught.value.__cause__ is None
    data_api.says(
        "DatabaseErrorException",
        "ERROR: deadlock detected\n  Detail: Key (id)=(a private word; SQLState: 22000).\n"
        "  Hint: See server log for query details.; SQLState: 40P01",
    )
    with pytest.raises(DatabaseUnavailable, match=r"deadlock detected \(code 40P01\)") as passing:
        connection.run("SELECT 1")
    assert "private" not in str(passing.value)


MEANINGS: list[tuple[str, str, type[PipelineError], str]] = [
    ("DatabaseResumingException", RESUMING, DatabaseUnavailable, "resuming"),
    ("DatabaseUnavailableException", "", DatabaseUnavailable, "DatabaseUnavailable"),
    ("ServiceUnavailableError", "", DatabaseUnavailable, "ServiceUnavailableError"),
    ("InternalServerErrorException", "", DatabaseUnavailable, "InternalServerError"),
    ("StatementTimeoutException", "Request timed out", DatabaseUnavailable, "make by hand"),
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
        r"says: canceling statement due to lock timeout \(code 55P03\)",
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
    ("AccessDeniedException", "not authorized", DatabaseRefused, "may use it"),
    ("ForbiddenException", "", DatabaseRefused, "ForbiddenException"),
    ("HttpEndpointNotEnabledException", "", DatabaseRefused, "HTTP endpoint is enabled"),
    ("SecretsErrorException", "no such secret", DatabaseRefused, "no such secret"),
    ("DatabaseErrorException", "something new\nof many words", StatementFailed, "new$"),
]


def test_an_error_has_the_meaning_that_it_has_for_a_connection(
    data_api: DataApi, database: Database
) -> None:
    connection = _connected(database)
    for name, message, error, said in MEANINGS:
        data_api.says(name, message)

        with pytest.raises(error, match=said) as caught:
            connection.run("SELECT 1")

        assert type(caught.value) is error, name
        assert CLUSTER_ARN in str(caught.value)
    assert data_api.calls == ["SELECT 1"] * len(MEANINGS), "each was tried once"


def test_another_cluster_is_refused(data_api: DataApi, database: Database) -> None:
    with pytest.raises(StatementFailed, match="not enabled"):
        _connected(database, f"{CLUSTER_ARN}-other").run("SELECT 1")


def test_a_statement_that_takes_too_long_is_over(data_api: DataApi, database: Database) -> None:
    data_api.seconds = 0.2

    with pytest.raises(DatabaseUnavailable, match="It gives a statement 45 s"):
        _connected(database).run("SELECT 1 FROM pg_sleep(5)")


def test_silence_is_a_database_that_is_away(
    data_api: DataApi, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_api.hangs_up()
    with pytest.raises(DatabaseUnavailable, match="did not answer"):
        _connected(database).run("SELECT 1")
    assert data_api.calls == ["SELECT 1"], "boto3 itself must not do a statement twice"

    monkeypatch.setenv("AWS_ENDPOINT_URL_RDS_DATA", "http://127.0.0.1:9")
    with pytest.raises(DatabaseUnavailable, match="did not answer"):
        _connected(database).run("SELECT 1")


# What the two do together when things go wrong.


def test_a_database_that_wakes_up_is_waited_for(data_api: DataApi) -> None:
    data_api.says("DatabaseResumingException", RESUMING, times=3)

    assert handler(EVENT, lambda_context())["created"] == TABLES
    assert data_api.calls[:4] == ["BeginTransaction"] * 4


def test_a_database_that_never_wakes_up_is_unavailable(data_api: DataApi, impatient: None) -> None:
    data_api.says("DatabaseResumingException", RESUMING, times=1000)

    with pytest.raises(DatabaseUnavailable, match="resuming after being auto-paused"):
        handler(EVENT, lambda_context())

    assert len(data_api.calls) > 1


@pytest.mark.parametrize(
    "fault",
    [
        lambda api: api.says("ThrottlingException", "Rate exceeded", to="CREATE TABLE"),
        lambda api: api.says("TransactionNotFoundException", "gone", to="CREATE INDEX"),
        lambda api: api.hangs_up(to="CREATE TABLE"),
        lambda api: api.hangs_up(to="CommitTransaction"),
        lambda api: api.loses("ExecuteStatement"),
        lambda api: api.loses("BeginTransaction"),
    ],
)
def test_what_passes_is_tried_again_from_the_beginning(
    data_api: DataApi, database: Database, fault: Callable[[DataApi], None]
) -> None:
    fault(data_api)

    assert handler(EVENT, lambda_context())["created"] == TABLES
    assert data_api.calls.count("BeginTransaction") == 2
    assert database.run("SELECT count(*) FROM schema_version") == [[len(load_all())]]


def test_a_commit_whose_answer_was_lost_is_found_done(
    data_api: DataApi, database: Database
) -> None:
    data_api.loses("CommitTransaction")

    assert handler(EVENT, lambda_context()) == {
        "tables": TABLES,
        "created": [],
        "altered": [],
        "invalid": {},
    }
    assert database.run("SELECT count(*) FROM schema_version") == [[len(load_all())]]


def test_a_transaction_that_expires_leaves_nothing(data_api: DataApi, database: Database) -> None:
    connection = _connected(database)

    def work() -> None:
        with connection.transaction():
            connection.run("CREATE TABLE mine (id int)")
            data_api.expire()
            connection.run("CREATE TABLE another (id int)")

    with pytest.raises(DatabaseUnavailable, match="TransactionNotFound"):
        work()

    assert database.run("SELECT to_regclass('mine'), to_regclass('another')") == [[None, None]]


def test_what_does_not_pass_is_not_tried_again(data_api: DataApi) -> None:
    data_api.says("AccessDeniedException", "not authorized to perform rds-data:BeginTransaction")

    with pytest.raises(DatabaseRefused, match="not authorized"):
        handler(EVENT, lambda_context())

    assert data_api.calls == ["BeginTransaction"]


def test_whose_table_it_is_does_not_depend_on_the_administrators_name(
    data_api: DataApi, database: Database
) -> None:
    """Where PostgreSQL looks first, if nobody says otherwise, is the schema of one's own name."""
    database.run(f"CREATE SCHEMA AUTHORIZATION {database.administrator.name}")

    handler(EVENT, lambda_context())

    where = "SELECT DISTINCT schemaname::text FROM pg_tables WHERE tableowner = :owner"
    assert database.run(where, owner=database.administrator.name) == [["public"]]


def test_one_role_for_two_functions_is_refused(
    data_api: DataApi, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("READER_USER", database.loader.name)

    with pytest.raises(InvalidSettings, match="three roles"):
        handler(EVENT, lambda_context())
