import pytest

from shared import settings
from shared.errors import InvalidSettings
from shared.settings import ApiSettings, LoadSettings, TestSettings, read

CONTRACTS = {"config_bucket": "config", "contracts_hash": 64 * "0"}


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CONTRACTS.items():
        monkeypatch.setenv(name.upper(), value)
    settings.read.cache_clear()


def test_fields_are_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_TABLE", "log")
    monkeypatch.setenv("STAGING_BUCKET", "staging")
    monkeypatch.setenv("HARD_TESTING", "true")

    assert read(TestSettings) == TestSettings(
        **CONTRACTS, log_table="log", staging_bucket="staging", hard_testing=True
    )


def test_every_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOG_TABLE", "STAGING_BUCKET", "DATABASE_HOST", "DATABASE_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATABASE_PORT", "70000")

    with pytest.raises(InvalidSettings) as error:
        read(LoadSettings)

    for part in ("LoadSettings", "LOG_TABLE", "DATABASE_HOST", "DATABASE_PORT: Input should be"):
        assert part in str(error.value)


def of_the_api(monkeypatch: pytest.MonkeyPatch, **variables: str) -> ApiSettings:
    """Return the API's settings, of a database and of these variables."""
    for name in ("DATABASE_USER", "DATABASE_SECRET_ARN"):
        monkeypatch.delenv(name, raising=False)
    database = {"DATABASE_HOST": "host", "DATABASE_PORT": "5432", "DATABASE_NAME": "name"}
    for name, value in (database | {"LOG_TABLE": "log"} | variables).items():
        monkeypatch.setenv(name, value)
    made: ApiSettings = read(ApiSettings)
    return made


@pytest.mark.parametrize(
    "variables",
    [
        {"DATABASE_USER": "reader"},
        {"DATABASE_SECRET_ARN": "arn"},
        {"DATABASE_USER": "", "DATABASE_SECRET_ARN": "arn"},
    ],
)
def test_who_we_are_is_said_by_one_of_two(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    made = of_the_api(monkeypatch, **variables)

    assert made.database_user == variables.get("DATABASE_USER")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "set DATABASE_USER"),
        ({"DATABASE_USER": ""}, "set DATABASE_USER"),
        ({"DATABASE_USER": "reader", "DATABASE_SECRET_ARN": "arn"}, "set DATABASE_USER"),
        ({"DATABASE_USER": "reader", "DATABASE_CA_BUNDLE": "ca.pem"}, "DATABASE_CA_BUNDLE: "),
    ],
)
def test_settings_that_contradict_each_other(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], message: str
) -> None:
    with pytest.raises(InvalidSettings, match=f"ApiSettings: {message}"):
        of_the_api(monkeypatch, **variables)
