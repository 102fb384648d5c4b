"""Tests of connections to a real PostgreSQL: login, TLS, timeouts and errors."""

import contextlib
import socket
import ssl
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from unittest import mock
from urllib.parse import parse_qs, urlsplit

import boto3
import botocore.exceptions
import pytest
import trustme
from moto.core.botocore_stubber import BotocoreStubber

from local.ports import free_port
from shared.database import (
    Connection,
    Credentials,
    _is_loopback,
    authorities,
    connect,
    credentials,
    retry_until_available,
)
from shared.errors import (
    DatabaseRefused,
    DatabaseUnavailable,
    InvalidSettings,
    PipelineError,
    SchemaMismatch,
    StatementFailed,
)
from shared.settings import DatabaseSettings
from shared.telemetry import logger
from tests.fixtures.aws import REGION, STAGING
from tests.fixtures.database import Database, eventually
from tests.fixtures.proxy import forwarding
from tests.fixtures.tls import NAME, server_tls, upload_bundle

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient


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
def connection(database: Database) -> Iterator[Connection]:
    with connect(settings_of(database)) as connection:
        yield connection


# The secret


_TEXTS = (" ", "no JSON", "[]", "null", '{"username": "me"}', '{"username": 1, "password": "x"}')


@pytest.mark.parametrize(
    "secret", [*({"SecretString": text} for text in _TEXTS), {"SecretBinary": b"{}"}]
)
def test_credentials_reject_invalid_secret(secrets: "SecretsManagerClient", secret: Any) -> None:
    arn = secrets.create_secret(Name="mine", **secret)["ARN"]

    with pytest.raises(InvalidSettings, match="is not JSON with the strings 'username'") as caught:
        credentials(secrets, arn)

    assert arn in str(caught.value)
    assert caught.value.__cause__ is None, "the cause would contain the secret"


def test_credentials_raise_client_error_without_secret(secrets: "SecretsManagerClient") -> None:
    with pytest.raises(botocore.exceptions.ClientError, match="ResourceNotFound"):
        credentials(secrets, "none")


@pytest.mark.parametrize(
    "error",
    [
        botocore.exceptions.ReadTimeoutError(endpoint_url="https://secretsmanager"),
        botocore.exceptions.ConnectTimeoutError(endpoint_url="https://secretsmanager"),
        botocore.exceptions.EndpointConnectionError(endpoint_url="https://secretsmanager"),
        botocore.exceptions.ClientError({"Error": {"Code": "ThrottlingException"}}, "Get"),
    ],
)
def test_credentials_raise_unavailable_on_transient_error(error: Exception) -> None:
    client = mock.Mock()
    client.get_secret_value.side_effect = error

    with pytest.raises(DatabaseUnavailable):
        credentials(client, "mine")


# IAM


def _by_iam(database: Database) -> dict[str, Any]:
    return {"database_secret_arn": None, "database_user": database.administrator.name}


