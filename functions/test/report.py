"""Report of a test run: the number of failed rows per rule, with examples."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from functions.test.profile import ColumnProfile, Profile
from shared.contract import Contract
from shared.endings import Outcome
from shared.quality import Severity
from shared.text import bounded
from shared.verdict import Verdict

EXAMPLES = 5
"""Example rows per rule."""
_MAX_REASON = 300
"""Characters of a rule's reason. The file's reason and the alert contain three of them."""
_MAX_VALUE = 200
"""Characters of a value. `rejects.jsonl` has the whole value."""


@dataclass(slots=True)
class _RuleCount:
    """The entry of a rule in the report."""

    column: str | None
    rule: str
    severity: Severity
    reason: str
    count: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class Report:
    """Report on a file of `rows_read` rows: profile, rejected rows and failed rules.

    `empty_rows` and `footer_lines` are the numbers of those that were ignored, `totals_verified`
    that of the control totals that Transform has verified.
    """

    contract: Contract
    rows_read: int
    empty_rows: int = 0
    footer_lines: int = 0
    totals_verified: int = 0
    profile: Profile = field(default_factory=Profile)
    rejected: int = 0
    warnings: int = 0
    _last_rejected: int = 0
    _rules: dict[tuple[str | None, str], _RuleCount] = field(default_factory=dict)

    @classmethod
    def of(cls, contract: Contract, transformed: Mapping[str, int]) -> Self:
        """Return the report on a file with these counts of Transform's verdict."""
        return cls(
            contract,
            transformed["rowsRead"],
            empty_rows=transformed.get("emptyRows", 0),
            footer_lines=transformed.get("footerLines", 0),
            totals_verified=transformed.get("totalsVerified", 0),
        )

    def add(self, rejects: pa.Table) -> None:
        """Count rejects. All must be sorted by line."""
        lines = rejects["line"].to_numpy()
        is_error = pc.equal(rejects["severity"].cast(pa.string()), "error").to_numpy()
        errors = lines[is_error]
        self.warnings += len(lines) - len(errors)
        self.rejected += int(np.count_nonzero(np.diff(errors, prepend=self._last_rejected)))
        self._last_rejected = errors.max(initial=self._last_rejected)
        columns, rules = (_codes(rejects[name]) for name in ("column", "rule"))
        codes = columns * (rules.max(initial=0) + 1) + rules
        _, firsts, counts = np.unique(codes, return_index=True, return_counts=True)
        for first, count in sorted(zip(firsts.tolist(), counts.tolist(), strict=True)):
            (each,) = rejects.slice(first, 1).to_pylist()
            rule = self._rules.setdefault(
                (each["column"], each["rule"]),
                _RuleCount(
                    each["column"],
                    each["rule"],
                    each["severity"],
                    bounded(each["reason"], _MAX_REASON),
                ),
            )
            rule.count += count
            if missing := EXAMPLES - len(rule.examples):
                examples = rejects.take(np.flatnonzero(codes == codes[first])[:missing])
                rule.examples += [
                    {
                        "line": each["line"],
                        "value": each["value"] and bounded(each["value"], _MAX_VALUE),
                    }
                    for each in examples.to_pylist()
                ]

    def add_range(self, counts: Mapping[str, Any], columns: dict[str, ColumnProfile]) -> None:
        """Add the `counts` and the profile of a range. Ranges must be added in order."""
        self.rejected += counts["rejected"]
        self.warnings += counts["warnings"]
        for each in counts["rules"]:
            rule = _RuleCount(**each)
            known = self._rules.setdefault((rule.column, rule.rule), rule)
            if known is not rule:
                known.count += rule.count
                known.examples += rule.examples[: EXAMPLES - len(known.examples)]
        self.profile.add(columns)

    @property
    def counts(self) -> dict[str, Any]:
        """The counts of rejects, as JSON that `add_range` takes."""
        rules = [asdict(rule) for rule in self._rules.values()]
        return {"rejected": self.rejected, "warnings": self.warnings, "rules": rules}

    @property
    def halts(self) -> list[str]:
        """Reasons that fail the run even without hard testing."""
        rows = self.rows_read
        found = [
            f"the number of rows is {rows}; rule {rule.name} requires {rule}"
            for rule in self.contract.row_counts
            if not rule.is_met(rows)
        ]
        limit = self.contract.max_rejected_percent
        if self.rejected and self.rejected == rows:
            found.append("every row is rejected")
        elif 100 * self.rejected > limit * rows:
            found.append(f"more than {limit:f}% of the rows are rejected")
        return found + [
            f"{each['failed']} of {rows} rows fail {each['rule']} of {each['column']}; "
            f"allowed: {each['allowed']}"
            for each in self.thresholds
            if not each["kept"]
        ]

    @property
    def thresholds(self) -> list[dict[str, Any]]:
        """The rules with a limit of failed rows, and whether the limit is kept."""
        found = []
        for column, rule in self.contract.checks:
            if rule.threshold is None:
                continue
            count = self._rules.get((column, rule.name))
            failed = count.count if count else 0
            found.append(
                {
                    "column": column,
                    "rule": rule.name,
                    "failed": failed,
                    "allowed": str(rule.threshold),
                    "kept": rule.threshold.is_met(failed, self.rows_read),
                }
            )
        return found

    @property
    def summary(self) -> str | None:
        """The failures in one sentence; None if there are none."""
        rules = [rule for rule in self._by_count() if rule.severity == "error"]
        parts = [
            f"{rule.reason} ({rule.count}×, first at line {rule.examples[0]['line']})"
            for rule in rules[:3]
        ]
        if self.rejected:
            parts[0] = f"{self.rejected} of {self.rows_read} rows failed: {parts[0]}"
        return "; ".join(self.halts + parts) or None

    def verdict(self, *, hard: bool) -> Verdict:
        """Return the verdict of Test; if `hard`, a rejected row fails the run."""
        counts = {
            "rowsRead": self.rows_read,
            "rowsRejected": self.rejected,
            "warnings": self.warnings,
        }
        if self.halts or (hard and self.rejected):
            return Verdict(Outcome.FAILED_TESTS, self.summary, counts)
        return Verdict(Outcome.OK, counts=counts)

    def as_json(self) -> dict[str, Any]:
        """Return the content of `report.json`."""
        return {
            "rowsRead": self.rows_read,
            "rowsClean": self.rows_read - self.rejected,
            "rowsRejected": self.rejected,
            "warnings": self.warnings,
            "exactRepeats": self.profile.repeats,
            "emptyRows": self.empty_rows,
            "footerLines": self.footer_lines,
            "totalsVerified": self.totals_verified,
            "halts": self.halts,
            "rules": [asdict(rule) for rule in self._by_count()],
            "thresholds": self.thresholds,
            "columns": {
                column.name: self.profile.columns[column.physical_name].as_json()
                for column in self.contract.columns
                if column.physical_name in self.profile.columns
            },
        }

    def _by_count(self) -> list[_RuleCount]:
        return sorted(self._rules.values(), key=lambda rule: (rule.severity, -rule.count))


def _codes(texts: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Return a number for each text, the same for equal ones."""
    encoded = texts.combine_chunks().cast(pa.string()).dictionary_encode(null_encoding="encode")
    codes: npt.NDArray[np.int64] = encoded.indices.cast(pa.int64()).to_numpy()
    return codes
