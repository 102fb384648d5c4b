"""A PostgreSQL server with the tables of the sample contracts, for benchmarks."""

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from local import postgres, psql
from local.postgres import Server
from shared.contract import Contract
from shared.database import Connection, Credentials, connect
from shared.odcs import load_all
from shared.settings import DatabaseSettings, read

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TABLE = load_all()["dailycheckins"].rows_table
LOADER = Credentials("loader", "x")
READER = Credentials("reader", "y")


@dataclass(frozen=True)
class Database:
    """A server; can be sent to another process."""

    server: Server

    @contextlib.contextmanager
    def connector(self) -> Iterator[Callable[[], Connection]]:
        """Yield what connects as Load does, but with the superuser's password, not a secret's."""
        login = Credentials(self.server.user, self.server.password)
        settings = DatabaseSettings(
            database_host=self.server.host,
            database_port=self.server.port,
            database_name=self.server.database,
            database_secret_arn="none",  # pragma: allowlist secret
        )
        with mock.patch("shared.database._login", return_value=login):
            yield partial(connect, settings)

    def run(self, sql: str, **values: Any) -> list[list[Any]]:
        """Run one statement."""
        with postgres.connected(self.server, timeout=None) as connection:
            return list(connection.run(sql, **values) or [])

    def psql(self, command: str) -> None:
        """Run one command of psql, which is in the same package as the server."""
        program = postgres._binaries(Path(), None) / "psql"
        environment = psql._environment(self.server)
        subprocess.run([program, "-Xqc", command], env=environment, check=True)

    def columns(self, table: str) -> list[str]:
        """Return the columns of a table in order."""
        found = self.run(
            "SELECT column_name FROM information_schema.columns WHERE table_name = :table "
            "ORDER BY ordinal_position",
            table=table,
        )
        return [name for (name,) in found]

    def empty(self, *tables: str) -> None:
        """Remove all rows, and write the rest to disk, before a run is timed."""
        self.run(f"TRUNCATE {', '.join(tables)} CASCADE")
        self.run("CHECKPOINT")


@contextlib.contextmanager
def migrated(contracts: Collection[Contract] | None = None) -> Iterator[Database]:
    """Run a server with the tables of contracts, by default the samples."""
    from functions.migrate.migration import migrate
    from functions.migrate.roles import Role

    with (
        tempfile.TemporaryDirectory() as folder,
        postgres.running(Path(folder, "postgres")) as server,
    ):
        database = Database(server)
        roles = (Role(each.username, each.password) for each in (LOADER, READER))
        with database.connector() as connected:
            migrate(connected, server.database, contracts or load_all().values(), *roles)
        yield database


@contextlib.contextmanager
def functions(database: Database, role: Credentials) -> Iterator["S3Client"]:
    """Let functions run in this process: AWS is moto, and their database that of `role`."""
    import boto3
    from moto import mock_aws

    from shared.telemetry import logger
    from tests.fixtures import aws

    logger.setLevel("CRITICAL")
    environment = {
        **dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "testing"),
        **dict.fromkeys(("AWS_DEFAULT_REGION", "AWS_REGION"), aws.REGION),
        "LOG_TABLE": aws.LOG_TABLE,
        "STAGING_BUCKET": aws.STAGING,
        "CONFIG_BUCKET": aws.CONFIG,
        "CONTRACTS_HASH": aws.CONTRACTS_HASH,
        "HARD_TESTING": "false",
        "POWERTOOLS_METRICS_NAMESPACE": "tm",
        "DATABASE_HOST": database.server.host,
        "DATABASE_PORT": str(database.server.port),
        "DATABASE_NAME": database.server.database,
    }
    secret = json.dumps({"username": role.username, "password": role.password})
    with mock.patch.dict(os.environ, environment), mock_aws():
        secrets = boto3.client("secretsmanager")
        made = secrets.create_secret(Name=role.username, SecretString=secret)
        os.environ["DATABASE_SECRET_ARN"] = made["ARN"]
        aws.deploy_contracts(aws.DEPLOYED)
        aws.create_log_table()
        read.cache_clear()  # settings of an earlier database
        yield aws.create_buckets()
