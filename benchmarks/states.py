"""Benchmark of the states with a sample of 2,000,000 rows, relative to bare pyarrow.

    python -m benchmarks.states [--rows 2000000]

Both times of a ratio are measured in the same run. S3 is moto in the same process, so times include
no network. Memory is the peak of a separate process.
"""

import argparse
import contextlib
import csv
import datetime as dt
import gzip
import json
import multiprocessing
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

RUNS = 5
LIMIT_RATIO = 4
LIMIT_MEMORY_MIB = 1024


def main() -> None:
    """Run the benchmark; exit with 1 if a limit is exceeded."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=2_000_000, help="rows of the sample")
    arguments = parser.parse_args()
    from local import postgres, sample

    with (
        tempfile.TemporaryDirectory() as folder,
        postgres.running(Path(folder, "postgres")) as server,
    ):
        path = Path(folder, "sample.csv")
        sample.write(path, arguments.rows, seed=1)
        path_bytes = path.stat().st_size
        print(f"{arguments.rows:,} rows, {path_bytes / 1e6:.0f} MB")
        # The fastest of several runs is the one least disturbed by other processes.
        bare = _quickest(_bare, path)
        figures = {"bare pyarrow read and write": bare, "transform": _quickest(_transform, path)}
        for share in (1, 1_000):
            rows = "each row" if share == 1 else f"one row in {share:,}"
            figures[f"transform, {rows} quoted"] = _quickest(_transform, _quoted(path, share))
        figures["transform, gzip"] = _quickest(_transform, _gzipped(path))
        figures["test"] = _alone(_test, path)
        figures["load"] = _alone(_load, path, server)
        kept = _process(_kept, path)
    for name, (seconds, mebibytes) in figures.items():
        ratio = seconds / bare[0]
        print(f"{name:36} {seconds:6.2f} s = {ratio:4.1f} × bare, peak {mebibytes:5.0f} MiB")
    for name, size in kept.items():
        print(f"{name:36} {size / path_bytes:6.2f} bytes per byte of CSV")
    exceeded = figures["transform"][0] > LIMIT_RATIO * bare[0] or any(
        mebibytes > LIMIT_MEMORY_MIB for _, mebibytes in figures.values()
    )
    raise SystemExit(int(exceeded))


def _gzipped(path: Path) -> Path:
    """Return a compressed copy of a file."""
    copy = path.with_name("sample.csv.gz")
    with path.open("rb") as file, gzip.open(copy, "wb", compresslevel=6) as compressed:
        shutil.copyfileobj(file, compressed)
    return copy


def _quoted(path: Path, share: int) -> Path:
    """Return a copy of the sample in which all values of each `share`-th row have quotes."""
    copy = path.with_name(f"quoted-{share}.csv")
    with path.open(newline="") as plain, copy.open("w", newline="") as quoted:
        writers = [csv.writer(quoted, quoting=each) for each in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)]
        for number, row in enumerate(csv.reader(plain)):
            writers[number % share == 0].writerow(row)
    return copy


def _quickest(function: Callable[..., float], *arguments: Any) -> tuple[float, float]:
    return min(_alone(function, *arguments) for _ in range(RUNS))


def _alone(function: Callable[..., float], *arguments: Any) -> tuple[float, float]:
    measured: tuple[float, float] = _process(_measured, function, *arguments)
    return measured


def _process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a new process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def _measured(function: Callable[..., float], *arguments: Any) -> tuple[float, float]:
    seconds = function(*arguments)
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _bare(path: Path) -> float:
    import pyarrow.csv
    import pyarrow.parquet

    options = pyarrow.csv.ParseOptions(invalid_row_handler=lambda _: "skip")
    begin = time.perf_counter()
    table = pyarrow.csv.read_csv(path, parse_options=options)
    pyarrow.parquet.write_table(table, path.with_suffix(".parquet"))
    return time.perf_counter() - begin


def _transform(path: Path) -> float:
    with _staged(path) as states:
        begin = time.perf_counter()
        states.transform()
        return time.perf_counter() - begin


def _test(path: Path) -> float:
    with _staged(path) as states:
        verdict = states.transform()
        begin = time.perf_counter()
        states.test(verdict)
        return time.perf_counter() - begin


def _load(path: Path, server: Any) -> float:
    with _staged(path) as states:
        transformed = states.transform()
        tested = states.test(transformed)
        begin = time.perf_counter()
        states.load(server, transformed, tested)
        return time.perf_counter() - begin


def _kept(path: Path) -> dict[str, int]:
    """Return the bytes that one ingestion stores, by place."""
    import boto3

    from local import postgres

    with (
        _staged(path) as states,
        postgres.running(path.with_name("kept")) as server,
        postgres.connected(server) as connection,
    ):
        transformed = states.transform()
        tested = states.test(transformed)
        begin = connection.run("SELECT pg_current_wal_lsn()")[0][0]
        states.load(server, transformed, tested)
        ((tables, log),) = connection.run(
            "SELECT pg_database_size(current_database()), "
            "pg_current_wal_lsn() - CAST(:begin AS pg_lsn)",
            begin=begin,
        )
        staged = boto3.client("s3").list_objects_v2(Bucket="staging")["Contents"]
    return {
        "staging": sum(each["Size"] for each in staged),
        "PostgreSQL": int(tables),
        "PostgreSQL's write-ahead log": int(log),
    }


class _States:
    """The three states, with a local file instead of a landed one."""

    def __init__(self, path: Path) -> None:
        from shared.content import LocalFile
        from shared.ingestion import Ingestion, Source
        from shared.odcs import load_all
        from shared.staging import Staging

        self._content = LocalFile(path)
        self._contract = load_all()["dailycheckins"]
        source, day = Source("landing", "sample.csv", "1", 1), dt.date(2024, 3, 3)
        self._ingestion = Ingestion("sample", self._contract.table, day, source)
        self._staging = Staging("staging", self._ingestion)

    def transform(self) -> dict[str, Any]:
        from functions.transform.transformation import transform

        return transform(self._content, self._contract, self._staging).as_result()

    def test(self, transformed: dict[str, Any]) -> dict[str, Any]:
        from functions.test.examination import examine

        return examine(
            self._staging, transformed, self._content, self._contract, hard=False
        ).as_result()

    def load(self, server: Any, transformed: dict[str, Any], tested: dict[str, Any]) -> None:
        import boto3

        from functions.load.loading import load
        from functions.load.rows import StagedRows
        from functions.migrate.migration import migrate
        from functions.migrate.roles import Role
        from shared.database import connect
        from shared.settings import DatabaseSettings

        secrets = boto3.client("secretsmanager")
        secret = {"username": server.user, "password": server.password}
        settings = DatabaseSettings(
            database_host=server.host,
            database_port=server.port,
            database_name=server.database,
            database_secret_arn=secrets.create_secret(
                Name="database", SecretString=json.dumps(secret)
            )["ARN"],
        )
        roles = {"loader": Role("loader", "x"), "reader": Role("reader", "y")}
        migrate(lambda: connect(settings), server.database, [self._contract], **roles)
        with connect(settings) as connection:
            rows = StagedRows(self._staging, self._contract, transformed, tested)
            verdict = load(connection, self._ingestion, self._contract, rows, lambda _: True)
        assert verdict.counts["rowsLoaded"] == tested["rowsRead"] - tested["rowsRejected"]


@contextlib.contextmanager
def _staged(path: Path) -> Iterator[_States]:
    import boto3
    from moto import mock_aws

    from shared import parquet

    os.environ |= dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "testing")
    os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
    with mock_aws():
        boto3.client("s3").create_bucket(Bucket="staging")
        parquet.delete("s3://staging/none/")  # warm up
        yield _States(path)


if __name__ == "__main__":
    main()
