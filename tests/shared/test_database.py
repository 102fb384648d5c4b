"""The connection to the real PostgreSQL: who gets in, over what, and what its errors become."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import botocore.exceptions
import pytest
import trustme

from local.ports import free_port
from shared.database import Connection, _is_loopback, connect, credentials, patiently
from shared.errors import (
    DatabaseRefused,
    DatabaseUnavailable,
    InvalidSettings,
    PipelineError,
    SchemaMismatch,
    StatementFailed,
)
from shared.settings import DatabaseSettings
from tests.fixtures.database import Database, eventually
from tests.fixtures.proxy import forwarding

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

NAME = "database.example"


@pytest.fixture
def secrets(aws: None) -> "SecretsManagerClient":
    return boto3.client("secretsmanager")


def settings_of(database: Database, **changes: Any) -> DatabaseSettings:
    settings: dict[str, Any] = {
        "database_host": database.server.host,
        "database_port": database.server.port,
        "database_name": database.name,
        "database_secret_arn": database.administrator.secret_arn,
    }
    return DatabaseSettings(**(settings | changes))


@pytest.fixture
def connection(database: Database, secrets: "SecretsManagerClient") -> Iterator[Connection]:
    with connect(settings_of(database), secrets) as connection:
        yield connection


# The secret


@pytest.mark.parametrize(
    "text", [" ", "no JSON", "[]", "null", '{"username": "me"}', '{"username": 1, "password": "x"}']
)
def test_a_secret_of_another_form(secrets: "SecretsManagerClient", text: str) -> None:
    arn = secrets.create_secret(Name="mine", SecretString=text)["ARN"]

    with pytest.raises(InvalidSettings, match="must be JSON with the texts 'username'") as caught:
        credentials(secrets, arn)

    assert arn in str(caught.value)
    assert caught.value.__cause__ is None, "what the secret holds instead is nobody's business"


def test_a_binary_secret(secrets: "SecretsManagerClient") -> None:
    arn = secrets.create_secret(Name="mine", SecretBinary=b"{}")["ARN"]

    with pytest.raises(InvalidSettings):
        credentials(secrets, arn)


def test_no_secret(secrets: "SecretsManagerClient") -> None:
    with pytest.raises(botocore.exceptions.ClientError, match="ResourceNotFound"):
        credentials(secrets, "none")


class _Failing:
    """Stands for boto3's client: moto never throttles."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def get_secret_value(self, **_: str) -> None:
        raise self._error


@pytest.mark.parametrize(
    "error",
    [
        botocore.exceptions.ReadTimeoutError(endpoint_url="https://secretsmanager"),
        botocore.exceptions.ConnectTimeoutError(endpoint_url="https://secretsmanager"),
        botocore.exceptions.EndpointConnectionError(endpoint_url="https://secretsmanager"),
        botocore.exceptions.ClientError({"Error": {"Code": "ThrottlingException"}}, "Get"),
    ],
)
def test_a_secret_that_cannot_be_had_for_now(error: Exception) -> None:
    client: Any = _Failing(error)

    with pytest.raises(DatabaseUnavailable):
        credentials(client, "mine")


# Connecting


def test_statements_do_not_stall(connection: Connection) -> None:
    start = time.monotonic()
    for n in range(50):
        assert connection.run("SELECT CAST(:n AS int)", n=n) == [[n]]

    assert time.monotonic() - start < 50 * 0.02, "40 ms each without TCP_NODELAY"


def test_a_session_does_not_depend_on_the_servers_settings(connection: Connection) -> None:
    assert connection.run("SHOW TimeZone") == [["UTC"]]
    assert connection.run("SHOW search_path") == [["public"]]
    assert connection.run("SHOW tcp_keepalives_idle") == [["30"]]


def test_a_wrong_password(database: Database, secrets: "SecretsManagerClient") -> None:
    role = database.administrator
    database.run(f"ALTER ROLE {role.name} PASSWORD 'another'")

    with pytest.raises(DatabaseRefused, match="password authentication failed") as caught:
        connect(settings_of(database), secrets)

    assert role.password not in str(caught.value)


def test_no_such_database(database: Database, secrets: "SecretsManagerClient") -> None:
    with pytest.raises(DatabaseRefused, match='"nowhere" does not exist'):
        connect(settings_of(database, database_name="nowhere"), secrets)


def test_no_server(database: Database, secrets: "SecretsManagerClient") -> None:
    port = free_port()

    with pytest.raises(DatabaseUnavailable, match=f"127.0.0.1:{port}/{database.name} is away"):
        connect(settings_of(database, database_port=port), secrets)


def test_no_such_host(database: Database, secrets: "SecretsManagerClient") -> None:
    with pytest.raises(DatabaseUnavailable, match=r"nowhere\.invalid"):
        connect(settings_of(database, database_host="nowhere.invalid"), secrets)


