"""PostgreSQL: credentials, connections, timeouts and the translation of its errors.

Every failure is raised as a class of `shared.errors`. PostgreSQL quotes the value that it refuses,
and alerts may go to many people, so no error message contains a value of a row.
"""

import contextlib
import functools
import ipaddress
import json
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import boto3
import botocore.exceptions
import pg8000.core
import pg8000.exceptions
import pg8000.native
import scramp
import tenacity
from botocore.config import Config

from shared.errors import (
    DatabaseRefused,
    DatabaseUnavailable,
    InvalidSettings,
    PipelineError,
    SchemaMismatch,
    StatementFailed,
)
from shared.s3 import unavailable
from shared.settings import DatabaseSettings
from shared.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

PATIENCE = 120.0
"""Seconds of `retry_until_available`. Aurora resumes in 15 to 30 s and fails over within 60 s."""

RDS_BUNDLE = Path(__file__).with_name("rds_bundle.pem")
"""The certificate authorities of Amazon RDS, and no others."""

_CONNECT_WITHIN = 10.0
_ANSWER_WITHIN = 300.0  # a large statement may run that long without an answer
_LAST_MESSAGE_WITHIN = 0.5

_SESSION = {
    "search_path": "public",
    "TimeZone": "UTC",
    # A killed function does not close its session: keepalives release its locks within a minute.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
# Short, because callers retry: they wait for the secret and the bundle like for the database.
_SHORT_TIMEOUTS = Config(connect_timeout=2, read_timeout=2, retries={"total_max_attempts": 2})

# Error codes (PostgreSQL documentation, appendix A), or their first characters.
_TRANSIENT = ("08", "25006", "25P03", "40", "53", "55P03", "57014", "57P")
_REFUSED = ("0L", "0P", "28", "3D", "42501")
_MISMATCH = ("3F", "42703", "42P01")
_ABOUT_VALUES = ("22", "23")
# 44: check option of a view; 54000: row or index entry too large; P0001: raised by a trigger.
_ABOUT_ROWS = (*_ABOUT_VALUES, "44", "54000", "P0001")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A PostgreSQL role and its password."""

    username: str
    password: str = field(repr=False)


def credentials(secrets: "SecretsManagerClient", secret_arn: str) -> Credentials:
    """Read a secret in the format of RDS: `{"username": …, "password": …}`.

    Raises:
        InvalidSettings: the secret has another format.
        DatabaseUnavailable: Secrets Manager does not answer, or throttles the request.
    """
    transient = {"InternalServiceError", "ServiceUnavailable", "ThrottlingException"}
    try:
        text = secrets.get_secret_value(SecretId=secret_arn)["SecretString"]
        secret = json.loads(text)
        username, password = secret["username"], secret["password"]
        if not (isinstance(username, str) and isinstance(password, str)):
            raise TypeError  # noqa: TRY301
    except (KeyError, TypeError, ValueError):
        raise InvalidSettings(
            f"the secret {secret_arn} is not JSON with the strings 'username' and 'password': "
            "store it in that format"
        ) from None
    except (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError) as error:
        raise DatabaseUnavailable(f"Secrets Manager did not answer: {error}") from error
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in transient:
            raise
        raise DatabaseUnavailable(f"Secrets Manager is unavailable: {error}") from error
    return Credentials(username, password)


@functools.cache
def authorities(uri: str) -> str:
    """Return the CA certificates to trust, as PEM text, from an S3 object.

    The object key contains the hash of the content, so the result is cached.

    Raises:
        InvalidSettings: the object does not exist or access is denied.
        DatabaseUnavailable: S3 does not answer.
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    s3 = boto3.client("s3", config=_SHORT_TIMEOUTS)
    try:
        with unavailable(uri, DatabaseUnavailable):
            body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except botocore.exceptions.ClientError as error:
        raise InvalidSettings(
            f"DATABASE_CA_BUNDLE names {uri}, which cannot be read: {error}; run `terraform apply` "
            "again, which writes the variable database_ca_bundle to that object"
        ) from error
    # OpenSSL accepts only ASCII, but comments between the certificates may contain any character.
    return body.decode("ascii", "ignore")


def retry_until_available(work: Callable[[], T], patience: float = PATIENCE) -> T:
    """Call `work` and return its result; retry DatabaseUnavailable for `patience` seconds."""
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(DatabaseUnavailable),
        stop=tenacity.stop_before_delay(patience),
        wait=tenacity.wait_exponential_jitter(multiplier=0.2, max=5, jitter=0.5),
        before_sleep=_log_retry,
        reraise=True,
    )
    return retrying(work)


