"""Time and memory of Transform, Test and Load: what `make bench` says about targets 1 to 5.

Staging is a folder, so nothing here includes S3, except the three handlers, whose AWS is moto.
"""

import contextlib
import datetime as dt
import importlib
import io
import itertools
import operator
import statistics
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import samples
from benchmarks.database import LOADER, TABLE, Database, functions, migrated
from benchmarks.measure import Figure, Peak, Timed, alone, ratio, seconds, timed

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ROWS, QUICK_ROWS = 2_000_000, 200_000
PAIRS, QUICK_PAIRS = 9, 7
LARGE, QUICK_LARGE = 20_000_000, 1_000_000
PLOTTED = (20_000, 200_000)
SMALL_FILE = 20_500
MODULES = {
    "Transform": "functions.transform.transformation",
    "Test": "functions.test.examination",
    "Load": "functions.load.loading",
}
STATES = tuple(MODULES)
REPEATED = 3
"""Runs of a smaller file, whose peak is the highest: its few chunks rarely peak together."""
LOADED = ("plain", "one bad row in ten", "long values", "200 columns")
"""The shapes that differ for Load."""

Verdict = dict[str, Any]


@dataclass
class States:
    """The three states of one local file; each needs the verdicts of those before it."""

    path: Path
    shape: str
    staging: Path
    transformed: Verdict = field(default_factory=dict)
    tested: Verdict = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read the contract, which is not part of any state."""
        from shared.content import LocalFile
        from shared.ingestion import Ingestion, Source
        from shared.staging import Staging

        self._content = LocalFile(self.path)
        self._contract = samples.contract(self.shape)
        source = Source("landing", self.path.name, "1", self.path.stat().st_size)
        day = dt.date(2024, 3, 3)
        self._ingestion = Ingestion(self.path.stem, self._contract.table, day, source)
        self._staged = Staging(self.staging, self._ingestion)

    def transform(self) -> None:
        """Cast the file."""
        from functions.transform.transformation import transform

        self.transformed = transform(self._content, self._contract, self._staged).as_result()
        assert self.transformed["outcome"] == "ok", self.transformed

    def test(self) -> None:
        """Test the staged rows."""
        from functions.test.examination import examine

        self.tested = examine(
            self._staged, self.transformed, self._content, self._contract, hard=False
        ).as_result()
        expected = "failed_tests" if self.shape == "only bad rows" else "ok"
        assert self.tested["outcome"] == expected, self.tested

    def load(self, database: Database) -> None:
        """Load the staged rows, and connect before."""
        from functions.load.loading import Loading
        from functions.load.rows import StagedRows

        with database.connector() as connect, connect() as connection:
            rows = StagedRows(self._staged, self._contract, self.transformed, self.tested)
            loading = Loading(self._ingestion, self._contract, rows, lambda _: True)
            verdict = loading.run(connection, connect)
        assert verdict.counts["rowsLoaded"] == self.tested["rowsRead"] - self.tested["rowsRejected"]

    def load_afresh(self, database: Database) -> float:
        """Load into empty tables; return the seconds without emptying them."""
        database.empty("source", TABLE)
        return seconds(partial(self.load, database))


def bare(path: Path) -> None:
    """Read and write a file as Arrow does it without a contract."""
    import pyarrow.csv
    import pyarrow.parquet

    options = pyarrow.csv.ParseOptions(invalid_row_handler=lambda _: "skip")
    table = pyarrow.csv.read_csv(path, parse_options=options)
    pyarrow.parquet.write_table(table, path.with_suffix(".parquet"))


def times(quick: bool) -> Iterator[Figure]:
    """Compare the states with bare Arrow, and unusual files with plain ones."""
    rows, pairs = (QUICK_ROWS, QUICK_PAIRS) if quick else (ROWS, PAIRS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plain, quoted, bad, packed = (
            States(samples.write(folder, shape, rows), shape, folder)
            for shape in ("plain", "fully quoted", "one bad row in ten", "gzip")
        )
        arrow = timed(bare, plain.path)
        cast, tested = timed(plain.transform), timed(plain.test)
        compared: tuple[tuple[str, Timed, Timed, float | None], ...] = (
            ("Transform to bare Arrow", cast, arrow, 1.8),
            ("Transform, fully quoted to plain", timed(quoted.transform), cast, 1.3),
            ("Transform, one bad row in ten to plain", timed(bad.transform), cast, 1.5),
            ("Transform, gzip to plain", timed(packed.transform), cast, None),
            ("Test to bare Arrow", tested, arrow, 2.0),
            ("Test, one bad row in ten to plain", timed(bad.test), tested, 1.5),
        )
        for title, ours, theirs, most in compared:
            yield ratio(title, ours, theirs, pairs, most=most)


def loads(quick: bool) -> Iterator[Figure]:
    r"""Compare Load with psql's `\copy` of the same rows, in file order, into the same table."""
    with tempfile.TemporaryDirectory() as name, migrated() as database:
        folder = Path(name)
        path = samples.write(folder, "plain", QUICK_ROWS if quick else ROWS)
        states = States(path, "plain", folder)
        states.transform()
        states.test()
        sizes = "SELECT pg_database_size(current_database()), pg_current_wal_lsn() - '0/0'"
        ((stored_before, logged_before),) = database.run(sizes)
        states.load(database)
        ((stored, logged),) = database.run(sizes)
        copied = _copied(database, folder / "rows.txt")
        yield ratio(
            r"Load to psql's \copy",
            partial(states.load_afresh, database),
            copied,
            2 if quick else 5,
            most=0.8,
        )
        size = path.stat().st_size
        staged = sum(each.stat().st_size for each in folder.glob("*/**/*") if each.is_file())
        kept = {
            "staging": staged,
            "PostgreSQL": stored - stored_before,
            "its write-ahead log": logged - logged_before,
        }
        for place, many in kept.items():
            yield Figure(f"Bytes in {place} per byte of CSV", int(many) / size, "×")