def test_a_server_that_says_nothing(database: Database, secrets: "SecretsManagerClient") -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings = settings_of(database, database_port=server.getsockname()[1])
        start = time.monotonic()

        with pytest.raises(DatabaseUnavailable, match="timed out"):
            connect(settings, secrets, within=0.3)

    assert time.monotonic() - start < 2


def test_a_server_with_no_room_is_away(database: Database, secrets: "SecretsManagerClient") -> None:
    database.run(f"ALTER ROLE {database.administrator.name} CONNECTION LIMIT 0")

    with pytest.raises(DatabaseUnavailable, match="too many connections"):
        connect(settings_of(database), secrets)


# Patience


def test_patience_until_the_database_is_back(
    database: Database, secrets: "SecretsManagerClient"
) -> None:
    port = free_port()
    settings = settings_of(database, database_port=port)
    upstream = (database.server.host, database.server.port)
    with contextlib.ExitStack() as stack:
        waking_up = threading.Timer(1, lambda: stack.enter_context(forwarding(upstream, port)))
        waking_up.start()

        with patiently(lambda: connect(settings, secrets)) as connection:
            assert connection.run("SELECT 1") == [[1]]

        waking_up.join()


def test_patience_ends() -> None:
    start = time.monotonic()

    with pytest.raises(DatabaseUnavailable, match="try"):
        patiently(_failing(DatabaseUnavailable("try")), patience=0.5)

    assert time.monotonic() - start < 1


@pytest.mark.parametrize("error", [DatabaseRefused("no"), ValueError("a defect")])
def test_no_patience_with_what_will_not_pass(error: Exception) -> None:
    with pytest.raises(type(error)):
        patiently(_failing(error, error, DatabaseUnavailable("never came here")))


def _failing(*errors: Exception) -> Callable[[], None]:
    remaining = list(errors)

    def work() -> None:
        raise remaining.pop(0) if len(remaining) > 1 else remaining[0]

    return work


# Statements


def test_what_errors_become(connection: Connection) -> None:
    for sql, kind in {
        "SELECT * FROM nowhere": SchemaMismatch,
        "SELECT nothing FROM pg_class": SchemaMismatch,
        "SELECT * FROM pg_authid": DatabaseRefused,
        "SET statement_timeout = '50ms'; SELECT pg_sleep(5)": DatabaseUnavailable,
        "SELEC": StatementFailed,
    }.items():
        with pytest.raises(kind) as caught:
            connection.run(sql)
        assert f"/{connection.run('SELECT current_database()')[0][0]} says: " in str(caught.value)


@pytest.mark.parametrize(
    ("sql", "place"),
    [
        ("SELECT CAST('private' AS int)", ""),
        ("SELECT CAST('private' AS numeric(5,2))", ""),
        ("INSERT INTO people VALUES ('private', 1)", "table people, constraint one_each"),
        ("INSERT INTO people VALUES (NULL, 2)", "table people, column name"),
        ("INSERT INTO people VALUES ('private for long', 2)", ""),
    ],
)
def test_an_error_tells_no_value(connection: Connection, sql: str, place: str) -> None:
    connection.run(
        "CREATE TABLE people (name varchar(10) NOT NULL, id int CONSTRAINT one_each UNIQUE)"
    )
    connection.run("INSERT INTO people VALUES ('someone', 1)")

    with pytest.raises(StatementFailed) as caught:
        connection.run(sql)

    assert "private" not in str(caught.value)
    assert place in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_connection_that_is_cut(database: Database, connection: Connection) -> None:
    database.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = :name",
        name=database.administrator.name,
    )

    with pytest.raises(DatabaseUnavailable):
        connection.run("SELECT 1")

    assert connection.closed
    with pytest.raises(DatabaseUnavailable):
        connection.run("SELECT 1")


def test_a_silence_that_lasts_too_long(database: Database, connection: Connection) -> None:
    connection.limit(0.2)

    with pytest.raises(DatabaseUnavailable, match="timed out"):
        connection.run("SELECT pg_sleep(30)")

    assert connection.closed


def test_a_transaction_is_all_or_nothing(database: Database, connection: Connection) -> None:
    connection.run("CREATE TABLE numbers (n int)")
    with connection.transaction():
        connection.run("INSERT INTO numbers VALUES (1)")

    with pytest.raises(ValueError, match="ours"), connection.transaction():  # noqa: PT012
        connection.run("INSERT INTO numbers VALUES (2)")
        connection.run("LOCK numbers")
        raise ValueError("ours")

    # Nothing is locked any more, although the exception is still at hand.
    eventually(lambda: _free(database, "numbers"))
    assert database.run("SELECT n FROM numbers") == [[1]]


