"""What happens to a kind of end that `shared.endings` says nothing of."""

from pathlib import Path

import pytest

from shared import endings


@pytest.mark.parametrize("last", ['    MISSING = "Missing"\n', '    SUPERSEDED = "superseded"\n'])
def test_no_kind_or_outcome_can_be_forgotten(last: str) -> None:
    source = Path(endings.__file__).read_text("utf-8")
    *before, after = source.split(last)
    exec(source, {"__name__": endings.__name__})  # noqa: S102
    with pytest.raises(KeyError, match="NEW"):
        exec(f'{last.join(before)}{last}    NEW = "new"\n{after}', {"__name__": endings.__name__})  # noqa: S102
