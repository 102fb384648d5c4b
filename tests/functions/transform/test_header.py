"""Headers without rows; tests/test_bad_input.py and generated files test whole files."""

import time

import pytest

from functions.transform.header import match_header
from shared.contract import Contract, HeaderPolicy
from shared.text import REASON
from shared.verdict import Refusal
from tests.fixtures.contracts import column


def contract(**policy: object) -> Contract:
    columns = (
        column("a", "string", "text", aliases=("old a",)),
        column("b", "string", "text"),
        column("c", "string", "text", optional=True),
    )
    if policy.get("match") == "position":
        columns = (column("a", "string", "text"), *columns[1:])
    return Contract(
        table="t",
        relation="t",
        version="1",
        columns=columns,
        header_policy=HeaderPolicy.model_validate(policy),
    )


@pytest.mark.parametrize("match", ["exact", "folded"])
@pytest.mark.parametrize("unknown", ["refuse", "ignore"])
def test_wide_header_has_short_reason(match: str, unknown: str) -> None:
    policy = contract(match=match, unknown=unknown)
    header = ["old a", "A ", *(f"{'x' * 1000} {number}" for number in range(5_000)), "B"] * 2

    start = time.process_time()
    found = match_header(header, len(header), 1, policy)

    assert time.process_time() - start < 5
    assert isinstance(found, Refusal)
    assert len(found.reason) < 2 * REASON
