"""PostgreSQL: who we are there, how we connect, how long we wait, and what its errors mean.

A failure leaves this module as one of our errors. None of them carries a value of a row: what
PostgreSQL says of a value that it cannot take quotes it, and an alert may go to many people.
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
"""Seconds that `patiently` waits: Aurora resumes in 15 to 30, and fails over in less than 60."""

RDS_BUNDLE = Path(__file__).with_name("rds_bundle.pem")
"""The authorities whose certificates the servers of RDS bear, and no others."""

_CONNECT_WITHIN = 10.0
_ANSWER_WITHIN = 300.0
_LAST_WORDS_WITHIN = 0.5
"""Seconds of silence in which a big statement may still be at work."""

_SESSION = {
    "search_path": "public",
    "TimeZone": "UTC",
    # A function that was killed cannot say goodbye: its locks must not outlive it for hours.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
# Whoever waits for the database waits for the secret as well, and will ask again.
_IMPATIENT = Config(connect_timeout=2, read_timeout=2, retries={"total_max_attempts": 2})

# Codes of PostgreSQL's appendix A, or their first characters.
_PASSING = ("08", "25006", "25P03", "40", "53", "55P03", "57014", "57P")
_REFUSED = ("0L", "0P", "28", "3D", "42501")
_MISMATCH = ("3F", "42703", "42P01")
_ABOUT_VALUES = ("22", "23")
# Also a view's check option, a row or an index entry that is too large, a trigger's own error.
_ABOUT_ROWS = (*_ABOUT_VALUES, "44", "54000", "P0001")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A role of PostgreSQL and its password."""

    username: str
    password: str = field(repr=False)


def credentials(secrets: "SecretsManagerClient", secret_arn: str) -> Credentials:
    """Read a secret of the form that RDS gives its own: `{"username": …, "password": …}`.

    Raises:
        InvalidSettings: the secret is of another form.
        DatabaseUnavailable: Secrets Manager does not answer for now.
    """
    passing = {"InternalServiceError", "ServiceUnavailable", "ThrottlingException"}
    try:
        text = secrets.get_secret_value(SecretId=secret_arn)["SecretString"]
        secret = json.loads(text)
        username, password = secret["username"], secret["password"]
        if not (isinstance(username, str) and isinstance(password, str)):
            raise TypeError  # noqa: TRY301
    except (KeyError, TypeError, ValueError):
        raise InvalidSettings(
            f"the secret {secret_arn} must be JSON with the texts 'username' and 'password'"
        ) from None
    except (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError) as error:
        raise DatabaseUnavailable(f"Secrets Manager did not answer: {error}") from error
    except botocore.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in passing:
            raise
        raise DatabaseUnavailable(f"Secrets Manager refused for now: {error}") from error
    return Credentials(username, password)


