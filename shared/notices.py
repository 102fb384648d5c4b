"""Events of our own on the default bus: what `alert` could not know from Step Functions.

`alert` is the one place that tells people; whoever else has something to say puts a notice.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from shared.endings import Notice
from shared.errors import NoticeUndelivered

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

SOURCE = "tm-pipeline"
"""The `source` of our events; Terraform's rule and the roles' permissions name it."""


def put(events: "EventBridgeClient", notice: Notice, detail: Mapping[str, Any]) -> None:
    """Put one notice on the default bus.

    Raises:
        NoticeUndelivered: EventBridge did not take it.
    """
    # EventBridge counts bytes, and the cause of a run's end may have 32,768 characters.
    text = json.dumps(detail, ensure_ascii=False)
    answer = events.put_events(Entries=[{"Source": SOURCE, "DetailType": notice, "Detail": text}])
    if answer["FailedEntryCount"]:
        raise NoticeUndelivered(
            f"EventBridge did not take the notice {notice!r} {dict(detail)}: {answer['Entries']}"
        )