def _log_retry(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    logger.warning("database unavailable: retrying", extra={"reason": str(error)})


class Connection:
    """A PostgreSQL session in autocommit mode, except within `transaction` and `trial`."""

    def __init__(self, session: pg8000.native.Connection, sock: socket.socket, where: str) -> None:
        self._session = session
        self._socket = sock
        self._where = where
        self.closed = False
        self._last_error: pg8000.exceptions.DatabaseError | None = None
        self._read_messages = session.handle_messages
        _on_error(session, self._remember_error)

    def run(self, sql: str, **parameters: object) -> list[list[Any]]:
        """Execute a statement and return its rows; `:name` is the placeholder of a parameter.

        PostgreSQL's errors are raised as `to_pipeline_error` returns them.
        """
        with self._translated():
            return self._session.run(sql, **parameters) or []

    def copy(self, sql: str, chunks: Iterable[bytes]) -> int:
        """Execute `COPY … FROM STDIN` with the given bytes; return the number of rows copied.

        Raises:
            PipelineError: the result of `to_pipeline_error` for PostgreSQL's error.
            Exception: an error of the iterable `chunks`, unchanged.
        """
        try:
            with self._translated():
                self._session.run(sql, stream=_with_marked_errors(chunks))
        except _ChunksFailed as failed:
            self.abandon()
            raise failed.cause from None
        return int(self._session.row_count)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Run the block as one transaction; an exception rolls it back and disconnects."""
        self.run("BEGIN")
        try:
            yield
        except BaseException:
            # PostgreSQL does not accept ROLLBACK in the middle of a COPY.
            self.abandon()
            raise
        self.run("COMMIT")

    @contextlib.contextmanager
    def trial(self) -> Iterator[None]:
        """Run the block as one transaction, then roll it back and disconnect."""
        self.run("BEGIN")
        try:
            yield
        finally:
            self.abandon()

    def is_unusable(self) -> bool:
        """Return whether it is closed or has unread data, usually the server's shutdown notice."""
        return self.closed or bool(select.select([self._socket], [], [], 0)[0])

    def limit(self, seconds: float) -> None:
        """Set how many seconds each later statement may wait for the server."""
        with self._translated():
            self._socket.settimeout(max(seconds, 0.001))

    def close(self) -> None:
        """Close the session; closing it again has no effect."""
        if not self.closed:
            self.closed = True
            # ValueError: the file of the socket is already closed.
            with contextlib.suppress(pg8000.exceptions.InterfaceError, OSError, ValueError):
                self._session.close()

    def abandon(self) -> None:
        """Disconnect without notice; PostgreSQL rolls back the open transaction."""
        _disconnect(self._socket)
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        self._last_error = None
        with _translated(self._where):
            try:
                yield
            except pg8000.exceptions.DatabaseError:
                raise
            except (pg8000.exceptions.InterfaceError, OSError):
                message = self._last_message()
                self.abandon()
                if message is None:
                    raise
                raise DatabaseUnavailable(
                    f"PostgreSQL at {self._where} closed the connection: {message}"
                ) from None
            except BaseException:
                # The unread rest of the answer must not be taken for that of the next statement.
                self.abandon()
                raise

    def _remember_error(self, error: pg8000.exceptions.DatabaseError) -> None:
        self._last_error = error

    def _last_message(self) -> str | None:
        """Return the last error of this statement, also if pg8000 has not read it yet."""
        if self._last_error is None and not self.closed:
            with contextlib.suppress(pg8000.exceptions.Error, OSError, ValueError):
                self._socket.settimeout(_LAST_MESSAGE_WITHIN)
                self._read_messages(pg8000.core.Context(None))
        if self._last_error is None:
            return None
        fields = _fields(self._last_error)
        return f"{fields['M']} (code {fields.get('C')})"


def connect(
    settings: DatabaseSettings,
    *,
    within: float = _CONNECT_WITHIN,
    parameters: Mapping[str, str] | None = None,
) -> Connection:
    """Connect to PostgreSQL within a number of seconds, over TLS unless the host is loopback.

    The secret is read, or the IAM token signed, for each connection and not kept. `parameters` are
    PostgreSQL settings of this session.

    Raises:
        DatabaseUnavailable: the server cannot be reached or is not ready.
        DatabaseRefused: the server refuses the login, or its certificate is not trusted.
        InvalidSettings: the secret or the CA bundle has an invalid format.
    """
    deadline = time.monotonic() + within
    login = _login(settings)
    where = f"{settings.database_host}:{settings.database_port}/{settings.database_name}"
    with _translated(where):
        sock = _open(settings, deadline)
        try:
            session = pg8000.native.Connection(
                login.username,
                password=login.password,
                database=settings.database_name,
                sock=sock,
                ssl_context=False,  # the socket already uses TLS
                startup_params=_SESSION | dict(parameters or {}),
            )
        except BaseException:
            _disconnect(sock)
            raise
    connection = Connection(session, sock, where)
    connection.limit(_ANSWER_WITHIN)
    return connection


def _login(settings: DatabaseSettings) -> Credentials:
    if settings.database_secret_arn:
        secrets = boto3.client("secretsmanager", config=_SHORT_TIMEOUTS)
        return credentials(secrets, settings.database_secret_arn)
    user = str(settings.database_user)
    # Signed locally, without a request; RDS accepts it for 15 minutes.
    token = boto3.client("rds").generate_db_auth_token(
        DBHostname=settings.database_host, Port=settings.database_port, DBUsername=user
    )
    return Credentials(user, token)


def _tls_context(settings: DatabaseSettings) -> ssl.SSLContext:
    if settings.database_ca_bundle:
        # Trust only this bundle, not the default authorities of the machine.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(cadata=authorities(settings.database_ca_bundle))
        except (ssl.SSLError, ValueError) as error:
            raise InvalidSettings(
                f"{settings.database_ca_bundle} does not contain PEM certificates ({error}); "
                "set the module's variable database_ca_bundle to PEM text"
            ) from error
    elif settings.database_secret_arn:
        context = ssl.create_default_context()
        context.load_verify_locations(RDS_BUNDLE)
    else:
        # Only RDS accepts a token, so only its authorities are trusted.
        context = ssl.create_default_context(cafile=RDS_BUNDLE)
    # The defaults of Python 3.13, which Lambda runs, so that older versions verify as strictly.
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _open(settings: DatabaseSettings, deadline: float) -> socket.socket:
    host = settings.database_host
    tls = None if _is_loopback(host) else _tls_context(settings)
    plain = socket.create_connection(
        (host, settings.database_port), timeout=_seconds_left(deadline)
    )
    sock: socket.socket = _Socket(plain.family, plain.type, plain.proto, fileno=plain.detach())
    try:
        # Without it the kernel delays each small statement by 40 ms.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE.items():
            if hasattr(socket, name):  # macOS has other names
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        if tls is not None:
            tls.sslsocket_class = _TlsSocket
            sock.settimeout(_seconds_left(deadline))
            sock = _with_tls(sock, host, tls)
        sock.settimeout(_seconds_left(deadline))
    except BaseException:
        sock.close()
        raise
    return sock


def _with_tls(sock: socket.socket, host: str, tls: ssl.SSLContext) -> socket.socket:
    sock.sendall(_SSL_REQUEST)
    match sock.recv(1):
        case b"S":
            return tls.wrap_socket(sock, server_hostname=host)
        case b"N":
            raise DatabaseRefused(
                f"PostgreSQL at {host} does not support TLS, which is required: "
                "turn on the server's setting 'ssl'"
            )
        case _:
            raise ConnectionResetError("the server closed the connection at the TLS request")


class _Socket(socket.socket):
    """A socket whose `close` also closes the files that `makefile` returned.

    A plain socket stays open until its files are garbage-collected, and the traceback of an error
    keeps a reference to the file of pg8000.
    """

    def makefile(self, *arguments: Any, **more: Any) -> Any:
        file = super().makefile(*arguments, **more)
        self.__dict__.setdefault("files", []).append(file)
        return file

    def close(self) -> None:
        for file in self.__dict__.pop("files", ()):
            # Closing flushes unsent data, which may fail.
            with contextlib.suppress(OSError):
                file.close()
        super().close()


class _TlsSocket(_Socket, ssl.SSLSocket):
    pass


def _disconnect(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()


def _is_loopback(host: str) -> bool:
    # An address only: a name like `localhost` may resolve to another machine.
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _seconds_left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


class _ChunksFailed(Exception):
    """The caller's iterable failed in the middle of a COPY, not PostgreSQL."""

    def __init__(self, cause: Exception) -> None:
        super().__init__()
        self.cause = cause


def _with_marked_errors(chunks: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield from chunks
    except Exception as error:
        raise _ChunksFailed(error) from error


@contextlib.contextmanager
def _translated(where: str) -> Iterator[None]:
    try:
        yield
    except pg8000.exceptions.DatabaseError as error:
        raise to_pipeline_error(_fields(error), where) from None
    except ssl.SSLCertVerificationError as error:
        raise DatabaseRefused(
            f"the certificate of PostgreSQL at {where} is not trusted: {error.verify_message}; "
            "connect to the host name in the certificate, and unless shared/rds_bundle.pem (Amazon "
            "RDS) contains its authority, add it to the module's variable database_ca_bundle"
        ) from error
    except scramp.ScramException as error:
        raise DatabaseRefused(
            f"the password exchange (SCRAM) with PostgreSQL at {where} failed: {error}; check that "
            "the host and the password are the right ones"
        ) from error
    except (pg8000.exceptions.InterfaceError, OSError) as error:
        raise DatabaseUnavailable(
            f"PostgreSQL at {where} is unreachable: {error.__cause__ or error}; if this persists, "
            "check that it is running and that its security group allows this function"
        ) from error


def _on_error(
    session: pg8000.native.Connection, callback: Callable[[pg8000.exceptions.DatabaseError], None]
) -> None:
    """Call back on each error of PostgreSQL: pg8000 drops it if the connection fails afterwards."""
    handle = session.message_types[pg8000.core.ERROR_RESPONSE]

    def handle_and_call_back(data: bytes, context: Any) -> None:
        handle(data, context)
        callback(context.error)

    session.message_types[pg8000.core.ERROR_RESPONSE] = handle_and_call_back


def _fields(error: pg8000.exceptions.DatabaseError) -> dict[str, str]:
    fields = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    return {"M": str(error)} | fields


def to_pipeline_error(fields: Mapping[str, str], where: str) -> PipelineError:
    """Return the `PipelineError` for an error of PostgreSQL, from a connection or the Data API.

    `fields` are those of the response: C code, M message, t table, c column, n constraint. `where`
    is the server.
    """
    code = fields.get("C", "")
    report = f"PostgreSQL at {where} reports: {fields['M']} (code {code})"
    refused = f"{fields['M']} (code {code})" if code.startswith(_ABOUT_ROWS) else None
    if code.startswith(_TRANSIENT):
        return DatabaseUnavailable(report)
    if code.startswith(_REFUSED):
        return DatabaseRefused(
            f"{report}; run the function `migrate`, which creates the role, and check that the "
            "function's secret has its password, or that the role has rds_iam and the function "
            "rds-db:connect"
        )
    if code.startswith(_MISMATCH):
        return SchemaMismatch(f"{report}; run the function `migrate` to create tables and columns")
    if code.startswith(_ABOUT_VALUES):
        place = ", ".join(
            f"{label} {fields[key]}"
            for label, key in (("table", "t"), ("column", "c"), ("constraint", "n"))
            if key in fields
        )
        return StatementFailed(
            f"PostgreSQL at {where} refuses a value (code {code}{place and ', '}{place}); "
            "check that the contract allows only values that fit the column of the table",
            refused,
        )
    return StatementFailed(report, refused)
