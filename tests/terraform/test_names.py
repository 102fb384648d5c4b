"""Names that Terraform and the functions both know are the same on both sides."""

import json
import re
from pathlib import Path

from shared import notices
from shared.endings import Notice

MODULE = Path(__file__).parents[2] / "terraform"


def values(file: str, pattern: str) -> list[object]:
    """What follows `pattern` in a file of the module: strings and lists, which JSON knows too."""
    text = (MODULE / file).read_text()
    return [json.loads(value) for value in re.findall(rf'{pattern} (".*?"|\[.*?\])', text)]


def test_the_alert_rule_takes_every_notice() -> None:
    assert list(Notice) in values("alerts.tf", "detail-type =")


def test_the_alert_rule_and_the_roles_take_the_notices_source() -> None:
    assert values("alerts.tf", "notice_source =") == [notices.SOURCE]
