"""`tm contract`: draft a contract from sample files, and check it with these files.

The files are read three times: to survey the columns, to try their types, and to check the draft.
"""

import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from cli import check
from cli.console import errors, print_lines
from cli.drafting import names
from cli.drafting.decisions import Drafted, decide, mark_of
from cli.drafting.document import document
from cli.drafting.survey import Survey
from cli.drafting.trials import Mark, Trials, trials_of
from cli.errors import CommandError
from cli.items import many
from cli.sniffing import Sniffed, keys_of, sample_of, sniff
from shared import odcs
from shared.compression import Compression, unpack
from shared.content import LocalFile
from shared.contract import MAX_COLUMNS, MAX_ROW_BYTES, Contract
from shared.lines import read_lines
from shared.naming import physical_names
from shared.rows import read_table
from shared.text import is_storable, listed, quoted
from shared.verdict import Refusal

_SEEN_BYTES = 1 << 28
"""Memory for the distinct values of all columns."""
_MAX_REQUIRED = MAX_ROW_BYTES - 100
"""Bytes of a row's values with which all columns may be required."""
_SHOWN = 20
Chunk = tuple[int, dict[str, pa.StringArray]]
"""The number of a file, and the values of some of its rows by the name of their column."""
_COMPRESSION = Compression()
_WORKERS = 2


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft.

    Attributes:
        table: the name of its table.
        text: the contract as YAML.
        rows: the number of rows of all files.
        failed: the rows and files that it would not load, one text each, at most 20; then how many
            more there are.
        checks: the number of choices that a person should check.
    """

    table: str
    text: str
    rows: int
    failed: tuple[str, ...]
    checks: int

    @property
    def file_name(self) -> str:
        """The name of its file, which must be that of its table."""
        return f"{self.table}{odcs.SUFFIX}"


def table_of(files: Sequence[Path], table: str | None) -> str:
    """Return the table of files: the given one, else the one that the first file names.

    Raises:
        CommandError: the name of the first file says no table.
    """
    found = table or names.table_of(files[0].name)
    if found is None:
        raise CommandError(f"{quoted(files[0].name)} says no table: name one with --table")
    return found


def draft(files: Sequence[Path], table: str) -> Draft:
    """Draft the contract of a table from files of it.

    Raises:
        CommandError: the first file cannot be read as a table.
    """
    forms = _forms(files)
    columns, mark = _columns(_Samples(files, forms), table)
    properties = forms[0].properties | ({} if mark == "." else {"decimalMark": mark})
    doubts = [*forms[0].doubts, *_differences(files, forms)]
    evidence = [*forms[0].evidence, *(f"check: {each}" for each in doubts)]
    write = functools.partial(document, table, properties, columns, evidence=evidence)
    contract = odcs.parse(f"{table}{odcs.SUFFIX}", write(heading=()).encode())
    rows, failed = checked_with(files, contract)
    checks = len(doubts) + sum(len(each.checks) for each in columns)
    named = listed([quoted(file.name) for file in files])
    heading = [f"Drafted by tm contract from {named}: {many(rows, 'row')}."]
    heading += ["These do not load:", *failed] if failed else ["All of them load."]
    if checks:
        heading.append(f"{many(checks, 'choice')} to confirm or change: see each comment check:.")
    heading.append("Comments quote values: remove them if these are confidential.")
    return Draft(table, write(heading=heading), rows, tuple(failed), checks)


def write(drafted: Draft, folder: Path | None) -> None:
    """Write a draft to its file in a folder, which need not exist, or print it; summarize it.

    Raises:
        CommandError: the file exists.
    """
    where = "the draft"
    if folder is None:
        print_lines(drafted.text)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / drafted.file_name
        where = str(path)
        try:
            with path.open("x", encoding="utf-8", newline="\n") as file:
                file.write(drafted.text)
        except FileExistsError:
            raise CommandError(
                f"{path} exists: name another folder or --table, or delete the file"
            ) from None
    show_failed(drafted.failed)
    errors.print(
        f"{many(drafted.rows, 'row')}, {many(len(drafted.failed), 'problem')}, "
        f"{many(drafted.checks, 'choice')} to check in {where}."
    )


def show_failed(failed: Iterable[str]) -> None:
    """Print what a contract would not load on standard error."""
    for each in failed:
        errors.print(f"tm: not loaded: {each}", style="red")


@dataclass(frozen=True, slots=True)
class _Samples:
    """Files of one table with the forms that they seem to have; all are read as the first one."""

    files: Sequence[Path]
    forms: Sequence[Sniffed]

    @property
    def reader(self) -> Contract:
        """A contract for reading the first file."""
        return self.forms[0].contract

    def chunks(self) -> Iterator[Chunk]:
        """Yield the rows of all files."""
        for number, (file, form) in enumerate(zip(self.files, self.forms, strict=True)):
            # By position, the number of columns is known from the form only.
            reader = self.reader.model_copy(update={"columns": form.contract.columns})
            table = read_table(unpack(LocalFile(file), _COMPRESSION).chunks, reader)
            if isinstance(table, Refusal):
                continue  # the check of the draft says why
            first = self.forms[0].names[: table.width]
            columns = table.header or [*first, *form.names[len(first) :]]
            for chunk in table.chunks:
                if isinstance(chunk, Refusal):
                    break
                yield number, dict(zip(columns, chunk().columns, strict=True))


def _sniffed(file: Path) -> Sniffed:
    found = sniff(sample_of(unpack(LocalFile(file), _COMPRESSION).chunks))
    if isinstance(found, Refusal):
        raise CommandError(f"{file.name}: {found.reason}")
    return found


def _forms(files: Sequence[Path]) -> list[Sniffed]:
    """Return the forms of files; if the first one is JSON lines, with the keys of all objects."""
    forms = [_sniffed(file) for file in files]
    if forms[0].file_format == "csv":
        return forms
    keys: dict[str, None] = {}
    for file, form in zip(files, forms, strict=True):
        keys |= keys_in(file, form.contract)
    names = tuple(filter(is_storable, filter(None, keys)))
    return [replace(form, names=names) for form in forms]


def keys_in(file: Path, contract: Contract) -> dict[str, None]:
    """Return the keys of all objects of JSON lines, at most a few more than a table's columns."""
    keys: dict[str, None] = {}
    chunks = unpack(LocalFile(file), contract.compression).chunks
    for lines in read_lines(chunks, contract.encoding, contract.dialect, contract.encoding_errors):
        if isinstance(lines, Refusal):
            break
        for line in lines.text.split(b"\n"):
            keys |= dict.fromkeys(keys_of(line) or ())
            if len(keys) > MAX_COLUMNS:
                return keys
    return keys


