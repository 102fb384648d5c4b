"""Input of a storm, and the expected result."""

import datetime as dt
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa

from functions.transform.casts import schema
from shared.endings import PENDING, Outcome
from shared.ingestion import Ingestion
from shared.odcs import load_all
from shared.staging import Staging, part_name
from shared.verdict import Verdict
from tests.storms.scheduler import Discrepancy

NOON = dt.datetime(2024, 3, 3, 12, tzinfo=dt.UTC)
SCHEMA = schema(load_all()["dailycheckins"])
FOLDER = "table=dailycheckins/year=2024/month=3/day=3"
NAMES = ("dailycheckins.csv", "dailycheckins.csv.bak", "ré sumé+1.csv", "b.csv", "c.csv")
"""One is a prefix of another, and one changes when it is URL-encoded."""
STRAY = "somewhere/else.csv"
"""A key that matches no contract."""

Row = tuple[str, dt.datetime, Decimal, str, int]
"""User, timestamp, hours, project, line."""


@dataclass(frozen=True)
class Version:
    """One version of a key, and the results of the states for it."""

    key: str
    number: int
    refused: bool
    parts: tuple[tuple[Row, ...], ...]
    rejected: frozenset[int]
    """Lines of clean rows that Test rejects."""
    suspects: int
    warned: bool

    @property
    def name(self) -> str:
        """A short name, for traces and messages."""
        return f"{self.key.rpartition('/')[2]} v{self.number}"

    @property
    def body(self) -> bytes:
        """The content of the file, which the simulation does not read."""
        return self.name.encode()

    @property
    def good(self) -> list[Row]:
        """The rows that Load must load."""
        return [row for row in self._clean() if row[-1] not in self.rejected]

    @property
    def counts(self) -> dict[str, int]:
        """The counts in the log and the ledger after the load."""
        clean, good = len(list(self._clean())), len(self.good)
        read = clean + self.suspects
        return {"rowsRead": read, "rowsLoaded": good, "rowsRejected": read - good}

    @property
    def transformed(self) -> Verdict:
        if self.refused:
            return Verdict(Outcome.REFUSED, "the header is not the contract's")
        clean = len(list(self._clean()))
        counts = {"rowsRead": clean + self.suspects, "rowsClean": clean}
        return Verdict(
            Outcome.OK, counts=counts | {"rowsSuspect": self.suspects, "parts": len(self.parts)}
        )

    @property
    def tested(self) -> Verdict:
        rejected = self.counts["rowsRejected"]
        return Verdict(
            Outcome.OK, counts={"rowsRejected": rejected, "warnings": int(self._has_warning)}
        )

    def clean(self, staging: Staging) -> Iterator[tuple[str, bytes]]:
        """Yield the URI and body of each object that Transform stages."""
        for number, rows in enumerate(self.parts):
            columns = [list(column) for column in zip(*rows, strict=True)]
            sink = pa.BufferOutputStream()
            pa.parquet.write_table(pa.table(columns, schema=SCHEMA), sink)
            yield staging.clean_prefix + part_name(number), sink.getvalue().to_pybytes()

    def examined(self, staging: Staging) -> Iterator[tuple[str, bytes]]:
        """Yield the URI and body of each object that Test stages."""
        yield staging.report, json.dumps({"rules": []}).encode()
        lines = [*sorted(self.rejected), *(1000 + n for n in range(self.suspects))]
        rejects = [{"line": line, "severity": "error", "rule": "a rule"} for line in lines]
        if self._has_warning:
            line = self.good[0][-1]
            rejects.append({"line": line, "severity": "warning", "rule": "a rule"})
        if rejects:
            yield staging.rejects, "".join(f"{json.dumps(each)}\n" for each in rejects).encode()

    @property
    def _has_warning(self) -> bool:
        return self.warned and bool(self.good)

    def _clean(self) -> Iterator[Row]:
        return (row for part in self.parts for row in part)


