"""The pipeline's own events on the default EventBridge bus.

Only `alert` notifies people. Other functions send it a notice about outcomes that Step Functions
does not report.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from shared.endings import Notice
from shared.errors import NoticeUndelivered

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

SOURCE = "tm-pipeline"
"""The `source` of the events; Terraform's rule and IAM policies contain it too."""


def put(events: "EventBridgeClient", notice: Notice, detail: Mapping[str, Any]) -> None:
    """Send a notice; raise NoticeUndelivered if EventBridge rejects it."""
    # Unescaped: EventBridge limits the bytes, and the cause of a failed run has up to 32,768
    # characters.
    text = json.dumps(detail, ensure_ascii=False)
    answer = events.put_events(Entries=[{"Source": SOURCE, "DetailType": notice, "Detail": text}])
    if answer["FailedEntryCount"]:
        raise NoticeUndelivered(
            f"EventBridge rejected the notice {notice!r} {dict(detail)}: {answer['Entries']}"
        )
