import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local.processes import Processes
from tests.fixtures.pipeline import eventually

pytestmark = pytest.mark.programs

# A leader with a child process, like the emulator and its workers.
FAMILY = ["sh", "-c", "sleep 60 & wait"]
ENVIRONMENT = {"PATH": os.environ["PATH"]}


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    processes = Processes(tmp_path / "processes")
    yield processes
    processes.stop_all()


def family(leader: psutil.Process) -> list[psutil.Process]:
    return [leader, *eventually(leader.children, 5)]


def alive(family: list[psutil.Process]) -> list[psutil.Process]:
    return [p for p in family if p.is_running() and status(p) != psutil.STATUS_ZOMBIE]


def status(process: psutil.Process) -> str:
    try:
        return str(process.status())
    except psutil.NoSuchProcess:
        return str(psutil.STATUS_ZOMBIE)


def test_stop_ends_process_and_children(processes: Processes) -> None:
    members = family(processes.start("one", FAMILY, env=ENVIRONMENT))
    assert processes.alive("one")
    processes.stop("one")
    assert alive(members) == []
    assert not processes.alive("one")


def test_stop_ends_children_of_crashed_leader(processes: Processes) -> None:
    leader, child = family(processes.start("one", FAMILY, env=ENVIRONMENT))
    leader.kill()
    leader.wait()
    assert alive([child]) == [child]
    assert not processes.alive("one")
    processes.stop("one")
    psutil.wait_procs([child], timeout=5)
    assert alive([child]) == []


def test_stop_works_from_another_command(processes: Processes, tmp_path: Path) -> None:
    members = family(processes.start("one", FAMILY, env=ENVIRONMENT))
    Processes(tmp_path / "processes").stop_all()
    assert alive(members) == []


def test_stop_kills_process_that_ignores_signal(processes: Processes) -> None:
    stubborn = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"]
    leader = processes.start("one", stubborn, env=ENVIRONMENT, stop_signal=signal.SIGTERM)
    eventually(lambda: "ready" in processes.log("one").read_text(), 5)
    processes.stop("one", grace=0.2)
    assert alive([leader]) == []


def test_stop_ignores_reused_process_id(processes: Processes, tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as stranger:
        record = {
            "token": "of a process that is gone",
            "stop_signal": signal.SIGKILL,
            "pid": stranger.pid,
            "started": psutil.Process(stranger.pid).create_time() - 3600,
        }
        folder = tmp_path / "processes"
        folder.mkdir()
        (folder / "one.json").write_text(json.dumps(record))
        assert not processes.alive("one")
        processes.stop("one")
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize("record", ["", "{}", '{"token": 1}', "[]"])
def test_stop_ignores_unreadable_record(processes: Processes, tmp_path: Path, record: str) -> None:
    folder = tmp_path / "processes"
    folder.mkdir()
    (folder / "one.json").write_text(record)
    assert not processes.alive("one")
    processes.stop_all()


def test_process_gets_only_given_environment(processes: Processes) -> None:
    processes.run("one", ["env"], env={"PATH": ENVIRONMENT["PATH"], "ONLY": "this"})
    names = {line.partition("=")[0] for line in processes.log("one").read_text().splitlines()}
    assert names - {"PWD", "SHLVL", "_", "OLDPWD"} == {"PATH", "ONLY", "TM_PROCESS"}


def test_run_returns_exit_status_and_logs_output(processes: Processes) -> None:
    assert processes.run("one", ["sh", "-c", "echo out; echo err >&2; exit 3"], env={}) == 3
    assert processes.log("one").read_text() == "out\nerr\n"
