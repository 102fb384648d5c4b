"""The links between the Markdown files, with the headings that they name."""

import re
from pathlib import Path

import pytest

from tests.checkout import CHECKOUT

DOCUMENTS = [
    *CHECKOUT.glob("*.md"),
    *CHECKOUT.glob("benchmarks/*.md"),
    *CHECKOUT.glob("docs/**/*.md"),
    *CHECKOUT.glob("terraform/**/*.md"),
]
FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub and the site give to the headings of a text."""
    found: list[str] = []
    for heading in re.findall(r"^#+ (.+)$", FENCED.sub("", text), re.MULTILINE):
        shown = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        times = sum(
            re.fullmatch(rf"{re.escape(anchor)}(-\d+)?", each) is not None for each in found
        )
        found.append(f"{anchor}-{times}" if times else anchor)
    return set(found)


def broken_links(document: Path) -> list[str]:
    broken = []
    for link in LINK.finditer(FENCED.sub("", document.read_text("utf-8"))):
        target = document.parent / link[1] if link[1] else document
        if not target.exists() or (
            link[2] and target.suffix == ".md" and link[2] not in anchors(target.read_text("utf-8"))
        ):
            broken.append(link[0])
    return broken


@pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: path.relative_to(CHECKOUT).as_posix()
)
def test_links_resolve(document: Path) -> None:
    assert broken_links(document) == []


def test_broken_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text(
        "# A `heading`, twice\n\n```\n# none\n```\n\n# A heading twice"
    )
    document = tmp_path / "from.md"
    document.write_text(
        "# Here\n[a](there.md#a-heading-twice) [b](there.md#a-heading-twice-1) [c](#here)\n"
        "[d](gone.md) [e](there.md#none) [f](#there) [g](https://example.com/#gone)"
    )
    assert broken_links(document) == ["](gone.md)", "](there.md#none)", "](#there)"]


def test_decisions_are_numbered_without_a_gap_and_indexed() -> None:
    folder = CHECKOUT / "docs" / "decisions"
    numbers = sorted(int(path.name[:4]) for path in folder.glob("[0-9]*.md"))
    indexed = re.findall(
        r"^\| \[(\d+)\]\((\d{4})-", (folder / "README.md").read_text(), re.MULTILINE
    )

    assert numbers == list(range(1, len(numbers) + 1))
    assert sorted(int(number) for number, _ in indexed) == numbers
    assert all(int(number) == int(file) for number, file in indexed)
