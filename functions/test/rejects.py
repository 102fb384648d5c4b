"""Reject records: the details that the supplier of a file needs to correct a row."""

import csv
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Self

import pandas as pd

from shared.quality import Severity
from shared.spreadsheet import escaped


@dataclass(frozen=True, slots=True)
class Reject:
    """One failed rule of one row; `line` is the physical line in the file, `raw` the row's text.

    `rawBase64` is the row's bytes if some cannot be decoded. Other records do not have it.
    A row with a reject of severity `error` is not loaded. A row with warnings only is.
    """

    sourceKey: str  # noqa: N815 - as in the log
    versionId: str  # noqa: N815
    line: int
    column: str | None
    value: str | None
    rule: str
    severity: Severity
    reason: str
    raw: str
    rawBase64: str | None = None  # noqa: N815


_CSV = [field.name for field in fields(Reject) if field.name != "rawBase64"]


class RejectFiles:
    """Writer of `rejects.jsonl`, the exact records, and `rejects.csv`, for spreadsheets.

    The latter has no `rawBase64`.
    """

    def __init__(self, folder: Path) -> None:
        self.jsonl = folder / "rejects.jsonl"
        self.csv = folder / "rejects.csv"

    def __enter__(self) -> Self:
        self._jsonl = self.jsonl.open("w", encoding="utf-8")
        self._csv = self.csv.open("w", encoding="utf-8", newline="")
        self._csv.write(",".join(_CSV) + "\r\n")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._jsonl.close()
        self._csv.close()

    def write(self, rejects: Iterable[Reject]) -> None:
        """Append at least one record to both files."""
        records = [asdict(each) for each in rejects]
        for each in records:
            if each["rawBase64"] is None:
                del each["rawBase64"]
        self._jsonl.writelines(json.dumps(each, ensure_ascii=False) + "\n" for each in records)
        pd.DataFrame(records, columns=_CSV).map(_escaped).to_csv(
            self._csv, index=False, header=False, quoting=csv.QUOTE_MINIMAL, lineterminator="\r\n"
        )


def _escaped(cell: object) -> object:
    return escaped(cell) if isinstance(cell, str) else cell
