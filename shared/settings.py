"""Typed environment variables of each function; no other module reads them.

Settings are read in the handler's call and cached, so importing a function needs no environment.
Each class has exactly the variables that Terraform sets for that function.
"""

import functools
import os
from enum import StrEnum
from typing import Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, Json, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from shared.errors import InvalidSettings


class AlertOn(StrEnum):
    """The outcomes that are alerted; missing files and lost events always are."""

    ALL = "all"
    FAILURES = "failures"
    FAILURES_AND_REJECTS = "failures_and_rejects"
    """Failures, and successful loads with rejected rows."""


class Settings(BaseModel):
    """Base class; the field `log_table` is the environment variable `LOG_TABLE`."""

    # A function needs one of these classes, which pydantic builds when it is used.
    model_config = ConfigDict(frozen=True, defer_build=True)


class DatabaseSettings(Settings):
    """Address of PostgreSQL and credentials: IAM or a secret."""

    database_host: str
    database_port: int = Field(ge=1, le=65535)
    database_name: str
    database_user: str | None = None
    """With IAM: the role; a signed token is its password."""
    database_secret_arn: str | None = None
    """With a secret: ARN of the secret with the role and its password."""
    database_ca_bundle: str | None = Field(default=None, pattern="^s3://[^/]+/.+")
    """S3 URI of the only CA certificates to trust; by default those of RDS (see `database`)."""

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if bool(self.database_user) == bool(self.database_secret_arn):
            raise PydanticCustomError(
                "one_of_two", "set either DATABASE_USER (IAM) or DATABASE_SECRET_ARN"
            )
        return self


class ContractSettings(Settings):
    """Location of the contracts: the config bucket and the SHA-256 of the deployed set."""

    config_bucket: str
    contracts_hash: str = Field(pattern="^[0-9a-f]{64}$")


class GateSettings(ContractSettings):
    """Settings of functions that start runs: landing bucket, log, state machine, concurrency."""

    landing_bucket: str
    landing_prefixes: Json[tuple[str, ...]] = ("",)
    """Beginnings of the keys that the pipeline reads, sorted, as a JSON list."""
    log_table: str
    state_machine_arn: str
    max_concurrency: int = Field(ge=1)

    def has_landed(self, bucket: str, key: str) -> bool:
        """Return whether an object is one that the pipeline reads."""
        return bucket == self.landing_bucket and key.startswith(self.landing_prefixes)


class TriggerSettings(GateSettings):
    """`trigger`: writes the log, starts runs."""


class TransformSettings(ContractSettings):
    """`transform`: writes the log and staging."""

    log_table: str
    staging_bucket: str


class TestSettings(ContractSettings):
    """`test`: writes the log and staging; `hard_testing` halts a run with rejected rows."""

    __test__ = False  # pytest would collect a class named Test…

    log_table: str
    staging_bucket: str
    hard_testing: bool


class LoadSettings(ContractSettings, DatabaseSettings):
    """`load`: reads staging, writes the log and PostgreSQL."""

    log_table: str
    staging_bucket: str


class AlertSettings(Settings):
    """`alert`: closes log items, reads reports from staging, publishes to the topic."""

    log_table: str
    staging_bucket: str
    topic_arn: str
    alert_on: AlertOn


class WatchSettings(GateSettings):
    """`watch`: compares landing, log and executions, and starts runs."""


class ApiSettings(ContractSettings, DatabaseSettings):
    """`api`: reads PostgreSQL and the log."""

    log_table: str
    cors_origins: Json[frozenset[str]] = frozenset()
    """Origins that may call the API from a browser (CORS), as a JSON list."""
    get_table: str | None = None
    """Table that `/get` returns; by default the only table with a lookup."""


class MigrateSettings(ContractSettings):
    """`migrate`: access of the administrator, and the two roles to create.

    Access is through the RDS Data API (a cluster and a secret), or a connection with
    `DatabaseSettings`, which are then read too.
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
    """With IAM: the names of the roles, which have no password."""
    loader_secret_arn: str | None = None
    reader_secret_arn: str | None = None
    """With secrets: ARNs of secrets with a role and its password each."""

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
                "set either DATABASE_CLUSTER_ARN and DATABASE_SECRET_ARN (RDS Data API), or "
                "DATABASE_HOST, DATABASE_PORT, and DATABASE_USER or DATABASE_SECRET_ARN "
                "(connection)",
            )
        return self

    @model_validator(mode="after")
    def _one_kind_of_role(self) -> Self:
        users = (self.loader_user, self.reader_user)
        secrets = (self.loader_secret_arn, self.reader_secret_arn)
        if not ((all(users) and not any(secrets)) or (all(secrets) and not any(users))):
            raise PydanticCustomError(
                "one_kind_of_role",
                "set either LOADER_USER and READER_USER (login with IAM), or LOADER_SECRET_ARN and "
                "READER_SECRET_ARN (login with a password)",
            )
        return self


S = TypeVar("S", bound=Settings)


@functools.cache
def read(settings: type[S]) -> S:
    """Return the settings of a function from its environment; or raise InvalidSettings."""
    environment = {name.lower(): value for name, value in os.environ.items()}
    try:
        return settings.model_validate(environment)
    except ValidationError as error:
        problems = "; ".join(
            ": ".join([*(str(name).upper() for name in each["loc"]), each["msg"]])
            for each in error.errors()
        )
        raise InvalidSettings(
            f"invalid environment for {settings.__name__}: {problems}; Terraform must set it"
        ) from error
