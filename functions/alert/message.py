"""The alert about one outcome: plain text for people, JSON for tools."""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.endings import ENDINGS, Kind, State, Status
from shared.ingestion import Ingestion
from shared.ingestion_log import TOTALS
from shared.landing_key import HIVE
from shared.settings import AlertOn
from shared.text import visible

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

_SUBJECT_LENGTH = 99
"""SNS limits a subject to 99 printable ASCII characters.

https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
"""
_MAX_REJECTS = 3
_LAST_LINES = {"Table": "unchanged", "Note": "noticed", "What to do": "repair", "Run": "console"}

_SENTENCES = {
    Kind.LOADED: "Every row of the file is loaded.",
    Kind.LOADED_WITH_REJECTS: "The file is loaded without its rejected rows.",
    Kind.SUPERSEDED: "A newer version of the file is already loaded.",
    Kind.REFUSED: "The file does not match its contract. No row was loaded.",
    Kind.FAILED_TESTS: "The file failed its tests. No row was loaded.",
    Kind.BROKEN: "A function raised an error. The usual cause is the pipeline or a service.",
    Kind.CRASHED: "A function crashed, and its retries crashed too.",
    Kind.TIMED_OUT: "A function or the run exceeded its timeout.",
    Kind.ABORTED: "An operator stopped the run.",
    Kind.REJECTED: "The object was not accepted, so no run started.",
    Kind.MISSING: "An expected file is not loaded.",
}


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert: `subject` (at most 99 ASCII characters), `record` for tools, `text` for people."""

    subject: str
    record: dict[str, Any]

    @property
    def text(self) -> str:
        """The record as lines of plain text."""
        record, kind = self.record, Kind(self.record["kind"])
        version = "" if record["versionId"] is None else f" (version {record['versionId']})"
        day = "" if record["dataDate"] is None else f", day {record['dataDate']}"
        lines = [
            f"{record['status']}: {kind}, at state {record['latestState']}. {_SENTENCES[kind]}",
            f"File: {visible(record['sourceKey'])}{version}",
            f"Ingestion: {record['ingestedID']}, table {record['ingestedTable']}{day}",
        ]
        counts = [f"{record[name]:,} {name[4:].lower()}" for name in TOTALS if name in record]
        if counts:
            lines.append(f"Rows: {', '.join(counts)}")
        lines += [f"Reason: {record['reason']}"] if record["reason"] else []
        lines += ["To accept such files:", record["advice"]] if record["advice"] else []
        lines += [
            f"Rejected: {reject['count']:,} × {reject['rule']} of {reject['column'] or 'the row'}, "
            f"first at line {reject['line']}: {reject['reason']}"
            for reject in record["topRejects"]
        ]
        lines += [f"{title}: {record[name]}" for title, name in _LAST_LINES.items() if record[name]]
        return "\n".join(lines)


def is_wanted(kind: Kind, item: Mapping[str, Any], alert_on: AlertOn) -> bool:
    """Return whether `alert_on` asks for an alert about this outcome.

    A lost S3 event is always reported, because nothing else shows it.
    """
    return (
        alert_on is AlertOn.ALL
        or not ENDINGS[kind].is_good
        or (kind is Kind.LOADED_WITH_REJECTS and alert_on is AlertOn.FAILURES_AND_REJECTS)
        or _was_lost(item)
    )


def compose(item: Mapping[str, Any], report: Mapping[str, Any] | None, kind: Kind) -> Alert:
    """Return the alert about an outcome, from the closed log item.

    `report` is Test's `report.json`, if rows were rejected. The alert contains no raw value of it.
    """
    status = "Ingestion Success" if ENDINGS[kind].is_good else "Ingestion Fail"
    record = {
        "status": status,
        "kind": str(kind),
        "latestState": item["state"],
        "ingestedID": item["ingestedID"],
        "ingestedTable": item["ingestedTable"],
        "sourceKey": item["sourceKey"],
        "versionId": item.get("versionId"),
        "dataDate": item.get("dataDate"),
        **{name: int(item[name]) for name in TOTALS if name in item},
        "reason": item.get("haltReason"),
        "advice": item.get("advice"),
        "topRejects": _top_rejects(report),
        "unchanged": _unchanged(item, kind),
        "noticed": _noticed(item, kind),
        "executionArn": _execution(item),
        "console": _console(_execution(item)),
        "repair": _repair(item, kind),
    }
    about = f"{item['ingestedTable']} {item.get('dataDate') or item['sourceKey']}"
    words = f", {kind.lower()}"
    # A sender chooses the key, so it may be long or contain any character.
    subject = f"{status}: {about}"[: _SUBJECT_LENGTH - len(words)] + words
    return Alert(re.sub(r"[^ -~]", "?", subject), record)


def publish(sns: "SNSClient", topic_arn: str, alert: Alert) -> None:
    """Publish an alert to SNS: e-mail subscribers get the text, all others the record."""
    record = json.dumps(alert.record, ensure_ascii=False)
    sns.publish(
        TopicArn=topic_arn,
        Subject=alert.subject,
        MessageStructure="json",
        # SNS limits the bytes. An escaped character would take up to twelve.
        Message=json.dumps({"default": record, "email": alert.text}, ensure_ascii=False),
    )


def _top_rejects(report: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    rules = [] if report is None else [r for r in report["rules"] if r["severity"] == "error"]
    return [
        {name: rule[name] for name in ("column", "rule", "reason", "count")}
        | {"line": rule["examples"][0]["line"]}
        for rule in rules[:_MAX_REJECTS]
    ]


def _execution(item: Mapping[str, Any]) -> str | None:
    """Return the ARN of the ingestion's run; None without one, or before its manifest lands."""
    return None if item["status"] == Status.WAITING else item.get("executionArn")


