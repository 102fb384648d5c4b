"""Background processes that one command starts and a later command stops.

Each process leads its own session and has a record and a log in a folder. Before a process is
signalled, its identity is verified: a leader by its start time, a descendant by a token in its
environment. Therefore a reused process ID is never signalled.
"""

import json
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from local.errors import LocalError

_MARK = "TM_PROCESS"
# Seconds. The clock may be adjusted after the start, and IDs are not reused within a minute.
_SAME_START = 60.0
# Children of this process by ID, to be reaped after they are stopped.
_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class _Record:
    token: str
    stop_signal: int
    pid: int | None = None
    started: float | None = None


class Processes:
    """Named processes with their records in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def start(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        user: str | None = None,
        stop_signal: signal.Signals = signal.SIGKILL,
    ) -> psutil.Process:
        """Start a command as the process `name`, with its output in its log.

        `env` is the complete environment. `user` None means the current one. `stop` sends
        `stop_signal` first.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        record = _Record(token=uuid.uuid4().hex, stop_signal=stop_signal)
        # Recorded before the start: if this process is killed in between, `stop` still works.
        self._write(name, record)
        with self.log(name).open("ab") as output:
            child = subprocess.Popen(  # noqa: S603
                command,
                env={**env, _MARK: record.token},
                cwd="/",
                user=user,
                extra_groups=[] if user else None,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        _CHILDREN[child.pid] = child
        process = psutil.Process(child.pid)
        self._write(name, _Record(record.token, stop_signal, child.pid, process.create_time()))
        return process

    def run(self, name: str, command: Sequence[str | Path], *, env: Mapping[str, str]) -> int:
        """Run a command until it ends and return its exit status."""
        status = _CHILDREN[self.start(name, command, env=env).pid].wait()
        self.stop(name)
        return status

    def names(self) -> list[str]:
        """Return the names of the processes that were started and not stopped."""
        return sorted(path.stem for path in self._folder.glob("*.json"))

    def log(self, name: str) -> Path:
        """Return the path of a process's log, which has its output."""
        return self._folder / f"{name}.log"

    def alive(self, name: str) -> bool:
        """Return whether the leader of a process is running."""
        record = self._read(name)
        return record is not None and _leader(record) is not None

    def wait_until(self, answers: Callable[[], bool], name: str, title: str, within: float) -> None:
        """Return once a server answers; raise LocalError if it ends, or after `within` seconds."""
        deadline = time.monotonic() + within
        while not answers():
            if not self.alive(name):
                raise LocalError(f"{title} ended during its start: see {self.log(name)}.")
            if time.monotonic() > deadline:
                raise LocalError(
                    f"{title} did not answer within {within:.0f} s: see {self.log(name)}."
                )
            time.sleep(0.05)

    def stop(self, name: str, grace: float = 5.0) -> None:
        """Stop a process and its descendants; send SIGKILL after `grace` seconds."""
        record = self._read(name)
        if record is not None:
            _end(record, grace)
            self._record(name).unlink(missing_ok=True)

    def stop_all(self) -> None:
        """Stop every process that has a record."""
        for name in self.names():
            self.stop(name)

    def _record(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    def _read(self, name: str) -> _Record | None:
        try:
            return _Record(**json.loads(self._record(name).read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def _write(self, name: str, record: _Record) -> None:
        partial = self._folder / f"{name}.partial"
        partial.write_text(json.dumps(asdict(record)))
        partial.replace(self._record(name))


def _end(record: _Record, grace: float) -> None:
    leader = _leader(record)
    if leader is not None:
        _signal([leader], signal.Signals(record.stop_signal))
        _wait([leader], grace)
    # Repeated until none is left, because a descendant may start another process meanwhile.
    while left := _family(record):
        _signal(left, signal.SIGKILL)
        _wait(left, grace)
    if record.pid in _CHILDREN:
        _CHILDREN.pop(record.pid).wait()


def _leader(record: _Record) -> psutil.Process | None:
    if record.pid is None or record.started is None:
        return None
    try:
        process = psutil.Process(record.pid)
        ours = abs(process.create_time() - record.started) < _SAME_START
        return process if ours and _runs(process) else None
    except psutil.NoSuchProcess:
        return None


def _family(record: _Record) -> list[psutil.Process]:
    family = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(_MARK) == record.token and _runs(process):
                family.append(process)
        except psutil.Error:
            continue
    leader = _leader(record)
    return family if leader is None or leader in family else [leader, *family]


def _signal(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def _wait(processes: Sequence[psutil.Process], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while any(map(_runs, processes)) and time.monotonic() < deadline:
        time.sleep(0.01)


def _runs(process: psutil.Process) -> bool:
    """Return whether a process is running; a zombie is not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
