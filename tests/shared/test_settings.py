import pytest

from shared import settings
from shared.errors import InvalidSettings
from shared.settings import ApiSettings, LoadSettings, TestSettings, read


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


@pytest.mark.parametrize(
    ("set_", "fine"),
    [
        ({}, False),
        ({"DATABASE_USER": ""}, False),
        ({"DATABASE_USER": "reader"}, True),
        ({"DATABASE_SECRET_ARN": "arn"}, True),
        ({"DATABASE_USER": "reader", "DATABASE_SECRET_ARN": "arn"}, False),
        ({"DATABASE_USER": "", "DATABASE_SECRET_ARN": "arn"}, True),
    ],
)
def test_who_we_are_is_said_by_one_of_two(
    monkeypatch: pytest.MonkeyPatch, set_: dict[str, str], fine: bool
) -> None:
    names = ("DATABASE_USER", "DATABASE_SECRET_ARN")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    where = {"DATABASE_HOST": "host", "DATABASE_PORT": "5432", "DATABASE_NAME": "name"}
    for name, value in (where | {"LOG_TABLE": "log"} | set_).items():
        monkeypatch.setenv(name, value)

    if fine:
        assert read(ApiSettings).database_user == (set_.get("DATABASE_USER"))
    else:
        with pytest.raises(InvalidSettings, match="ApiSettings: set DATABASE_USER"):
            read(ApiSettings)


def test_authorities_are_an_object_on_s3(monkeypatch: pytest.MonkeyPatch) -> None:
    named = {"DATABASE_HOST": "host", "DATABASE_PORT": "5432", "DATABASE_NAME": "name"}
    for name, value in (named | {"DATABASE_USER": "reader", "LOG_TABLE": "log"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATABASE_CA_BUNDLE", "ca.pem")

    with pytest.raises(InvalidSettings, match="ApiSettings: DATABASE_CA_BUNDLE: "):
        read(ApiSettings)


@pytest.mark.parametrize(
    ("set_", "origins"),
    [
        ({}, set()),
        (
            {"CORS_ORIGINS": '["https://a.example", "https://b.example"]'},
            {"https://a.example", "https://b.example"},
        ),
    ],
)
def test_origins_are_a_list_of_json(
    set_: dict[str, str], origins: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    named = {"DATABASE_HOST": "host", "DATABASE_PORT": "5432", "DATABASE_NAME": "name"}
    for name, value in (named | {"DATABASE_USER": "reader", "LOG_TABLE": "log"} | set_).items():
        monkeypatch.setenv(name, value)

    assert read(ApiSettings).cors_origins == origins
