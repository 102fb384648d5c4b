"""Valid combinations of the environment variables of migrate."""

from typing import Any

import pytest

from shared.errors import InvalidSettings
from shared.settings import DatabaseSettings, MigrateSettings, read

NAME = {"DATABASE_NAME": "tm", "CONFIG_BUCKET": "config", "CONTRACTS_HASH": 64 * "0"}
SECRET = {"DATABASE_SECRET_ARN": "arn:secret"}
CLUSTER = {"DATABASE_CLUSTER_ARN": "arn:cluster"}
HOST = {"DATABASE_HOST": "db", "DATABASE_PORT": "5432"}
USER = {"DATABASE_USER": "administrator"}
BUNDLE = {"DATABASE_CA_BUNDLE": "s3://config/ca.pem"}
BY_IAM = {"LOADER_USER": "loader", "READER_USER": "reader"}
BY_SECRET = {"LOADER_SECRET_ARN": "arn:l", "READER_SECRET_ARN": "arn:r"}
ALL = NAME | SECRET | CLUSTER | HOST | USER | BUNDLE | BY_IAM | BY_SECRET


def _settings(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> Any:
    for name in ALL:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    read.cache_clear()
    return read(MigrateSettings)


@pytest.mark.parametrize("roles", [BY_IAM, BY_SECRET])
@pytest.mark.parametrize("way", [CLUSTER | SECRET, HOST | SECRET, HOST | USER | BUNDLE])
def test_settings_accept_each_connection_with_each_kind_of_roles(
    monkeypatch: pytest.MonkeyPatch, way: dict[str, str], roles: dict[str, str]
) -> None:
    settings = _settings(monkeypatch, NAME | way | roles)

    assert settings.database_name == "tm"
    if "DATABASE_HOST" in way:
        assert read(DatabaseSettings).database_port == 5432
        assert read(DatabaseSettings).database_ca_bundle == way.get("DATABASE_CA_BUNDLE")


@pytest.mark.parametrize(
    "way",
    [
        {},
        SECRET,
        CLUSTER,
        CLUSTER | USER,
        CLUSTER | SECRET | USER,
        CLUSTER | SECRET | HOST,
        CLUSTER | SECRET | {"DATABASE_PORT": "5432"},
        CLUSTER | SECRET | BUNDLE,
        USER,
    ],
)
def test_settings_refuse_incomplete_or_two_connections(
    monkeypatch: pytest.MonkeyPatch, way: dict[str, str]
) -> None:
    with pytest.raises(InvalidSettings) as caught:
        _settings(monkeypatch, NAME | way | BY_IAM)

    for part in ("MigrateSettings", "DATABASE_CLUSTER_ARN and DATABASE_SECRET_ARN", "set either"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "roles",
    [
        {},
        {"LOADER_USER": "loader"},
        {"READER_SECRET_ARN": "arn:r"},
        {"LOADER_USER": "loader", "READER_SECRET_ARN": "arn:r"},
        BY_IAM | {"READER_SECRET_ARN": "arn:r"},
        BY_IAM | BY_SECRET,
    ],
)
def test_settings_refuse_incomplete_or_mixed_roles(
    monkeypatch: pytest.MonkeyPatch, roles: dict[str, str]
) -> None:
    with pytest.raises(InvalidSettings) as caught:
        _settings(monkeypatch, NAME | CLUSTER | SECRET | roles)

    for part in ("LOADER_USER and READER_USER", "LOADER_SECRET_ARN and", "set either"):
        assert part in str(caught.value)
