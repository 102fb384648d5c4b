"""PostgreSQL by the RDS Data API, which needs no access to the database's VPC.

The API cannot return values of some types (`name`, `regclass`, `void`…). Statements cast them to
text.
"""

import contextlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypedDict

import boto3
import botocore.exceptions
from botocore.config import Config
from botocore.exceptions import ClientError

from functions.migrate.connection import Value
from shared.database import to_pipeline_error
from shared.errors import DatabaseRefused, DatabaseUnavailable, PipelineError, StatementFailed

if TYPE_CHECKING:
    from mypy_boto3_rds_data import RDSDataServiceClient
    from mypy_boto3_rds_data.type_defs import FieldOutputTypeDef, SqlParameterTypeDef

# No retries: boto3 must not repeat a statement whose response was lost. `migrate` retries whole
# transactions. The API cancels a statement after 45 s, so a response arrives within 60 s.
_CONFIG = Config(connect_timeout=10, read_timeout=60, retries={"total_max_attempts": 1})

_TRANSIENT = {
    "DatabaseResumingException",  # Aurora was paused and is resuming
    "InvalidResourceStateException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionNotFoundException",  # it was idle for three minutes, or its server failed
}
_OF_A_STATEMENT = {"BadRequestException", "DatabaseErrorException", "UnsupportedResultException"}

_NO_RESPONSE = (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError)

_MESSAGE = re.compile(r"(?:ERROR|FATAL|PANIC): (?P<text>.*?)(?:; Position: \d+)?(?:\n|; SQLState)")
_NO_TRANSACTION = re.compile(r"Transaction \S+ is not found")
_SQLSTATE = re.compile(r"; SQLState: (?P<code>[0-9A-Z]{5})\s*$")


class _Target(TypedDict):
    resourceArn: str
    secretArn: str


class _Transaction(TypedDict, total=False):
    transactionId: str


class Connection:
    """A connection of the administrator to one database; each statement is one request."""

    def __init__(
        self, client: "RDSDataServiceClient", cluster_arn: str, secret_arn: str, database: str
    ) -> None:
        self._client = client
        self._target: _Target = {"resourceArn": cluster_arn, "secretArn": secret_arn}
        self._transaction: _Transaction = {}
        self._database = database
        self._where = f"{cluster_arn}/{database}"

    def run(self, sql: str, **parameters: Value) -> list[list[Any]]:
        """Execute a statement with parameters `:name`, and return its rows.

        Raises:
            DatabaseUnavailable: a transient error; a retry may succeed.
            DatabaseRefused: access is denied.
            StatementFailed: the statement is wrong.
            PipelineError: as `shared.database.to_pipeline_error` returns it.
        """
        with _translated(self._where):
            answer = self._client.execute_statement(
                **self._target,
                **self._transaction,
                database=self._database,
                sql=sql,
                parameters=[_parameter(name, value) for name, value in parameters.items()],
            )
        return [[_value(field) for field in record] for record in answer.get("records", [])]

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Run the block in a transaction; roll back on an exception."""
        with _translated(self._where):
            begun = self._client.begin_transaction(**self._target, database=self._database)
        transaction_id = begun["transactionId"]
        self._transaction = {"transactionId": transaction_id}
        try:
            # Like `shared.database` when it connects.
            self.run("SET LOCAL search_path TO public")
            yield
            with _translated(self._where):
                self._client.commit_transaction(**self._target, transactionId=transaction_id)
        except BaseException:
            # If the rollback fails, the API rolls back after three minutes.
            with contextlib.suppress(ClientError, *_NO_RESPONSE):
                self._client.rollback_transaction(**self._target, transactionId=transaction_id)
            raise
        finally:
            self._transaction = {}


def connect(cluster_arn: str, secret_arn: str, database: str) -> contextlib.nullcontext[Connection]:
    """Return a connection. It holds no resources, so leaving the context does nothing."""
    client = boto3.client("rds-data", config=_CONFIG)
    return contextlib.nullcontext(Connection(client, cluster_arn, secret_arn, database))


def _parameter(name: str, value: Value) -> "SqlParameterTypeDef":
    match value:
        case None:
            return {"name": name, "value": {"isNull": True}}
        case bool():
            return {"name": name, "value": {"booleanValue": value}}
        case int():
            return {"name": name, "value": {"longValue": value}}
        case str():
            return {"name": name, "value": {"stringValue": value}}


def _value(field: "FieldOutputTypeDef") -> Any:
    [(kind, value)] = field.items()
    return None if kind == "isNull" else value


@contextlib.contextmanager
def _translated(where: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        raise _pipeline_error(error, where) from None
    except _NO_RESPONSE as error:
        raise DatabaseUnavailable(f"the Data API of {where} did not answer: {error}") from error


def _pipeline_error(error: ClientError, where: str) -> PipelineError:
    name, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    state = _SQLSTATE.search(message)
    if state:
        # Only the primary message: a DETAIL may follow and quote values.
        primary = _MESSAGE.match(message)
        text = primary["text"] if primary else "no message"
        return to_pipeline_error({"C": state["code"], "M": text}, where)
    reason = f"the Data API of {where} answered {name}: {message.partition(chr(10))[0]}"
    if name == "StatementTimeoutException":
        return DatabaseUnavailable(
            f"{reason}. The Data API cancels statements after 45 s. If this persists, create by "
            "hand what takes longer (e.g. an index of a large table), and apply again"
        )
    if name in _TRANSIENT or status >= 500 or _NO_TRANSACTION.match(message):
        return DatabaseUnavailable(reason)
    if name in _OF_A_STATEMENT:
        return StatementFailed(reason)
    return DatabaseRefused(
        f"{reason}. Check that the cluster's HTTP endpoint is enabled and that this function may "
        "use the endpoint and the secret"
    )
