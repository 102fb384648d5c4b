"""Tests of the behaviour common to all functions: keep-active events, logging, errors."""

import importlib
import io
import json
from typing import Any
from unittest import mock

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from shared.errors import StagingUnavailable
from shared.metrics import count_defect
from shared.telemetry import KEEP_ACTIVE, about, logged, logger
from shared.text import REASON
from shared.version import VERSION
from tests.checkout import FUNCTIONS
from tests.fixtures.aws import lambda_context


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """The log lines that functions write from here on."""
    stream = io.StringIO()
    monkeypatch.setattr(logger.handlers[0], "stream", stream)
    return stream


@pytest.mark.usefixtures("aws")  # without the settings of any function
@pytest.mark.parametrize("function", FUNCTIONS)
def test_handler_ignores_keep_active_event(function: str, written: io.StringIO) -> None:
    handler = importlib.import_module(f"functions.{function}.handler").handler

    assert handler(KEEP_ACTIVE, lambda_context()) is None
    assert written.getvalue() == ""


@pytest.mark.parametrize("event", [{}, {"keepActive": False}, KEEP_ACTIVE | {"ingestedID": "x"}])
def test_logged_passes_other_events_to_handler(event: dict[str, Any], written: io.StringIO) -> None:
    def handler(event: dict[str, Any], _: object) -> dict[str, Any]:
        logger.info("reached")
        return event

    assert logged(handler)(event, lambda_context()) == event
    assert '"message":"reached"' in written.getvalue()


def test_log_lines_and_metrics_have_version_in_each_call(
    written: io.StringIO, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "tm-pipeline")

    @logged
    def handler(event: dict[str, Any], context: LambdaContext) -> None:
        about("20240303-0", "dailycheckins")
        logger.info("reached")
        count_defect()
        raise StagingUnavailable("S3 did not answer")

    for _ in range(2):
        with pytest.raises(StagingUnavailable):
            handler({}, lambda_context())
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    assert [line["message"] for line in lines] == 2 * ["reached", "broken"]
    assert [line["Defects"] for line in metrics] == 2 * [[1.0]]
    assert {line["version"] for line in lines + metrics} == {VERSION}
    assert "version" not in json.dumps([line["_aws"] for line in metrics]), "it is a dimension"


def call_failing(error: Exception) -> None:
    logged(mock.Mock(side_effect=error, __name__="handler"))({}, lambda_context())


@pytest.mark.parametrize("kind", [StagingUnavailable, KeyError, ValueError])
def test_logged_truncates_long_error_message(
    kind: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(kind, match="more characters") as raised:
        call_failing(kind("ё" * 15 * 1024**2))

    assert len(str(raised.value)) <= REASON + 2, "KeyError adds quotes"
    (line,) = (vars(record) for record in caplog.records if record.message == "broken")
    assert line["reason"].startswith(kind.__name__)
    assert len(line["reason"]) <= REASON


def test_logged_keeps_arguments_of_error_with_short_message() -> None:
    with pytest.raises(StagingUnavailable) as raised:
        call_failing(StagingUnavailable("S3 did not answer", "for long"))

    assert raised.value.args == ("S3 did not answer", "for long")
