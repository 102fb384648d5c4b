"""The staged rows to load, as CSV for PostgreSQL's COPY."""

import io
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.csv

from shared import parquet
from shared.contract import Contract
from shared.errors import RowsUnaccounted, StagingIncomplete
from shared.line_set import LineSet
from shared.staging import Staging

_BATCH_ROWS = 20_000
_REJECTS_AT_A_TIME = 50_000
# COPY reads an empty field as null, and a pair of quotes as an empty string.
_CSV = pa.csv.WriteOptions(include_header=False, batch_size=_BATCH_ROWS, quoting_style="needed")


class StagedRows:
    """The clean rows of one ingestion, without those that Test rejected."""

    def __init__(
        self,
        staging: Staging,
        contract: Contract,
        transformed: Mapping[str, int],
        tested: Mapping[str, int],
    ) -> None:
        """List the parts, and read the lines of the rejected rows.

        `transformed` and `tested` are the counts of the verdicts of Transform and Test.

        Raises:
            StagingIncomplete: the number of parts differs from Transform's count.
            RowsUnaccounted: the number of rejected rows differs from Test's count.
            StagingUnavailable: S3 did not answer.
        """
        self._contract = contract
        lookup = contract.lookup
        columns = [lookup.key, lookup.order] if lookup else []
        self._order = [contract.column(name).physical_name for name in columns]
        self._prefix = staging.clean_prefix
        self._clean = transformed["rowsClean"]
        self._found: dict[str, int] = {}
        self.read = transformed["rowsRead"]
        self.rejected = tested["rowsRejected"]
        self.parts = parquet.parts(self._prefix)
        if len(self.parts) != transformed["parts"]:
            raise StagingIncomplete(
                f"{self._prefix} has {len(self.parts)} parts, but Transform wrote "
                f"{transformed['parts']}; replay the ingestion"
            )
        self._rejected_lines = _rejected_lines(
            staging.rejects, expected=bool(tested["rowsRejected"] or tested["warnings"])
        )
        if len(self._rejected_lines) != self.rejected:
            raise RowsUnaccounted(
                f"{staging.rejects} rejects {len(self._rejected_lines)} rows, but Test counted "
                f"{self.rejected}; replay the ingestion"
            )

    def batches(self, parts: Iterable[str]) -> Iterator[pa.Table]:
        """Yield batches of the rows of parts: the contract's columns in order, and `source_line`.

        The rows of a part are sorted like the lookup's index: PostgreSQL inserts neighbours faster,
        and a lookup reads fewer pages. Several threads may take other parts each.

        Raises:
            StagingIncomplete: the columns differ from Transform's.
            StagingUnavailable: S3 did not answer.
        """
        for uri in parts:
            part = parquet.read(uri)
            self._found[uri] = len(part)
            if part.column_names != [*self._contract.physical_names, "line"]:
                raise StagingIncomplete(
                    f"{uri} has the columns {part.column_names}, which differ from the contract's; "
                    "replay the ingestion"
                )
            accepted = pa.array(~self._rejected_lines.among(part["line"].to_numpy()))
            rows = part.filter(accepted).rename_columns([*part.column_names[:-1], "source_line"])
            if self._order:
                rows = rows.sort_by([(name, "ascending") for name in self._order])
            for start in range(0, len(rows), _BATCH_ROWS):
                yield rows.slice(start, _BATCH_ROWS)

    def check(self) -> None:
        """Raise StagingIncomplete if the parts that were read have another number of rows."""
        clean = sum(self._found.values())
        if clean != self._clean:
            raise StagingIncomplete(
                f"{self._prefix} has {clean} clean rows, but Transform wrote {self._clean}; "
                "replay the ingestion"
            )


def as_csv(rows: pa.Table) -> bytes:
    """Return a batch as CSV for COPY, with timestamps in UTC, the session's time zone."""
    text = io.BytesIO()
    # Arrow takes twenty times as long to write a timestamp with a time zone.
    types = [
        pa.timestamp(each.type.unit) if pa.types.is_timestamp(each.type) else each.type
        for each in rows.schema
    ]
    plain = rows.cast(pa.schema(zip(rows.column_names, types, strict=True)))
    pa.csv.write_csv(plain, text, _CSV)
    return text.getvalue()


def _rejected_lines(uri: str, *, expected: bool) -> LineSet:
    # The file is read even if Test counted no rejects: a wrong count must not load rejected rows.
    # A row may fail several rules. A row with warnings only is loaded.
    found = LineSet()
    records = map(json.loads, parquet.lines(uri))
    lines = (each["line"] for each in records if each["severity"] == "error")
    try:
        while some := [*itertools.islice(lines, _REJECTS_AT_A_TIME)]:
            found.add(np.array(some))
    except StagingIncomplete:
        if expected:
            raise
    return found
