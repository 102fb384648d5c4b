"""What the functions have in common: the call that keeps them active."""

import importlib
import io
from typing import Any

import pytest

from shared.telemetry import KEEP_ACTIVE, logged, logger
from tests.fixtures.aws import lambda_context
from tests.fixtures.operator import FUNCTIONS


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What functions write from here on."""
    stream = io.StringIO()
    monkeypatch.setattr(logger.handlers[0], "stream", stream)
    return stream


@pytest.mark.usefixtures("aws")  # which no function has settings for
@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_call_that_keeps_a_function_active_does_nothing(
    function: str, written: io.StringIO
) -> None:
    handler = importlib.import_module(f"functions.{function}.handler").handler

    assert handler(KEEP_ACTIVE, lambda_context()) is None
    assert written.getvalue() == ""


@pytest.mark.parametrize("event", [{}, {"keepActive": False}, KEEP_ACTIVE | {"ingestedID": "x"}])
def test_every_other_event_reaches_the_function(
    event: dict[str, Any], written: io.StringIO
) -> None:
    def handler(event: dict[str, Any], _: object) -> dict[str, Any]:
        logger.info("reached")
        return event

    assert logged(handler)(event, lambda_context()) == event
    assert '"message":"reached"' in written.getvalue()
