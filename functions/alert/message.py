"""What the team is told of the end of an ingestion, and how: one message, two forms."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.endings import ENDINGS, Kind, State
from shared.ingestion import Ingestion
from shared.ingestion_log import TOTALS
from shared.settings import AlertOn

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient

_SUBJECT_LENGTH = 99
"""SNS wants it to be less than 100 characters, none of them a line break or the like."""
_TOP = 3
_LAST_LINES = {
    "The table": "unchanged",
    "Noticed": "noticed",
    "To repair": "repair",
    "Run": "console",
}

_WORDS = {
    Kind.LOADED: "Every row of the file is loaded.",
    Kind.LOADED_WITH_REJECTS: "The file is loaded, but for some of its rows.",
    Kind.SUPERSEDED: "A newer version of the file is loaded already, so nothing was done.",
    Kind.REFUSED: "The file is not what its contract says, so none of it was loaded.",
    Kind.FAILED_TESTS: "The file failed its tests, so none of it was loaded.",
    Kind.BROKEN: "A function failed: the pipeline is at fault, or what it works with.",
    Kind.CRASHED: "A function died, and so did it when it was tried again.",
    Kind.TIMED_OUT: "It took longer than it may.",
    Kind.ABORTED: "Somebody stopped the run.",
    Kind.REJECTED: "An object landed that no contract takes, so it was not ingested.",
    Kind.MISSING: "A file that was promised is not loaded.",
}
_IN_WORDS = {kind: _WORDS[kind] for kind in Kind}  # raises if one is missing


@dataclass(frozen=True, slots=True)
class Alert:
    """A message: `subject` at most 100 ASCII characters, `record` for tools, `text` for people."""

    subject: str
    record: dict[str, Any]

    @property
    def text(self) -> str:
        """The record in plain lines."""
        record, kind = self.record, Kind(self.record["kind"])
        version = "" if record["versionId"] is None else f" (version {record['versionId']})"
        day = "" if record["dataDate"] is None else f", day {record['dataDate']}"
        lines = [
            f"{record['status']}: {kind}, at state {record['latestState']}. {_IN_WORDS[kind]}",
            f"File: {record['sourceKey']}{version}",
            f"Ingestion: {record['ingestedID']}, table {record['ingestedTable']}{day}",
        ]
        counts = [f"{record[name]:,} {name[4:].lower()}" for name in TOTALS if name in record]
        if counts:
            lines.append(f"Rows: {', '.join(counts)}")
        lines += [f"Why: {record['reason']}"] if record["reason"] else []
        lines += [
            f"Rejected: {reject['count']:,} × {reject['rule']} of {reject['column'] or 'the row'}, "
            f"first at line {reject['line']}: {reject['reason']}"
            for reject in record["topRejects"]
        ]
        lines += [f"{title}: {record[name]}" for title, name in _LAST_LINES.items() if record[name]]
        return "\n".join(lines)


def is_wanted(kind: Kind, item: Mapping[str, Any], alert_on: AlertOn) -> bool:
    """Tell whether people want to be told of an end.

    That an event was lost is told in any case: nobody sees it otherwise.
    """
    return (
        alert_on is AlertOn.ALL
        or not ENDINGS[kind].is_good
        or (kind is Kind.LOADED_WITH_REJECTS and alert_on is AlertOn.FAILURES_AND_REJECTS)
        or _was_lost(item)
    )


def compose(item: Mapping[str, Any], report: Mapping[str, Any] | None, kind: Kind) -> Alert:
    """Say how an ingestion ended.

    Args:
        item: its log item, closed.
        report: Test's `report.json`, if rows were rejected. No raw value of it is passed on.
        kind: how it ended.
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
        "topRejects": _top_rejects(report),
        "unchanged": _unchanged(item, kind),
        "noticed": _noticed(item),
        "executionArn": item.get("executionArn"),
        "console": _console(item),
        "repair": _repair(item, kind),
    }
    about = f"{item['ingestedTable']} {item.get('dataDate') or item['sourceKey']}"
    words = f", {kind.lower()}"
    # A key is what its sender makes it.
    subject = f"{status}: {about}"[: _SUBJECT_LENGTH - len(words)] + words
    return Alert(re.sub(r"[^ -~]", "?", subject), record)