def _free(database: Database, table: str) -> bool:
    sql = "SELECT count(*) FROM pg_locks WHERE relation = CAST(:table AS regclass)"
    return bool(database.run(sql, table=table) == [[0]])


# COPY


def _copy(connection: Connection, chunks: Iterator[bytes]) -> int:
    return connection.copy("COPY numbers FROM STDIN (FORMAT csv)", chunks)


def test_copy_counts_rows(connection: Connection) -> None:
    connection.run("CREATE TABLE numbers (n int)")

    assert _copy(connection, iter([b"1\n2\n", b"", b"3", b"3\n"])) == 3
    assert _copy(connection, iter([])) == 0
    assert connection.run("SELECT sum(n) FROM numbers") == [[36]]


def test_an_error_of_the_chunks_stays_what_it_is(
    database: Database, connection: Connection
) -> None:
    connection.run("CREATE TABLE numbers (n int)")

    def chunks() -> Iterator[bytes]:
        yield b"1\n" * 100_000
        raise ConnectionResetError("S3, not PostgreSQL")

    with pytest.raises(ConnectionResetError, match="S3"), connection.transaction():
        _copy(connection, chunks())

    eventually(lambda: _free(database, "numbers"))
    assert database.run("SELECT count(*) FROM numbers") == [[0]]


def test_a_value_that_copy_cannot_take(connection: Connection) -> None:
    connection.run("CREATE TABLE numbers (n int)")

    with pytest.raises(StatementFailed) as caught:
        _copy(connection, iter([b"1\nprivate\n", b"1\n" * 1_000_000]))

    assert "private" not in str(caught.value)


# TLS. The wheel's server has none, so a proxy speaks it in front of it.


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> str:
    """A host name that leads to this machine, which the code does not know."""
    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, *rest: Any, **more: Any) -> Any:
        return resolve("127.0.0.1" if host == NAME else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return NAME


@contextlib.contextmanager
def _over_tls(database: Database, authority: trustme.CA, name: str) -> Iterator[DatabaseSettings]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(tls)
    with forwarding((database.server.host, database.server.port), tls=tls) as port:
        yield settings_of(database, database_host=NAME, database_port=port)


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """The one authority that this machine trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    return authority


def test_another_host_is_spoken_to_over_tls(
    database: Database, secrets: "SecretsManagerClient", elsewhere: str, authority: trustme.CA
) -> None:
    with (
        _over_tls(database, authority, elsewhere) as settings,
        connect(settings, secrets) as connection,
    ):
        assert connection.run("SELECT 1") == [[1]]
        connection.limit(0.2)
        with pytest.raises(DatabaseUnavailable):
            connection.run("SELECT pg_sleep(30)")


def test_a_certificate_of_an_unknown_authority(
    database: Database, secrets: "SecretsManagerClient", elsewhere: str, authority: trustme.CA
) -> None:
    with (
        _over_tls(database, trustme.CA(), elsewhere) as settings,
        pytest.raises(DatabaseRefused, match="is not to be trusted: unable to get local issuer"),
    ):
        connect(settings, secrets)


def test_a_certificate_of_another_host(
    database: Database, secrets: "SecretsManagerClient", elsewhere: str, authority: trustme.CA
) -> None:
    with (
        _over_tls(database, authority, "another.example") as settings,
        pytest.raises(DatabaseRefused, match=f"not valid for '{elsewhere}'"),
    ):
        connect(settings, secrets)


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [(b"N", DatabaseRefused, "offers no TLS"), (b"", DatabaseUnavailable, "hung up")],
)
def test_nothing_is_said_to_a_host_without_tls(
    database: Database,
    secrets: "SecretsManagerClient",
    elsewhere: str,
    answer: bytes,
    error: type[PipelineError],
    message: str,
) -> None:
    heard: list[bytes] = []

    def serve() -> None:
        client, _ = server.accept()
        with client:
            heard.append(client.recv(1000))
            client.sendall(answer)
            client.shutdown(socket.SHUT_WR)
            heard.append(client.recv(1000))

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        settings = settings_of(
            database, database_host=elsewhere, database_port=server.getsockname()[1]
        )
        with pytest.raises(error, match=message):
            connect(settings, secrets)
        thread.join()

    assert heard == [b"\0\0\0\x08\x04\xd2\x16\x2f", b""], "the request for TLS and no more"


def test_only_an_address_is_known_to_be_this_machine() -> None:
    assert _is_loopback("127.0.0.1")
    assert _is_loopback("127.8.8.8")
    assert _is_loopback("::1")
    for host in ("localhost", "10.0.0.1", "0.0.0.0", "127.0.0.1.example", "", "2130706433"):
        assert not _is_loopback(host), host