def _differences(files: Sequence[Path], forms: Sequence[Sniffed]) -> Iterator[str]:
    for file, form in zip(files, forms, strict=True):
        if form.properties != forms[0].properties:
            yield (
                f"{quoted(file.name)} seems to need other properties of the table: "
                f"{form.properties or 'none'}"
            )


def _columns(samples: _Samples, table: str) -> tuple[list[Drafted], Mark]:
    """Return the columns of all files, and the decimal mark."""
    first = samples.forms[0].names
    columns, files = trials_on(
        samples.chunks, first, samples.reader, lambda names: physical_names(names, table)
    )
    is_csv = samples.reader.file_format == "csv"
    mark = mark_of([*columns.values()]) if is_csv else "."  # as JSON writes numbers
    drafted = [
        decide(
            each,
            mark,
            is_first=name == first[0],
            optional=is_csv and any(name not in found for found in files.values()),
        )
        for name, each in columns.items()
    ]
    if sum(each.column.limits.least_bytes for each in drafted) > _MAX_REQUIRED:
        drafted = [each.not_required() for each in drafted]
    return drafted, mark


def trials_on(
    chunks: Callable[[], Iterable[Chunk]],
    names: Collection[str],
    reader: Contract,
    physical: Callable[[Collection[str]], Iterable[str]],
) -> tuple[dict[str, Trials], dict[int, set[str]]]:
    """Return the trials of types on all values of each column, and the columns of each file.

    Args:
        chunks: returns the rows of all files, at each of two calls.
        names: columns that files have; `chunks` may have more.
        reader: a contract for reading the files.
        physical: returns the names of columns in PostgreSQL.
    """
    budget = _SEEN_BYTES // len(names)
    surveys = {name: Survey(name, budget) for name in names}
    files: dict[int, set[str]] = {}
    with ThreadPoolExecutor(_WORKERS) as pool:
        for number, values in chunks():
            for name in values.keys() - surveys:
                surveys[name] = Survey(name, budget)
            if number not in files:
                files[number] = {*values}
                for name in values:
                    surveys[name].begin_file()
            for _ in pool.map(lambda each: surveys[each[0]].add(each[1]), values.items()):
                pass
        if len(surveys) > MAX_COLUMNS:
            raise CommandError(
                f"the files have {len(surveys):,} columns, but a table can have {MAX_COLUMNS:,}: "
                "split them"
            )
        for name in surveys:
            if not is_storable(name):
                raise CommandError(
                    f"the name {quoted(name)} of a column has a character that PostgreSQL cannot "
                    "store: correct the header"
                )
        trials = {
            survey.name: trials_of(survey, name, reader)
            for survey, name in zip(surveys.values(), physical(surveys), strict=True)
        }
        for _, values in chunks():
            for _ in pool.map(lambda each: trials[each[0]].add(each[1]), values.items()):
                pass
    return trials, files


def checked_with(files: Sequence[Path], contract: Contract) -> tuple[int, list[str]]:
    """Return the number of rows of the files, and texts of what the contract rejects."""
    rows, count = 0, 0
    failed: list[str] = []
    for file in files:
        with check.checked(file, contract, hard=False) as found:
            rows += found.verdict.counts.get("rowsRead", 0)
            if found.report is None:
                failed.append(f"{quoted(file.name)}: {found.verdict.reason}")
            for each in found.rejects:
                if each["severity"] == "error":
                    count += 1
                    if count <= _SHOWN:
                        failed.append(f"{quoted(file.name)} {_described(each)}")
    return rows, [*failed, *([f"and {count - _SHOWN:,} more"] if count > _SHOWN else [])]


def _described(record: dict[str, Any]) -> str:
    """Return a rejected row as one sentence."""
    where = f"line {record['line']:,}"
    if record["column"] is not None:
        where += f", column {quoted(record['column'])}"
    value = "" if record["value"] is None else f"{quoted(record['value'])}: "
    return f"{where}: {value}{record['reason']}"