def _copied(database: Database, rows: Path) -> Timed:
    r"""Write the loaded rows to a file; return what loads them with `\copy`."""
    database.psql(rf"\copy (SELECT * FROM {TABLE} ORDER BY source_line) TO {rows}")
    # It has the same indexes, but no trigger.
    database.run(f"CREATE TABLE copied (LIKE {TABLE} INCLUDING ALL)")

    def copied() -> float:
        database.empty("copied")
        return seconds(lambda: database.psql(rf"\copy copied FROM {rows}"))

    return copied


def handlers(quick: bool) -> Iterator[Figure]:
    """Time a small file through the three warm handlers; AWS is moto in this process."""
    if quick:
        return  # it is not a ratio
    with (
        tempfile.TemporaryDirectory() as folder,
        migrated() as database,
        functions(database, LOADER) as s3,
        contextlib.redirect_stdout(io.StringIO()),  # metrics
    ):
        body = samples.write(Path(folder), "plain", SMALL_FILE).read_bytes()
        taken = [_through_handlers(s3, body, day) for day in range(1, 12)]
    yield Figure("20,500 rows through three warm handlers", statistics.median(taken[1:]), "s", 1.0)


def _through_handlers(s3: "S3Client", body: bytes, day: int) -> float:
    from functions.load.handler import handler as load
    from functions.test.handler import handler as test
    from functions.transform.handler import handler as transform
    from shared.ingestion_log import IngestionLog
    from tests.fixtures import aws

    ingestion = aws.land(s3, body, f"table=dailycheckins/year=2024/month=3/day={day}/a.csv")
    run = aws.run_of(ingestion)
    IngestionLog.of(aws.LOG_TABLE).open(ingestion, run)

    def through() -> None:
        verdicts: Verdict = {}
        for state, handler in (("transform", transform), ("test", test), ("load", load)):
            event = aws.task_event(ingestion, run, **verdicts)
            verdicts[state] = handler(event, aws.lambda_context())
            assert verdicts[state]["outcome"] == "ok", verdicts

    return seconds(through)


def peaks(quick: bool) -> Iterator[Peak]:
    """Measure each state alone in a process, with small files only if they are plotted."""
    for shape in samples.SHAPES[:1] if quick else samples.SHAPES:
        sizes = (*PLOTTED, ROWS, LARGE) if shape == "plain" else (ROWS, LARGE)
        with migrated([samples.contract(shape)]) as database:
            for size in (QUICK_LARGE,) if quick else sizes:
                with tempfile.TemporaryDirectory() as name:
                    rows = size // samples.FEWER.get(shape, 1)
                    path = samples.write(Path(name), shape, rows)
                    verdicts: tuple[Verdict, ...] = ()
                    for state in STATES if shape in LOADED and not quick else STATES[:2]:
                        runs = []
                        for _ in range(1 if size in {LARGE, QUICK_LARGE} else REPEATED):
                            database.empty("source", TABLE)
                            runs.append(alone(_run, state, path, shape, verdicts, database))
                        (verdict, taken), _ = runs[0]
                        verdicts += (verdict,)
                        yield Peak(state, shape, rows, taken, max(peak for _, peak in runs))


def _run(
    state: str, path: Path, shape: str, verdicts: tuple[Verdict, ...], database: Database
) -> tuple[Verdict, float]:
    """Run one state in this process; return its verdict and how long it took."""
    importlib.import_module(MODULES[state])
    states = States(path, shape, path.parent / "staging", *verdicts)
    work: dict[str, Callable[[], None]] = {
        "Transform": states.transform,
        "Test": states.test,
        "Load": partial(states.load, database),
    }
    taken = seconds(work[state])
    return {"Transform": states.transformed, "Test": states.tested, "Load": {}}[state], taken


def memory(measured: list[Peak]) -> Iterator[Figure]:
    """Compare the peaks of the largest files with those of files a tenth as long."""
    key = operator.attrgetter("state", "shape")
    for (state, shape), group in itertools.groupby(sorted(measured, key=key), key):
        *smaller, large = sorted(group, key=lambda peak: peak.rows)
        title = f"{state}, {shape}: memory at {large.rows:,}"
        yield Figure(f"{title} rows", large.mebibytes, "MiB", 1024)
        for small in smaller[-1:]:
            grown = large.mebibytes / small.mebibytes
            yield Figure(f"{title} to {small.rows:,} rows", grown, "×", 1.15)
