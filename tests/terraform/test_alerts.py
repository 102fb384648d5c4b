"""The events that reach the alert function are the ones that the functions send."""

import json
import re
from pathlib import Path

from shared import notices

ALERTS = (Path(__file__).parents[2] / "terraform" / "alerts.tf").read_text()


def setting(name: str) -> list[object]:
    """The values that `alerts.tf` gives a setting, written as JSON knows them too."""
    return [json.loads(value) for value in re.findall(rf'{name} += ([\["].*)', ALERTS)]


def test_the_rule_takes_every_notice() -> None:
    assert list(notices.Notice) in setting("detail-type")


def test_the_rule_and_the_roles_name_the_source() -> None:
    assert setting("notice_source") == [notices.SOURCE]
