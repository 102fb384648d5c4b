"""Print the changelog section of a version, which becomes the text of its release.

    python .ci/changelog.py 0.1.0

If this commit cannot be released as that version, the exit status is 1 and one line on standard
error says what to change: shared/version.py or the newest section of CHANGELOG.md has another
version, or that section has no date or is empty. Needs only the standard library.
"""

import argparse
import datetime as dt
import re
import runpy
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


class NotReleasable(Exception):
    """This commit cannot be released as that version; the message says what to change."""


@dataclass(frozen=True)
class Section:
    """A section `## VERSION - DATE` of the changelog; its date is YYYY-MM-DD or `unreleased`."""

    version: str
    date: str
    body: str


def newest(text: str) -> Section:
    """Return the first section.

    Raises:
        NotReleasable: the first heading of the second level is none of a section.
    """
    head, *_ = re.findall(r"^## (.*)$", text, re.MULTILINE) or [""]
    found = re.fullmatch(r"(\S+) - (\S+)", head)
    if not found:
        raise NotReleasable(
            f'CHANGELOG.md: the first section is "## {head}": write "## VERSION - DATE".'
        )
    body = text.partition(f"## {head}\n")[2]
    return Section(found[1], found[2], re.split(r"^## ", body, flags=re.MULTILINE)[0].strip())


def is_date(text: str) -> bool:
    """Return whether the text is a date as YYYY-MM-DD; fromisoformat accepts other forms too."""
    try:
        return dt.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def released(version: str) -> str:
    """Return the text of the release of this version.

    Raises:
        NotReleasable: this commit is another version, or its section is not ready.
    """
    own = runpy.run_path(str(ROOT / "shared" / "version.py"))["VERSION"]
    if version != own:
        raise NotReleasable(f"shared/version.py says {own}, not {version}.")
    section = newest((ROOT / "CHANGELOG.md").read_text("utf-8"))
    if section.version != version:
        raise NotReleasable(
            f"CHANGELOG.md: the newest section is for {section.version}, not {version}."
        )
    if not is_date(section.date):
        raise NotReleasable(
            f'CHANGELOG.md: the date of {version} is "{section.date}": write it as YYYY-MM-DD.'
        )
    # Headings alone do not count as text.
    if not re.search(r"^[^#\s]", section.body, re.MULTILINE):
        raise NotReleasable(f"CHANGELOG.md: the section of {version} is empty.")
    return section.body


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("version", metavar="VERSION")
    try:
        print(released(parser.parse_args().version))
    except NotReleasable as error:
        print(f"changelog: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
