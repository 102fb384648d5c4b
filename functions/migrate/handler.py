"""Takes `{contracts: hash}` from Terraform, which sends another hash when a contract changes.
Returns `{tables: […], created: […], altered: […]}`: all tables, the new ones, altered columns.
"""

from dataclasses import asdict
from typing import Any

import boto3
from aws_lambda_powertools.utilities.typing import LambdaContext

from functions.migrate.migration import Migration, migrate
from shared.database import connect, credentials, patiently
from shared.odcs import load_all
from shared.settings import MigrateSettings, read
from shared.telemetry import logger


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Bring roles and tables to what the contracts say."""
    settings = read(MigrateSettings)
    secrets = boto3.client("secretsmanager")

    def work() -> Migration:
        with connect(settings, secrets) as connection:
            return migrate(
                connection,
                settings.database_name,
                load_all().values(),
                loader=credentials(secrets, settings.loader_secret_arn),
                reader=credentials(secrets, settings.reader_secret_arn),
            )

    result = asdict(patiently(work))
    logger.info("migrated", extra={"contracts": event.get("contracts"), "result": result})
    return result
