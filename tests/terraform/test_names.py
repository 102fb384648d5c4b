"""Tests that names in Terraform and in the functions are equal."""

import json
import re
from pathlib import Path

from shared import notices
from shared.endings import Notice

MODULE = Path(__file__).parents[2] / "terraform"


def values(file: str, pattern: str) -> list[object]:
    """Return the strings and lists that follow `pattern` in a file of the module."""
    text = (MODULE / file).read_text()
    return [json.loads(value) for value in re.findall(rf'{pattern} (".*?"|\[.*?\])', text)]


def test_alert_rule_matches_every_notice() -> None:
    assert list(Notice) in values("alerts.tf", "detail-type =")


def test_alert_rule_and_roles_use_the_source_of_notices() -> None:
    assert values("alerts.tf", "notice_source =") == [notices.SOURCE]
