"""The quadratic n² + an + b with the longest run of primes for n = 0, 1, 2 and so on.

    python -m algorithm.quadratic_primes [--limit N] [--json] [--plot OUT.png]

The search covers all |a| < N and |b| ≤ N; the default is N = 1000. Values below 2 end a run. (An
earlier program used absolute values and counted 0 and 1 as primes; at N = 1000 the result is the
same.) Among runs of equal length, the smallest |a| wins, then the smallest b, then the negative a.

How the search works:

1. Let D = a² - 4b be the discriminant. The values are (x² - D) / 4 for x = a, a + 2, a + 4 and so
   on. All pairs (a, b) with the same D give parts of the same sequence. The search is therefore
   over D and not over pairs.
2. Let p be an odd prime, and let a run be at least 3p long. If p divides one value, it divides all
   values with the same n modulo p, at least three of them. A quadratic takes no value three times,
   so one of them is not p itself and not prime. Hence p divides no value of the run, and D is
   neither 0 nor a square modulo p. Likewise, D is 5 modulo 8.
3. For runs of 69 or more, this leaves 142,560 residues of D modulo 8·3·5·7·…·23 = 892,371,480. The
   Chinese remainder theorem lists them. If no such run exists, the search repeats with fewer primes
   for shorter runs.
4. One discriminant in 6,300 remains to be tried, and most fail at their first values. The time
   grows with N²/6,300. Up to N = 10⁴, preparation dominates.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_ODD_PRIMES = (3, 5, 7, 11, 13, 17, 19, 23)
_MAX_LIMIT = 10**7
_MAX_PLOT = 2_000
_LEAST_PLOTTED = 5
_WITNESSES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)
"""Witnesses with which the Miller-Rabin test is exact below 3·10²³."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The best pair within a limit, and its run of primes."""

    limit: int
    a: int
    b: int
    primes: tuple[int, ...]

    @property
    def length(self) -> int:
        """Number of primes in the run."""
        return len(self.primes)

    @property
    def product(self) -> int:
        """Product of a and b."""
        return self.a * self.b


def find(limit: int) -> Answer:
    """Return the pair with the longest run of primes, of all |a| < limit and |b| ≤ limit.

    Args:
        limit: N, from 2 to 10⁷.

    Raises:
        ValueError: the limit is out of range.
    """
    if not 2 <= limit <= _MAX_LIMIT:
        raise ValueError(f"the limit must be from 2 to {_MAX_LIMIT}, not {limit}")
    for count in range(len(_ODD_PRIMES), 0, -1):
        primes = _ODD_PRIMES[:count]
        pairs = _runs_of_at_least(3 * primes[-1], limit, primes)
        if pairs:
            return _best(limit, pairs)
    return _best(limit, [(a, b) for a in range(1 - limit, limit) for b in range(2, limit + 1)])


def run(a: int, b: int) -> tuple[int, ...]:
    """Return the primes n² + an + b for n = 0, 1, … up to the first value that is not prime."""
    primes: list[int] = []
    while is_prime(value := len(primes) ** 2 + a * len(primes) + b):
        primes.append(value)
    return tuple(primes)


def is_prime(number: int) -> bool:
    """Return whether a number below 3·10²³ is prime. Numbers below 2 are not."""
    if number < 2:
        return False
    for prime in _WITNESSES:
        if number % prime == 0:
            return number == prime
    twos = (number - 1 & 1 - number).bit_length() - 1
    odd = number - 1 >> twos
    for witness in _WITNESSES:
        power = pow(witness, odd, number)
        if power in {1, number - 1}:
            continue
        for _ in range(twos - 1):
            power = power * power % number
            if power == number - 1:
                break
        else:
            return False
    return True


def _best(limit: int, pairs: list[tuple[int, int]]) -> Answer:
    found = [Answer(limit, a, b, run(a, b)) for a, b in pairs]
    return min(found, key=lambda each: (-each.length, abs(each.a), each.b, each.a))


