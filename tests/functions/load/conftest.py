import pytest

from tests.fixtures.database import Database


@pytest.fixture
def loader(migrated: Database, log_table: str, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A migrated database, and the environment of Load."""
    monkeypatch.setenv("DATABASE_SECRET_ARN", migrated.loader.secret_arn)
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "tm")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "load")
    return migrated