def publish(sns: "SNSClient", topic_arn: str, alert: Alert) -> None:
    """Hand an alert to the topic: e-mail gets the text, all others the record."""
    record = json.dumps(alert.record, ensure_ascii=False)
    sns.publish(
        TopicArn=topic_arn,
        Subject=alert.subject,
        MessageStructure="json",
        # SNS counts bytes, and escapes would make up to twelve of a character.
        Message=json.dumps({"default": record, "email": alert.text}, ensure_ascii=False),
    )


def _top_rejects(report: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    rules = [] if report is None else [r for r in report["rules"] if r["severity"] == "error"]
    return [
        {
            "column": rule["column"],
            "rule": rule["rule"],
            "reason": rule["reason"],
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


def _unchanged(item: Mapping[str, Any], kind: Kind) -> str | None:
    match kind:
        case Kind.LOADED | Kind.LOADED_WITH_REJECTS:
            return None
        case Kind.SUPERSEDED:
            return "it holds the newer version's rows, as before"
        case Kind.REJECTED:
            return "nothing was loaded, and no table has changed"
        case Kind.MISSING:
            return "it holds nothing of this day but what other files of it may have brought"
        case _ if item["state"] == State.LOAD:
            # A run that broke off in Load may have died between the commit and its answer.
            return (
                "Load broke off, so it holds of this file either what it held before or all good "
                "rows of this version, never a mix"
            )
        case (
            Kind.REFUSED
            | Kind.FAILED_TESTS
            | Kind.BROKEN
            | Kind.CRASHED
            | Kind.TIMED_OUT
            | Kind.ABORTED
        ):
            return "nothing was loaded; the rows of this file's earlier versions are unchanged"


def _was_lost(item: Mapping[str, Any]) -> bool:
    """Tell whether no event told of the object, and this is the first that is said of it."""
    if "foundBy" not in item:
        return False
    arn = item.get("executionArn")
    return arn is None or arn.endswith(f":{Ingestion.from_item(item).execution_name()}")


def _noticed(item: Mapping[str, Any]) -> str | None:
    if not _was_lost(item):
        return None
    found = f"no event of S3 told of this file: {item['foundBy']} found it"
    return found if "executionArn" not in item else f"{found} and started its run"


def _repair(item: Mapping[str, Any], kind: Kind) -> str | None:
    """Return what to do, and the command that does it at the end; None if there is nothing."""
    ingested_id = item["ingestedID"]
    replay = f"tm replay {ingested_id}"
    drop = f"tm drop FILE --table {item['ingestedTable']} --date {item.get('dataDate')}"
    correct = (
        f"tm rejects {ingested_id} --csv rejects.csv, then correct `raw` in it, then "
        f"tm rejects fix {ingested_id} rejects.csv"
    )
    match kind:
        case Kind.LOADED | Kind.SUPERSEDED:
            return None
        case Kind.LOADED_WITH_REJECTS:
            return f"have the rejected rows corrected, and load the file with them: {correct}"
        case Kind.REJECTED:
            return (
                "drop the file again under a key that fits: "
                "tm drop FILE --table T --date YYYY-MM-DD"
            )
        case Kind.MISSING if "failedID" in item:
            failed = item["failedID"]
            return (
                f"correct the file and drop it again: {drop}; or, if the pipeline was at fault, "
                f"mend the cause and run it again: tm replay {failed}"
            )
        case Kind.MISSING:
            return f"ask its supplier for it, then drop it: {drop}"
        case Kind.REFUSED | Kind.FAILED_TESTS:
            some = f"correct the rejected rows: {correct}; or " if item.get("rowsRejected") else ""
            return (
                f"{some}correct the file and drop it again: {drop}; or, if the contract asks "
                f"too much, apply a better one and run the file again: {replay}"
            )
        case Kind.ABORTED:
            return f"when what it was stopped for is settled, run it again: {replay}"
        case Kind.TIMED_OUT:
            return f"find out what was slow (the run shows it), then run it again: {replay}"
        case Kind.CRASHED:
            return (
                "if it ran out of memory (the reason or the REPORT line of its log says so), give "
                f"the function more; run it again: {replay}"
            )
        case Kind.BROKEN:
            return f"mend the cause, then run it again: {replay}"
