"""Child processes that outlive the command that started them, and that a later command can end.

Each process leads a session of its own and has a record and a log in a folder. A record is trusted
only as far as it can be verified: the leader by its start time, its descendants by a token in their
environment. So a process id that the system has given to somebody else is never signalled.
"""

import json
import signal
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

_MARK = "TM_PROCESS"
# Start times are told by a clock that may be set meanwhile, and no id is given out again so soon.
_SAME_START = 60.0
# This very process's children, by id: they are waited for once they are stopped, and are meant to
# live on if they are not.
_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class _Record:
    token: str
    stop_signal: int
    pid: int | None = None
    started: float | None = None


class Processes:
    """The processes recorded in one folder, by name."""

    def __init__(self, folder: Path) -> None:
        """Use the records in `folder`, which is made when the first process starts."""
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
        """Start `command` as process `name`; what it prints goes to its log.

        It gets `stop_signal` to end by; what keeps nothing needs no gentler one.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        record = _Record(token=uuid.uuid4().hex, stop_signal=stop_signal)
        # Recorded before it runs: if we are killed in between, it can still be found and ended.
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
        """Run `command` to its end and return its exit status; `stop` would end it as any other."""
        status = _CHILDREN[self.start(name, command, env=env).pid].wait()
        self.stop(name)
        return status

    def names(self) -> list[str]:
        """Return the names of what was started and not stopped since."""
        return sorted(path.stem for path in self._folder.glob("*.json"))

    def log(self, name: str) -> Path:
        """Return the file with what `name` has printed."""
        return self._folder / f"{name}.log"

    def alive(self, name: str) -> bool:
        """Tell whether the leader of `name` still runs."""
        record = self._read(name)
        return record is not None and _leader(record) is not None

    def stop(self, name: str, grace: float = 5.0) -> None:
        """End `name` and everything that it started; a process that is gone already is no error."""
        record = self._read(name)
        if record is not None:
            _end(record, grace)
            self._record(name).unlink(missing_ok=True)

    def stop_all(self) -> None:
        """End every process that has a record here."""
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
    # Descendants are looked for until there are none: one may start another meanwhile.
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
    """Tell whether a process has not ended; one that its parent has yet to take note of, has."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
