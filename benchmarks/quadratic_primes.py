"""Benchmark of the search for quadratic primes: speed-up over the naive search, and growth.

    python -m benchmarks.quadratic_primes

Both times of a ratio are measured in the same run.
"""

import multiprocessing
import resource
import time
from collections.abc import Callable

LEAST_SPEED_UP = 150
GREATEST_GROWTH = 12


def main() -> None:
    """Run the benchmark; exit with 1 if a limit is exceeded."""
    from algorithm.quadratic_primes import find
    from tests.algorithm import naive

    seconds = {limit: _quickest(find, limit) for limit in (1_000, 10_000, 100_000)}
    speed_up = _timed(naive.find, 1_000) / seconds[1_000]
    growth = seconds[100_000] / seconds[10_000]
    print(f"N = 1,000: {speed_up:.0f} × as fast as the naive reference")
    print(f"N = 100,000: {growth:.1f} × the time of N = 10,000")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        took, mebibytes = pool.apply(_alone, (1_000_000,))
    print(f"N = 1,000,000: {took:.1f} s, peak {mebibytes:.0f} MiB")
    raise SystemExit(int(speed_up < LEAST_SPEED_UP or growth > GREATEST_GROWTH))


def _alone(limit: int) -> tuple[float, float]:
    from algorithm.quadratic_primes import find

    took = _timed(find, limit)
    return took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _quickest(function: Callable[[int], object], limit: int) -> float:
    return min(_timed(function, limit) for _ in range(5))


def _timed(function: Callable[[int], object], limit: int) -> float:
    begin = time.perf_counter()
    function(limit)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