def test_connect_signs_new_iam_token_each_time(
    database: Database, tokens: list[str], granted_tokens: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(*_: Any, **__: Any) -> None:
        raise AssertionError("a token is signed without a request to AWS")

    monkeypatch.setattr(BotocoreStubber, "__call__", ask)
    for _ in range(2):
        with connect(settings_of(database, **_by_iam(database))) as connection:
            assert connection.run("SELECT current_user") == [[database.administrator.name]]

    assert len(tokens) == 2
    signed = urlsplit(f"https://{tokens[-1]}")
    parameters = {name: values[0] for name, values in parse_qs(signed.query).items()}
    assert signed.netloc == f"{database.server.host}:{database.server.port}"
    assert parameters["Action"] == "connect"
    assert parameters["DBUser"] == database.administrator.name
    assert parameters["X-Amz-Credential"].endswith(f"/{REGION}/rds-db/aws4_request")
    assert parameters["X-Amz-Expires"] == "900"


def test_refused_iam_token_is_not_logged(
    database: Database, tokens: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_of(database, **_by_iam(database))

    with (
        caplog.at_level("DEBUG", logger=logger.name),
        pytest.raises(DatabaseRefused, match="that the role has rds_iam") as caught,
    ):
        retry_until_available(lambda: connect(settings))

    output = "".join(traceback.format_exception(caught.value)) + caplog.text
    signature = tokens[0].rpartition("X-Amz-Signature=")[2]
    assert len(signature) == 64
    assert signature not in output
    assert signature not in repr(Credentials("me", tokens[0]))


# Connecting


def test_small_statements_are_not_delayed(connection: Connection) -> None:
    start = time.monotonic()
    for n in range(50):
        assert connection.run("SELECT CAST(:n AS int)", n=n) == [[n]]

    assert time.monotonic() - start < 50 * 0.02, "40 ms each without TCP_NODELAY"


def test_session_overrides_server_settings(connection: Connection) -> None:
    assert connection.run("SHOW TimeZone") == [["UTC"]]
    assert connection.run("SHOW search_path") == [["public"]]
    assert connection.run("SHOW tcp_keepalives_idle") == [["30"]]


def test_connect_refuses_wrong_password(database: Database) -> None:
    role = database.administrator
    database.run(f"ALTER ROLE {role.name} PASSWORD 'another'")

    with pytest.raises(DatabaseRefused, match="password authentication failed") as caught:
        connect(settings_of(database))

    assert role.password not in str(caught.value)


def test_connect_refuses_missing_database(database: Database) -> None:
    with pytest.raises(DatabaseRefused, match='"nowhere" does not exist'):
        connect(settings_of(database, database_name="nowhere"))


def test_connect_raises_unavailable_without_server(database: Database) -> None:
    port = free_port()

    with pytest.raises(
        DatabaseUnavailable, match=f"127.0.0.1:{port}/{database.name} is unreachable"
    ):
        connect(settings_of(database, database_port=port))
    with pytest.raises(DatabaseUnavailable, match=r"nowhere\.invalid"):
        connect(settings_of(database, database_host="nowhere.invalid"))


@pytest.mark.parametrize("seconds", [0, 0.3])
def test_connect_times_out_if_server_is_silent(database: Database, seconds: float) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings = settings_of(database, database_port=server.getsockname()[1])
        start = time.monotonic()

        with pytest.raises(DatabaseUnavailable, match="timed out"):
            connect(settings, within=seconds)

    assert time.monotonic() - start < 2


def test_connect_raises_unavailable_at_connection_limit(database: Database) -> None:
    database.run(f"ALTER ROLE {database.administrator.name} CONNECTION LIMIT 0")

    with pytest.raises(DatabaseUnavailable, match="too many connections"):
        connect(settings_of(database))


# Patience


def test_patiently_gives_up_after_patience() -> None:
    start = time.monotonic()

    with pytest.raises(DatabaseUnavailable, match="try"):
        retry_until_available(_failing(DatabaseUnavailable("try")), patience=0.5)

    assert time.monotonic() - start < 1


@pytest.mark.parametrize("error", [DatabaseRefused("no"), ValueError("a defect")])
def test_patiently_does_not_retry_permanent_errors(error: Exception) -> None:
    with pytest.raises(type(error)):
        retry_until_available(_failing(error, error, DatabaseUnavailable("never reached")))


def _failing(*errors: Exception) -> Callable[[], None]:
    remaining = list(errors)

    def work() -> None:
        raise remaining.pop(0) if len(remaining) > 1 else remaining[0]

    return work


# Statements


def test_run_translates_errors(connection: Connection) -> None:
    for sql, kind in {
        "SELECT * FROM nowhere": SchemaMismatch,
        "SELECT nothing FROM pg_class": SchemaMismatch,
        "SELECT * FROM pg_authid": DatabaseRefused,
        "SET statement_timeout = '50ms'; SELECT pg_sleep(5)": DatabaseUnavailable,
        "SELEC": StatementFailed,
    }.items():
        with pytest.raises(kind) as caught:
            connection.run(sql)
        assert f"/{connection.run('SELECT current_database()')[0][0]} reports: " in str(
            caught.value
        )


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
def test_statement_error_contains_no_value(connection: Connection, sql: str, place: str) -> None:
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


def test_lost_connection_is_closed(database: Database, connection: Connection) -> None:
    database.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = :name",
        name=database.administrator.name,
    )

    with pytest.raises(DatabaseUnavailable):
        connection.run("SELECT 1")

    assert connection.closed
    with pytest.raises(DatabaseUnavailable):
        connection.run("SELECT 1")
    with pytest.raises(DatabaseUnavailable):
        connection.limit(1)


@pytest.mark.parametrize("size", [1, 2**20], ids=["while reading", "while writing"])
def test_copy_reports_last_error_of_lost_connection(
    database: Database, connection: Connection, size: int
) -> None:
    """E.g. if its disk is full (code 53100): the operator needs the reason in the error."""
    connection.run("CREATE TABLE people (name text)")
    [[backend]] = connection.run("SELECT pg_backend_pid()")

    def chunks() -> Iterator[bytes]:
        yield b"somebody\n"
        database.run("SELECT pg_terminate_backend(:pid, 10000)", pid=backend)
        for _ in range(5):
            yield b"x" * size + b"\n"

    with pytest.raises(DatabaseUnavailable) as caught:
        connection.copy("COPY people FROM STDIN", chunks())

    reason = "closed the connection: terminating connection due to administrator command"
    assert f"{reason} (code 57P01)" in str(caught.value)
    assert connection.closed


def test_unread_answer_closes_connection(connection: Connection) -> None:
    # pg8000 cannot parse that time of day, so it stops in the middle of the answer.
    with pytest.raises(ValueError, match="24:00:00"):
        connection.run("SELECT CAST('24:00:00' AS time) FROM generate_series(1, 3)")

    assert connection.closed
    with pytest.raises(DatabaseUnavailable):
        connection.run("SELECT 1")


def test_run_times_out_if_server_is_silent(database: Database, connection: Connection) -> None:
    connection.limit(0.2)

    with pytest.raises(DatabaseUnavailable, match="timed out"):
        connection.run("SELECT pg_sleep(30)")

    assert connection.closed


def test_transaction_rolls_back_on_error(database: Database, connection: Connection) -> None:
    connection.run("CREATE TABLE numbers (n int)")
    with connection.transaction():
        connection.run("INSERT INTO numbers VALUES (1)")

    with pytest.raises(ValueError, match="ours"), connection.transaction():  # noqa: PT012
        connection.run("INSERT INTO numbers VALUES (2)")
        connection.run("LOCK numbers")
        raise ValueError("ours")

    # The lock is released, although the exception still refers to the connection.
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


def test_copy_raises_error_of_chunks_unchanged(database: Database, connection: Connection) -> None:
    connection.run("CREATE TABLE numbers (n int)")

    def chunks() -> Iterator[bytes]:
        yield b"1\n" * 100_000
        raise ConnectionResetError("S3, not PostgreSQL")

    with pytest.raises(ConnectionResetError, match="S3"), connection.transaction():
        _copy(connection, chunks())

    eventually(lambda: _free(database, "numbers"))
    assert database.run("SELECT count(*) FROM numbers") == [[0]]


def test_copy_error_contains_no_value(connection: Connection) -> None:
    connection.run("CREATE TABLE numbers (n int)")

    with pytest.raises(StatementFailed) as caught:
        _copy(connection, iter([b"1\nprivate\n", b"1\n" * 1_000_000]))

    assert "private" not in str(caught.value)


# TLS, by a proxy, because the PostgreSQL of the test environment does not support it


@contextlib.contextmanager
def _over_tls(database: Database, tls: ssl.SSLContext, **login: Any) -> Iterator[DatabaseSettings]:
    with forwarding((database.server.host, database.server.port), tls=tls) as port:
        yield settings_of(database, database_host=NAME, database_port=port, **login)


UNKNOWN = "is not trusted: unable to get local issuer"


def _trusts(database: Database, known: trustme.CA, **settings: Any) -> None:
    with (
        _over_tls(database, server_tls(known, NAME), **settings) as given_settings,
        connect(given_settings) as connection,
    ):
        assert connection.run("SELECT 1") == [[1]]


def _refuses(
    database: Database, unknown: trustme.CA, why: str = UNKNOWN, name: str = NAME, **settings: Any
) -> None:
    with (
        _over_tls(database, server_tls(unknown, name), **settings) as given_settings,
        pytest.raises(DatabaseRefused, match=why),
    ):
        connect(given_settings)


def test_run_times_out_over_tls(database: Database, elsewhere: str, authority: trustme.CA) -> None:
    with (
        _over_tls(database, server_tls(authority, elsewhere)) as settings,
        connect(settings) as connection,
    ):
        connection.limit(0.2)
        with pytest.raises(DatabaseUnavailable):
            connection.run("SELECT pg_sleep(30)")


def test_secret_login_trusts_rds_and_system_authorities(
    database: Database, elsewhere: str, authority: trustme.CA, rds: trustme.CA
) -> None:
    _trusts(database, authority)
    _trusts(database, rds)
    _refuses(database, trustme.CA())
    _refuses(database, authority, f"not valid for '{elsewhere}'", name="another.example")


def test_iam_login_trusts_only_rds_authorities(
    database: Database,
    elsewhere: str,
    authority: trustme.CA,
    rds: trustme.CA,
    granted_tokens: None,
) -> None:
    login = _by_iam(database)

    _trusts(database, rds, **login)
    _refuses(database, authority, **login)
    _refuses(database, trustme.CA(), **login)


def test_ca_bundle_replaces_all_other_authorities(
    database: Database,
    s3: "S3Client",
    elsewhere: str,
    authority: trustme.CA,
    rds: trustme.CA,
    granted_tokens: None,
) -> None:
    """With either login, the authorities of RDS and of the system are not trusted."""
    mine, another = trustme.CA(), trustme.CA()
    bundle = upload_bundle(s3, another.cert_pem.bytes() + mine.cert_pem.bytes())
    for login in ({}, _by_iam(database)):
        for known in (mine, another):
            _trusts(database, known, database_ca_bundle=bundle, **login)
        for unknown in (rds, authority):
            why = f"{UNKNOWN}.* database_ca_bundle"
            _refuses(database, unknown, why, database_ca_bundle=bundle, **login)


def test_ca_bundle_may_contain_only_intermediate_authority(
    database: Database, s3: "S3Client", elsewhere: str
) -> None:
    """This is the default of Python 3.13, which Lambda runs."""
    root = trustme.CA()
    intermediate = root.create_child_ca()
    bundle = upload_bundle(s3, intermediate.cert_pem.bytes())

    _trusts(database, intermediate, database_ca_bundle=bundle)
    _refuses(database, root, database_ca_bundle=bundle)


def test_authorities_are_read_once(s3: "S3Client") -> None:
    """The text around the certificates may be non-ASCII, which OpenSSL does not accept."""
    pem = trustme.CA().cert_pem.bytes()
    uri = upload_bundle(s3, "Autorité de l'équipe\n".encode() + pem)
    bucket, _, key = uri.removeprefix("s3://").partition("/")

    read = authorities(uri)
    s3.delete_object(Bucket=bucket, Key=key)

    assert read.endswith(pem.decode())
    assert ssl.create_default_context(cadata=read).get_ca_certs()
    assert authorities(uri) == read


def test_connect_reports_missing_ca_bundle(database: Database, s3: "S3Client") -> None:
    uri = f"s3://{STAGING}/database_ca_bundle/gone.pem"

    with pytest.raises(
        InvalidSettings, match=rf"{uri}, which .*NoSuchKey.*; run `terraform apply`"
    ):
        connect(settings_of(database, database_host=NAME, database_ca_bundle=uri))


@pytest.mark.parametrize("text", [b"", b"ca.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_connect_reports_invalid_ca_bundle(database: Database, s3: "S3Client", text: bytes) -> None:
    """Without an error, no authorities or those of the system would be trusted."""
    uri = upload_bundle(s3, text)

    with pytest.raises(InvalidSettings, match=f"{uri} does not contain PEM certificates"):
        connect(settings_of(database, database_host=NAME, database_ca_bundle=uri))


def test_authorities_raise_unavailable_and_are_not_cached(
    database: Database, s3: "S3Client", elsewhere: str
) -> None:
    mine = trustme.CA()
    bundle = upload_bundle(s3, mine.cert_pem.bytes())
    with _over_tls(database, server_tls(mine, elsewhere), database_ca_bundle=bundle) as settings:
        slow = botocore.exceptions.ClientError({"Error": {"Code": "SlowDown"}}, "GetObject")
        with (
            mock.patch("botocore.client.BaseClient._make_api_call", side_effect=slow),
            pytest.raises(DatabaseUnavailable, match=f"S3 temporarily refused {bundle}"),
        ):
            authorities(bundle)

        with connect(settings) as connection:
            assert connection.run("SELECT 1") == [[1]]


def test_loopback_connection_ignores_ca_bundle(database: Database, s3: "S3Client") -> None:
    settings = settings_of(database, database_ca_bundle=f"s3://{STAGING}/gone.pem")

    with connect(settings) as connection:
        assert connection.run("SELECT 1") == [[1]]


@contextlib.contextmanager
def _answering(answer: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Yield the port of a server that sends `answer` once, and all that it receives."""

    def serve() -> None:
        client, _ = server.accept()
        with client, contextlib.suppress(OSError):
            received.append(client.recv(1000))
            client.sendall(answer)
            client.shutdown(socket.SHUT_WR)
            received.append(client.recv(1000))

    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1], received
        thread.join()


def test_connect_ignores_data_injected_before_tls(database: Database, elsewhere: str) -> None:
    """Otherwise a man in the middle could answer in place of the server."""
    with (
        _answering(b"SR\0\0\0\x08\0\0\0\0Z\0\0\0\x05I") as (port, received),
        pytest.raises(DatabaseUnavailable),
    ):
        connect(settings_of(database, database_host=elsewhere, database_port=port))

    assert database.administrator.name.encode() not in b"".join(received)


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (b"N", DatabaseRefused, "does not support TLS"),
        (b"", DatabaseUnavailable, "closed the connection at the TLS request"),
    ],
)
def test_connect_sends_nothing_without_tls(
    database: Database, elsewhere: str, answer: bytes, error: type[PipelineError], message: str
) -> None:
    with _answering(answer) as (port, received), pytest.raises(error, match=message):
        connect(settings_of(database, database_host=elsewhere, database_port=port))

    assert received == [b"\0\0\0\x08\x04\xd2\x16\x2f", b""], "only the TLS request"


def test_only_loopback_addresses_are_loopback() -> None:
    assert _is_loopback("127.0.0.1")
    assert _is_loopback("127.8.8.8")
    assert _is_loopback("::1")
    for host in ("localhost", "10.0.0.1", "0.0.0.0", "127.0.0.1.example", "", "2130706433"):  # noqa: S104 -- not bound
        assert not _is_loopback(host), host
