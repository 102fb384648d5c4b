"""The version is defined in shared/version.py, and everything that shows it shows the same.

Elsewhere: that of a wheel (test_packaging.py), of each function's log lines (test_metrics.py) and
of every resource's tag (terraform/test_plan.py).
"""

import importlib.metadata
import re

import pytest

from shared.version import VERSION
from tests.fixtures.operator import tm
from tests.test_release import changelog


def test_package_and_command_have_it() -> None:
    assert importlib.metadata.version("tm-pipeline") == VERSION, "run `make setup`"
    assert re.fullmatch(r"\d+\.\d+\.\d+", VERSION)
    assert tm("--version").output == f"tm {VERSION}\n"


@pytest.mark.programs
def test_the_newest_section_of_the_changelog_is_its_own() -> None:
    """It can be released, or its date is all that is missing."""
    done = changelog(VERSION)

    undated = f'changelog: CHANGELOG.md: the date of {VERSION} is "unreleased"'
    assert done.returncode == 0 or done.stderr.startswith(undated), done.stderr
