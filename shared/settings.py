"""The environment of each function, typed; the only place that reads it.

Settings are read inside the handler's call and cached, so that importing a function needs no
environment. Each class names exactly the variables that Terraform sets for that function.
"""

import functools
from enum import StrEnum
from typing import Self, TypeVar

from pydantic import Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.errors import InvalidSettings


class AlertOn(StrEnum):
    """Which ends people are told of; that something did not happen is told in any case."""

    ALL = "all"
    FAILURES = "failures"
    FAILURES_AND_REJECTS = "failures_and_rejects"
    """Failures, and successes of which rows were rejected."""


class Settings(BaseSettings):
    """Base of all settings; a field `log_table` is the variable `LOG_TABLE`."""

    model_config = SettingsConfigDict(frozen=True)


class DatabaseSettings(Settings):
    """Where PostgreSQL is, and who we are there: by IAM, or by a secret."""

    database_host: str
    database_port: int = Field(ge=1, le=65535)
    database_name: str
    database_user: str | None = None
    """By IAM: the role; a signed token is its password."""
    database_secret_arn: str | None = None
    """By a secret: it holds the role and its password."""
    database_ca_bundle: str | None = Field(default=None, pattern="^s3://[^/]+/.+")
    """The object with the only authorities to trust; without it, those of RDS (see `database`)."""

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if bool(self.database_user) == bool(self.database_secret_arn):
            raise PydanticCustomError(
                "one_of_two", "set DATABASE_USER (by IAM) or DATABASE_SECRET_ARN, and not both"
            )
        return self


class ContractSettings(Settings):
    """Where the contracts are: the bucket, and the SHA-256 of the deployed set."""

    config_bucket: str
    contracts_hash: str = Field(pattern="^[0-9a-f]{64}$")


class GateSettings(ContractSettings):
    """What starts runs needs: the log, the state machine, and how many may run at once."""

    log_table: str
    state_machine_arn: str
    max_concurrency: int = Field(ge=1)


class TriggerSettings(GateSettings):
    """`trigger`: writes the log and starts the state machine."""


class TransformSettings(ContractSettings):
    """`transform`: writes the log and staging."""

    log_table: str
    staging_bucket: str


class TestSettings(ContractSettings):
    """`test`: writes the log and staging; whether a failed row halts the pipeline."""

    __test__ = False  # pytest takes every class called Test… for one of its own

    log_table: str
    staging_bucket: str
    hard_testing: bool


class LoadSettings(ContractSettings, DatabaseSettings):
    """`load`: reads staging, writes the log and PostgreSQL."""

    log_table: str
    staging_bucket: str


class AlertSettings(Settings):
    """`alert`: closes the log, reads the report from staging, tells the topic."""

    log_table: str
    staging_bucket: str
    topic_arn: str
    alert_on: AlertOn


class WatchSettings(GateSettings):
    """`watch`: compares landing, log and executions, and starts runs."""

    landing_bucket: str


class ApiSettings(ContractSettings, DatabaseSettings):
    """`api`: reads PostgreSQL and the log."""

    log_table: str
    cors_origins: frozenset[str] = frozenset()
    """The origins whose pages may ask it, as JSON's list."""
    get_table: str | None = None
    """Whose rows `/get` returns; without it, those of the only table with a look-up."""


class MigrateSettings(ContractSettings):
    """`migrate`: how the administrator gets in, and the two roles that it makes.

    By the RDS Data API with a cluster and a secret, or else as `DatabaseSettings` say, which are
    then read too.
    """

    database_name: str
    database_cluster_arn: str | None = None
    database_secret_arn: str | None = None
    database_host: str | None = None
    database_port: int | None = Field(default=None, ge=1, le=65535)
    database_user: str | None = None
    database_ca_bundle: str | None = None
    loader_user: str | None = None
    reader_user: str | None = None
    """By IAM: the roles' names, and no password."""
    loader_secret_arn: str | None = None
    reader_secret_arn: str | None = None
    """By a secret: each holds a role and its password."""

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        direct = (
            self.database_host,
            self.database_port,
            self.database_user,
            self.database_ca_bundle,
        )
        alone = any(direct) if self.database_cluster_arn else not self.database_host
        if alone or (self.database_cluster_arn and not self.database_secret_arn):
            raise PydanticCustomError(
                "one_way_in",
                "set DATABASE_CLUSTER_ARN and DATABASE_SECRET_ARN (the RDS Data API), or "
                "DATABASE_HOST, DATABASE_PORT and DATABASE_USER or DATABASE_SECRET_ARN "
                "(a connection), and not both",
            )
        return self

    @model_validator(mode="after")
    def _one_kind_of_role(self) -> Self:
        users = (self.loader_user, self.reader_user)
        secrets = (self.loader_secret_arn, self.reader_secret_arn)
        if not ((all(users) and not any(secrets)) or (all(secrets) and not any(users))):
            raise PydanticCustomError(
                "one_kind_of_role",
                "set LOADER_USER and READER_USER (they log in by IAM), or LOADER_SECRET_ARN and "
                "READER_SECRET_ARN (by a password), and not both",
            )
        return self


S = TypeVar("S", bound=Settings)


@functools.cache
def read(settings: type[S]) -> S:
    """Return the settings of one function from its environment.

    Raises:
        InvalidSettings: variables are missing or of the wrong form; the message names each.
    """
    try:
        return settings()
    except ValidationError as error:
        problems = "; ".join(
            ": ".join([*(str(name).upper() for name in each["loc"]), each["msg"]])
            for each in error.errors()
        )
        raise InvalidSettings(f"environment of {settings.__name__}: {problems}") from error
