"""Tests of the log lines and metrics of all functions on the laptop cloud."""

import datetime as dt
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from shared import odcs
from shared.ingestion import UNMATCHED, Ingestion, unmatched_id
from shared.landing_key import LandingKey
from shared.metrics import MetricName
from shared.version import VERSION
from tests.checkout import FUNCTIONS
from tests.fixtures.lookup import request
from tests.fixtures.pipeline import AT, TABLE, Pipeline, checkins

MARK = "Zaphod"
"""Part of every row that lands here, and of the requests to the API."""
DAY = 30
NO_STRING: Any = 1
"""An impossible value of a header, which causes an unexpected error in the API."""
INGESTION_FUNCTIONS = {"trigger", "transform", "test", "load", "alert"}
"""The functions that handle one ingestion per call."""
FUNCTIONS_OF = {
    "loaded": INGESTION_FUNCTIONS,
    "budgets": INGESTION_FUNCTIONS,
    "refused": {"trigger", "transform", "alert"},
    "rejected": {"trigger", "alert"},
    "broken": {"transform", "test", "load"},
}

Metric = tuple[str, tuple[tuple[str, str], ...]]


def budgets(project: str) -> bytes:
    header = "Projekt;Geschäftsfeld;Budget €;Personentage;Beginn;Abrechenbar;Bemerkung"
    rows = f"{project};Beratung;1;1;01.03.2024;ja;\n{project};{MARK};1;1;01.03.2024;ja;"
    return f"{header}\n{rows}".encode("cp1252")


@pytest.fixture(scope="module")
def ids(pipeline: Pipeline) -> dict[str, str]:
    """Process several files; return the ID of each ingestion.

    Files are processed one after another, with two more at the end, because the emulator may
    assign the last log lines of a call to the next call of the same worker.
    """
    pipeline.put("", "folder/")
    marked = f"{MARK},{AT},1,{MARK}"
    loaded = pipeline.ingest(
        checkins(marked, marked, f"{MARK},{MARK},1,{MARK}", f"{MARK},{AT},{MARK},{MARK}"),
        DAY,
        "a.csv",
    )
    assert (loaded["rowsLoaded"], loaded["rowsRejected"]) == (2, 2)
    refused = pipeline.ingest(f"{marked}\n{marked}", DAY, "b.csv")
    assert refused["status"] == "fail"
    key = LandingKey("projectbudgets", dt.date(2024, 3, DAY), "f.csv")
    budgeted = Ingestion.of(pipeline.put(budgets(MARK.lower()), str(key)), key)
    pipeline.ended(budgeted.id, budgeted.table)
    rejected = unmatched_id(pipeline.put(f"{MARK},{AT}", "nowhere/f.csv"))
    pipeline.ended(rejected, UNMATCHED)

    broken = Ingestion.from_item(loaded).as_event() | {"ingestedID": f"202403{DAY}-broken"}
    arn = f"{pipeline.outputs['state_machine_arn'].replace('stateMachine', 'execution')}:broken"
    broken |= {"execution": {"arn": arn, "redrive": 0}, "transform": {}, "test": {}}
    broken["source"] = broken["source"] | {"versionId": "no such version"}
    for function in ("transform", "test", "load"):
        assert "errorMessage" in pipeline.invoke(function, broken)
    defect = request("/get", "GET", {"if-none-match": NO_STRING}, user=MARK)
    assert pipeline.invoke("api", defect)["statusCode"] == 500

    for name in ("y.csv", "z.csv"):
        assert "errorMessage" not in pipeline.invoke("watch", {})
        assert "errorMessage" not in pipeline.invoke("migrate", {"contracts": "a hash"})
        assert pipeline.get("/get", user=MARK).status_code == 200
        pipeline.ingest(checkins(marked), DAY, name)

    return {
        "broken": broken["ingestedID"],
        "budgets": budgeted.id,
        "loaded": loaded["ingestedID"],
        "refused": refused["ingestedID"],
        "rejected": rejected,
    }


