"""PostgreSQL restarted in the middle of a COPY, for real: a server of its own is stopped."""

import functools
import json
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pg8000.exceptions
import psutil
import pyarrow as pa
import pytest

from functions.load.rows import StagedRows
from local import postgres as local_postgres
from local.postgres import Server, connected
from local.processes import Processes
from shared.database import patiently
from shared.errors import DatabaseUnavailable
from tests.faults.conftest import NEW_ROWS, OLD_ROWS, Machine
from tests.fixtures.database import eventually

AWAY = 2.0

T = TypeVar("T")


class Restartable:
    """A server that can be stopped in any way, and started again with its data and on its port."""

    def __init__(self, folder: Path) -> None:
        self._record = folder / "processes" / "postgres.json"
        self.processes = Processes(self._record.parent)
        self.server = local_postgres.start(self.processes, folder)
        process = psutil.Process(json.loads(self._record.read_text())["pid"])
        self._command, environment = process.cmdline(), process.environ()
        self._environment = {name: environment[name] for name in ("PATH", "LC_ALL", "TZ")}
        own = process.username() == psutil.Process().username()
        self._user = None if own else process.username()

    def stop(self, how: signal.Signals) -> None:
        record = json.loads(self._record.read_text())
        self._record.write_text(json.dumps(record | {"stop_signal": how}))
        self.processes.stop("postgres")

    def start(self) -> None:
        self.processes.start(
            "postgres",
            self._command,
            env=self._environment,
            user=self._user,
            stop_signal=signal.SIGINT,
        )

    def answers(self) -> bool:
        try:
            with connected(self.server):
                return True
        except (pg8000.exceptions.InterfaceError, pg8000.exceptions.DatabaseError):
            return False


@pytest.fixture(scope="module")
def restartable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Restartable]:
    folder = tmp_path_factory.mktemp("restartable")
    restartable = Restartable(folder)
    yield restartable
    local_postgres.stop(restartable.processes, folder)


@pytest.fixture(scope="module")
def postgres(restartable: Restartable) -> Server:
    """In the place of the server that all other tests share."""
    return restartable.server


def _in_the_middle_of_copy(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Do something once, when the first chunk was sent."""
    chunks = StagedRows.batches
    sent: list[pa.Table] = []

    def interrupted(self: StagedRows, source_id: int) -> Iterator[pa.Table]:
        for chunk in chunks(self, source_id):
            yield chunk
            if not sent:
                act()
            sent.append(chunk)

    monkeypatch.setattr(StagedRows, "batches", interrupted)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "crash"])
def test_a_restart_in_the_middle_of_copy_is_waited_for(
    how: signal.Signals,
    machine: Machine,
    restartable: Restartable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def restart() -> None:
        restartable.stop(how)
        threading.Timer(AWAY, restartable.start).start()

    _in_the_middle_of_copy(monkeypatch, restart)

    end = machine.play()

    assert end["detail"]["status"] == "SUCCEEDED"
    assert machine.retried == [], "it was waited for in the same invocation"
    assert machine.rows() == NEW_ROWS


def test_a_database_that_is_away_for_too_long_is_left_to_the_next_try(
    machine: Machine, restartable: Restartable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def impatiently(work: Callable[[], T]) -> T:
        try:
            return patiently(work, patience=AWAY)
        except DatabaseUnavailable:
            restartable.start()
            eventually(restartable.answers)
            assert machine.rows() == OLD_ROWS
            raise

    _in_the_middle_of_copy(monkeypatch, functools.partial(restartable.stop, signal.SIGINT))
    monkeypatch.setattr("functions.load.session.patiently", impatiently)

    end = machine.play()

    assert end["detail"]["status"] == "SUCCEEDED"
    assert machine.retried == ["DatabaseUnavailable"]
    assert machine.rows() == NEW_ROWS