@functools.cache
def authorities(uri: str) -> str:
    """Read the certificates of the only authorities to trust, as PEM text.

    The object's name is the hash of its content, so each process reads it once.

    Raises:
        InvalidSettings: it is not there, or may not be read.
        DatabaseUnavailable: S3 does not answer for now.
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    s3 = boto3.client("s3", config=_IMPATIENT)
    try:
        with unavailable(uri, DatabaseUnavailable):
            body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except botocore.exceptions.ClientError as error:
        raise InvalidSettings(
            f"DATABASE_CA_BUNDLE names {uri}, which cannot be read: {error}; apply the stack "
            "again: Terraform puts the module's variable database_ca_bundle there"
        ) from error
    # OpenSSL takes ASCII alone. Comments between the certificates may hold anything.
    return body.decode("ascii", "ignore")


def patiently(work: Callable[[], T], patience: float = PATIENCE) -> T:
    """Do `work`, again and again while the database is away, for `patience` seconds.

    Raises:
        DatabaseUnavailable: it was away all the time.
    """
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(DatabaseUnavailable),
        stop=tenacity.stop_before_delay(patience),
        wait=tenacity.wait_exponential_jitter(multiplier=0.2, max=5, jitter=0.5),
        before_sleep=_tell,
        reraise=True,
    )
    return retrying(work)


def _tell(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    logger.warning("the database is away: trying again", extra={"reason": str(error)})


class Connection:
    """One session of PostgreSQL, without a transaction until `transaction` begins one."""

    def __init__(self, session: pg8000.native.Connection, sock: socket.socket, where: str) -> None:
        self._session = session
        self._socket = sock
        self._where = where
        self.closed = False
        self._said: pg8000.exceptions.DatabaseError | None = None
        self._read_on = session.handle_messages
        _tell_errors(session, self._hear)

    def run(self, sql: str, **parameters: object) -> list[list[Any]]:
        """Execute a statement; `:name` in it stands for the parameter of that name.

        Raises:
            PipelineError: what `meaning` makes of PostgreSQL's answer.
        """
        with self._translated():
            return self._session.run(sql, **parameters) or []

    def copy(self, sql: str, chunks: Iterable[bytes]) -> int:
        """Execute `COPY … FROM STDIN` with the given bytes; return how many rows PostgreSQL took.

        Raises:
            PipelineError: what `meaning` makes of PostgreSQL's answer; errors of `chunks` pass.
        """
        try:
            with self._translated():
                self._session.run(sql, stream=_marked(chunks))
        except _ChunksBroke as broke:
            self.abandon()
            raise broke.cause from None
        return int(self._session.row_count)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Make everything in the block one transaction; an exception undoes it and disconnects."""
        self.run("BEGIN")
        try:
            yield
        except BaseException:
            # No ROLLBACK: in the middle of a COPY it would not be understood.
            self.abandon()
            raise
        self.run("COMMIT")

    @contextlib.contextmanager
    def trial(self) -> Iterator[None]:
        """Make everything in the block one transaction, then undo it and disconnect."""
        self.run("BEGIN")
        try:
            yield
        finally:
            self.abandon()

    def is_stirring(self) -> bool:
        """Tell whether it is closed or something has come unasked, a farewell as a rule."""
        return self.closed or bool(select.select([self._socket], [], [], 0)[0])

    def limit(self, seconds: float) -> None:
        """From now on, take a silence of so many seconds for a database that is away.

        Raises:
            DatabaseUnavailable: the connection is closed.
        """
        with self._translated():
            self._socket.settimeout(max(seconds, 0.001))

    def close(self) -> None:
        """Say goodbye; more than once is no error."""
        if not self.closed:
            self.closed = True
            # ValueError: the file of a socket that is closed already.
            with contextlib.suppress(pg8000.exceptions.InterfaceError, OSError, ValueError):
                self._session.close()

    def abandon(self) -> None:
        """Hang up: PostgreSQL undoes what is not committed."""
        _hang_up(self._socket)
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        self._said = None
        with _translated(self._where):
            try:
                yield
            except pg8000.exceptions.DatabaseError:
                raise
            except (pg8000.exceptions.InterfaceError, OSError):
                said = self._last_words()
                self.abandon()
                if said is None:
                    raise
                raise DatabaseUnavailable(
                    f"PostgreSQL at {self._where} hung up, and said before: {said}"
                ) from None
            except BaseException:
                # What is left unread of the answer must not answer the next statement.
                self.abandon()
                raise

    def _hear(self, error: pg8000.exceptions.DatabaseError) -> None:
        self._said = error

    def _last_words(self) -> str | None:
        """Return PostgreSQL's last error of this statement, which pg8000 may not have read yet."""
        if self._said is None and not self.closed:
            with contextlib.suppress(pg8000.exceptions.Error, OSError, ValueError):
                self._socket.settimeout(_LAST_WORDS_WITHIN)
                self._read_on(pg8000.core.Context(None))
        if self._said is None:
            return None
        fields = _fields(self._said)
        return f"{fields['M']} (code {fields.get('C')})"


