"""What the team is told of the end of an ingestion, and how: one message, two forms."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.progress import State, Status

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

_SUBJECT_LENGTH = 100
_TOP = 3
_COUNTS = ("rowsRead", "rowsLoaded", "rowsRejected")


@dataclass(frozen=True, slots=True)
class Alert:
    """A message: `subject` at most 100 ASCII characters, `text` for people, `record` for tools."""

    subject: str
    text: str
    record: dict[str, Any]


def compose(
    item: Mapping[str, Any], report: Mapping[str, Any] | None, *, file_at_fault: bool
) -> Alert:
    """Say how an ingestion ended.

    Args:
        item: its log item, closed.
        report: Test's `report.json`, if rows were rejected. No raw value of it is passed on.
        file_at_fault: whether a failure is a verdict on the file, or something broke.
    """
    succeeded = item["status"] in {Status.SUCCESS, Status.SUPERSEDED}
    status = "Ingestion Success" if succeeded else "Ingestion Fail"
    record = {
        "status": status,
        "latestState": item["state"],
        "ingestedID": item["ingestedID"],
        "ingestedTable": item["ingestedTable"],
        "sourceKey": item["sourceKey"],
        "versionId": item["versionId"],
        "dataDate": item.get("dataDate"),
        **{name: int(item[name]) for name in _COUNTS if name in item},
        "reason": item.get("haltReason"),
        "topRejects": _top_rejects(report),
        "unchanged": None if succeeded else _unchanged(item, file_at_fault=file_at_fault),
        "executionArn": item.get("executionArn"),
        "console": _console(item),
        "repair": None if succeeded else _repair(item, file_at_fault=file_at_fault),
    }
    subject = f"{status}: {item['ingestedTable']} {item.get('dataDate') or item['sourceKey']}"
    return Alert(
        subject.encode("ascii", "replace").decode()[:_SUBJECT_LENGTH], _text(record), record
    )


def publish(sns: "SNSClient", topic_arn: str, alert: Alert) -> None:
    """Hand an alert to the topic: e-mail gets the text, all others the record."""
    record = json.dumps(alert.record, ensure_ascii=False)
    sns.publish(
        TopicArn=topic_arn,
        Subject=alert.subject,
        MessageStructure="json",
        Message=json.dumps({"default": record, "email": alert.text}),
    )


def _text(record: Mapping[str, Any]) -> str:
    lines = [
        f"{record['status']} at state {record['latestState']}.",
        f"File: {record['sourceKey']} (version {record['versionId']})",
        f"Ingestion: {record['ingestedID']}, table {record['ingestedTable']}",
    ]
    counts = [f"{record[name]} {name[4:].lower()}" for name in _COUNTS if name in record]
    if counts:
        lines.append(f"Rows: {', '.join(counts)}")
    if record["reason"]:
        lines.append(f"Why: {record['reason']}")
    lines += [
        f"Rejected: {reject['count']} × {reject['rule']} of {reject['column'] or 'the row'}, "
        f"first at line {reject['line']}"
        for reject in record["topRejects"]
    ]
    if record["unchanged"]:
        lines.append(f"The table: {record['unchanged']}")
    if record["repair"]:
        lines.append(f"To repair: {record['repair']}")
    if record["console"]:
        lines.append(f"Run: {record['console']}")
    return "\n".join(lines)


def _top_rejects(report: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    rules = [] if report is None else [r for r in report["rules"] if r["severity"] == "error"]
    return [
        {
            "column": rule["column"],
            "rule": rule["rule"],
            "count": rule["count"],
            "line": rule["examples"][0]["line"],
        }
        for rule in rules[:_TOP]
    ]


def _console(item: Mapping[str, Any]) -> str | None:
    if "executionArn" not in item:
        return None
    arn = item["executionArn"]
    region = arn.split(":")[3]
    return (
        f"https://{region}.console.aws.amazon.com/states/home?region={region}"
        f"#/v2/executions/details/{arn}"
    )


def _unchanged(item: Mapping[str, Any], *, file_at_fault: bool) -> str:
    # A run that broke off in Load may have died between the commit and its answer.
    if item["state"] == State.LOAD and not file_at_fault:
        return (
            "Load broke off, so it holds of this file either what it held before or all good rows "
            "of this version, never a mix"
        )
    return "nothing was loaded; what it holds of this file's earlier versions stays as it was"


def _repair(item: Mapping[str, Any], *, file_at_fault: bool) -> str:
    if item["status"] == Status.REJECTED:
        return "drop the file again under a key that fits: tm drop FILE --table T --date YYYY-MM-DD"
    replay = f"tm replay {item['ingestedID']}"
    if file_at_fault:
        return (
            "correct the file and drop it again: tm drop FILE "
            f"--table {item['ingestedTable']} --date {item['dataDate']}; or, if the contract asks "
            f"too much, apply a better one and run the file again: {replay}"
        )
    return f"mend the cause, then run it again: {replay}"