def _runs_of_at_least(length: int, limit: int, primes: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return all pairs with runs of `length` or more, which must be 3 * primes[-1]."""
    # No value of the first `length` is greater, as n < length, |a| < limit and b ≤ limit.
    sieve = _sieve(length * length + length * limit + limit)
    pairs: list[tuple[int, int]] = []
    # An increasing run takes no value twice, so a length of 2p excludes p as well.
    more = [p for p in (*_ODD_PRIMES, 29, 31) if primes[-1] < p <= length // 2]
    # Left of its minimum, a sequence falls from b ≤ limit to below 2 in limit/√D + 1 steps. For
    # greater D, a long run therefore starts right of √D and only increases.
    steep = (limit // (length - 2) + 1) ** 2
    for batch in _discriminants(1 - 4 * limit, (limit - 1) ** 2, primes):
        for discriminant in batch[batch <= steep].tolist():
            pairs += _runs_anywhere(discriminant, length, limit, sieve)
        rising = _without_squares(batch[batch > steep], more)
        pairs += _runs_rising(rising, length, limit, sieve)
    return pairs


def _sieve(greatest: int) -> Flags:
    flags = np.ones(greatest + 1, dtype=bool)
    flags[:2] = False
    flags[4::2] = False
    for number in range(3, math.isqrt(greatest) + 1, 2):
        if flags[number]:
            flags[number * number :: 2 * number] = False
    return flags


def _discriminants(least: int, greatest: int, primes: tuple[int, ...]) -> Iterator[Integers]:
    """Yield batches of all D that are 5 modulo 8 and neither 0 nor a square modulo the primes."""
    modulus, residues = 8, np.array([5], dtype=np.int64)
    unused = list(primes)
    while unused and modulus * unused[0] <= greatest - least:
        prime = unused.pop(0)
        lifted = (residues + modulus * np.arange(prime)[:, None]).ravel()
        modulus, residues = modulus * prime, lifted[_no_square(prime)[lifted % prime]]
    residues.sort()
    for base in range(least - least % modulus, greatest + 1, modulus):
        batch = residues + base
        yield _without_squares(batch[(least <= batch) & (batch <= greatest)], unused)


def _without_squares(discriminants: Integers, primes: list[int]) -> Integers:
    for prime in primes:
        discriminants = discriminants[_no_square(prime)[discriminants % prime]]
    return discriminants


def _no_square(prime: int) -> Flags:
    flags = np.ones(prime, dtype=bool)
    flags[np.arange(prime) ** 2 % prime] = False
    return flags


def _runs_anywhere(
    discriminant: int, length: int, limit: int, sieve: Flags
) -> list[tuple[int, int]]:
    """Return the pairs of one discriminant, for runs that start anywhere in its sequence."""
    last = min(limit - 1, math.isqrt(max(discriminant + 4 * limit, 0)))
    last -= 1 - last % 2
    xs = np.arange(-last, last + 2 * length, 2)
    values = (xs * xs - discriminant) // 4
    # Values beyond the sieve are too great for a run, so they end it.
    prime = (values >= 2) & (values < len(sieve))
    prime[prime] = sieve[values[prime]]
    ends = np.flatnonzero(~np.append(prime, False))
    starts = np.arange(last + 1)
    lengths = ends[np.searchsorted(ends, starts)] - starts
    return [
        (int(xs[i]), int(values[i]))
        for i in np.flatnonzero((lengths >= length) & (values[starts] <= limit))
    ]


def _runs_rising(
    discriminants: Integers, length: int, limit: int, sieve: Flags
) -> list[tuple[int, int]]:
    """Return the pairs of many discriminants, for increasing runs that start right of √D."""
    pairs: list[tuple[int, int]] = []
    starts = np.sqrt(discriminants).astype(np.int64) - 1
    starts += 1 - starts % 2
    while len(discriminants):
        firsts = (starts * starts - discriminants) // 4
        inside = (firsts <= limit) & (starts < limit)
        discriminants, starts, firsts = discriminants[inside], starts[inside], firsts[inside]
        alive = np.flatnonzero(firsts >= 2)
        for n in range(length):
            xs = starts[alive] + 2 * n
            alive = alive[sieve[(xs * xs - discriminants[alive]) // 4]]
        pairs += zip(starts[alive].tolist(), firsts[alive].tolist(), strict=True)
        starts = starts + 2
    return pairs


def lengths(limit: int) -> npt.NDArray[np.int64]:
    """Return the lengths of all pairs' runs, of shape (2 * limit - 1, limit - 1).

    Rows are a from 1 - limit, columns are b from 2. Memory grows with limit², so `limit` should not
    exceed some thousands.
    """
    a = np.arange(1 - limit, limit)[:, None]
    b = np.arange(2, limit + 1)[None, :]
    longest = find(limit).length
    sieve = _sieve(longest * longest + longest * limit + limit)
    result = np.zeros((len(a), b.shape[1]), dtype=np.int64)
    alive = np.ones(result.shape, dtype=bool)
    for n in range(longest):
        values = n * n + a * n + b
        alive &= (values >= 2) & sieve[np.maximum(values, 0)]
        result += alive
    return result


def plot(limit: int, path: Path) -> None:
    """Write a PNG with the lengths of the longer runs over (a, b).

    Raises:
        ValueError: the limit is above 2000.
    """
    if limit > _MAX_PLOT:
        raise ValueError(f"a plot shows a limit of at most {_MAX_PLOT}, not {limit}")
    # matplotlib is slow to import.
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot(xlabel="a", ylabel="b")
    found = lengths(limit)
    # Draw short runs first and small, because most runs are short and would hide the others.
    rows, columns = np.nonzero(found >= _LEAST_PLOTTED)
    runs = found[rows, columns]
    order = np.argsort(runs)
    points = axes.scatter(
        (rows + 1 - limit)[order],
        (columns + 2)[order],
        c=runs[order],
        s=runs[order] / 2,
        cmap="viridis_r",
        linewidths=0,
    )
    figure.colorbar(points, label=f"primes in a row, from {_LEAST_PLOTTED}")
    best = find(limit)
    axes.set_title(f"n² + an + b: {best.length} primes for a = {best.a}, b = {best.b}")
    axes.plot(best.a, best.b, "o", mfc="none", mec="red", ms=12)
    figure.savefig(path, dpi=150)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m algorithm.quadratic_primes",
        description="Find the quadratic n² + an + b with the longest run of primes.",
    )
    parser.add_argument("--limit", type=int, default=1000, metavar="N", help="|a| < N, |b| ≤ N")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--plot", type=Path, metavar="OUT.png", help="draw the longer runs over (a, b)"
    )
    options = parser.parse_args(arguments)
    try:
        answer = find(options.limit)
        if options.plot is not None:
            plot(options.limit, options.plot)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    print(_as_json(answer) if options.json else _as_text(answer))  # noqa: T201
    return 0


def _as_json(answer: Answer) -> str:
    record: dict[str, Any] = asdict(answer) | {"length": answer.length, "product": answer.product}
    return json.dumps(record)


def _as_text(answer: Answer) -> str:
    return (
        f"n² {answer.a:+}n {answer.b:+}: {answer.length} primes for n = 0 … {answer.length - 1}\n"
        f"product {answer.product}\n"
        f"{', '.join(map(str, answer.primes))}"
    )


if __name__ == "__main__":
    sys.exit(main())
