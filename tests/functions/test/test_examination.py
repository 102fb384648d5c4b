from typing import TYPE_CHECKING

from functions.test.examination import examine
from functions.transform.transformation import transform
from shared.contract import RowCount
from shared.endings import Outcome
from shared.odcs import load_all
from shared.staging import Staging
from tests.fixtures.aws import STAGING, land

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BODY = b"user,timestamp,hours,project\nned,2019-09-27 00:00:00 UTC,8.0,x\n"


def test_a_rule_on_the_whole_file_halts_even_soft_testing(s3: "S3Client") -> None:
    counts = (RowCount(name="a_full_day", minimum=2),)
    contract = load_all()["dailycheckins"].model_copy(update={"row_counts": counts})
    staging = Staging(STAGING, land(s3, BODY))
    transformed = transform([BODY], contract, staging).as_result()

    verdict = examine(staging, transformed, [BODY], contract, hard=False)

    assert verdict.outcome == Outcome.FAILED_TESTS
    assert verdict.reason == "the file holds 1 rows, a_full_day asks for at least 2"