def connect(
    settings: DatabaseSettings,
    *,
    within: float = _CONNECT_WITHIN,
    parameters: Mapping[str, str] | None = None,
) -> Connection:
    """Connect as whom the settings say, over TLS unless the host is this machine.

    The secret is read, or the token signed, each time: neither is known for longer than it takes.

    Args:
        settings: where PostgreSQL is, and who we are there.
        within: seconds until the database counts as away.
        parameters: PostgreSQL's settings for this session.

    Raises:
        DatabaseUnavailable: it is away, or not ready yet.
        DatabaseRefused: it does not accept us, or its certificate is not to be trusted.
        InvalidSettings: the secret is of another form, or the authorities to trust are.
    """
    deadline = time.monotonic() + within
    who = _who(settings)
    where = f"{settings.database_host}:{settings.database_port}/{settings.database_name}"
    with _translated(where):
        sock = _open(settings, deadline)
        try:
            session = pg8000.native.Connection(
                who.username,
                password=who.password,
                database=settings.database_name,
                sock=sock,
                ssl_context=False,  # TLS is on the socket already
                startup_params=_SESSION | dict(parameters or {}),
            )
        except BaseException:
            _hang_up(sock)
            raise
    connection = Connection(session, sock, where)
    connection.limit(_ANSWER_WITHIN)
    return connection


def _who(settings: DatabaseSettings) -> Credentials:
    if settings.database_secret_arn:
        secrets = boto3.client("secretsmanager", config=_IMPATIENT)
        return credentials(secrets, settings.database_secret_arn)
    user = str(settings.database_user)
    # Signed here, without asking anybody; PostgreSQL takes it for a quarter of an hour.
    token = boto3.client("rds").generate_db_auth_token(
        DBHostname=settings.database_host, Port=settings.database_port, DBUsername=user
    )
    return Credentials(user, token)


def _trust(settings: DatabaseSettings) -> ssl.SSLContext:
    if settings.database_ca_bundle:
        # Somebody has named whom to trust: nobody else, not even whom this machine trusts.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(cadata=authorities(settings.database_ca_bundle))
        except (ssl.SSLError, ValueError) as error:
            raise InvalidSettings(
                f"{settings.database_ca_bundle} does not hold certificates as PEM text ({error}); "
                "give the module's variable database_ca_bundle such a text"
            ) from error
    elif settings.database_secret_arn:
        context = ssl.create_default_context()
        context.load_verify_locations(RDS_BUNDLE)
    else:
        # Nothing but RDS takes a token, so nobody else's certificate will do.
        context = ssl.create_default_context(cafile=RDS_BUNDLE)
    # Python does so from 3.13, as Lambda has it: the same certificates must do everywhere.
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _open(settings: DatabaseSettings, deadline: float) -> socket.socket:
    host = settings.database_host
    trust = None if _is_loopback(host) else _trust(settings)
    plain = socket.create_connection((host, settings.database_port), timeout=_left(deadline))
    sock: socket.socket = _Socket(plain.family, plain.type, plain.proto, fileno=plain.detach())
    try:
        # Without it every small statement waits 40 ms for the kernel to send it.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE.items():
            if hasattr(socket, name):  # not everywhere what Linux calls them
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        if trust is not None:
            trust.sslsocket_class = _TlsSocket
            sock.settimeout(_left(deadline))
            sock = _with_tls(sock, host, trust)
        sock.settimeout(_left(deadline))
    except BaseException:
        sock.close()
        raise
    return sock


def _with_tls(sock: socket.socket, host: str, trust: ssl.SSLContext) -> socket.socket:
    sock.sendall(_SSL_REQUEST)
    match sock.recv(1):
        case b"S":
            return trust.wrap_socket(sock, server_hostname=host)
        case b"N":
            raise DatabaseRefused(
                f"PostgreSQL at {host} offers no TLS, and without it nothing is sent: "
                "turn its setting 'ssl' on"
            )
        case _:
            raise ConnectionResetError("the server hung up when asked for TLS")


