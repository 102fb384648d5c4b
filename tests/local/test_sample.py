import csv
from pathlib import Path

from local import sample
from shared.odcs import load_all


def lines(count: int, seed: int = 1) -> list[str]:
    return list(sample.checkins(count, seed))


def budgets(path: Path, count: int) -> list[list[str]]:
    """Write a file of budgets and return its rows, read with the csv module."""
    sample.write(path, count, seed=1, table="projectbudgets")
    with path.open(encoding="cp1252", newline="") as file:
        return list(csv.reader(file, delimiter=";", strict=True))[1:]


def test_sample_is_reproducible() -> None:
    assert lines(500) == lines(500)
    assert lines(500) != lines(500, seed=2)
    assert lines(500) == lines(1_000)[:500]


def test_sample_has_requested_number_of_rows(tmp_path: Path) -> None:
    for count in (0, 1, 5_000):
        path = tmp_path / "s.csv"
        sample.write(path, count, seed=1)
        data = path.read_bytes()

        assert data.count(b"\r\n") == count
        assert not data.endswith(b"\n")


def test_checkins_have_one_bad_row_in_400() -> None:
    rows = list(csv.reader(lines(4_000)))

    bad = [rows[number - 1] for number in range(400, 4_001, 400)]
    assert [row[0] == "" for row in bad[0::4]] == [True] * 3
    assert [row[1] for row in bad[1::4]] == ["2019-02-30 00:00:00 UTC"] * 3
    assert [row[2] for row in bad[2::4]] == ["a few"] * 2
    assert [len(row) for row in bad[3::4]] == [3, 3]


def test_budgets_have_one_bad_row_in_40(tmp_path: Path) -> None:
    rows = budgets(tmp_path / "b.csv", 160)

    assert rows[39][1] == "Vertrieb"
    assert rows[79][0] == rows[0][0]
    assert rows[119][3] == "12,5"
    assert rows[159][5] == "vielleicht"
    assert len({row[0] for row in rows}) == 159
    assert [row[4][-4:] for row in rows[49::50]] == ["2099"] * 3


def test_each_contract_has_sample() -> None:
    assert sample.TABLES.keys() == load_all().keys()
