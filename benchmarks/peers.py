"""Other tools that load the same file: raw text, into a table with the same indexes.

Ours cast and test each value, and account for each row. The file has no bad row, because some of
them would stop. The table has no constraints but those of unique indexes; columns that the file
does not have get defaults, and ingestr writes nulls there. Each tool runs as its documentation says
it is fastest, and connects without TLS to a server on this machine:

- dlt: `peer_dlt.py`.
- ingestr: appends with COPY, without inference of types. 1.1.22 is the last release whose wheel
  contains the program; later ones download it when they start.
- sling: inserts into the table itself instead of a temporary one. Of sling, 1.4.11 is the last
  release with such a wheel.
- pgloader, of Debian: eight workers for one connection; it drops the indexes and makes them again.
- naive: `naive.py`, into the same table as Load.
"""

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks import measure, samples
from benchmarks.database import TABLE, Database, migrated
from benchmarks.measure import CHECKOUT, Figure, Timed, ratio, seconds
from benchmarks.states import ROWS, States

BIN = CHECKOUT / ".venv-peers" / "bin"
PAIRS = 3
COLUMNS = ("username", "timestamp", "hours", "project")
TEXTS = ",".join(f"{column}:text" for column in COLUMNS)

PGLOADER = """
LOAD CSV FROM '{path}' ({columns}) INTO {uri}
TARGET TABLE public.checkins ({columns})
WITH workers = 8, concurrency = 1, drop indexes, skip header = 1,
  fields optionally enclosed by '"', fields terminated by ',';
"""

Run = Callable[[Path, str], list[str | Path]]
"""Return the command that loads a file into the server of a URI."""


def _dlt(path: Path, uri: str) -> list[str | Path]:
    folder = tempfile.mkdtemp(dir=path.parent)
    return [BIN / "python", Path(__file__).with_name("peer_dlt.py"), path, uri, folder]


def _ingestr(path: Path, uri: str) -> list[str | Path]:
    source = ["--source-table=file", f"--source-uri=csv://{path}"]
    into = ["--dest-table=public.checkins", f"--dest-uri={uri}?sslmode=disable"]
    how = ["--incremental-strategy=append", "--no-load-timestamp", "--no-inference"]
    quiet = ["--yes", "--progress=log"]
    return [BIN / "ingestr", "ingest", *quiet, *source, *into, *how, f"--columns={TEXTS}"]


def _sling(path: Path, uri: str) -> list[str | Path]:
    (program,) = BIN.parent.glob("lib/*/site-packages/sling_linux_amd64/bin/sling-linux-amd64")
    columns = ["--src-options", '{"columns": {"*": "text"}}']
    into = ["--tgt-conn", f"{uri}?sslmode=disable", "--tgt-object", "public.checkins"]
    return [program, "run", "--src-stream", f"file://{path}", *columns, *into, "--mode=truncate"]


def _pgloader(path: Path, uri: str) -> list[str | Path]:
    commands = path.with_suffix(".load")
    commands.write_text(PGLOADER.format(path=path, uri=uri, columns=", ".join(COLUMNS)))
    return ["pgloader", commands]


def _naive(path: Path, uri: str) -> list[str | Path]:
    return [sys.executable, "-m", "benchmarks.naive", path, uri]


PEERS: dict[str, Run] = {
    "dlt": _dlt,
    "ingestr": _ingestr,
    "sling": _sling,
    "pgloader": _pgloader,
    "naive": _naive,
}
ENVIRONMENT = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "INGESTR_DISABLE_TELEMETRY": "true",
    "SLING_DISABLE_TELEMETRY": "true",
    "SLING_DIRECT_INSERT": "true",
    "SLING_LOADED_AT_COLUMN": "false",
}


def peers(rows: int = ROWS) -> Iterator[Figure]:
    """Compare all three states together with each tool."""
    with tempfile.TemporaryDirectory() as name, migrated() as database:
        folder = Path(name)
        states = States(samples.write(folder, "no bad row", rows), "no bad row", folder)
        path = folder / "rows.csv"
        _, *lines = states.path.read_bytes().split(b"\r\n")
        path.write_bytes(b"\n".join((",".join(COLUMNS).encode(), *lines)))
        count = len(lines)
        del lines
        for peer, run in PEERS.items():
            if peer == "pgloader" and not shutil.which(peer):
                print("pgloader is not in PATH (Debian: pgloader), so it is left out.")
                continue
            yield ratio(
                f"All three states to {_version(peer)}",
                partial(_ours, states, database),
                _theirs(database, run, path, count),
                1 if peer == "naive" else PAIRS,
                most=1.0,
            )


def _ours(states: States, database: Database) -> float:
    taken = seconds(states.transform) + seconds(states.test)
    return taken + states.load_afresh(database)


def _theirs(database: Database, run: Run, path: Path, rows: int) -> Timed:
    server = database.server
    uri = f"postgresql://{server.user}:{server.password}@{server.host}:{server.port}/postgres"
    table = "naive" if run is _naive else "checkins"

    def timed() -> float:
        _make_tables(database)
        command = run(path, uri)
        environment = ENVIRONMENT | {"HOME": str(path.parent)}
        taken = seconds(lambda: measure.run(*command, **environment))
        ((loaded,),) = database.run(f"SELECT count(*) FROM {table}")
        assert loaded == rows, (table, loaded, rows)
        return taken

    return timed


def _make_tables(database: Database) -> None:
    """Make the table for raw text anew with the indexes of the real one, and one for `naive`."""
    columns = [f"{each}::text" if each in COLUMNS else each for each in database.columns(TABLE)]
    database.run("DROP TABLE IF EXISTS checkins, naive")
    database.run(f"CREATE TABLE checkins AS SELECT {', '.join(columns)} FROM {TABLE} WHERE false")
    database.run(f"CREATE TABLE naive (LIKE {TABLE} INCLUDING ALL)")
    database.run("CREATE SEQUENCE IF NOT EXISTS lines CACHE 1000")
    for table in ("checkins", "naive"):
        database.run(
            f"ALTER TABLE {table} ALTER load_id SET DEFAULT 1, "
            "ALTER source_line SET DEFAULT nextval('lines')"
        )
    definitions = database.run("SELECT indexdef FROM pg_indexes WHERE tablename = :t", t=TABLE)
    for number, (definition,) in enumerate(definitions):
        start, _, rest = definition.partition(" INDEX ")
        _, _, rest = rest.partition(f" ON public.{TABLE} ")
        database.run(f"{start} INDEX checkins_{number} ON checkins {rest}")
    database.run("CHECKPOINT")


def _version(peer: str) -> str:
    match peer:
        case "naive":
            return "the naive version"
        case "pgloader":
            command: list[str | Path] = ["pgloader", "--version"]
        case _:
            package = "sling-linux-amd64" if peer == "sling" else peer
            code = f"from importlib.metadata import version; print(version('{package}'))"
            command = [BIN / "python", "-c", code]
    said = measure.run(*command)
    return f"{peer} {said.splitlines()[0].split()[-1].strip(chr(34))}"
