"""Tests that `ENDINGS` is complete and unambiguous."""

from collections import Counter
from pathlib import Path

import pytest

from shared import endings
from shared.endings import ENDINGS


@pytest.mark.parametrize("last", ['    MISSING = "Missing"\n', '    SUPERSEDED = "superseded"\n'])
def test_import_fails_without_ending_of_each_kind_and_outcome(last: str) -> None:
    source = Path(endings.__file__).read_text("utf-8")
    *before, after = source.split(last)
    exec(source, {"__name__": endings.__name__})  # noqa: S102
    with pytest.raises(KeyError, match="NEW"):
        exec(f'{last.join(before)}{last}    NEW = "new"\n{after}', {"__name__": endings.__name__})  # noqa: S102


def test_errors_statuses_and_notices_identify_one_kind() -> None:
    words = (word for end in ENDINGS.values() for word in (*end.errors, end.execution, end.notice))
    assert max(Counter(filter(None, words)).values()) == 1

    statuses = {(end.outcome, end.status) for end in ENDINGS.values() if end.outcome}
    assert len(statuses) == len(endings.STATUS_OF)
