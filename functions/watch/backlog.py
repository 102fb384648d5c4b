"""The files that wait: the end of a run starts the next, and the dashboard shows how many wait."""

import time

from shared.endings import Status
from shared.gate import Gate
from shared.ingestion import Run
from shared.ingestion_log import IngestionLog
from shared.metrics import measure_backlog

LAG = 1.0
"""Seconds after which the index shows a file that began to wait just before. AWS promises no time:
"within a fraction of a second, under normal conditions".
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html"""
_EVERY = 60.0
"""Seconds between two counts at ends of runs: to count many files takes many reads."""


class Backlog:
    """The files that wait, as one process of the function sees them.

    Its methods raise `LogUnavailable` if DynamoDB does not answer.
    """

    def __init__(self) -> None:
        """Prepare to count at once."""
        self._counted = float("-inf")

    def end(self, gate: Gate, execution_arn: str) -> int:
        """Free the slot of a run that has ended, and start what waits; return how many runs."""
        gate.close(Run(execution_arn))
        started = gate.open()
        if not started:
            time.sleep(LAG)
            started = gate.open()
        if time.monotonic() - self._counted > _EVERY:
            self.measure(gate.log)
        return len(started)

    def measure(self, log: IngestionLog) -> None:
        """Count the files that wait, for the dashboard."""
        measure_backlog(log.count(Status.WAITING))
        self._counted = time.monotonic()
