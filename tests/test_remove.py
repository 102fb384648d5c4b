"""End-to-end tests of `tm remove` on the laptop cloud."""

import pytest

from shared.ingestion import UNMATCHED, unmatched_id
from tests.fixtures.aws import ingestion_of
from tests.fixtures.operator import one_line, tm
from tests.fixtures.pipeline import AT, TABLE, Pipeline, checkins, eventually, key_of
from tests.test_drills import load_waiting

pytestmark = pytest.mark.usefixtures("operator")

BODY = checkins(f"tyene,{AT},1,x", f",{AT},2,x", f"tyene,{AT},3,x")


def staged(pipeline: Pipeline, ingested_id: str) -> list[str]:
    s3, bucket = pipeline.laptop.aws.client("s3"), pipeline.outputs["staging_bucket"]
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [each["Key"] for page in pages for each in page.get("Contents", ())]
    return [key for key in keys if f"ingestedID={ingested_id}/" in key]


def test_remove_deletes_everything_except_log_items(pipeline: Pipeline) -> None:
    key = key_of(26)
    old = pipeline.ingest(BODY, day=26)
    new = pipeline.ingest(BODY, day=26)
    s3 = pipeline.laptop.aws.client("s3")
    s3.delete_object(Bucket=pipeline.outputs["landing_bucket"], Key=key)
    before = pipeline.get("/get", user="tyene")
    assert len(before.json()["response"]) == 2
    assert staged(pipeline, new["ingestedID"])

    shown = tm("remove", key, "--dry-run")
    assert shown.stdout == f"{key}: 2 versions, 1 delete marker, 2 rows\n"
    assert one_line(tm("remove", key)).endswith("without a terminal, confirm with --yes.")
    assert len(pipeline.loaded(key)) == 2, "nothing was removed so far"

    address = f"s3://{pipeline.outputs['landing_bucket']}/{key}"
    done = tm("remove", address, "--yes")

    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines()[1].startswith("Removed 2 versions, 2 rows and 8 staged")
    assert pipeline.loaded(key) == []
    assert pipeline.query("SELECT 1 FROM source WHERE source_key = :key", key=key) == []
    versions = s3.list_object_versions(Bucket=pipeline.outputs["landing_bucket"], Prefix=key)
    assert not {"Versions", "DeleteMarkers"} & versions.keys()
    for item in (old, new):
        ingested_id = item["ingestedID"]
        assert not staged(pipeline, ingested_id)
        logged = pipeline.get(f"/ingestions/{ingested_id}").json()
        assert logged["removedAt"]
        assert logged["status"] == item["status"], "the outcome stays"
        assert "load: removed" in tm("status", ingested_id).stdout
        assert "was removed at" in one_line(tm("replay", ingested_id))
    assert pipeline.get("/get", user="tyene").json()["response"] == []
    # The function caches the state of the log for two seconds.
    eventually(lambda: pipeline.get("/get", user="tyene").headers["ETag"] != before.headers["ETag"])

    again = tm("remove", key)
    assert again.exit_code == 0
    assert "was removed at" in again.stdout

    assert pipeline.ingest(BODY, day=26)["status"] == "success", "the key may be used again"
    assert len(pipeline.loaded(key)) == 2


def test_remove_frees_other_spelling_of_key(pipeline: Pipeline) -> None:
    key = key_of(26, "padded.csv")
    padded = key.replace("month=3", "month=03")
    pipeline.ended(ingestion_of(pipeline.put(BODY, padded)).id)
    assert len(pipeline.loaded(padded)) == 2
    second = pipeline.put(BODY, key)
    assert pipeline.ended(unmatched_id(second), UNMATCHED)["status"] == "rejected"

    assert tm("remove", padded, "--yes").exit_code == 0

    assert pipeline.loaded(padded) == []
    assert pipeline.ingest(BODY, day=26, name="padded.csv")["status"] == "success"
    assert len(pipeline.loaded(key)) == 2


def test_remove_refuses_while_run_is_in_progress(pipeline: Pipeline) -> None:
    with load_waiting(pipeline, day=24) as ingestion:
        line = one_line(tm("remove", key_of(24), "--yes"))

    assert f"{ingestion.id} is still queued or running" in line
    assert pipeline.ended(ingestion.id)["status"] == "success"
    assert len(pipeline.loaded(key_of(24))) == 2


@pytest.mark.parametrize(
    ("key", "complaint"),
    [
        (key_of(25), "No file has landed as s3://"),
        ("stray.csv", "is not a landing key"),
        (f"table=wages/year=2024/month=3/day=3/{TABLE}.csv", "is not a landing key"),
    ],
)
def test_remove_reports_unknown_key(key: str, complaint: str) -> None:
    assert complaint in one_line(tm("remove", key, "--yes"))
