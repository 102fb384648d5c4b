"""A real PostgreSQL with TLS, by the rules of RDS: `make test-tls`, for the wheel's has no TLS."""

import json
import time
from typing import TYPE_CHECKING, Any

import botocore.signers
import pg8000.native
import pytest
import trustme

from functions.api import handler as api
from functions.migrate.handler import handler as migrate
from local.postgres import Server
from shared import settings
from shared.database import connect, patiently
from shared.errors import DatabaseRefused
from shared.settings import DatabaseSettings
from tests.fixtures.aws import lambda_context
from tests.fixtures.database import Database
from tests.fixtures.lookup import request
from tests.fixtures.proxy import waking
from tests.fixtures.tls_postgres import TlsPostgres
from tests.functions.load.test_load import drop, load, row

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.tls

ENCRYPTED = "SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
LATE = 20
"""Seconds: what Aurora needs to wake up."""


@pytest.fixture(scope="module")
def postgres(tls_postgres: TlsPostgres) -> Server:
    """In the place of the server that all other tests share."""
    return tls_postgres.server


@pytest.fixture
def server(tls_postgres: TlsPostgres, rds: trustme.CA, elsewhere: str) -> TlsPostgres:
    """As RDS: with its own authority's certificate, for the name that we know it by."""
    tls_postgres.bear(rds, elsewhere)
    return tls_postgres


@pytest.fixture
def by_iam(
    database: Database, server: TlsPostgres, elsewhere: str, monkeypatch: pytest.MonkeyPatch
) -> DatabaseSettings:
    """Roles that `migrate` made for IAM; each token that is signed becomes its role's password.

    So PostgreSQL checks that it arrives whole. Whether it is signed well, only AWS could say.
    """
    monkeypatch.delenv("LOADER_SECRET_ARN")
    monkeypatch.delenv("READER_SECRET_ARN")
    monkeypatch.setenv("LOADER_USER", database.loader.name)
    monkeypatch.setenv("READER_USER", database.reader.name)
    migrate({"contracts": "a hash"}, lambda_context())
    settings.read.cache_clear()
    sign = botocore.signers.generate_db_auth_token

    def granting(*args: Any, **kwargs: Any) -> Any:
        token, user = sign(*args, **kwargs), kwargs["DBUsername"]
        database.run(f"ALTER ROLE {user} PASSWORD {pg8000.native.literal(token)}")
        return token

    monkeypatch.setattr(botocore.signers, "generate_db_auth_token", granting)
    monkeypatch.delenv("DATABASE_SECRET_ARN")
    monkeypatch.setenv("DATABASE_HOST", elsewhere)
    monkeypatch.setenv("DATABASE_USER", database.reader.name)
    found: DatabaseSettings = settings.read(DatabaseSettings)
    return found


@pytest.fixture
def by_secret(
    database: Database, server: TlsPostgres, elsewhere: str, monkeypatch: pytest.MonkeyPatch
) -> DatabaseSettings:
    """The administrator, by the secret."""
    monkeypatch.setenv("DATABASE_HOST", elsewhere)
    found: DatabaseSettings = settings.read(DatabaseSettings)
    return found


@pytest.fixture(params=["by_iam", "by_secret"])
def who(request: pytest.FixtureRequest) -> DatabaseSettings:
    found: DatabaseSettings = request.getfixturevalue(request.param)
    return found


def test_the_right_name_by_the_right_authority(who: DatabaseSettings) -> None:
    with connect(who) as connection:
        assert connection.run(ENCRYPTED) == [[True, "TLSv1.3"]]


def test_the_role_is_let_in_by_its_token_alone_and_within_tls_alone(
    by_iam: DatabaseSettings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect(by_iam) as connection:
        assert connection.run("SELECT session_user") == [[database.reader.name]]

    inside = by_iam.model_copy(update={"database_host": "127.0.0.1"})
    with pytest.raises(DatabaseRefused, match=r"pg_hba.conf rejects connection .* no encryption"):
        connect(inside)

    monkeypatch.setattr(botocore.signers, "generate_db_auth_token", lambda *_, **__: "forged")
    with pytest.raises(DatabaseRefused, match="password authentication failed"):
        connect(by_iam)


def test_an_unknown_authority(
    who: DatabaseSettings, server: TlsPostgres, elsewhere: str, authority: trustme.CA
) -> None:
    server.bear(trustme.CA(), elsewhere)

    _is_refused_at_once(who, "unable to get local issuer")


def test_another_name(who: DatabaseSettings, server: TlsPostgres, rds: trustme.CA) -> None:
    server.bear(rds, "another.example")

    _is_refused_at_once(who, "not valid for 'database.example'")


def test_no_tls(who: DatabaseSettings, server: TlsPostgres) -> None:
    """PostgreSQL would be content without, and so would whoever is in between and says so."""
    server.speak_plainly()

    _is_refused_at_once(who, "offers no TLS, and without it nothing is sent")


def _is_refused_at_once(who: DatabaseSettings, why: str) -> None:
    start = time.monotonic()
    with pytest.raises(DatabaseRefused, match=why):
        patiently(lambda: connect(who))
    assert time.monotonic() - start < 2


def test_a_database_that_wakes_up_late(
    by_iam: DatabaseSettings,
    database: Database,
    s3: "S3Client",
    log_table: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Asked to come again after 8 s, and loaded in one call: with the times that production has."""
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "tm")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "load")
    event = drop(s3, [row("ned", "5.00")])
    start = time.monotonic()
    with waking((database.server.host, database.server.port), LATE) as port:
        monkeypatch.setenv("DATABASE_PORT", str(port))
        answer = api.handler(request(user="ned"), lambda_context())
        assert answer["statusCode"] == 503
        assert answer["multiValueHeaders"]["Retry-After"] == ["15"]
        assert 8 <= time.monotonic() - start < 12

        settings.read.cache_clear()
        monkeypatch.setenv("DATABASE_USER", database.loader.name)
        assert load(event)["rowsLoaded"] == 1
        assert LATE <= time.monotonic() - start < LATE + 15

        settings.read.cache_clear()
        monkeypatch.setenv("DATABASE_USER", database.reader.name)
        answer = api.handler(request(user="ned"), lambda_context())
        assert [each["hours"] for each in json.loads(answer["body"])["response"]] == ["5.00"]
        assert api.session.run(ENCRYPTED) == [[True, "TLSv1.3"]]
        api.session.close()
