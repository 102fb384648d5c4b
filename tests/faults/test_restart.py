"""Tests of a real restart of PostgreSQL during a COPY, with a server of their own."""

import functools
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pg8000.exceptions
import pytest

from local import postgres as local_postgres
from local.postgres import Server, connected
from shared.database import retry_until_available
from shared.errors import DatabaseUnavailable
from tests.faults.conftest import NEW_ROWS, OLD_ROWS, Machine, in_the_middle_of_copy
from tests.fixtures.database import eventually
from tests.fixtures.postgres import Restartable

AWAY = 2.0
"""Seconds until the server is started again."""

T = TypeVar("T")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("restartable")


@pytest.fixture(scope="module")
def postgres(folder: Path) -> Iterator[Server]:
    """Return a server of its own, in place of the shared one."""
    with local_postgres.running(folder) as server:
        yield server


@pytest.fixture
def restartable(folder: Path, postgres: Server) -> Restartable:
    return Restartable(folder / "processes")


def _answers(server: Server) -> bool:
    try:
        with connected(server):
            return True
    except (pg8000.exceptions.InterfaceError, pg8000.exceptions.DatabaseError):
        return False


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "crash"])
def test_load_waits_for_restart_during_copy(
    how: signal.Signals, machine: Machine, restartable: Restartable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def restart() -> None:
        restartable.stop(how)
        threading.Timer(AWAY, restartable.start).start()

    in_the_middle_of_copy(monkeypatch, restart)

    end = machine.play()

    assert end["detail"]["status"] == "SUCCEEDED"
    assert machine.retried == [], "Load waited in the same invocation"
    assert machine.rows() == NEW_ROWS


def test_long_outage_is_left_to_next_retry(
    machine: Machine, restartable: Restartable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def impatiently(work: Callable[[], T]) -> T:
        try:
            return retry_until_available(work, patience=AWAY)
        except DatabaseUnavailable:
            restartable.start()
            eventually(lambda: _answers(machine.database.server))
            assert machine.rows() == OLD_ROWS
            raise

    in_the_middle_of_copy(monkeypatch, functools.partial(restartable.stop, signal.SIGINT))
    monkeypatch.setattr("functions.load.session.retry_until_available", impatiently)

    end = machine.play()

    assert end["detail"]["status"] == "SUCCEEDED"
    assert machine.retried == ["DatabaseUnavailable"]
    assert machine.rows() == NEW_ROWS