class _Socket(socket.socket):
    """A socket that closes with itself what `makefile` made of it.

    By itself it stays open until nobody refers to these files any more, and an error on its way
    refers to that of pg8000.
    """

    def makefile(self, *arguments: Any, **more: Any) -> Any:
        file = super().makefile(*arguments, **more)
        self.__dict__.setdefault("files", []).append(file)
        return file

    def close(self) -> None:
        for file in self.__dict__.pop("files", ()):
            # It may hold what it could not send.
            with contextlib.suppress(OSError):
                file.close()
        super().close()


class _TlsSocket(_Socket, ssl.SSLSocket):
    pass


def _hang_up(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()


def _is_loopback(host: str) -> bool:
    # Its traffic never leaves the machine. A name does not count: it may lead anywhere.
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


class _ChunksBroke(Exception):
    """The caller's chunks failed in the middle of a COPY: not PostgreSQL's doing."""

    def __init__(self, cause: Exception) -> None:
        super().__init__()
        self.cause = cause


def _marked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield from chunks
    except Exception as error:
        raise _ChunksBroke(error) from error


@contextlib.contextmanager
def _translated(where: str) -> Iterator[None]:
    try:
        yield
    except pg8000.exceptions.DatabaseError as error:
        raise meaning(_fields(error), where) from None
    except ssl.SSLCertVerificationError as error:
        raise DatabaseRefused(
            f"the certificate of PostgreSQL at {where} is not to be trusted: "
            f"{error.verify_message}; connect by the name that it was issued for, and give its "
            "authority in the module's variable database_ca_bundle, unless it is one of Amazon RDS "
            "that shared/rds_bundle.pem holds"
        ) from error
    except scramp.ScramException as error:
        raise DatabaseRefused(
            f"PostgreSQL at {where} could not prove that it knows our password: {error}"
        ) from error
    except (pg8000.exceptions.InterfaceError, OSError) as error:
        raise DatabaseUnavailable(
            f"PostgreSQL at {where} is away: {error.__cause__ or error}; if that lasts, see "
            "whether it runs and whether its security group lets this function in"
        ) from error


def _tell_errors(
    session: pg8000.native.Connection, hear: Callable[[pg8000.exceptions.DatabaseError], None]
) -> None:
    """Have PostgreSQL's errors told as they come: pg8000 drops them if the connection breaks."""
    handle = session.message_types[pg8000.core.ERROR_RESPONSE]

    def handle_and_tell(data: bytes, context: Any) -> None:
        handle(data, context)
        hear(context.error)

    session.message_types[pg8000.core.ERROR_RESPONSE] = handle_and_tell


def _fields(error: pg8000.exceptions.DatabaseError) -> dict[str, str]:
    fields = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
    return {"M": str(error)} | fields


def meaning(fields: Mapping[str, str], where: str) -> PipelineError:
    """Return the error that an answer of PostgreSQL stands for, whoever brought it.

    Args:
        fields: of the answer: C its code, M its words; t, c and n the table, column, constraint.
        where: the server.
    """
    code = fields.get("C", "")
    said = f"PostgreSQL at {where} says: {fields['M']} (code {code})"
    refused = f"{fields['M']} (code {code})" if code.startswith(_ABOUT_ROWS) else None
    if code.startswith(_PASSING):
        return DatabaseUnavailable(said)
    if code.startswith(_REFUSED):
        return DatabaseRefused(
            f"{said}; the role must be as `migrate` makes it: with the password in the function's "
            "secret, or granted to rds_iam and allowed to the function as rds-db:connect"
        )
    if code.startswith(_MISMATCH):
        return SchemaMismatch(f"{said}; run the function `migrate`, which makes tables and columns")
    if code.startswith(_ABOUT_VALUES):
        place = ", ".join(
            f"{label} {fields[key]}"
            for label, key in (("table", "t"), ("column", "c"), ("constraint", "n"))
            if key in fields
        )
        return StatementFailed(
            f"PostgreSQL at {where} cannot take a value (code {code}{place and ', '}{place}); "
            "does the contract allow more than the table's column?",
            refused,
        )
    return StatementFailed(said, refused)
