from typing import Any

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from shared.errors import StagingUnavailable
from shared.telemetry import logged
from shared.text import REASON
from tests.fixtures.aws import lambda_context


@pytest.mark.parametrize("kind", [StagingUnavailable, KeyError, ValueError])
def test_an_error_is_logged_and_raised_with_a_message_that_step_functions_takes(
    kind: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    @logged
    def handler(event: dict[str, Any], context: LambdaContext) -> None:
        raise kind("ё" * 15 * 1024**2)

    with pytest.raises(kind, match="more characters") as raised:
        handler({}, lambda_context())

    assert len(str(raised.value)) <= REASON + 2, "KeyError puts quotes around it"
    (line,) = (vars(record) for record in caplog.records if record.message == "broken")
    assert line["reason"].startswith(kind.__name__)
    assert len(line["reason"]) <= REASON


def test_a_short_message_stays_as_it_is() -> None:
    @logged
    def handler(event: dict[str, Any], context: LambdaContext) -> None:
        raise StagingUnavailable("S3 did not answer", "for long")

    with pytest.raises(StagingUnavailable) as raised:
        handler({}, lambda_context())

    assert raised.value.args == ("S3 did not answer", "for long")
