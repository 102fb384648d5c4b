"""Measure, compare with the committed figures, and exit with 1 if a limit is exceeded.

    python -m benchmarks [full | quick | peers] [--write]

`--write` commits what was measured to the files of `report` instead, also that of `quick` after
`full`. It needs Linux, because it reads the peak of memory from /proc.
"""

import argparse
from collections.abc import Iterator

from benchmarks import cold_starts, commands, lookup, peers, quadratic_primes, report, states
from benchmarks.measure import Figure, Peak, Subject

SUBJECTS: tuple[Subject, ...] = (
    commands.commands,  # first, because they may fail
    states.times,
    states.loads,
    states.handlers,
    lookup.lookups,
    cold_starts.cold_starts,
    quadratic_primes.primes,
)


def main() -> None:
    """Run the command line interface."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=("full", "quick", "peers"), nargs="?", default="full")
    parser.add_argument("--write", action="store_true", help="write RESULTS.md and its data")
    arguments = parser.parse_args()
    committed = report.read()
    names = ["full", "quick"] if arguments.write and arguments.what == "full" else [arguments.what]
    measured = {name: _measure(name, committed) for name in names}
    if arguments.write:
        report.write(committed | {name: run for name, (run, _) in measured.items()})
    elif exceeded := sum(count for _, count in measured.values()):
        raise SystemExit(f"{exceeded} figures exceed their limits.")


def _measure(name: str, committed: dict[str, report.Run]) -> tuple[report.Run, int]:
    """Measure one run and print it; return also how many figures exceed their limits."""
    peaks: list[Peak] = []

    def memory(quick: bool) -> Iterator[Figure]:
        peaks[:] = states.peaks(quick)
        yield from states.memory(peaks)

    def exceeds(figure: Figure) -> bool:
        most = report.limit(name, figure, committed)
        return most is not None and figure.value > most

    subjects: tuple[Subject, ...] = (*SUBJECTS, memory)
    if name == "peers":
        subjects = (lambda _: peers.peers(),)
    run = report.Run([], peaks)
    for subject in subjects:
        figures = [*subject(name == "quick")]
        if name == "quick" and any(map(exceeds, figures)):
            # Another program may have disturbed it.
            both = zip(figures, subject(True), strict=True)
            figures = [min(pair, key=lambda each: each.value) for pair in both]
        for figure in figures:
            most = report.limit(name, figure, committed)
            limit = "" if most is None else f"  limit {report.number(most, figure.unit)}"
            said = f"{figure.name:56} {report.number(figure.value, figure.unit):>10}{limit}"
            print(said, "EXCEEDED" if exceeds(figure) else "", flush=True)
        run.figures.extend(figures)
    return run, sum(map(exceeds, run.figures))


if __name__ == "__main__":
    main()
