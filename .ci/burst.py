"""Upload many files at once to a running laptop cloud that has not loaded any file yet.

    PYTHONPATH=. .venv/bin/python .ci/burst.py [FILES]

Each file must produce one log item and one alert. The table must hold the newest version of each
key, and at most `max_concurrency` runs may execute at once. Prints times, workers and memory.
"""

import itertools
import json
import statistics
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil

from local import postgres
from local.home import home
from local.stack import LaptopStack
from local.tap import Tap
from shared.endings import Status
from shared.ingestion_log import IngestionLog, is_alert_settled

DAY = "table=dailycheckins/year=2024/month=3/day=3"
ROWS = 20
WITHIN = 3_600.0
"""Seconds."""
NEXT_WITHIN = 10.0
"""Seconds from the end of a run to the start of the next one while files are waiting."""


def main() -> None:
    files = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    stack = LaptopStack.read(home())
    assert stack is not None, "The laptop cloud is not running: start it with `tm up`."
    log = IngestionLog(stack.aws.resource("dynamodb").Table(stack.outputs["log_table"]))
    most = int(stack.outputs["max_concurrency"])
    idle = memory()
    with Watched() as watched:
        begun = time.monotonic()
        keys = drop(stack, files)
        dropped = time.monotonic() - begun
        items = ended(log, files, begun + WITHIN)
        seconds = time.monotonic() - begun
    ends = Counter(f"{item['state']}/{item['status']}" for item in items)
    alerts = Counter(
        alert.body["ingestedID"]
        for alert in Tap(stack.aws, stack.tap_url, home()).alerts()
        if "ingestedID" in alert.body
    )
    at_once, pauses = runs_of(stack, most)
    median, worst = statistics.median(pauses), max(pauses)
    print(f"{files} files, uploaded in {dropped:.1f} s, finished after {seconds:.0f} s")
    print(f"  time per file: {seconds / files:.2f} s, {most} runs at once")
    print(f"  files = {files}, log items = {len(items)}, alerts = {alerts.total()}: {dict(ends)}")
    print(
        f"  runs at once: {at_once}; from an end to the next start: {median:.1f} s, {worst:.1f} s"
    )
    print(f"  workers: {watched.workers}; memory: {watched.memory} MB, of which idle {idle} MB")
    assert set(ends) <= {"load/success", "load/superseded"}, ends
    assert len(items) == files
    assert watched.workers < 60, "the emulator starts a worker for each event"
    assert alerts == Counter(item["ingestedID"] for item in items)
    assert at_once == most, "the number of concurrent runs is not max_concurrency"
    # The first calls of each function wait for its worker to start.
    assert median < NEXT_WITHIN
    assert worst < 6 * NEXT_WITHIN
    assert held(stack) == keys, "the table does not hold the newest version of each key"
    assert log.slots() == set()


def drop(stack: LaptopStack, files: int) -> dict[str, int]:
    """Upload files, every sixth as a second version of a key; return each key's newest version."""
    versions: dict[str, list[bytes]] = {}
    for number in range(files):
        key = f"{DAY}/{number if number % 6 or not number else number - 1}.csv"
        bodies = versions.setdefault(key, [])
        rows = "\n".join([f"ned,2024-03-03 00:00:00 UTC,{len(bodies) + 1},x"] * ROWS)
        bodies.append(f"user,timestamp,hours,project\n{rows}".encode())
    s3 = stack.aws.client("s3")

    def put(key: str) -> None:
        for body in versions[key]:
            s3.put_object(Bucket=stack.outputs["landing_bucket"], Key=key, Body=body)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, versions))
    return {key: len(bodies) for key, bodies in versions.items()}


def ended(log: IngestionLog, files: int, deadline: float) -> list[dict[str, Any]]:
    """Return the log items once every ingestion has finished and has been reported."""
    items: list[dict[str, Any]] = []
    while time.monotonic() < deadline:
        items = [item for status in Status for item in log.with_status(status)]
        over = [item for item in items if item["status"] not in {"queued", "running"}]
        if len(over) >= files and all(map(is_alert_settled, over)):
            return over
        time.sleep(2)
    raise AssertionError(f"not within {WITHIN:.0f} s: {Counter(i['status'] for i in items)}")


def runs_of(stack: LaptopStack, most: int) -> tuple[int, list[float]]:
    """Return the most concurrent runs, and the seconds before each run that had to wait."""
    pages = stack.aws.client("stepfunctions").get_paginator("list_executions")
    runs = [
        run
        for page in pages.paginate(stateMachineArn=stack.outputs["state_machine_arn"])
        for run in page["executions"]
    ]
    starts, stops = (sorted(run[name] for run in runs) for name in ("startDate", "stopDate"))
    # At equal times, count an end before a start.
    changes = sorted([(stop, -1) for stop in stops] + [(start, 1) for start in starts])
    at_once = max(itertools.accumulate(change for _, change in changes))
    # All files wait from the beginning, so each start after the first ones takes a freed slot.
    nexts = zip(stops, starts[most:], strict=False)
    return at_once, [(start - stop).total_seconds() for stop, start in nexts]


def held(stack: LaptopStack) -> dict[str, int]:
    """Return the loaded version of each key; every row of a key must have that version."""
    with postgres.connected(stack.database) as connection:
        found = connection.run(
            "SELECT source_key, max(hours), min(hours), count(*) FROM daily_checkins "
            "JOIN source ON source.id = source_id GROUP BY source_key"
        )
    for key, highest, lowest, rows in found:
        assert (highest == lowest, rows) == (True, ROWS), f"{key} is a mix of versions"
    return {key: int(highest) for key, highest, *_ in found}


def emulator() -> psutil.Process:
    return psutil.Process(json.loads((home() / "processes" / "ministack.json").read_text())["pid"])


def memory() -> int:
    """Return the memory of the emulator and its workers in MB; shared pages count several times."""
    return sum(sizes()) // 1_000_000


def sizes() -> list[int]:
    found = []
    for process in [emulator(), *emulator().children(recursive=True)]:
        try:
            found.append(process.memory_info().rss)
        except psutil.Error:
            continue
    return found


class Watched:
    """Samples the peak number of workers and the peak memory once a second."""

    def __enter__(self) -> "Watched":
        self.workers = self.memory = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(1):
            found = sizes()
            self.workers = max(self.workers, len(found) - 1)
            self.memory = max(self.memory, sum(found) // 1_000_000)


if __name__ == "__main__":
    main()
