"""PostgreSQL by the RDS Data API: over HTTPS, so `migrate` needs no way into the database's VPC.

What it cannot bring back (`name`, `regclass`, `void`…) has to be cast to text in the statement.
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
from shared.database import meaning
from shared.errors import DatabaseRefused, DatabaseUnavailable, PipelineError, StatementFailed

if TYPE_CHECKING:
    from mypy_boto3_rds_data import RDSDataServiceClient
    from mypy_boto3_rds_data.type_defs import FieldOutputTypeDef, SqlParameterTypeDef

# Tried once: a statement whose answer was lost must not be executed twice. What is tried again is
# the migration as a whole. A statement gets 45 s there, so an answer comes before 60.
_CONFIG = Config(connect_timeout=10, read_timeout=60, retries={"total_max_attempts": 1})

_PASSING = {
    "DatabaseResumingException",  # Aurora was paused, and wakes up now
    "InvalidResourceStateException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionNotFoundException",  # idle for three minutes, or the server it was on is gone
}
_OF_A_STATEMENT = {"BadRequestException", "DatabaseErrorException", "UnsupportedResultException"}

_SILENT = (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError)

_ANSWER = re.compile(r"(?:ERROR|FATAL|PANIC): (?P<words>.*?)(?:; Position: \d+)?(?:\n|; SQLState)")
_GONE = re.compile(r"Transaction \S+ is not found")
_STATE = re.compile(r"; SQLState: (?P<code>[0-9A-Z]{5})\s*$")


class _Target(TypedDict):
    resourceArn: str
    secretArn: str


class _Transaction(TypedDict, total=False):
    transactionId: str


class Connection:
    """Statements of one administrator in one database, each a request of its own."""

    def __init__(
        self, client: "RDSDataServiceClient", cluster_arn: str, secret_arn: str, database: str
    ) -> None:
        self._client = client
        self._target: _Target = {"resourceArn": cluster_arn, "secretArn": secret_arn}
        self._transaction: _Transaction = {}
        self._database = database
        self._where = f"{cluster_arn}/{database}"

    def run(self, sql: str, **parameters: Value) -> list[list[Any]]:
        """Execute a statement; `:name` in it stands for the parameter of that name.

        Raises:
            PipelineError: what `_translated` makes of the API's answer.
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
        """Make everything in the block one transaction; an exception undoes it."""
        with _translated(self._where):
            begun = self._client.begin_transaction(**self._target, database=self._database)
        self._transaction = {"transactionId": begun["transactionId"]}
        try:
            # What `shared.database` says when it connects; nothing else of it matters here.
            self.run("SET LOCAL search_path TO public")
            yield
            with _translated(self._where):
                self._client.commit_transaction(
                    **self._target, transactionId=begun["transactionId"]
                )
        except BaseException:
            # Where even that fails, the API itself does it: after three minutes.
            with contextlib.suppress(ClientError, *_SILENT):
                self._client.rollback_transaction(
                    **self._target, transactionId=begun["transactionId"]
                )
            raise
        finally:
            self._transaction = {}


def connect(cluster_arn: str, secret_arn: str, database: str) -> contextlib.nullcontext[Connection]:
    """Return a connection; the API connects, and disconnects, by itself."""
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
        raise _meaning(error, where) from None
    except _SILENT as error:
        raise DatabaseUnavailable(f"the Data API of {where} did not answer: {error}") from error


def _meaning(error: ClientError, where: str) -> PipelineError:
    name, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    state = _STATE.search(message)
    if state:
        # Only the first words: a DETAIL, which may follow them, quotes values.
        words = _ANSWER.match(message)
        said = words["words"] if words else "nothing more"
        return meaning({"C": state["code"], "M": said}, where)
    said = f"the Data API of {where} says: {name}: {message.partition(chr(10))[0]}"
    if name == "StatementTimeoutException":
        return DatabaseUnavailable(
            f"{said}. It gives a statement 45 s: if that lasts, make by hand what takes longer "
            "(an index of a big table), and `migrate` finds it made"
        )
    if name in _PASSING or _status(error) >= 500 or _GONE.match(message):
        return DatabaseUnavailable(said)
    if name in _OF_A_STATEMENT:
        return StatementFailed(said)
    return DatabaseRefused(
        f"{said}; see whether its HTTP endpoint is enabled, and whether this function may use it "
        "and the secret"
    )


def _status(error: ClientError) -> int:
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
