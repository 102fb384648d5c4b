"""Every error the pipeline raises, in one tree.

    PipelineError
    ├── InvalidSettings       the environment of a function is incomplete
    ├── InvalidContract       a contract file breaks the standard or our part of it
    ├── ContractsMissing      the stack does not hold the contracts of a run any more
    ├── InvalidEvent          an event is not of the form its sender promises
    ├── NoticeUndelivered     EventBridge did not take a notice for `alert`
    ├── SourceUnreadable      the landed object version cannot be read any more
    ├── StagingIncomplete     the staging bucket does not hold what an earlier state wrote
    ├── RowsUnaccounted       rows read are not rows loaded plus rows rejected
    ├── SchemaMismatch        the database's tables are not what the contract says
    ├── TablesNotMigrated     a contract is invalid, or its table could not be brought to it
    ├── DatabaseRefused       PostgreSQL does not accept us, or we do not trust it
    ├── StatementFailed       PostgreSQL cannot do what we ask: a value, a limit, a defect
    └── Retryable             may pass on a second try; its leaves are named in the state machine
        ├── ContractsUnavailable
        ├── DatabaseUnavailable
        ├── LogUnavailable
        └── StagingUnavailable

Lambda reports the exact class name and the state machine's `Retry` matches on that name, so only
leaves of `Retryable` are ever raised, never `Retryable` itself. What is wrong with a *file* is not
here: that is a verdict (data), not an exception.
"""

from collections.abc import Iterable


class PipelineError(Exception):
    """Base of all errors of this project: catch this to catch them all."""


class InvalidSettings(PipelineError):
    """A function's environment lacks a variable or holds one of the wrong form."""


class InvalidContract(PipelineError):
    """A contract is not valid ODCS, or uses what this pipeline does not know.

    `problems` has one text for each problem, each with the file's name; the message says all, and
    is cut if it becomes too long.
    """

    def __init__(self, message: str, problems: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems) or (message,)


class ContractsMissing(PipelineError):
    """The set of contracts that is asked for is not in the stack's bucket, or is another one."""


class InvalidEvent(PipelineError):
    """An event is not of the form its sender promises."""


class NoticeUndelivered(PipelineError):
    """EventBridge did not take a notice, so nobody would be told."""


class SourceUnreadable(PipelineError):
    """The exact object version of an ingestion is gone or may not be read."""


class StagingIncomplete(PipelineError):
    """A staged object that an earlier state wrote is missing, or there is one too many."""


class RowsUnaccounted(PipelineError):
    """The sums do not add up: rows read must be rows loaded plus rows rejected."""


class SchemaMismatch(PipelineError):
    """The database's tables are not what the contract asks for."""


class TablesNotMigrated(PipelineError):
    """Some tables were not brought to their contracts; it names each with its reasons."""


class DatabaseRefused(PipelineError):
    """PostgreSQL does not accept our password or our rights, or we do not trust its certificate."""


class StatementFailed(PipelineError):
    """PostgreSQL failed a statement for a reason that the same statement will meet again.

    `refused` is what PostgreSQL says of a row that it refuses, which may quote the row; None if the
    reason is another one.
    """

    def __init__(self, message: str, refused: str | None = None) -> None:
        super().__init__(message)
        self.refused = refused


class Retryable(PipelineError):
    """Base of what may pass on a second try; never raised itself."""


class ContractsUnavailable(Retryable):
    """S3 did not give the contracts, after boto3's own retries."""


class DatabaseUnavailable(Retryable):
    """PostgreSQL did not answer, or went away in the middle."""


class LogUnavailable(Retryable):
    """DynamoDB did not take or give a log item, after boto3's own retries."""


class StagingUnavailable(Retryable):
    """S3 did not take or give an object, after boto3's own retries."""
