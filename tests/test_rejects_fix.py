"""End-to-end test of `tm rejects fix` on the laptop cloud, with a ZIP archive."""

import csv
import io
import json
import re
import zipfile
from decimal import Decimal
from pathlib import Path

from tests.fixtures.compression import packed
from tests.fixtures.pipeline import AT, HEADER, Pipeline

KEY = "table=dailycheckins/year=2024/month=4/day=1/checkins.csv"
ROWS = [
    f"ned,{AT},1,x",
    f",{AT},lots,x",
    f'ned,{AT},"2,5","two\r\nlines"',
    f"+ned,{AT},-1",
    f'"ned,{AT},3,x',
    f"ned,{AT},4,x",
    f"ned,{AT},5,x",
    f"ned,{AT},6,x",
]
CORRECTED = {
    3: f"robb,{AT},1.5,x",
    4: f'ned,{AT},2.5,"two\r\nlines"',
    6: f"+ned,{AT},1,x",
    7: f"ned,{AT},3,x",
}


def ingestion_of(shown: str) -> str:
    found = re.search(r"^Ingestion (\S+)$", shown, re.MULTILINE)
    assert found is not None
    return found[1]


def test_corrected_rows_are_loaded(pipeline: Pipeline, tmp_path: Path) -> None:
    tm = pipeline.laptop.tm
    file = tmp_path / "checkins.csv"
    body = b"\xef\xbb\xbf" + "\r\n".join([HEADER, *ROWS]).encode()
    file.write_bytes(packed("zip", body, file.name))
    dropped = tm("drop", str(file), "--date", "2024-04-01", "--follow")
    assert dropped.returncode == 0, dropped.stdout + dropped.stderr
    assert "8 read, 4 loaded, 4 rejected" in dropped.stdout
    ingested_id = ingestion_of(dropped.stdout)

    records = json.loads(tm("rejects", ingested_id, "--json").stdout)
    assert [(each["line"], each["column"], each["rule"]) for each in records] == [
        (3, "hours", "number"),
        (4, "hours", "number"),
        (6, None, "columnCount"),
        (7, None, "quoting"),
    ]
    sheet = tmp_path / "rejects.csv"
    assert tm("rejects", ingested_id, "--csv", str(sheet)).returncode == 0
    with sheet.open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert rows[2]["raw"].startswith("'+ned")

    for row in rows:
        row["raw"] = CORRECTED[int(row["line"])]
    with sheet.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(opened, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    fixed = tm("rejects", "fix", ingested_id, str(sheet), "--follow")

    assert fixed.returncode == 0, fixed.stdout + fixed.stderr
    assert "8 read, 8 loaded, 0 rejected" in fixed.stdout
    bucket = pipeline.outputs["landing_bucket"]
    landed = pipeline.laptop.aws.client("s3").get_object(Bucket=bucket, Key=KEY)["Body"].read()
    with zipfile.ZipFile(io.BytesIO(landed)) as archive:
        assert archive.namelist() == [file.name]
        assert archive.read(file.name) == body.replace(
            "\r\n".join(ROWS[1:5]).encode(), "\r\n".join(CORRECTED.values()).encode()
        )
    assert pipeline.loaded(KEY) == [
        ["ned", Decimal("1.00"), 2],
        ["robb", Decimal("1.50"), 3],
        ["ned", Decimal("2.50"), 4],
        ["+ned", Decimal("1.00"), 6],
        ["ned", Decimal("3.00"), 7],
        ["ned", Decimal("4.00"), 8],
        ["ned", Decimal("5.00"), 9],
        ["ned", Decimal("6.00"), 10],
    ]
    renewed = ingestion_of(fixed.stdout)
    assert "has no rejects" in tm("rejects", renewed).stdout

    again = tm("rejects", "fix", ingested_id, str(sheet))
    assert again.returncode == 1
    assert "was uploaded again or deleted" in again.stderr
