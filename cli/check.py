"""`tm check`: Transform and Test of a file on this machine, without a cloud."""

import contextlib
import datetime as dt
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from cli import rejects
from cli.console import advised, cell, console, line, right, styled
from cli.errors import CommandError
from cli.items import many
from cli.refusable import Refusable, refusable
from functions.test.examination import examine
from functions.transform.transformation import transform
from shared import parquet
from shared.content import LocalFile
from shared.contract import Contract
from shared.endings import Outcome
from shared.ingestion import Ingestion, Source
from shared.manifest import FoundManifest
from shared.staging import Staging
from shared.verdict import Verdict

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Checked:
    """The verdict on a file, with the report and rejects of Test unless Transform refused it.

    `manifest` is the one that was verified; None without one.
    """

    verdict: Verdict
    staging: Staging
    contract: Contract
    manifest: Path | None

    @property
    def would_be_loaded(self) -> bool:
        """Whether the pipeline would load the file."""
        return self.verdict.outcome == Outcome.OK

    @property
    def report(self) -> dict[str, Any] | None:
        """The content of `report.json`; None if the file was refused."""
        path = Path(self.staging.report)
        return json.loads(path.read_text("utf-8")) if path.exists() else None

    @property
    def rejects(self) -> Iterator[rejects.Record]:
        """The reject records, by line."""
        path = Path(self.staging.rejects)
        if path.exists():
            with path.open(encoding="utf-8", newline="\n") as lines:
                yield from map(json.loads, lines)

    @property
    def refusable(self) -> Iterator[Refusable]:
        """Rows that PostgreSQL may refuse."""
        parts = map(parquet.read, parquet.parts(self.staging.clean_prefix))
        return refusable(parts, self.contract)

    def as_json(self) -> dict[str, Any]:
        """Return the verdict, report and rejects as JSON fields."""
        return {
            "wouldBeLoaded": self.would_be_loaded,
            "outcome": self.verdict.outcome,
            "reason": self.verdict.reason,
            "advice": self.verdict.advice,
            "report": self.report,
            "rejects": list(self.rejects),
            "mayBeRefused": list(map(asdict, self.refusable)),
        }


@contextlib.contextmanager
def checked(
    file: Path, contract: Contract, *, manifest: Path | None = None, hard: bool
) -> Iterator[Checked]:
    """Transform and test a file in a temporary folder, which exists during the block.

    With `hard`, a failed test halts the file.

    Raises:
        CommandError: there is a manifest, but the contract has none.
    """
    if manifest is not None and contract.manifest is None:
        raise CommandError(
            f"The contract of {contract.table} has no manifest: leave out --manifest, or add the "
            "property to the contract."
        )
    today = dt.datetime.now(dt.UTC).date()
    content = LocalFile(file)
    source = Source(bucket="", key=file.name, version_id="", size=content.size)
    with tempfile.TemporaryDirectory() as folder:
        staging = Staging(Path(folder), Ingestion("check", contract.table, today, source))
        vouching = None
        if manifest is not None:
            vouching = FoundManifest(manifest.name, LocalFile(manifest))
        verdict = transform(content, contract, staging, vouching)
        if verdict.outcome == Outcome.OK:
            verdict = examine(staging, verdict.as_result(), content, contract, hard=hard)
        yield Checked(verdict, staging, contract, manifest)


def show(found: Checked) -> None:
    """Print the verdict, the report and the first rejects for people."""
    if (report := found.report) is not None:
        _show_report(report)
        if report["rules"]:
            console.print()
            rejects.show(found.rejects, _SHOWN)
        console.print()
    if found.would_be_loaded:
        rejected = (found.report or {}).get("rowsRejected")
        without = " without the rejected rows" if rejected else ""
        if found.verdict.counts["rowsRead"] == 0:
            without = ": it has no rows, which its contract allows"
        console.print(styled(f"The file would be loaded{without}.", "green"))
        if found.contract.manifest is not None and found.manifest is None:
            console.print("Its manifest was not checked: pass it with --manifest.")
        _show_refusable(list(found.refusable))
    else:
        refused = found.verdict.outcome == Outcome.REFUSED
        end = "Transform would refuse it" if refused else "Test would halt it"
        reason = cell(found.verdict.reason, width=None)
        console.print(line(styled("The file would not be loaded", "red"), f". {end}: ", reason))
        if (advice := found.verdict.advice) is not None:
            console.print(advised(advice))


def _show_refusable(rows: list[Refusable]) -> None:
    for each in rows[:_SHOWN]:
        warning = styled(f"PostgreSQL may refuse the row at line {each.line}", "yellow")
        console.print(line(warning, ": ", cell(each.reason, width=None), "."))
    if len(rows) > _SHOWN:
        console.print(f"… and {len(rows) - _SHOWN} more; --json prints all")


def _show_report(report: dict[str, Any]) -> None:
    verified = report["totalsVerified"]
    ignored = [
        many(report[name], thing)
        for name, thing in (("emptyRows", "empty row"), ("footerLines", "footer line"))
        if report[name]
    ]
    console.print(
        f"{report['rowsRead']:,} rows read: {report['rowsClean']:,} clean, "
        f"{report['rowsRejected']:,} rejected. Warnings: {report['warnings']:,}. "
        f"Exact repeats: {report['exactRepeats']:,}."
        + (f" Ignored: {' and '.join(ignored)}." if ignored else "")
        + (f" Verified: {many(verified, 'control total')}." if verified else ""),
        "",
        sep="\n",
    )
    columns = Table("column", right("missing"), "minimum", "maximum", box=None)
    for name, column in report["columns"].items():
        columns.add_row(
            cell(name), f"{column['nulls']:,}", cell(column["min"]), cell(column["max"])
        )
    console.print(columns)
    if not report["rules"]:
        return
    allowed = {(each["column"], each["rule"]): each["allowed"] for each in report["thresholds"]}
    rules = Table(
        "column", "rule", "severity", right("rows"), "allowed", right("first at line"), box=None
    )
    for each in report["rules"]:
        rules.add_row(
            cell(each["column"]),
            cell(each["rule"]),
            rejects.severity(each["severity"]),
            f"{each['count']:,}",
            allowed.get((each["column"], each["rule"]), ""),
            f"{each['examples'][0]['line']:,}",
        )
    console.print()
    console.print(rules)
