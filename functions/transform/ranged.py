"""Transforms a large file in ranges, with the same result as `transformation.transform`."""

from collections.abc import Mapping
from dataclasses import astuple, dataclass

from functions.transform.division import Reading, Scanner, bounds, can_divide, joined, tail_of
from functions.transform.header import match_header
from functions.transform.transformation import Findings, combined, transform_range, verified_claim
from shared import parquet
from shared.compression import unpack
from shared.content import Content
from shared.contract import Contract
from shared.endings import Outcome
from shared.manifest import FoundManifest
from shared.range_notes import RangeNotes
from shared.ranges import MAX_LINE, MAX_RANGES, MAX_WHOLE
from shared.rows import Table, read_table
from shared.staging import Staging
from shared.verdict import Refusal, Verdict

_WHOLE = Verdict(Outcome.OK, counts={"stretches": 0})
_GIB = 1024**3


@dataclass(frozen=True, slots=True)
class RangedTransform:
    """The transformation of one file. Each method is one step."""

    content: Content
    contract: Contract
    staging: Staging
    manifest: FoundManifest | None = None

    @property
    def _notes(self) -> RangeNotes:
        return RangeNotes(self.staging)

    @property
    def _scanner(self) -> Scanner:
        return Scanner(self.content, self.contract)

    def plan(self, stretch: int) -> Verdict:
        """Divide the file into stretches of about `stretch` bytes, and delete earlier results.

        The verdict is `ok` with the number of `stretches`, which is 0 if `transform` must process
        or refuse the file as a whole; or `refused`.
        """
        for prefix in self.staging.prefixes:
            parquet.delete(prefix)
        packed, size = unpack(self.content, self.contract.compression).packed, self.content.size
        table = read_table(self.content.chunks(), self.contract)
        if packed or isinstance(table, Refusal) or not self._matches(table):
            return _WHOLE
        if not can_divide(self.contract):
            if size <= MAX_WHOLE:
                return _WHOLE
            return Verdict(
                Outcome.REFUSED,
                f"the file has {size / _GIB:,.1f} GiB, but a file in {self.contract.encoding} may "
                f"have {MAX_WHOLE // _GIB} GiB, because it cannot be read in ranges: send it in "
                "utf-8, or as several files",
            )
        claim = verified_claim(
            self.manifest, self.content, self.contract, self.staging.ingestion.source
        )
        if isinstance(claim, Refusal):
            return Verdict(Outcome.REFUSED, claim.reason)
        limits = bounds(size, stretch, MAX_RANGES)
        self._notes.write("bounds", limits)
        self._notes.write("start", self._scanner.start(table.begin))
        return Verdict(Outcome.OK, counts={"stretches": len(limits) - 1})

    def scan(self, number: int) -> None:
        """Find the possible readings of a stretch."""
        begin, end = self._notes.read("bounds")[number : number + 2]
        if number == 0:
            start = Reading(*self._notes.read("start"))
            readings = [self._scanner.reading(start.end, end)]
        else:
            readings = self._scanner.readings(begin, end)
        self._notes.write("readings", readings, number)

    def divide(self) -> Verdict:
        """Find the ranges by what was found in all stretches.

        The verdict is `ok` with the number of `ranges`, or `refused`.
        """
        limits = self._notes.read("bounds")
        start = Reading(*self._notes.read("start"))
        noted = self._notes.read_all("readings", len(limits) - 1)
        scans = [[Reading(*each) for each in readings] for readings in noted]
        tail = tail_of(self.contract)
        ranges, lines = joined(start, limits, scans, self._scanner.reading, tail)
        if lines > MAX_LINE:
            return Verdict(
                Outcome.REFUSED,
                f"the file has {lines:,} lines, but the maximum is {MAX_LINE:,}: send it as "
                "several files",
            )
        self._notes.write("ranges", [astuple(each) for each in ranges])
        return Verdict(Outcome.OK, counts={"ranges": len(ranges)})

    def transform(self, number: int) -> Mapping[str, int]:
        """Transform a range; return its counts."""
        own = self.staging.of_range(number)
        within = self._notes.ranges[number]
        found = transform_range(self.content, self.contract, own, within, self.manifest)
        self._notes.write("findings", found.model_dump(mode="json"), number)
        return found.counts

    def combine(self) -> Verdict:
        """Return the verdict of `transform`."""
        notes = self._notes.read_all("findings", len(self._notes.ranges))
        found = [Findings.model_validate(each) for each in notes]
        source = self.staging.ingestion.source
        return combined(found, self.content, self.contract, source, self.manifest)

    def _matches(self, table: Table) -> bool:
        places = match_header(table.header, table.width, table.line, self.contract)
        return not isinstance(places, Refusal)
