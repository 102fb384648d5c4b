"""What the benchmarks do without measuring: samples, limits, and the page of results."""

from pathlib import Path

import pytest

from benchmarks import report, samples
from benchmarks.measure import Figure
from tests.processing import process

FIGURE = Figure("a", 2.0, "×", 1.8)


@pytest.mark.parametrize("shape", [*samples.SHAPES, "no bad row"])
def test_sample_has_bad_rows_of_its_shape(shape: str, tmp_path: Path) -> None:
    file = samples.write(tmp_path, shape, 400)

    done = process(tmp_path, file.read_bytes(), samples.contract(shape))

    assert done.refused is None
    many = {"one bad row in ten": 40, "only bad rows": 400, "equal rows": 0, "no bad row": 0}
    assert len(done.rejected) == many.get(shape, 1)


@pytest.mark.parametrize(
    ("name", "figure", "before", "expected"),
    [
        ("full", FIGURE, 1.7, 1.8),
        ("full", FIGURE, 2.0, 2.0 * report.MARGIN),  # the target is missed already
        ("full", FIGURE, None, 1.8),
        ("full", Figure("a", 2.0, "s"), 1.0, None),
        ("quick", FIGURE, 1.0, report.MARGIN),
        ("quick", FIGURE, None, None),
        ("quick", Figure("a", 2.0, "s", 1.8), 1.0, None),  # depends on the machine
    ],
)
def test_limit_is_target_or_committed_figure_with_margin(
    name: str, figure: Figure, before: float | None, expected: float | None
) -> None:
    former = [] if before is None else [Figure("a", before, figure.unit)]
    committed = {name: report.Run(former, date="", machine={})}

    assert report.limit(name, figure, committed) == expected


def test_committed_page_shows_committed_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed = (report.FOLDER / "RESULTS.md").read_text("utf-8")
    plots = {path.name for path in report.FOLDER.glob("plots/*")}
    runs = report.read()
    monkeypatch.setattr(report, "FOLDER", tmp_path)
    monkeypatch.setattr(report, "STORE", tmp_path / "figures.json")

    report.write(runs)

    assert report.read() == runs
    assert (tmp_path / "RESULTS.md").read_text("utf-8") == committed
    assert {path.name for path in tmp_path.glob("plots/*")} == plots
