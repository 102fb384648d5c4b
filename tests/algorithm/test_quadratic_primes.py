"""The search for quadratic primes, and its command."""

import json
import struct
import sys
import timeit
from pathlib import Path

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from algorithm.quadratic_primes import find, is_prime, lengths, main, run
from tests import programs
from tests.algorithm import naive
from tests.checkout import CHECKOUT


@pytest.mark.parametrize(
    ("limit", "a", "b", "length"),
    [(1_000, -61, 971, 71), (10_000, -79, 1601, 80), (100_000, -79, 1601, 80)],
)
def test_find_at_known_limits(limit: int, a: int, b: int, length: int) -> None:
    answer = find(limit)

    assert (answer.a, answer.b, answer.product, answer.length) == (a, b, a * b, length)
    assert answer.primes == tuple(n * n + a * n + b for n in range(length))
    assert all(sympy.isprime(prime) for prime in answer.primes)
    assert not sympy.isprime(length * length + a * length + b)


@pytest.mark.parametrize("limit", [*range(2, 60), 72, 97, 150])
def test_find_matches_naive_reference(limit: int) -> None:
    assert find(limit) == naive.find(limit)


@pytest.mark.parametrize("limit", [200, 300, 500, 971, 972])
def test_find_returns_longest_of_all_runs(limit: int) -> None:
    answer = find(limit)

    found = lengths(limit)
    assert np.max(found) == answer.length
    assert found[answer.a + limit - 1, answer.b - 2] == answer.length


@given(st.integers(-200, 200), st.integers(-50, 500))
def test_run_ends_at_first_value_that_is_not_prime(a: int, b: int) -> None:
    primes = run(a, b)

    assert primes == tuple(n * n + a * n + b for n in range(len(primes)))
    assert all(sympy.isprime(prime) for prime in primes)
    n = len(primes)
    assert not sympy.isprime(n * n + a * n + b)


@given(st.integers(-10, 2_000) | st.integers(0, 3 * 10**23))
def test_is_prime_matches_sympy(number: int) -> None:
    assert is_prime(number) == sympy.isprime(number)


@pytest.mark.parametrize("number", [561, 3215031751, 3825123056546413051, 2**61 - 1, 25326001])
def test_is_prime_refuses_pseudoprimes(number: int) -> None:
    assert is_prime(number) == sympy.isprime(number)


def test_find_is_150_times_faster_than_naive_reference() -> None:
    find(1000)
    quick = min(timeit.repeat(lambda: find(1000), repeat=5, number=1))

    assert timeit.timeit(lambda: naive.find(1000), number=1) >= 150 * quick


COMMAND = (sys.executable, "-m", "algorithm.quadratic_primes")


def test_command_prints_text() -> None:
    done = programs.run(*COMMAND, cwd=CHECKOUT)

    assert done.returncode == 0
    assert "71 primes for n = 0 … 70" in done.stdout
    assert "product -59231" in done.stdout


def test_command_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--limit", "1000", "--json"]) == 0

    record = json.loads(capsys.readouterr().out)
    assert record["product"] == -59231
    assert (record["a"], record["b"], record["length"]) == (-61, 971, 71)
    assert len(record["primes"]) == 71


@pytest.mark.parametrize("limit", ["2", "100"])
def test_command_writes_plot(limit: str, tmp_path: Path) -> None:
    path = tmp_path / "runs.png"

    assert main(["--limit", limit, "--plot", str(path)]) == 0

    header = path.read_bytes()[:24]
    assert header.startswith(b"\x89PNG")
    assert struct.unpack(">II", header[16:]) == (1200, 750)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--limit", "1"], "the limit must be from 2 to 10000000, not 1"),
        (["--limit", "-5"], "the limit must be from 2"),
        (["--limit", "100000000"], "the limit must be from 2"),
        (["--limit", "many"], "invalid int value"),
        (["--limit", "3000", "--plot", "x.png"], "a plot shows a limit of at most 2000"),
        (["--limit", "50", "--plot", "no/such/folder/x.png"], "No such file"),
        (["--colour"], "unrecognized arguments"),
    ],
)
def test_command_refuses_invalid_arguments(arguments: list[str], message: str) -> None:
    done = programs.run(*COMMAND, *arguments, cwd=CHECKOUT)

    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_module_imports_no_other_package_of_project() -> None:
    source = (CHECKOUT / "algorithm" / "quadratic_primes.py").read_text("utf-8")

    assert not any(
        f"{word} {package}" in source
        for word in ("import", "from")
        for package in ("shared", "functions", "cli", "local")
    )
