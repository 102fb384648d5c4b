"""What happens to a kind of end that `shared.endings` says nothing of."""

from collections import Counter
from pathlib import Path

import pytest

from shared import endings
from shared.endings import ENDINGS


@pytest.mark.parametrize("last", ['    MISSING = "Missing"\n', '    SUPERSEDED = "superseded"\n'])
def test_no_kind_or_outcome_can_be_forgotten(last: str) -> None:
    source = Path(endings.__file__).read_text("utf-8")
    *before, after = source.split(last)
    exec(source, {"__name__": endings.__name__})  # noqa: S102
    with pytest.raises(KeyError, match="NEW"):
        exec(f'{last.join(before)}{last}    NEW = "new"\n{after}', {"__name__": endings.__name__})  # noqa: S102


def test_what_tells_of_an_end_tells_of_one_kind() -> None:
    words = (word for end in ENDINGS.values() for word in (*end.errors, end.execution, end.notice))
    assert max(Counter(filter(None, words)).values()) == 1

    statuses = {(end.outcome, end.status) for end in ENDINGS.values() if end.outcome}
    assert len(statuses) == len(endings.STATUS_OF)
