"""The search for quadratic primes: time relative to the naive search, and growth."""

from collections.abc import Iterator
from functools import partial

from benchmarks.measure import Figure, alone, ratio, seconds, timed


def primes(quick: bool) -> Iterator[Figure]:
    """Compare limits of the coefficients, and the naive reference."""
    from algorithm.quadratic_primes import find
    from tests.algorithm import naive

    search = {limit: timed(find, limit) for limit in (1_000, 10_000, 100_000)}
    title = "Quadratic primes, N = 1,000 to the naive search"
    yield ratio(title, search[1_000], timed(naive.find, 1_000), 1, most=1 / 150)
    title = "Quadratic primes, N = 100,000 to 10,000"
    yield ratio(title, search[100_000], search[10_000], 3 if quick else 5, most=12)
    if not quick:
        taken, peak = alone(seconds, partial(find, 1_000_000))
        yield Figure("Quadratic primes, N = 1,000,000", taken, "s", detail=f"{peak:.0f} MiB")
