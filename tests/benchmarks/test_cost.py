"""How `make cost` adds up, on plans that are made up; on the real one it runs by itself."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from benchmarks import cost
from benchmarks.cost import CostError, Prices, Resource

PRICES = Prices(
    tomllib.loads(
        """
        limit = 2.00

        [price]
        secret = { usd = 0.40 }
        aurora-storage = { usd = 0.10 }
        aurora-backup = { usd = 0.02 }
        aurora-acu = { usd = 0.12 }
        dashboard = { usd = 3.00, free = 3 }
        large-dashboard = { usd = 3.00 }
        alarm = { usd = 0.10, free = 10 }
        composite-alarm = { usd = 0.50 }
        metric = { usd = 0.30, free = 10 }
        lambda-call = { usd = 0.20, per = 1_000_000 }
        lambda-time = { usd = 0.0001, free = 1_000 }
        s3-write = { usd = 0.005, per = 1_000 }
        dynamodb-read = { usd = 0.125, per = 1_000_000 }
        logs = { usd = 0.50 }
        interface-endpoint = { usd = 0.01 }

        [assumed]
        hours = 730
        csv_gb = 2
        watch_seconds = 2
        watch_log_kb = 1
        watch_reads = 3

        [measured]
        seconds_per_gb = {}
        bytes_per_byte = { database = 3 }
        image_gb = {}

        [by_use]
        aws_lambda_function = "by the call"

        [free]
        aws_vpc = "a network"
        """
    )
)


def resource(kind: str, name: str = "this", **values: Any) -> Resource:
    return Resource(kind, f"{kind}.{name}", values)


def cluster(minimum: float) -> list[Resource]:
    scaling = [{"min_capacity": minimum, "max_capacity": 4, "seconds_until_auto_pause": 300}]
    return [
        resource(
            "aws_rds_cluster",
            manage_master_user_password=True,
            backup_retention_period=7,
            serverlessv2_scaling_configuration=scaling,
        ),
        resource("aws_rds_cluster_instance", instance_class="db.serverless"),
    ]


def usd(resources: list[Resource], *, allowances: bool = True) -> float:
    return PRICES.total(cost.idle(resources, PRICES), allowances=allowances)


def dashboard(*metrics: list[Any]) -> Resource:
    widgets = [{"properties": {"title": "Alarms"}}, {"properties": {"metrics": metrics}}]
    return resource("aws_cloudwatch_dashboard", dashboard_body=json.dumps({"widgets": widgets}))


def test_a_database_that_pauses_costs_its_secret_and_what_it_holds() -> None:
    assert usd(cluster(0)) == pytest.approx(0.40 + 2 * 3 * (0.10 + 0.02))


def test_one_that_does_not_pause_is_more_than_the_limit() -> None:
    uses = cost.idle(cluster(0.5), PRICES)
    assert PRICES.total(uses, allowances=True) == pytest.approx(1.12 + 730 * 0.5 * 0.12)
    with pytest.raises(CostError, match=r"an idle stack costs 44\.92 USD a month"):
        cost.check(uses, PRICES)


def test_what_is_within_the_limit_passes() -> None:
    cost.check(cost.idle(cluster(0), PRICES), PRICES)


def test_an_instance_that_is_billed_by_the_hour_is_not_taken_for_nothing() -> None:
    always_on = resource("aws_rds_cluster_instance", instance_class="db.r6g.large")
    with pytest.raises(CostError, match=r"no price of db\.r6g\.large"):
        cost.idle([*cluster(0)[:1], always_on], PRICES)


def test_what_nobody_has_priced_is_named() -> None:
    with pytest.raises(CostError, match=r"what these cost: aws_nat_gateway\.this\. "):
        cost.idle([resource("aws_vpc"), resource("aws_nat_gateway")], PRICES)


def test_what_is_free_or_paid_by_use_costs_nothing_while_idle() -> None:
    assert usd([resource("aws_vpc"), resource("aws_lambda_function")]) == 0


def test_an_allowance_is_taken_off_once() -> None:
    alarms = [resource("aws_cloudwatch_metric_alarm", str(number)) for number in range(12)]
    assert usd(alarms) == pytest.approx(2 * 0.10)
    assert usd(alarms, allowances=False) == pytest.approx(12 * 0.10)


def test_an_alarm_upon_an_expression_is_billed_by_its_metrics() -> None:
    queries = [{"metric": []}, {"metric": [{}]}, {"metric": [{}]}]
    alarm = resource("aws_cloudwatch_metric_alarm", metric_query=queries)
    assert usd([alarm], allowances=False) == pytest.approx(0.20)


def test_a_composite_alarm_is_never_free() -> None:
    assert usd([resource("aws_cloudwatch_composite_alarm")]) == pytest.approx(0.50)


@pytest.mark.parametrize(("metrics", "expected"), [(50, 0), (51, 3)])
def test_a_dashboard_is_free_up_to_fifty_metrics(metrics: int, expected: float) -> None:
    lines: list[list[Any]] = [
        ["AWS/Lambda", "Errors", "FunctionName", str(n)] for n in range(metrics)
    ]
    again = [*lines[0], {"stat": "p95"}]
    assert usd([dashboard(*lines, again)]) == expected
    assert usd([dashboard(*lines, again)], allowances=False) == 3


def test_what_watch_measures_is_billed_though_nothing_happens() -> None:
    tables = ("a", "b")
    late = [["tm", "HoursLate", "service", "watch", "table", table] for table in tables]
    others = [
        ["tm", "Defects", "service", "api"],
        ["AWS/Lambda", "Errors", "FunctionName", "watch"],
    ]
    uses = cost.idle([dashboard(*late, *others)], PRICES)
    [metrics] = [use for use in uses if use.price == "metric"]
    assert metrics.quantity == 2


@pytest.mark.parametrize(
    ("schedule", "calls"),
    [("rate(15 minutes)", 2920), ("rate(1 hour)", 730), ("rate(2 days)", 730 / 48)],
)
def test_watch_is_billed_by_its_schedule(schedule: str, calls: float) -> None:
    function = Resource("aws_lambda_function", 'this["watch"]', {"memory_size": 512})
    rule = resource("aws_cloudwatch_event_rule", schedule_expression=schedule)
    by_call = 0.20e-6 + 2 * 0.5 * 0.0001 + 0.005e-3 + 3 * 0.125e-6 + 1e-6 * 0.50
    assert usd([function, rule], allowances=False) == pytest.approx(calls * by_call)


def test_a_schedule_that_cannot_be_reckoned_with_is_said() -> None:
    rule = resource("aws_cloudwatch_event_rule", schedule_expression="cron(0 6 * * ? *)")
    with pytest.raises(CostError, match="Only rates"):
        cost.idle([rule], PRICES)


def test_a_gateway_endpoint_is_free_and_an_interface_endpoint_is_not() -> None:
    assert usd([resource("aws_vpc_endpoint", vpc_endpoint_type="Gateway")]) == 0
    interface = resource(
        "aws_vpc_endpoint", vpc_endpoint_type="Interface", subnet_ids=["a", "b", "c"]
    )
    assert usd([interface]) == pytest.approx(730 * 3 * 0.01)


def test_the_figures_take_the_place_of_those_before() -> None:
    document = cost.DOCUMENT.read_text()
    other = cost.with_figures(document, "other figures")
    assert "other figures" in other
    assert cost.with_figures(other, "other figures") == other
    with pytest.raises(CostError, match="has no place for the figures"):
        cost.with_figures("# What it costs", "figures")


def test_other_figures_in_the_document_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = tmp_path / "cost.md"
    document.write_text(cost.DOCUMENT.read_text())
    monkeypatch.setattr(cost, "DOCUMENT", document)
    cost.place("| 1.00 |", write=True)
    cost.place("| 1.00 |", write=False)
    with pytest.raises(CostError, match="says other figures"):
        cost.place("| 1.01 |", write=False)


def test_every_price_says_on_which_page_it_stands_and_for_what() -> None:
    for name, price in Prices.read().document["price"].items():
        assert price.keys() >= {"page", "unit", "usd"}, name
        assert price["usd"] > 0, name
