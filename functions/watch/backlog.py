"""Queued files: the end of a run starts the next one, and a metric shows how many wait."""

import time

from shared.endings import Status
from shared.gate import Gate
from shared.ingestion import Run
from shared.ingestion_log import IngestionLog
from shared.metrics import measure_backlog

LAG = 1.0
"""Seconds until the index shows a file that has just started to wait. AWS guarantees no time:
"within a fraction of a second, under normal conditions".
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html"""
_EVERY = 60.0
"""Minimum of seconds between two counts at run-end events. Counting many files takes many reads."""


class Backlog:
    """The queued files. One object serves all calls of a process.

    The methods raise `LogUnavailable` if DynamoDB does not answer.
    """

    def __init__(self) -> None:
        self._counted = float("-inf")

    def end(self, gate: Gate, execution_arn: str) -> int:
        """Free the slot of an ended run and start queued files; return the number of new runs."""
        gate.close(Run(execution_arn))
        started = gate.open()
        if not started:
            time.sleep(LAG)
            started = gate.open()
        if time.monotonic() - self._counted > _EVERY:
            self.measure(gate.log)
        return len(started)

    def measure(self, log: IngestionLog) -> None:
        """Publish the numbers of files that wait for a run, and for their manifest."""
        measure_backlog(log.count(Status.QUEUED), log.count(Status.WAITING))
        self._counted = time.monotonic()
