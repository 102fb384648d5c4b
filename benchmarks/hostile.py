"""Benchmark of Transform with hostile files, relative to a plain file of the same size.

    python -m benchmarks.hostile [--bytes 4000000]
    python -m benchmarks.hostile --memory [--bytes 64000000]

It measures the processor time of the whole state without network: reading, casting, and writing of
clean and suspect rows. The result is the shortest of five runs in one process. It exits with 1 if a
file takes more than `MOST` times as long per byte as the plain file.

With `--memory`, it measures the peak of a process that runs Transform, then Test.
"""

import argparse
import contextlib
import datetime as dt
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import alone
from functions.test.examination import examine
from functions.transform.transformation import transform
from shared.content import LocalFile
from shared.contract import Contract
from shared.endings import Outcome
from shared.ingestion import Ingestion, Source
from shared.odcs import load_all
from shared.staging import Staging

PLAIN = "ned,2019-09-27 00:00:00 UTC,1.5,bizdev\n"
OPEN = 'a",",b\n'
MOST = 60
"""Maximum ratio. Files in which damaged and good rows alternate took 30 to 48 times as long."""

# Text that is repeated below the header.
UNITS = {
    "plain": PLAIN,
    "quoted": '"ned","2019-09-27 00:00:00 UTC","1.5","bizdev"\n',
    "quotes that stay open": OPEN,
    "inches": 'pipe 3",",x\n',
    "quotes that stay open until a value is too long": OPEN * 1000 + 'a",",' + "y\n" * 70_000,
    "a quote a line": '"\n',
    "99 quotes a line": '"' * 99 + "\n",
    "empty values in quotes": '"","","",""\n',
    "delimiters": "," * 999 + "\n",
    "empty values": ",,,\n",
    "carriage returns": "a\rb,c\n",
    "NULs": "\0,\0,\0,\0\n",
    "NULs behind a quote": '"\0,\0\n',
    "blank lines": "\n",
    "long lines": "x" * 999_999 + "\n",
    "one letter a line": "x\n",
    "rows of two lines": '"\n",,,\n',
    "a row that ends well or does not": '"\n"\n"x"\n"\n"\n"x\n',
    "short runs of quotes in one long line": '"a"a""a"",' * 99_999 + "\n",
    "short values in quotes in one long line": '"a","",' * 99_999 + "\n",
    "quotes and carriage returns": 'a"\r\r\n"\r\n",\r\n',
    "values that are almost too long": '"' + "x\n" * 65_530 + '",,,\n',
    "long values of two bytes": '"' + "é\n" * 65_530 + '",,,\n',
    "a quote, then blank lines": '"' + "\n" * 9_999_999,
    "one bad row in ten": PLAIN * 9 + "ned\n",
    "wrong values, each another": "".join(f"\0{n},{n},{n}.x,\0\n" for n in range(200_000)),
    "values of 15 MiB": PLAIN.replace("bizdev", "x" * 15 * 2**20),
    "one row in ten in quotes": PLAIN * 9 + '"ned",2019-09-27 00:00:00 UTC,1.5,bizdev\n',
}


def main() -> None:
    """Run the benchmark; exit with 1 if the limit is exceeded."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--bytes", type=int, help="size of each file")
    parser.add_argument("--memory", action="store_true", help="measure memory")
    arguments = parser.parse_args()
    size = arguments.bytes or (64_000_000 if arguments.memory else 4_000_000)
    contract = load_all()["dailycheckins"]
    worst = plain = 0.0
    for name, unit in UNITS.items():
        header = ",".join(contract.header)
        body = f"{header}\n{unit * max(size // len(unit.encode()), 1)}".encode()
        if arguments.memory:
            print(f"{name:48} {alone(_run, body, contract)[1]:6.0f} MiB", flush=True)
            continue
        seconds = min(_seconds(body, contract) for _ in range(5))
        plain = plain or seconds / len(body)
        ratio = seconds / len(body) / plain
        worst = max(worst, ratio)
        print(f"{name:48} {seconds:6.3f} s, {ratio:5.1f} × plain per byte", flush=True)
    if worst > MOST:
        sys.exit(f"the slowest file takes {worst:.1f} × plain per byte; the limit is {MOST} ×")


def _seconds(body: bytes, contract: Contract) -> float:
    with _landed(body, contract) as (content, staging):
        begin = time.process_time()
        transform(content, contract, staging)
        return time.process_time() - begin


def _run(body: bytes, contract: Contract) -> None:
    with _landed(body, contract) as (content, staging):
        verdict = transform(content, contract, staging)
        if verdict.outcome == Outcome.OK:
            examine(staging, verdict.as_result(), content, contract, hard=False)


@contextlib.contextmanager
def _landed(body: bytes, contract: Contract) -> Iterator[tuple[LocalFile, Staging]]:
    source = Source("", "hostile.csv", "", len(body))
    with tempfile.TemporaryDirectory() as folder:
        ingestion = Ingestion("hostile", contract.table, dt.date(2024, 3, 3), source)
        file = Path(folder, source.key)
        file.write_bytes(body)
        yield LocalFile(file), Staging(Path(folder), ingestion)


if __name__ == "__main__":
    main()