def versions(chance: random.Random, folder: str = FOLDER) -> list[list[Version]]:
    """Return the versions of a few keys in a folder, in landing order."""
    keys = chance.sample(NAMES, *chance.choices((2, 3, 4, 5), (12, 4, 1, 1)))
    return [
        [
            _version(chance, f"{folder}/{name}", number)
            for number in range(1, 1 + chance.choice((1, 2, 2, 3, 3, 4)))
        ]
        for name in keys
    ]


def _version(chance: random.Random, key: str, number: int) -> Version:
    line, parts = 2, []
    for _ in range(chance.choice((0, 1, 1, 2, 3))):
        rows = []
        for _ in range(chance.randint(1, 3)):
            # The same line differs between versions, so a mix of two versions is detected.
            hours = Decimal(number) + Decimal(line) / 100
            rows.append((f"user {line}", NOON, hours, f"version {number}", line))
            line += 1
        parts.append(tuple(rows))
    share = chance.choice((0, 0, 0.3, 1))
    return Version(
        key=key,
        number=number,
        refused=chance.random() < 0.2,
        parts=tuple(parts),
        rejected=frozenset(n for n in range(2, line) if chance.random() < share),
        suspects=chance.choice((0, 0, 1, 2)),
        warned=chance.random() < 0.3,
    )


@dataclass(frozen=True)
class Landed:
    """A landed version, and its expected ingestion."""

    version: Version
    ingestion: Ingestion


@dataclass(frozen=True)
class Alerts:
    """The number of alerts of one run-end, and its limits."""

    times: int
    broken: int
    """Calls of alert that failed between the message and its mark as sent."""
    is_logged: bool
    """If False, no alert is fine: a redrive wrote no step, and its run-end event was lost."""