def _console(arn: str | None) -> str | None:
    if arn is None:
        return None
    region = arn.split(":")[3]
    return (
        f"https://{region}.console.aws.amazon.com/states/home?region={region}"
        f"#/v2/executions/details/{arn}"
    )


def _unchanged(item: Mapping[str, Any], kind: Kind) -> str | None:
    match kind:
        case Kind.LOADED | Kind.LOADED_WITH_REJECTS:
            return None
        case Kind.SUPERSEDED:
            return "unchanged; it holds the rows of the newer version"
        case Kind.REJECTED:
            return "no table was changed"
        case Kind.MISSING:
            return "for this day, it holds only rows of other files"
        case _ if item["state"] == State.LOAD:
            # The function may have failed after COMMIT and before it returned.
            return (
                "Load did not finish; of this file, the table holds either the previous rows or "
                "all accepted rows of this version, never a mix"
            )
        case (
            Kind.REFUSED
            | Kind.FAILED_TESTS
            | Kind.BROKEN
            | Kind.CRASHED
            | Kind.TIMED_OUT
            | Kind.ABORTED
        ):
            return "unchanged; no row of this version was loaded"


def _was_lost(item: Mapping[str, Any]) -> bool:
    """Return whether the S3 event was lost and this is the first run of the ingestion."""
    if "foundBy" not in item:
        return False
    arn = item.get("executionArn")
    return arn is None or arn.endswith(f":{Ingestion.from_item(item).execution_name()}")


def _noticed(item: Mapping[str, Any], kind: Kind) -> str | None:
    notes = []
    if kind is Kind.LOADED and item.get("rowsRead") == 0:
        notes.append("the file has no rows, which its contract allows")
    if _was_lost(item):
        started = " and started a run" if "executionArn" in item else ""
        notes.append(
            f"the S3 event of this file was lost; {item['foundBy']} found the file{started}"
        )
    return "; ".join(notes) or None


def _repair(item: Mapping[str, Any], kind: Kind) -> str | None:
    """Return what to do, with the command at the end; None if there is nothing to do."""
    ingested_id = item["ingestedID"]
    replay = f"tm replay {ingested_id}"
    upload = f"tm drop FILE --table {item['ingestedTable']} --date {item.get('dataDate')}"
    if not item["sourceKey"].startswith(HIVE):
        upload = f"tm drop FILE --key {visible(shlex.quote(item['sourceKey']))}"
    fix_rows = (
        f"tm rejects {ingested_id} --csv rejects.csv, correct the column `raw` in it, then "
        f"tm rejects fix {ingested_id} rejects.csv"
    )
    match kind:
        case Kind.LOADED | Kind.SUPERSEDED:
            return None
        case Kind.LOADED_WITH_REJECTS:
            return f"correct the rejected rows and load the file again: {fix_rows}"
        case Kind.REJECTED:
            return (
                "upload the file again under a valid key: "
                "tm drop FILE --table TABLE --date YYYY-MM-DD"
            )
        case Kind.MISSING if item["status"] == Status.WAITING or "waitingID" in item:
            waiting = item.get("waitingID", ingested_id)
            return (
                "ask the supplier for the manifest and upload it; or load the file without it: "
                f"tm replay {waiting} --without-manifest"
            )
        case Kind.MISSING if "failedID" in item:
            failed = item["failedID"]
            return (
                f"correct the file and upload it again: {upload}; or, if the pipeline caused the "
                f"failure, fix the cause and replay the ingestion: tm replay {failed}"
            )
        case Kind.MISSING:
            return f"ask the supplier for the file, then upload it: {upload}"
        case Kind.REFUSED | Kind.FAILED_TESTS:
            rows = f"correct the rejected rows: {fix_rows}; or " if item.get("rowsRejected") else ""
            return (
                f"{rows}correct the file and upload it again: {upload}; or, if the "
                f"contract is wrong, deploy a corrected one and replay the ingestion: {replay}"
            )
        case Kind.ABORTED:
            return f"when the reason for the stop no longer applies, replay the ingestion: {replay}"
        case Kind.TIMED_OUT:
            return f"find the slow step in the run, fix it, then replay the ingestion: {replay}"
        case Kind.CRASHED:
            return (
                "if the reason or the REPORT line of the function's log shows that memory ran out, "
                f"increase the function's memory; then replay the ingestion: {replay}"
            )
        case Kind.BROKEN:
            return f"fix the cause, then replay the ingestion: {replay}"
