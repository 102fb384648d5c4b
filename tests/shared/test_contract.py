"""The models by themselves; what makes them of a file, and refuses it, is in test_odcs."""

from decimal import Decimal
from typing import Literal

import pytest
from pydantic import ValidationError

from shared.contract import Column, Contract, RowCount, Threshold
from shared.odcs import load_all


@pytest.mark.parametrize(
    ("limit", "unit", "inclusive", "failed", "rows", "kept"),
    [
        ("5", "rows", False, 4, 100, True),
        ("5", "rows", False, 5, 100, False),
        ("5", "rows", True, 5, 100, True),
        ("5", "rows", True, 6, 100, False),
        ("5", "percent", False, 4, 100, True),
        ("5", "percent", False, 5, 100, False),
        ("5", "percent", True, 5, 100, True),
        ("5", "percent", True, 51, 1000, False),
        ("0.1", "percent", False, 1, 1001, True),
        ("0.1", "percent", False, 1, 1000, False),
        ("100", "percent", True, 3, 3, True),
        ("0", "rows", True, 0, 0, True),
        ("1", "percent", False, 0, 0, True),
    ],
)
def test_a_threshold_is_kept_or_not(
    limit: str,
    unit: Literal["rows", "percent"],
    inclusive: bool,
    failed: int,
    rows: int,
    kept: bool,
) -> None:
    threshold = Threshold(limit=Decimal(limit), unit=unit, inclusive=inclusive)

    assert threshold.is_kept(failed, rows) is kept


def test_a_threshold_in_words() -> None:
    assert str(Threshold(limit=Decimal(5))) == "fewer than 5 rows"
    assert str(Threshold(limit=Decimal("2.5"), unit="percent", inclusive=True)) == "at most 2.5%"
    assert str(Threshold(limit=Decimal("1E+3"))) == "fewer than 1000 rows"


@pytest.mark.parametrize(
    ("minimum", "maximum", "kept", "words"),
    [
        (2, None, [2, 3], "at least 2"),
        (None, 2, [0, 1, 2], "at most 2"),
        (1, 2, [1, 2], "1 to 2"),
        (0, 0, [0], "0 to 0"),
    ],
)
def test_a_row_count(minimum: int | None, maximum: int | None, kept: list[int], words: str) -> None:
    count = RowCount(name="some", minimum=minimum, maximum=maximum)

    assert [rows for rows in range(4) if count.is_kept(rows)] == kept
    assert str(count) == words


@pytest.mark.parametrize(("type_", "size"), [("smallint", 2), ("integer", 4), ("bigint", 8)])
def test_an_integers_size(type_: str, size: int) -> None:
    column = Column(name="n", physical_name="n", logical_type="integer", physical_type=type_)

    assert column.integer_bytes == size


def test_a_space_in_a_numbers_type() -> None:
    column = Column(
        name="n", physical_name="n", logical_type="number", physical_type="numeric(9, 3)"
    )

    assert column.precision_and_scale == (9, 3)


@pytest.mark.parametrize("contract", load_all().values(), ids=load_all())
def test_a_contract_cannot_be_changed(contract: Contract) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        contract.delimiter = "|"


def test_a_column_that_is_not_there() -> None:
    with pytest.raises(KeyError, match="nobody"):
        load_all()["dailycheckins"].column("nobody")