def written(pipeline: Pipeline, function: str) -> list[list[str]]:
    """Return the log lines of a function, a list for each call."""
    group = f"/aws/lambda/{pipeline.outputs['function_names'][function]}"
    pages = pipeline.laptop.aws.client("logs").get_paginator("filter_log_events")
    calls: dict[str, list[str]] = {}
    for page in pages.paginate(logGroupName=group):
        for event in page["events"]:
            # The emulator creates a stream for each call.
            calls.setdefault(event["logStreamName"], []).append(event["message"])
    return list(calls.values())


def own_lines(pipeline: Pipeline, function: str) -> Iterator[dict[str, Any]]:
    """Yield the lines that the function itself wrote, without those of Lambda."""
    # The last pattern is the emulator's line about a worker that a drill killed.
    platform_lines = r"(START|END|REPORT) RequestId: |Worker process died$"
    for call in written(pipeline, function):
        lines = itertools.takewhile(lambda line: line != "Traceback (most recent call last):", call)
        for line in lines:
            if not re.match(platform_lines, line):
                yield json.loads(line)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_log_line_is_json_and_names_its_ingestion(
    function: str, pipeline: Pipeline, ids: dict[str, str]
) -> None:
    lines = list(own_lines(pipeline, function))
    named = {line.get("ingestedID") for line in lines}
    unnamed = {line.get("message") for line in lines if "ingestedID" not in line}

    assert lines
    assert all(line["service"] == function for line in lines)
    assert all(line["version"] == VERSION for line in lines)
    # Removals, and objects deleted before their version was known, have no ingestion.
    assert function not in INGESTION_FUNCTIONS or unnamed <= {"not there", "removed"}
    for name, functions in FUNCTIONS_OF.items():
        assert (ids[name] in named) == (function in functions), name


@pytest.mark.parametrize("function", ["transform", "test", "load"])
def test_error_has_log_line(function: str, pipeline: Pipeline, ids: dict[str, str]) -> None:
    lines = list(own_lines(pipeline, function))
    [error] = [line for line in lines if line.get("ingestedID") == ids["broken"]]

    assert (error["level"], error["message"]) == ("ERROR", "broken")
    assert re.match(r"\w+: ", error["reason"])


def test_api_error_has_correlation_id_and_request_id(
    pipeline: Pipeline, ids: dict[str, str]
) -> None:
    [defect] = [each for each in own_lines(pipeline, "api") if each.get("message") == "a defect"]

    assert defect["level"] == "ERROR"
    assert defect["correlation_id"] == "a-request", "the ID that the caller received"
    assert defect["function_request_id"] not in {"", "a-request"}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_function_ignores_keep_active_event(function: str, pipeline: Pipeline) -> None:
    rule = f"{pipeline.outputs['name']}-keep-active-{function}"
    answer = pipeline.laptop.aws.client("events").list_targets_by_rule(Rule=rule)
    [target] = answer["Targets"]

    assert target["Arn"].endswith(f":{pipeline.outputs['function_names'][function]}")
    assert pipeline.invoke(function, json.loads(target["Input"])) is None


@pytest.mark.parametrize("function", FUNCTIONS)
def test_log_lines_do_not_quote_file(
    function: str, pipeline: Pipeline, ids: dict[str, str]
) -> None:
    refused = pipeline.log.get(ids["refused"], TABLE)
    assert refused is not None
    assert MARK in refused["haltReason"], "the log table contains the value"

    calls = written(pipeline, function)
    assert calls
    assert not [line for call in calls for line in call if MARK.lower() in line.lower()]


@pytest.fixture(scope="module")
def dashboard(pipeline: Pipeline) -> list[dict[str, Any]]:
    answer = pipeline.laptop.aws.client("cloudwatch").get_dashboard(
        DashboardName=pipeline.outputs["name"]
    )
    widgets: list[dict[str, Any]] = json.loads(answer["DashboardBody"])["widgets"]
    return widgets


