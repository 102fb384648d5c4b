"""`tm remove` of a key whose versions have different days; tests/test_remove.py has more."""

import datetime as dt
import os
from pathlib import Path

import pytest

from cli import loaded_rows
from cli.remove import find, remove
from cli.stack import Stack
from shared.ingestion import Run
from shared.staging import Staging
from tests.fixtures.aws import LANDING, STAGING, ingestion_of, item_of, landed_at
from tests.fixtures.operator import Cloud


def test_remove_deletes_versions_of_all_days(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaded_rows, "count", lambda *_: 0)
    monkeypatch.setattr(loaded_rows, "remove", lambda *_: (0, None))
    key, days = "erp/budgets.csv", [dt.datetime(2024, 3, n, 12, tzinfo=dt.UTC) for n in (3, 4, 5)]
    *landed, other = [
        ingestion_of(landed_at(cloud.s3, name, day))
        for name, day in zip((key, key, "erp/budgets2.csv"), days, strict=True)
    ]
    for each in (*landed, other):
        cloud.log.open(each, Run(f"arn:{each.id}"))
        staged = Staging(STAGING, each).rejects.removeprefix(f"s3://{STAGING}/")
        cloud.s3.put_object(Bucket=STAGING, Key=staged, Body=b"x")
    # The first version is no longer in the bucket.
    gone = landed[0].source.version_id
    cloud.s3.delete_object(Bucket=LANDING, Key=key, VersionId=gone)
    stack = Stack.open(Path(os.environ["TM_STACK"]))

    done = remove(stack, find(stack, f"s3://{LANDING}/{key}"))

    assert (done.versions, done.staged) == (1, 2)
    items = [item_of(cloud.log, each) for each in (*landed, other)]
    assert ["removedAt" in item for item in items] == [True, True, False]
    assert find(stack, key).is_removed
