import pytest

from shared import settings
from shared.errors import InvalidSettings
from shared.settings import LoadSettings, TestSettings, read


@pytest.fixture(autouse=True)
def fresh() -> None:
    settings.read.cache_clear()


def test_fields_are_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_TABLE", "log")
    monkeypatch.setenv("STAGING_BUCKET", "staging")
    monkeypatch.setenv("HARD_TESTING", "true")

    assert read(TestSettings) == TestSettings(
        log_table="log", staging_bucket="staging", hard_testing=True
    )


def test_every_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOG_TABLE", "STAGING_BUCKET", "DATABASE_HOST", "DATABASE_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATABASE_PORT", "70000")

    with pytest.raises(InvalidSettings) as error:
        read(LoadSettings)

    for part in ("LoadSettings", "LOG_TABLE", "DATABASE_HOST", "DATABASE_PORT: Input should be"):
        assert part in str(error.value)
