"""Event: `{contracts: hash}` from Terraform, or `{operation: privileges}`.
Answer: `{tables, created, altered}`, or `{public: […]}`.
"""

from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import partial
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.migrate import data_api, privileges, report, roles
from functions.migrate.connection import Connection
from functions.migrate.migration import migrate
from shared import contract_store
from shared.classification import overlaps
from shared.database import connect, retry_until_available
from shared.errors import TablesNotMigrated
from shared.settings import DatabaseSettings, MigrateSettings, read
from shared.telemetry import logged, logger


@partial(logged, limit=report.LIMIT)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Migrate roles and tables; raise TablesNotMigrated at the end if a contract has problems."""
    settings = read(MigrateSettings)
    connected = partial(_connected, settings)
    if event.get("operation") == "privileges":
        with connected() as connection:
            return {"public": privileges.public_privileges(connection)}
    contract_store.keep(settings.config_bucket)
    contracts = contract_store.deployed(settings)
    done, failed = migrate(
        connected,
        settings.database_name,
        contracts.values(),
        loader=roles.configured(settings.loader_user, settings.loader_secret_arn),
        reader=roles.configured(settings.reader_user, settings.reader_secret_arn),
    )
    if settings.database_cluster_arn:
        # Only a database created by the module: other applications may use an existing one.
        retry_until_available(partial(privileges.revoke_from_public, connected))
    result = asdict(done)
    logger.info("migrated", extra={"result": result})
    if contracts.invalid or failed or overlaps(contracts):
        raise TablesNotMigrated(report.text(contracts, failed))
    return result


def _connected(settings: MigrateSettings) -> AbstractContextManager[Connection]:
    if settings.database_cluster_arn and settings.database_secret_arn:
        return data_api.connect(
            settings.database_cluster_arn, settings.database_secret_arn, settings.database_name
        )
    return connect(read(DatabaseSettings))
