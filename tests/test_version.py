"""The package, the command and the changelog show the version of shared/version.py.

Other tests check the wheel (test_packaging.py), the functions' log lines (test_metrics.py) and the
resource tags (terraform/test_plan.py).
"""

import importlib.metadata
import re

import pytest

from shared.version import VERSION
from tests.fixtures.operator import tm
from tests.test_release import changelog


def test_package_and_command_show_the_version() -> None:
    assert importlib.metadata.version("tm-pipeline") == VERSION, "run `make setup`"
    assert re.fullmatch(r"\d+\.\d+\.\d+", VERSION)
    assert tm("--version").output == f"tm {VERSION}\n"


@pytest.mark.programs
def test_newest_changelog_section_has_the_version() -> None:
    """The section can be released, or only its date is missing."""
    done = changelog(VERSION)

    undated = f'changelog: CHANGELOG.md: the date of {VERSION} is "unreleased"'
    assert done.returncode == 0 or done.stderr.startswith(undated), done.stderr
