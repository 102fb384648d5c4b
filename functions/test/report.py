"""The summary of a test run: how many rows failed which rule, and where to look first."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from functions.test.rejects import Reject
from shared.contract import Severity

EXAMPLES = 5
"""How many lines a rule names."""


@dataclass(slots=True)
class _RuleCount:
    severity: Severity
    column: str | None
    rule: str
    reason: str
    count: int = 0
    lines: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    """Adds rejects up; `table_failures` are the rules that the file as a whole does not fulfil."""

    rows_read: int
    table_failures: list[str] = field(default_factory=list)
    rejected: int = 0
    warnings: int = 0
    _last_rejected: int = 0
    _rules: dict[tuple[str | None, str], _RuleCount] = field(default_factory=dict)

    def add(self, rejects: Iterable[Reject]) -> None:
        """Count rejects, which must come in the order of their lines."""
        for each in rejects:
            if each.severity == "warning":
                self.warnings += 1
            elif each.line != self._last_rejected:
                self.rejected += 1
                self._last_rejected = each.line
            rule = self._rules.setdefault(
                (each.column, each.rule),
                _RuleCount(each.severity, each.column, each.rule, each.reason),
            )
            rule.count += 1
            if len(rule.lines) < EXAMPLES:
                rule.lines.append(each.line)

    @property
    def summary(self) -> str | None:
        """What failed, in a sentence; None if nothing did."""
        rules = [rule for rule in self._by_count() if rule.severity == "error"]
        parts = [
            f"{rule.reason} ({rule.count}×, first at line {rule.lines[0]})" for rule in rules[:3]
        ]
        if self.rejected:
            parts[0] = f"{self.rejected} of {self.rows_read} rows failed: {parts[0]}"
        return "; ".join(self.table_failures + parts) or None

    def as_json(self) -> dict[str, Any]:
        """Return what `report.json` holds."""
        return {
            "rowsRead": self.rows_read,
            "rowsClean": self.rows_read - self.rejected,
            "rowsRejected": self.rejected,
            "warnings": self.warnings,
            "tableFailures": self.table_failures,
            "rules": [
                {
                    "column": rule.column,
                    "rule": rule.rule,
                    "severity": rule.severity,
                    "reason": rule.reason,
                    "count": rule.count,
                    "lines": rule.lines,
                }
                for rule in self._by_count()
            ],
        }

    def _by_count(self) -> list[_RuleCount]:
        return sorted(self._rules.values(), key=lambda rule: (rule.severity, -rule.count))
