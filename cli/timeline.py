"""The runs of an ingestion and the steps of each run, from the log's history."""

import datetime as dt
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cli.items import Item, starts_run
from shared.endings import ENDINGS, PENDING, Status

_ENDS = {ending.status for ending in ENDINGS.values()} - {Status.SUCCESS}


@dataclass(frozen=True, slots=True)
class Step:
    """One state of a run; `ended` is None while it runs, `record` is its last history entry."""

    state: str
    status: str
    started: dt.datetime
    ended: dt.datetime | None
    record: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LoggedRun:
    """A run, or the steps that a redrive added to it.

    Runs are counted from 1. `redrive` is 0 for the run itself.
    """

    number: int
    redrive: int
    steps: tuple[Step, ...]

    @property
    def started(self) -> dt.datetime:
        """Time when the first state was entered."""
        return self.steps[0].started

    @property
    def ended(self) -> dt.datetime | None:
        """Time when the last state ended; None while a state runs."""
        return self.steps[-1].ended

    @property
    def name(self) -> str:
        """Name for people, e.g. `Run 2, a replay`."""
        if self.redrive:
            return f"Run {self.number}, redrive {self.redrive}"
        return f"Run {self.number}" + (", a replay" if self.number > 1 else "")


def runs(item: Item) -> list[LoggedRun]:
    """Return the runs of an ingestion, oldest first."""
    found: list[LoggedRun] = []
    for entries in _runs(item["history"]):
        last = found[-1] if found else LoggedRun(0, 0, ())
        if not found or starts_run(entries[0]):
            number, redrive = last.number + 1, 0
        else:
            number, redrive = last.number, last.redrive + 1
        found.append(LoggedRun(number, redrive, tuple(_steps(entries))))
    return found


def _runs(history: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yield the entries of each run; entries after the end of a run belong to a redrive."""
    entries: list[dict[str, Any]] = []
    for entry in history:
        # A file that waited for its manifest began to wait for the same run then.
        is_next = starts_run(entry) and not (entries and entries[-1]["status"] == Status.WAITING)
        if entries and (is_next or entries[-1]["status"] in _ENDS):
            yield entries
            entries = []
        entries.append(entry)
    yield entries


def _steps(entries: list[dict[str, Any]]) -> Iterator[Step]:
    for state, group in itertools.groupby(entries, key=lambda entry: str(entry["state"])):
        of_state = list(group)
        last = of_state[-1]
        ended = None if last["status"] in PENDING else _time(last)
        yield Step(state, str(last["status"]), _time(of_state[0]), ended, last)


def _time(entry: Mapping[str, Any]) -> dt.datetime:
    return dt.datetime.fromisoformat(entry["at"])
