"""Compare what the laptop cloud loaded from the real file with known facts about that file.

    PYTHONPATH=. .venv/bin/python .ci/check_real_file.py FILE.csv

The expected values are computed here from the file, row by row, with the standard library and
without the project's code.
"""

import csv
import datetime as dt
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import requests

from local import postgres
from local.home import home
from local.stack import LaptopStack
from local.tap import Tap

MONTHS = "января февраля марта апреля мая июня июля августа сентября октября ноября декабря".split()
Row = tuple[int, tuple[str, dt.datetime, Decimal, str]]
REJECTED = [15799, 15800, 17574, 17575, 17576]


def main() -> None:
    rows = list(expected(Path(sys.argv[1])))
    rejected = [line for line, row in rows if not row[0]]
    wanted = Counter(row for line, row in rows if row[0])
    stack = LaptopStack.read(home())
    assert stack is not None, "the laptop cloud is not up"

    item, earlier = sorted(tm("status"), key=lambda each: each["updatedAt"], reverse=True)
    check("dropped twice under one key", earlier["sourceKey"], item["sourceKey"])
    bodies = [alert.body for alert in Tap(stack.aws, stack.tap_url, home()).alerts()]
    check(
        "alerts",
        sorted(body["ingestedID"] for body in bodies if "ingestedID" in body),
        sorted(each["ingestedID"] for each in (item, earlier)),
    )
    check("log item", (item["state"], item["status"]), ("load", "success"))
    counts = [item[name] for name in ("rowsRead", "rowsLoaded", "rowsRejected")]
    check("counts", counts, [20500, 20495, 5])
    check(
        "history",
        [step["state"] for step in item["history"] if step["status"] == "success"],
        ["trigger", "transform", "test", "load"],
    )

    with postgres.connected(stack.database) as connection:
        loaded = connection.run("select username, timestamp, hours, project from daily_checkins")
        ((total,),) = connection.run("select sum(hours) from daily_checkins")
        of_ned = connection.run(
            "select project, hours, timestamp from daily_checkins where username = 'ned' "
            "order by timestamp, load_id, source_line"
        )
    found = Counter(
        (user, at.astimezone(dt.UTC), hours, project) for user, at, hours, project in loaded
    )
    check(
        "rows that differ, of all 20,495 to the microsecond",
        (found - wanted, wanted - found),
        (Counter(), Counter()),
    )
    check("sum of hours", total, Decimal("42446.38"))

    check("lines without a user", rejected, REJECTED)
    rejects = [json.loads(line) for line in staged(stack, item, "rejects.jsonl").splitlines()]
    errors = [each for each in rejects if each["severity"] == "error"]
    check("rejected lines", [each["line"] for each in errors], REJECTED)
    check("reasons", {each["reason"] for each in errors}, {"user is missing"})

    check_report(json.loads(staged(stack, item, "report.json")), rows)

    mine = tm("user", "ned")
    hours = sum(Decimal(row["hours"]) for row in mine)
    check("ned, by the API", (len(mine), hours), (1387, Decimal("2078.35")))

    one_page = [
        {
            "user": "ned",
            "project": project,
            "hours": str(each),
            "timestamp": f"{at.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
        }
        for project, each, at in of_ned
    ]
    pages = list(pages_of(stack, "ned"))
    check("ned by pages of 100", [len(page) for page in pages], [100] * 13 + [87])
    check("all of them", [row for page in pages for row in page] == one_page, True)


def pages_of(stack: LaptopStack, user: str) -> Iterator[list[dict[str, str]]]:
    parameters: dict[str, str] | None = {"user": user, "limit": "100"}
    while parameters is not None:
        answer = requests.get(
            f"{stack.api_url}/get",
            params=parameters,
            headers={"x-api-key": stack.outputs["api_key"]},
            verify=stack.aws.ca_bundle,
            timeout=60,
        ).json()
        yield answer["response"]
        parameters = {**parameters, "cursor": answer["next"]} if answer["next"] else None


def expected(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        next(reader)
        for user, at, hours, project in reader:
            rounded = Decimal(hours).quantize(Decimal("0.01"), ROUND_HALF_UP)
            yield reader.line_num, (user, instant(at), rounded, project)


def instant(text: str) -> dt.datetime:
    if text.endswith(" UTC"):
        seconds, _, fraction = text.removesuffix(" UTC").partition(".")
        naive = dt.datetime.fromisoformat(f"{seconds}.{fraction:0<6}")
    elif "/" in text:
        naive = dt.datetime.strptime(text, "%m/%d/%Y %I:%M %p")
    else:
        day, month, rest = text.split(" ", 2)
        number = MONTHS.index(month) + 1
        naive = dt.datetime.strptime(f"{day} {number} {rest}", "%d %m %Y %H:%M")
    return naive.replace(tzinfo=dt.UTC)


def check_report(report: dict[str, Any], rows: list[Row]) -> None:
    check("exact repeats", report["exactRepeats"], 809)
    check("repeats, counted by hand", len(rows) - len({row for _, row in rows}), 809)
    check(
        "warnings", (report["warnings"], [rule["count"] for rule in report["rules"]]), (1, [5, 1])
    )
    check(
        "sums", (report["rowsRead"], report["rowsClean"], report["rowsRejected"]), (20500, 20495, 5)
    )
    for position, name in enumerate(("user", "timestamp", "hours", "project")):
        values = [row[position] for _, row in rows if row[position] != ""]
        wanted = {
            "nulls": len(rows) - len(values),
            "min": str(min(values)),
            "max": str(max(values)),
        }
        check(f"figures of {name}", report["columns"][name], wanted)


def staged(stack: LaptopStack, item: dict[str, Any], name: str) -> str:
    key = (
        "state=failed_tests/table=dailycheckins/year=2024/month=3/day=3/"
        f"ingestedID={item['ingestedID']}/{name}"
    )
    bucket = stack.outputs["staging_bucket"]
    body: bytes = stack.aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return body.decode()


def tm(*arguments: str) -> Any:
    return json.loads(subprocess.check_output([".venv/bin/tm", *arguments, "--json"]))


def check(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise SystemExit(f"{what}: found {found}, expected {wanted}")
    print(f"ok  {what}")


if __name__ == "__main__":
    main()
