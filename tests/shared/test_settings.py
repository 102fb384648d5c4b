import pytest

from shared.errors import InvalidSettings
from shared.settings import ApiSettings, LoadSettings, read

CONTRACTS = {"config_bucket": "config", "contracts_hash": 64 * "0"}


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CONTRACTS.items():
        monkeypatch.setenv(name.upper(), value)
    read.cache_clear()


def test_read_names_every_missing_or_invalid_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOG_TABLE", "STAGING_BUCKET", "DATABASE_HOST", "DATABASE_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATABASE_PORT", "70000")

    with pytest.raises(InvalidSettings) as error:
        read(LoadSettings)

    for part in ("LoadSettings", "LOG_TABLE", "DATABASE_HOST", "DATABASE_PORT: Input should be"):
        assert part in str(error.value)


def api_settings(monkeypatch: pytest.MonkeyPatch, **variables: str) -> ApiSettings:
    """Return the settings of `api` for these variables and a database."""
    for name in ("DATABASE_USER", "DATABASE_SECRET_ARN"):
        monkeypatch.delenv(name, raising=False)
    database = {"DATABASE_HOST": "host", "DATABASE_PORT": "5432", "DATABASE_NAME": "name"}
    for name, value in (database | {"LOG_TABLE": "log"} | variables).items():
        monkeypatch.setenv(name, value)
    settings: ApiSettings = read(ApiSettings)
    return settings


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "set either DATABASE_USER"),
        ({"DATABASE_USER": ""}, "set either DATABASE_USER"),
        ({"DATABASE_USER": "reader", "DATABASE_SECRET_ARN": "arn"}, "set either DATABASE_USER"),
        ({"DATABASE_USER": "reader", "DATABASE_CA_BUNDLE": "ca.pem"}, "DATABASE_CA_BUNDLE: "),
    ],
)
def test_api_settings_reject_contradictions(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], message: str
) -> None:
    with pytest.raises(InvalidSettings, match=f"ApiSettings: {message}"):
        api_settings(monkeypatch, **variables)
