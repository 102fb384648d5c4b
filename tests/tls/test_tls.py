"""Tests with a real PostgreSQL with TLS, configured as RDS; run with `make test-tls`."""

import json
import time
from typing import TYPE_CHECKING

import botocore.signers
import pytest
import trustme

from functions.api import handler as api
from functions.migrate.handler import handler as migrate
from local.postgres import Server
from shared import settings
from shared.database import connect
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
"""Seconds that Aurora needs to resume."""


@pytest.fixture(scope="module")
def postgres(tls_postgres: TlsPostgres) -> Server:
    """Return the server with TLS, in place of the shared one."""
    return tls_postgres.server


@pytest.fixture
def server(tls_postgres: TlsPostgres, rds: trustme.CA, elsewhere: str) -> TlsPostgres:
    """Return a server as on RDS: with a certificate of the RDS authority for its host name."""
    tls_postgres.use_certificate(rds, elsewhere)
    return tls_postgres


@pytest.fixture
def by_iam(
    database: Database,
    server: TlsPostgres,
    elsewhere: str,
    granted_tokens: None,
    monkeypatch: pytest.MonkeyPatch,
) -> DatabaseSettings:
    """Return settings of a role for IAM, whose password is always the last signed token.

    PostgreSQL so checks that the token arrives complete; only AWS could check the signature.
    """
    monkeypatch.delenv("LOADER_SECRET_ARN")
    monkeypatch.delenv("READER_SECRET_ARN")
    monkeypatch.setenv("LOADER_USER", database.loader.name)
    monkeypatch.setenv("READER_USER", database.reader.name)
    migrate({"contracts": "a hash"}, lambda_context())
    settings.read.cache_clear()
    monkeypatch.delenv("DATABASE_SECRET_ARN")
    monkeypatch.setenv("DATABASE_HOST", elsewhere)
    monkeypatch.setenv("DATABASE_USER", database.reader.name)
    database_settings: DatabaseSettings = settings.read(DatabaseSettings)
    return database_settings


@pytest.fixture
def by_secret(
    database: Database, server: TlsPostgres, elsewhere: str, monkeypatch: pytest.MonkeyPatch
) -> DatabaseSettings:
    """Return settings of the administrator, with a secret."""
    monkeypatch.setenv("DATABASE_HOST", elsewhere)
    database_settings: DatabaseSettings = settings.read(DatabaseSettings)
    return database_settings


@pytest.fixture(params=["by_iam", "by_secret"])
def login(request: pytest.FixtureRequest) -> DatabaseSettings:
    database_settings: DatabaseSettings = request.getfixturevalue(request.param)
    return database_settings


def test_connect_uses_tls_with_valid_certificate(login: DatabaseSettings) -> None:
    with connect(login) as connection:
        assert connection.run(ENCRYPTED) == [[True, "TLSv1.3"]]


def test_iam_role_needs_token_and_tls(
    by_iam: DatabaseSettings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect(by_iam) as connection:
        assert connection.run("SELECT session_user") == [[database.reader.name]]

    loopback = by_iam.model_copy(update={"database_host": "127.0.0.1"})
    with pytest.raises(DatabaseRefused, match=r"pg_hba.conf rejects connection .* no encryption"):
        connect(loopback)

    monkeypatch.setattr(botocore.signers, "generate_db_auth_token", lambda *_, **__: "forged")
    with pytest.raises(DatabaseRefused, match="password authentication failed"):
        connect(by_iam)


def test_api_and_load_handle_database_that_resumes_late(
    by_iam: DatabaseSettings,
    database: Database,
    s3: "S3Client",
    log_table: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The API answers 503 after 8 s, and Load waits: with the timeouts of production."""
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
