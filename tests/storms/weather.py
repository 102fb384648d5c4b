"""Faults of a storm, drawn from its seed at each I/O operation."""

import random
from collections import Counter
from enum import StrEnum

Tally = Counter[str]
"""Counts of everything that happened, which show that faults did occur."""


class Fault(StrEnum):
    """A fault of an I/O operation."""

    KILLED_BEFORE = "killed before"
    KILLED_AFTER = "killed after"
    REFUSED = "refused"
    """AWS answers with an error, or PostgreSQL accepts no connection; no effect."""
    ANSWER_LOST = "answer lost"
    """The operation succeeds, but its answer is lost."""
    CUT = "cut"
    """The session ends before PostgreSQL receives the statement."""
    RESTART = "restart"
    """All sessions end."""


_AWS = {Fault.KILLED_BEFORE: 2, Fault.KILLED_AFTER: 2, Fault.REFUSED: 3, Fault.ANSWER_LOST: 2}
_CONNECT = {Fault.KILLED_BEFORE: 1, Fault.KILLED_AFTER: 1, Fault.REFUSED: 2}
_STATEMENT = {
    Fault.KILLED_BEFORE: 2,
    Fault.KILLED_AFTER: 2,
    Fault.CUT: 2,
    Fault.ANSWER_LOST: 2,
    Fault.RESTART: 1,
}
_CHUNK = {Fault.KILLED_BEFORE: 2, Fault.CUT: 2, Fault.RESTART: 1}
_KINDS = {"connect": _CONNECT, "statement": _STATEMENT, "chunk": _CHUNK}

_SEVERITIES = (0.0, 0.01, 0.03, 0.06, 0.12)
_MOST = 60
"""Maximum faults of a storm."""


class Weather:
    """Chooses the faults of a storm."""

    def __init__(self, chance: random.Random, tally: Tally) -> None:
        self._chance = chance
        self._tally = tally
        self._severity = chance.choice(_SEVERITIES)
        self._left = _MOST
        self._outages: Counter[str] = Counter()

    def calm(self) -> None:
        self._severity = 0
        self._outages.clear()

    def strike(self, function: str, service: str) -> Fault | None:
        """Return the fault of an I/O operation, or None.

        Args:
            function: the calling function.
            service: an AWS service; or `connect`, `statement` or `chunk` of PostgreSQL.
        """
        if self._outages[service] > 0:
            self._outages[service] -= 1
            return self._counted(Fault.REFUSED, function, service)
        if not self._left or self._chance.random() >= self._severity:
            return None
        self._left -= 1
        kinds = _KINDS.get(service, _AWS)
        [fault] = self._chance.choices(list(kinds), list(kinds.values()))
        # An outage usually affects several calls.
        if fault is Fault.REFUSED and self._chance.random() < 0.3:
            self._outages[service] = self._chance.randint(1, 12)
        if fault is Fault.RESTART and self._chance.random() < 0.5:
            self._outages["connect"] = self._chance.randint(1, 5)
        return self._counted(fault, function, service)

    def _counted(self, fault: Fault, function: str, service: str) -> Fault:
        match fault:
            case Fault.KILLED_BEFORE | Fault.KILLED_AFTER:
                self._tally[f"killed: {function}"] += 1
            case Fault.RESTART:
                self._tally["PostgreSQL restarted"] += 1
            case _:
                self._tally[f"{service}: {fault}"] += 1
        return fault
