"""The hierarchy of errors that the pipeline raises.

    PipelineError
    ├── InvalidSettings       an environment variable of a function is missing or invalid
    ├── InvalidContract       a contract violates ODCS or the subset that the pipeline supports
    ├── ContractsMissing      the stack no longer has the contract set of a run
    ├── InvalidEvent          an event does not have the expected form
    ├── NoticeUndelivered     EventBridge rejected a notice for `alert`
    ├── SourceUnreadable      the landed object version can no longer be read
    ├── StagingIncomplete     the staging bucket does not match what an earlier state wrote
    ├── RowsUnaccounted       rows read do not equal rows loaded plus rows rejected
    ├── SchemaMismatch        the tables in the database do not match the contract
    ├── TablesNotMigrated     a contract is invalid, or its table could not be migrated
    ├── DatabaseRefused       PostgreSQL refuses the login or its certificate is not trusted
    ├── DiskFull              the temporary files of a function do not fit on its disk
    ├── StatementFailed       PostgreSQL cannot execute a statement; a retry would fail too
    └── Retryable             a retry may succeed; the state machine names the subclasses
        ├── ContractsUnavailable
        ├── DatabaseUnavailable
        ├── LogUnavailable
        └── StagingUnavailable

Lambda reports the exact class name and `Retry` in the state machine matches that name. Code
therefore raises a subclass of `Retryable`, never `Retryable` itself. A problem with a *file* is not
an exception: it is a verdict (data).
"""

from collections.abc import Iterable


class PipelineError(Exception):
    """Base class of all errors of this project."""


class InvalidSettings(PipelineError):
    """An environment variable of a function is missing or invalid."""


class InvalidContract(PipelineError):
    """A contract is not valid ODCS, or uses a feature that the pipeline does not support.

    Attributes:
        problems: one text for each problem, with the name of the file. The message of the error
            contains all of them and is truncated if it is too long.
    """

    def __init__(self, message: str, problems: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems) or (message,)


class ContractsMissing(PipelineError):
    """The requested contract set is not in the config bucket, or its content has another hash."""


class InvalidEvent(PipelineError):
    """An event does not have the form that its sender documents."""


class NoticeUndelivered(PipelineError):
    """EventBridge rejected a notice, so `alert` would not receive it."""


class SourceUnreadable(PipelineError):
    """The object version of an ingestion is deleted or access to it is denied."""


class StagingIncomplete(PipelineError):
    """A staged object of an earlier state is missing, or there is an unexpected one."""


class RowsUnaccounted(PipelineError):
    """The number of rows read is not the number of rows loaded plus rows rejected."""


class SchemaMismatch(PipelineError):
    """The tables in the database do not match the contract."""


class TablesNotMigrated(PipelineError):
    """Tables could not be migrated, or contracts overlap; the message names each with reasons."""


class DatabaseRefused(PipelineError):
    """PostgreSQL refuses the password or the permissions, or its certificate is not trusted."""


class DiskFull(PipelineError):
    """The disk has no space for the temporary files that a function needs for a large file."""


class StatementFailed(PipelineError):
    """PostgreSQL failed a statement, and the same statement would fail again.

    Attributes:
        refused: PostgreSQL's message about a row that it refuses, which may quote the row; None if
            the error is not about a row.
    """

    def __init__(self, message: str, refused: str | None = None) -> None:
        super().__init__(message)
        self.refused = refused


class Retryable(PipelineError):
    """Base class of the errors that a retry may resolve; never raised itself."""


class ContractsUnavailable(Retryable):
    """S3 did not return the contracts, even after the retries of boto3."""


class DatabaseUnavailable(Retryable):
    """PostgreSQL did not answer, or the connection was lost."""


class LogUnavailable(Retryable):
    """DynamoDB did not read or write a log item, even after the retries of boto3."""


class StagingUnavailable(Retryable):
    """S3 did not read or write a staged object, even after the retries of boto3."""