@dataclass(frozen=True)
class Aftermath:
    """The state of the pipeline after a storm."""

    landed: Sequence[Landed]
    removed: frozenset[str]
    """IDs of the ingestions whose version was removed."""
    items: Mapping[str, Mapping[str, Any]]
    """Log items by ingestion."""
    rows: Sequence[Sequence[Any]]
    """All rows of the table: key, line, user, timestamp, hours, project."""
    ledger: Sequence[Sequence[Any]]
    """All rows of the ledger: key, version, ingestion, rows read, loaded and rejected."""
    slots: frozenset[str]
    """Held slots."""
    requires_manifests: bool
    accepted: Sequence[tuple[str | None, Landed]]
    """The version of its manifest, for each run that loaded its file."""
    redrives: Mapping[str, int]
    """How often each execution was redriven."""
    ends: Mapping[str, Alerts]
    """Alerts of every end of a run, and of every rejection."""

    def check(self) -> None:
        """Raise a Discrepancy if the state differs from the expected one."""
        self._check_gate()
        self._check_table()
        self._check_ledger()
        self._check_log()
        self._check_alerts()
        self._check_manifests()

    def newest(self) -> dict[str, Landed]:
        """Return the newest loadable version of each key that has one."""
        return {
            each.version.key: each
            for each in self.landed
            if not each.version.refused
            and each.ingestion.id not in self.removed
            # A version may also lack its manifest, except the newest one: see `_check_log`.
            and (not self.requires_manifests or self._standing(each) == "load/success")
        }

    def _standing(self, each: Landed) -> str:
        item = self.items[each.ingestion.id]
        return f"{item['state']}/{item['status']}"

    def _check_manifests(self) -> None:
        """Check that no version of a manifest vouches for two accepted versions of its file."""
        uses: defaultdict[str, set[str]] = defaultdict(set)
        for manifest, each in self.accepted:
            if manifest is not None and each.ingestion.id not in self.removed:
                uses[manifest].add(each.version.name)
        if twice := {manifest: names for manifest, names in uses.items() if len(names) > 1}:
            raise Discrepancy(f"manifests vouch for several versions: {twice}")

    def _check_gate(self) -> None:
        if self.slots:
            raise Discrepancy(f"no run is under way, but these slots are held: {self.slots}")
        waiting = [name for name, item in self.items.items() if item["status"] == "queued"]
        if waiting:
            raise Discrepancy(f"these files still wait: {waiting}")

    def _check_table(self) -> None:
        found: dict[str | None, list[tuple[Any, ...]]] = defaultdict(list)
        for key, line, user, timestamp, hours, project in self.rows:
            found[key].append((user, timestamp, hours, project, line))
        expected = {key: each.version.good for key, each in self.newest().items()}
        for key in {*found, *expected}:
            actual, wanted = sorted(found[key]), sorted(expected.get(key or "", []))
            if actual != wanted:
                raise Discrepancy(
                    f"{key}: the table holds {_short(actual)}, but its newest loadable version has "
                    f"{_short(wanted)}"
                )

    def _check_ledger(self) -> None:
        expected = sorted(
            [
                key,
                each.ingestion.source.version_id,
                each.ingestion.id,
                *each.version.counts.values(),
            ]
            for key, each in self.newest().items()
        )
        if sorted(map(list, self.ledger)) != expected:
            raise Discrepancy(f"the ledger holds {self.ledger}, but should hold {expected}")

    def _check_log(self) -> None:
        newest = [each.ingestion.id for each in self.newest().values()]
        last = {each.version.key: each for each in self.landed}
        for each in self.landed:
            name, item = each.version.name, self.items.get(each.ingestion.id)
            if item is None:
                if each.ingestion.id in self.removed:
                    continue  # removed before its S3 event arrived
                raise Discrepancy(f"{name} is not in the log")
            self._check_history(name, item)
            if each.ingestion.id in self.removed:
                continue
            actual = self._standing(each)
            if self.requires_manifests and each is not last[each.version.key]:
                if item["status"] in PENDING:
                    raise Discrepancy(f"{name} is {actual}, but newer versions have landed")
                continue
            if each.version.refused:
                expected = ["transform/fail"]
            elif each.ingestion.id in newest:
                expected = ["load/success"]
            else:
                expected = ["load/success", "load/superseded"]
            if actual not in expected:
                raise Discrepancy(f"{name} is {actual} in the log, not {' or '.join(expected)}")
            if not each.version.refused:
                self._check_counts(each.version, item)

    def _check_counts(self, version: Version, item: Mapping[str, Any]) -> None:
        counts = dict(version.counts)
        if item["status"] == "superseded":
            counts["rowsLoaded"] = 0
        logged = {name: item.get(name) for name in counts}
        if logged != counts:
            raise Discrepancy(f"{version.name}: the log counts {logged}, expected {counts}")

    def _check_history(self, name: str, item: Mapping[str, Any]) -> None:
        attempts: list[Counter[str]] = []
        awaited = False
        for entry in item["history"]:
            if (entry["state"], entry["status"]) == ("trigger", "waiting"):
                attempts.append(Counter())
            elif (entry["state"], entry["status"]) == ("trigger", "queued"):
                if not awaited:
                    attempts.append(Counter())
            else:
                attempts[-1][f"{entry['state']}/{entry['status']}"] += 1
            awaited = entry["status"] == "waiting"
        if len(attempts) != item["attempt"]:
            raise Discrepancy(f"{name}: attempt {item['attempt']}, history {item['history']}")
        first = item["executionArn"].removesuffix(f"-r{item['attempt']}")
        for number, entries in enumerate(attempts, 1):
            if entries.keys() <= {"trigger/superseded"}:
                continue  # it waits for its manifest, or never ran
            arn = first if number == 1 else f"{first}-r{number}"
            if arn not in self.redrives:
                raise Discrepancy(f"{name}: the log has the run {arn}, which does not exist")
            for entry, times in entries.items():
                if times > 1 + self.redrives[arn]:
                    raise Discrepancy(f"{name}: {entry} is {times} times in the log for {arn}")

    def _check_alerts(self) -> None:
        for end, alerts in self.ends.items():
            if not alerts.is_logged <= alerts.times <= 1 + alerts.broken:
                raise Discrepancy(
                    f"the end {end} has {alerts.times} alerts; alert failed {alerts.broken} times "
                    "between a message and its mark as sent"
                )


def _short(rows: Sequence[Sequence[Any]]) -> list[str]:
    return [f"line {line}: {project}" for *_, project, line in rows]
