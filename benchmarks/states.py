"""Times and weighs the states on a sample of 2,000,000 rows, against the bare libraries.

    python -m benchmarks.states [--rows 2000000]

Every ratio is of two things timed in this one run. S3 is moto in the same process, so that both
sides of a ratio pay for no network. Memory is the peak of a process that did nothing else.
"""

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LIMIT_RATIO = 4
LIMIT_MEMORY_MIB = 1024


def main() -> None:
    """Run the command; exit status 1 if a limit is broken."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    arguments = parser.parse_args()
    from local import sample

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "sample.csv")
        sample.write(path, arguments.rows, seed=1)
        print(f"{arguments.rows:,} rows, {path.stat().st_size / 1e6:.0f} MB")
        bare = _alone(_bare, path)
        figures = {"bare pyarrow read and write": bare}
        for name in ("transform", "test"):
            figures[name] = _alone(_state, path, name)
    for name, (seconds, mebibytes) in figures.items():
        ratio = seconds / bare[0]
        print(f"{name:28} {seconds:6.2f} s = {ratio:4.1f} × bare, peak {mebibytes:5.0f} MiB")
    broken = figures["transform"][0] > LIMIT_RATIO * bare[0] or any(
        mebibytes > LIMIT_MEMORY_MIB for _, mebibytes in figures.values()
    )
    raise SystemExit(int(broken))


def _alone(function: Callable[..., float], *arguments: Any) -> tuple[float, float]:
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_weighed, (function, *arguments))


def _weighed(function: Callable[..., float], *arguments: Any) -> tuple[float, float]:
    seconds = function(*arguments)
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _bare(path: Path) -> float:
    import pyarrow.csv
    import pyarrow.parquet

    begin = time.perf_counter()
    table = pyarrow.csv.read_csv(
        path, parse_options=pyarrow.csv.ParseOptions(invalid_row_handler=lambda _: "skip")
    )
    pyarrow.parquet.write_table(table, path.with_suffix(".parquet"))
    return time.perf_counter() - begin


def _state(path: Path, name: str) -> float:
    import boto3
    from moto import mock_aws

    from functions.test.examination import examine
    from functions.transform.transformation import transform
    from shared import parquet
    from shared.contract import load_all
    from shared.ingestion import Ingestion, Source
    from shared.landing import CHUNK_BYTES
    from shared.landing_key import LandingKey
    from shared.staging import Staging

    def chunks() -> Any:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk

    os.environ |= dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "testing")
    os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
    key = "table=dailycheckins/year=2024/month=3/day=3/sample.csv"
    landing_key = LandingKey.parse(key)
    assert landing_key is not None
    staging = Staging("staging", Ingestion.of(Source("landing", key, "1", 1), landing_key))
    contract = load_all()["dailycheckins"]
    with mock_aws():
        boto3.client("s3").create_bucket(Bucket="staging")
        parquet.delete(staging.clean_prefix)  # whatever is slow only once
        begin = time.perf_counter()
        verdict = transform(chunks(), contract, staging)
        if name == "test":
            begin = time.perf_counter()
            examine(staging, verdict.as_result(), chunks(), contract, hard=False)
        return time.perf_counter() - begin


if __name__ == "__main__":
    main()
