"""What Test reads: the staged rows of a file, or of one of its ranges, and their raw texts."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from functions.test.rejects import SCHEMA, repeated
from functions.test.rules import VIOLATIONS
from shared import parquet
from shared.errors import SourceUnreadable, StagingIncomplete
from shared.rows import REPEATED, Rows, Table
from shared.staging import Staging, part_name
from shared.verdict import Refusal

_VALUES = 2**19
"""Values tested at a time, at least a row."""
_REFUSED = pa.schema([("line", pa.int64()), ("reason", pa.string())])


@dataclass(frozen=True, slots=True)
class StagedPart:
    """The URIs of the clean and of the suspect rows of one chunk of the file; None without such."""

    clean: str | None
    suspect: str | None

    def read(self) -> "StagedRows":
        """Return the rows."""
        clean = None if self.clean is None else parquet.read(self.clean)
        if self.suspect is None:
            return StagedRows(clean, SCHEMA.empty_table())
        found = parquet.read(self.suspect)
        raw = found["raw"].dictionary_encode().combine_chunks()
        found = found.drop_columns("raw").append_column("raw", raw)
        found = found.append_column("severity", repeated("error", len(found)))
        return StagedRows(clean, found.select(SCHEMA.names))


@dataclass(frozen=True, slots=True)
class StagedRows:
    """Consecutive rows of the file: clean ones, and problems of suspect ones (`SCHEMA`)."""

    clean: pa.Table | None
    suspects: pa.Table

    def slices(self) -> Iterator["StagedRows"]:
        """Divide the rows of a part, because each value may fail a rule."""
        if self.clean is None:
            yield self
            return
        size = max(1, _VALUES // len(self.clean.column_names))
        begins = range(0, len(self.clean), size)
        firsts = self.clean["line"].to_numpy()[begins[1:]]
        bounds = np.searchsorted(self.suspects["line"].to_numpy(), firsts).tolist()
        for begin, (start, end) in zip(
            begins, itertools.pairwise([0, *bounds, len(self.suspects)]), strict=True
        ):
            suspects = self.suspects.slice(start, end - start)
            yield StagedRows(self.clean.slice(begin, size), suspects)


class Staged:
    """What Transform staged of a file, or of one of its ranges."""

    def __init__(
        self, staging: Staging, transformed: Mapping[str, int], refused_parts: int = 0
    ) -> None:
        """List the parts. `transformed` has the counts of Transform's verdict.

        `refused_parts` is the number of parts with refused rows that Load has staged.

        Raises:
            StagingIncomplete: the number of parts differs from Transform's count.
            StagingUnavailable: S3 did not answer.
        """
        self._staging, self._transformed = staging, transformed
        prefixes = staging.suspect_prefix, staging.clean_prefix
        suspect, clean = (
            {uri.rpartition("/")[2]: uri for uri in parquet.parts(prefix)} for prefix in prefixes
        )
        _check("parts", staging.suspect_prefix, len(suspect), transformed["suspectParts"])
        _check("parts", staging.clean_prefix, len(clean), transformed["parts"])
        self.clean = [*clean.values()]
        """The URIs of the clean rows, in the order of the file."""
        self.parts = [
            StagedPart(clean.get(name), suspect.get(name)) for name in sorted({*clean, *suspect})
        ]
        self.refused = _refused(staging, refused_parts)
        """The clean rows that PostgreSQL refused, as violations."""

    def check(self, rows: Mapping[str, int]) -> None:
        """Raise StagingIncomplete if the numbers of rows that were read differ from the counts."""
        staging, transformed = self._staging, self._transformed
        _check("clean rows", staging.clean_prefix, rows["clean"], transformed["rowsClean"])
        _check("suspect rows", staging.suspect_prefix, rows["suspect"], transformed["rowsSuspect"])


def _check(what: str, prefix: str, found: int, expected: int) -> None:
    if found != expected:
        raise StagingIncomplete(
            f"{prefix} has {found} {what}, but Transform wrote {expected}; replay the ingestion"
        )


def _refused(staging: Staging, parts: int) -> pa.Table:
    """Return the clean rows that PostgreSQL refused when Load tried, as violations."""
    read = [parquet.read(staging.refused_prefix + part_name(part)) for part in range(parts)]
    rows = pa.concat_tables([_REFUSED.empty_table(), *read])
    reason = pc.binary_join_element_wise("PostgreSQL refuses the row: ", rows["reason"], "")
    return pa.table(
        {
            "line": rows["line"],
            "column": pa.nulls(len(rows), REPEATED),
            "value": pa.nulls(len(rows), pa.string()),
            "rule": repeated("database", len(rows)),
            "severity": repeated("error", len(rows)),
            "reason": reason.combine_chunks().dictionary_encode(),
        },
        schema=VIOLATIONS,
    )


class RawRows:
    """The raw text of rows. Callers ask in ascending order, because the file is streamed.

    `read` reads the file, or the range of it; it is called only if a raw text is needed.
    """

    def __init__(self, read: Callable[[], Table | Refusal]) -> None:
        self._batches = self._read(read)
        self._rows: Rows | None = None

    def of(self, lines: npt.NDArray[np.int64]) -> pa.DictionaryArray:
        """Return the raw texts of the rows that begin at these lines, of which some may repeat."""
        missing, indices = np.unique(lines, return_inverse=True)
        found = [pa.array([], pa.string())]
        while len(missing):
            rows = self._reaching(missing[0])
            numbers = rows.lines.to_numpy()
            here, missing = np.split(missing, np.searchsorted(missing, numbers[-1:], "right"))
            found.append(rows.raw_texts(np.searchsorted(numbers, here)))
        return pa.DictionaryArray.from_arrays(indices.astype(np.int32), pa.concat_arrays(found))

    def _reaching(self, line: np.int64) -> Rows:
        while self._rows is None or not np.any(self._rows.lines.to_numpy()[-1:] >= line):
            self._rows = next(self._batches, None)
            if self._rows is None:
                raise SourceUnreadable(
                    f"the landed file has no row at line {line}, but Transform read one; "
                    "replay the ingestion"
                )
        return self._rows

    @staticmethod
    def _read(read: Callable[[], Table | Refusal]) -> Iterator[Rows]:
        table = read()
        if isinstance(table, Refusal):
            return
        for chunk in table.chunks:
            if isinstance(chunk, Refusal):
                return
            yield chunk()
