"""The error message of `migrate` when tables were not migrated.

Terraform prints the function's JSON response as one line, with line ends as a backslash and an n.
It does not store a failed invocation in its state, so the next apply repeats it.
https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/lambda/invocation.go
"""

from collections.abc import Mapping

from shared.classification import overlaps
from shared.contract_set import Contracts
from shared.errors import PipelineError, Retryable
from shared.text import bounded, listed

LIMIT = 60_000
"""Maximum characters of the message. With four bytes each it fits a log event of 256 KB."""

_LINE = 5_000
_REASONS = 300
_TABLES = 100


def text(contracts: Contracts, failed: Mapping[str, PipelineError]) -> str:
    """Return the message: the number of tables, the migrated ones, and one reason per line.

    `failed` has the error of each valid contract's table that was not migrated. Overlapping
    patterns of keys are problems too, although their tables are migrated.
    """
    reasons = [*contracts.problems, *(_reason(table, error) for table, error in failed.items())]
    reasons += overlaps(contracts)
    migrated = [table for table in contracts if table not in failed]
    bad = len(contracts.invalid) + len(failed)
    done = (
        f"{bad} of {bad + len(migrated)} tables were not migrated and are unchanged"
        if bad
        else "All tables were migrated, but their contracts have problems"
    )
    lines = [
        f"{done}. Fix the problems below and apply again.",
        f"Migrated: {listed(migrated, _TABLES) or 'none'}.",
        *(f"- {bounded(reason, _LINE)}" for reason in reasons[:_REASONS]),
    ]
    if len(reasons) > _REASONS:
        lines.append(f"- and {len(reasons) - _REASONS:,} more problems")
    return "\n".join(lines)


def _reason(table: str, error: PipelineError) -> str:
    if isinstance(error, Retryable):
        return f"{table}: {error}. If a run locks the table, apply again after the run"
    return f"{table}: {error}"