@pytest.fixture(scope="module")
def emitted(pipeline: Pipeline, ids: dict[str, str]) -> set[Metric]:
    """Return the metrics that CloudWatch extracts from the log lines of the functions."""
    found = set()
    for function in FUNCTIONS:
        for line in own_lines(pipeline, function):
            for metrics in line.get("_aws", {}).get("CloudWatchMetrics", ()):
                assert metrics["Namespace"] == pipeline.outputs["name"]
                for dimensions in metrics["Dimensions"]:
                    of = {name: line[name] for name in dimensions}
                    found |= {metric(each["Name"], of) for each in metrics["Metrics"]}
    return found


def metric(name: str, dimensions: Mapping[str, str]) -> Metric:
    return name, tuple(sorted(dimensions.items()))


def test_dashboard_shows_exactly_the_emitted_metrics(
    pipeline: Pipeline, dashboard: list[dict[str, Any]], emitted: set[Metric]
) -> None:
    drawn = set()
    for widget in dashboard:
        for first, *rest in widget["properties"].get("metrics", ()):
            if first == pipeline.outputs["name"]:
                name, *dimensions, _ = rest
                pairs = zip(dimensions[::2], dimensions[1::2], strict=True)
                drawn.add(metric(name, dict(pairs)))

    assert drawn == emitted
    assert {name for name, _ in drawn} == set(MetricName)
    assert {dict(of).get("table") for _, of in drawn} == {*odcs.load_all(), None}


def test_alarms_use_emitted_metrics(pipeline: Pipeline, emitted: set[Metric]) -> None:
    found = {
        metric(alarm["MetricName"], {each["Name"]: each["Value"] for each in alarm["Dimensions"]})
        for alarm in alarms(pipeline)["MetricAlarms"]
        if alarm.get("Namespace") == pipeline.outputs["name"]
    }
    assert {name for name, _ in found} == {"Defects", "HoursLate", "RejectedPercent"}
    assert found <= emitted


def alarms(pipeline: Pipeline) -> Any:
    return pipeline.laptop.aws.client("cloudwatch").describe_alarms(
        AlarmNamePrefix=f"{pipeline.outputs['name']}-",
        AlarmTypes=["MetricAlarm", "CompositeAlarm"],
        MaxRecords=100,
    )


def test_dashboard_matches_terraform_without_overlaps(
    pipeline: Pipeline, dashboard: list[dict[str, Any]]
) -> None:
    state = json.loads((pipeline.laptop.home / "terraform" / "terraform.tfstate").read_text())
    [made] = [each for each in state["resources"] if each["type"] == "aws_cloudwatch_dashboard"]
    body = made["instances"][0]["attributes"]["dashboard_body"]
    squares = [
        (x, y)
        for each in dashboard
        for x in range(each["x"], each["x"] + each["width"])
        for y in range(each["y"], each["y"] + each["height"])
    ]

    assert json.loads(body)["widgets"] == dashboard
    assert len(squares) == len(set(squares)), "two widgets overlap"
    assert max(x for x, _ in squares) < 24


def test_dashboard_lists_each_alarm(pipeline: Pipeline, dashboard: list[dict[str, Any]]) -> None:
    answer = alarms(pipeline)
    found = {each["AlarmArn"] for each in answer["MetricAlarms"] + answer["CompositeAlarms"]}

    assert dashboard[0]["type"] == "alarm"
    assert set(dashboard[0]["properties"]["alarms"]) == found


def test_dashboard_log_queries_cover_each_function(
    pipeline: Pipeline, dashboard: list[dict[str, Any]], ids: dict[str, str]
) -> None:
    queries = [each["properties"]["query"] for each in dashboard if each["type"] == "log"]
    groups = {f"/aws/lambda/{name}" for name in pipeline.outputs["function_names"].values()}
    fields = {field for line in own_lines(pipeline, "load") for field in line}

    assert queries
    assert all(set(re.findall(r"SOURCE '(.+?)'", query)) == groups for query in queries)
    [failures] = [query for query in queries if "ingestedID" in query]
    asked = re.search(r"fields @timestamp, (.*?) \|", failures)
    assert asked is not None
    assert {"level", *asked[1].split(", ")} <= fields
