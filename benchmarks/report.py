"""The committed figures: `figures.json`, and `RESULTS.md` and two plots made from it."""

import datetime as dt
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.measure import Figure, Peak, machine

FOLDER = Path(__file__).parent
STORE = FOLDER / "figures.json"
MARGIN = 1.4
"""How many times a committed figure may be exceeded; noise on a busy machine is less."""

_INTRODUCTION = """# Results of the benchmarks

Do not edit: `make bench WRITE=1` and `make bench-peers WRITE=1` write this page, its plots and
`figures.json`. Without `WRITE=1` they compare. `make bench` fails if a figure exceeds its target,
or if one that exceeds it here grows by more than {percent} %. `make bench QUICK=1`, which CI runs,
measures smaller files. It fails if a ratio or a peak of memory exceeds the
[committed one](#quick-figures) by more than {percent} %, twice.

A ratio is the median of several pairs. The two parts of a pair run one after the other, and the
last column has their median times. Staging is a folder, so times and memory do not include S3. A
peak of memory is that of a process that runs only this state. `make bench` takes the highest of
three for a smaller file, whose few chunks rarely peak together.
"""
_PEERS = """All three states together cast, test and account for each row. The other tools load the
raw text of the same file into a table with the same indexes; `peers.py` says how each is run.
`naive.py` is what one writes first.
"""


@dataclass(frozen=True)
class Run:
    """What one command measured on one machine."""

    figures: list[Figure]
    peaks: list[Peak] = field(default_factory=list)
    date: str = field(default_factory=lambda: dt.datetime.now(dt.UTC).date().isoformat())
    machine: dict[str, str] = field(default_factory=machine)

    def value(self, name: str) -> float | None:
        """Return the value of a figure, or None if it was not measured."""
        return next((each.value for each in self.figures if each.name == name), None)


def read() -> dict[str, Run]:
    """Return the committed runs: `full`, `quick` and `peers`."""
    stored = json.loads(STORE.read_text("utf-8")) if STORE.exists() else {}
    return {name: _run(**each) for name, each in stored.items()}


def _run(figures: list[dict[str, Any]], peaks: list[dict[str, Any]], **rest: Any) -> Run:
    return Run([Figure(**each) for each in figures], [Peak(**each) for each in peaks], **rest)


def limit(name: str, figure: Figure, committed: dict[str, Run]) -> float | None:
    """Return what a figure of a run must not exceed; None without a limit."""
    before = committed[name].value(figure.name) if name in committed else None
    if name == "quick":
        return before * MARGIN if before is not None and figure.portable else None
    if figure.most is None or before is None or before <= figure.most:
        return figure.most
    return before * MARGIN


def write(runs: dict[str, Run]) -> None:
    """Write all files."""
    stored = {name: asdict(run) for name, run in sorted(runs.items())}
    STORE.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n", "utf-8")
    (FOLDER / "RESULTS.md").write_text("\n".join(_page(runs)), "utf-8")


def _page(runs: dict[str, Run]) -> Iterator[str]:
    yield _INTRODUCTION.format(percent=round(MARGIN * 100 - 100))
    if full := runs.get("full"):
        yield "## Targets\n"
        yield from _measured(full)
        yield from _table(each for each in full.figures if each.most is not None)
        yield "## Growth\n"
        for name in _plots(full.peaks):
            yield f"![{name} against rows](plots/{name.lower()}.svg)\n"
        yield from _peaks(full.peaks)
        yield "## Other figures\n"
        yield from _table(each for each in full.figures if each.most is None)
    if peers := runs.get("peers"):
        yield "## Other tools\n"
        yield _PEERS
        yield from _measured(peers)
        yield from _table(peers.figures)
    if quick := runs.get("quick"):
        yield "## Quick figures\n"
        yield from _measured(quick)
        limits = (each.value * MARGIN if each.portable else None for each in quick.figures)
        yield from _table(map(lambda each, most: replace(each, most=most), quick.figures, limits))


def _measured(run: Run) -> Iterator[str]:
    yield f"Measured on {run.date}.\n"
    yield from (f"- {name}: {value}" for name, value in run.machine.items())
    yield ""


def _table(figures: Iterable[Figure]) -> Iterator[str]:
    yield "| Figure | Measured | At most | Behind it |"
    yield "| --- | --- | --- | --- |"
    for each in figures:
        target = ""
        if each.most is not None:
            missed = ", **missed**" if each.value > each.most else ""
            target = f"{number(each.most, each.unit)}{missed}"
        yield f"| {each.name} | {number(each.value, each.unit)} | {target} | {each.detail} |"
    yield ""


def number(value: float, unit: str) -> str:
    """Return a value with its unit, for people."""
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


def _peaks(peaks: list[Peak]) -> Iterator[str]:
    yield "| State | File | Rows | Seconds | Peak of memory |"
    yield "| --- | --- | --- | --- | --- |"
    for each in sorted(peaks, key=lambda peak: (peak.state, peak.shape, peak.rows)):
        seconds, memory = f"{each.seconds:.3g}", f"{each.mebibytes:.0f} MiB"
        yield f"| {each.state} | {each.shape} | {each.rows:,} | {seconds} | {memory} |"
    yield ""


def _plots(peaks: list[Peak]) -> Iterator[str]:
    """Draw time and memory of plain files against rows; yield the names of the plots."""
    import matplotlib as mpl
    from matplotlib.figure import Figure as Plot

    # Without random IDs and the date, the same figures give the same file.
    style = {"svg.hashsalt": "benchmarks", "svg.fonttype": "none"}
    plain = sorted((each for each in peaks if each.shape == "plain"), key=lambda each: each.rows)
    for name, label, attribute in (("Time", "seconds", "seconds"), ("Memory", "MiB", "mebibytes")):
        plot = Plot(figsize=(7, 4), layout="tight")
        axes = plot.subplots()
        for state in dict.fromkeys(each.state for each in plain):
            own = [each for each in plain if each.state == state]
            rows = [each.rows for each in own]
            axes.plot(rows, [getattr(each, attribute) for each in own], marker="o", label=state)
        axes.set(xscale="log", xlabel="rows", ylabel=label, title=f"{name} of a plain file")
        if name == "Time":
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right")
        path = FOLDER / "plots" / f"{name.lower()}.svg"
        path.parent.mkdir(exist_ok=True)
        with mpl.rc_context(style):
            plot.savefig(path, metadata={"Date": None})
        yield name
