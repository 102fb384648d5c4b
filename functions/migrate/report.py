"""What `migrate` says when it could not bring every table to its contract.

Terraform shows the error as Lambda answers it: as JSON in one line, which writes the end of each of
our lines as a backslash and an n. It keeps no such call in its state, so the next apply repeats it.
https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/lambda/invocation.go
"""

from collections.abc import Mapping

from shared.contract_set import Contracts
from shared.errors import PipelineError, Retryable
from shared.text import bounded, listed

LIMIT = 60_000
"""Characters of the whole: even of four bytes each they fit into a log event of 256 KB."""

_LINE = 5_000
_REASONS = 300
_TABLES = 100


def text(contracts: Contracts, failed: Mapping[str, PipelineError]) -> str:
    """Return which tables were not migrated and why, a reason a line, and what to do.

    Args:
        contracts: all, of which some may be invalid.
        failed: why the tables of valid contracts stay as they were.
    """
    reasons = [*contracts.problems, *(_reason(table, error) for table, error in failed.items())]
    migrated = [table for table in contracts if table not in failed]
    bad = len(contracts.invalid) + len(failed)
    lines = [
        f"{bad} of {bad + len(migrated)} tables were not migrated and stay as they were. Fix what "
        "is listed here and apply again.",
        f"Migrated: {listed(migrated, _TABLES) or 'none'}.",
        *(f"- {bounded(reason, _LINE)}" for reason in reasons[:_REASONS]),
    ]
    if len(reasons) > _REASONS:
        lines.append(f"- and {len(reasons) - _REASONS:,} more problems")
    return "\n".join(lines)


def _reason(table: str, error: PipelineError) -> str:
    if isinstance(error, Retryable):
        return f"{table}: {error}. If a run holds the table, apply again when the run has ended"
    return f"{table}: {error}"
