"""What the stack costs: idle, for a file, for a GB, and what would raise it.

    python -m benchmarks.cost [--write]

It adds up what Terraform plans, with everything on, by the prices and assumptions of prices.toml.
Exit status 1 if an idle stack costs more than the limit there, if the plan holds a resource that is
neither priced nor known to be free, or if docs/cost.md says other figures; --write puts them there.
"""

import argparse
import json
import math
import re
import shutil
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local import terraform

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "cost.md"
PRICES = Path(__file__).with_name("prices.toml")

# What can be switched on. The mocks answer for AWS, so nobody need have an account; they answer at
# the plan, for the dashboard, which names the alarms, is not known before they are.
EVERYTHING = """
mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan

  mock_resource "aws_cloudwatch_composite_alarm" {
    defaults = { arn = "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:mock" }
  }
  mock_resource "aws_cloudwatch_metric_alarm" {
    defaults = { arn = "arn:aws:cloudwatch:eu-central-1:123456789012:alarm:mock" }
  }
}

run "everything" {
  command = plan

  variables {
    alarm_topic_arn        = "arn:aws:sns:eu-central-1:123456789012:pager"
    alert_emails           = ["one@example.com", "two@example.com"]
    staging_retention_days = 3650
  }
}
"""
# What one more image of a function holds is only the layers that are ours.
TASKS = ("transform", "test", "load")


class CostError(Exception):
    """The plan cannot be priced, or costs too much."""


@dataclass(frozen=True)
class Use:
    """So much of what has a price."""

    what: str
    price: str
    quantity: float


@dataclass(frozen=True)
class Resource:
    """One resource as Terraform plans it."""

    type: str
    address: str
    values: Mapping[str, Any]


class Prices:
    """The price list, and what is assumed and was measured."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self.assumed: dict[str, float] = document["assumed"]
        self.seconds: dict[str, float] = document["measured"]["seconds_per_gb"]
        self.bytes: dict[str, float] = document["measured"]["bytes_per_byte"]
        self.image_gb: dict[str, float] = document["measured"]["image_gb"]
        self.unpriced: dict[str, str] = document["by_use"] | document["free"]

    @classmethod
    def read(cls) -> "Prices":
        """Read the committed list."""
        return cls(tomllib.loads(PRICES.read_text()))

    def usd(self, price: str, quantity: float) -> float:
        """Return what it costs, nothing being free."""
        entry = self.document["price"][price]
        return float(quantity * entry["usd"] / entry.get("per", 1))

    def total(self, uses: Iterable[Use], *, allowances: bool) -> float:
        """Add up, less what every account has of each for nothing, where that counts."""
        quantities: Counter[str] = Counter()
        for use in uses:
            quantities[use.price] += use.quantity  # type: ignore[assignment]
        free = {
            price: self.document["price"][price].get("free", 0) if allowances else 0
            for price in quantities
        }
        return sum(
            self.usd(price, max(0, quantity - free[price]))
            for price, quantity in quantities.items()
        )


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="put the figures into docs/cost.md")
    arguments = parser.parse_args()
    prices = Prices.read()
    try:
        resources = plan(EVERYTHING)
        figures = report(resources, prices)
        print(figures)
        place(figures, write=arguments.write)
        check(idle(resources, prices), prices)
    except CostError as error:
        sys.exit(f"make: cost: {error}")


def plan(test: str) -> list[Resource]:
    """Return what Terraform plans in a test file's one run."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("contracts", "functions", "shared", "terraform"):
            ignored = shutil.ignore_patterns(".terraform*", "__pycache__")
            shutil.copytree(ROOT / name, copy / name, ignore=ignored)
        shutil.copy(ROOT / ".dockerignore", copy)
        (copy / "terraform" / "tests" / "cost.tftest.hcl").write_text(test)
        tool = terraform.find(copy / "configuration")
        for command in (
            ("init", "-input=false"),
            ("test", "-json", "-verbose", "-filter=tests/cost.tftest.hcl"),
        ):
            done = tool.run(*command, folder=copy / "terraform")
            if done.returncode:
                raise CostError(f"terraform {command[0]} failed: {done.stdout}{done.stderr}")
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    [planned] = [each["test_plan"] for each in messages if each["type"] == "test_plan"]
    return [
        Resource(each["type"], each["address"], each["change"]["after"])
        for each in planned["resource_changes"]
        if each["mode"] == "managed"
    ]


def idle(resources: list[Resource], prices: Prices) -> list[Use]:
    """Return what a month of lying idle uses.

    Raises:
        CostError: a resource is neither priced nor known to be free.
    """
    uses: list[Use] = []
    unknown = set()
    for resource in resources:
        if price := BY_TYPE.get(resource.type):
            uses += price(resource, resources, prices)
        elif resource.type not in prices.unpriced:
            unknown.add(resource.address)
    if unknown:
        raise CostError(
            f"nobody has said what these cost: {', '.join(sorted(unknown))}. Price the type in "
            f"{Path(__file__).name}, or list it as free or billed by use, with the reason, in "
            f"{PRICES.name}."
        )
    return uses


def check(uses: list[Use], prices: Prices) -> None:
    """Raise CostError if that is more than the limit."""
    usd, limit = prices.total(uses, allowances=True), prices.document["limit"]
    if usd > limit:
        raise CostError(f"an idle stack costs {usd:.2f} USD a month, more than {limit:.2f}.")


def _dashboard(resource: Resource, _: list[Resource], __: Prices) -> Iterator[Use]:
    metrics = _drawn(resource)
    yield Use("Dashboard", "dashboard" if len(metrics) <= 50 else "large-dashboard", 1)
    # All that the functions publish is drawn. What of it watch publishes comes every hour; the rest
    # comes with files and with requests.
    idle = [each for each in metrics if "service watch" in " ".join(each)]
    yield Use("watch: metrics", "metric", len(idle))


def _drawn(dashboard: Resource) -> set[tuple[str, ...]]:
    """Return the metrics of a dashboard, each once: namespace, name and dimensions."""
    widgets = json.loads(dashboard.values["dashboard_body"])["widgets"]
    lines = [line for widget in widgets for line in widget["properties"].get("metrics", ())]
    return {tuple(part for part in line if isinstance(part, str)) for line in lines}


def _alarm(resource: Resource, _: list[Resource], __: Prices) -> Iterator[Use]:
    # An alarm upon an expression is billed for each metric in it.
    queries = resource.values.get("metric_query") or ()
    metrics = sum(bool(query.get("metric")) for query in queries)
    yield Use("Alarms", "alarm", metrics or 1)


def _composite_alarm(_: Resource, __: list[Resource], ___: Prices) -> Iterator[Use]:
    yield Use("Composite alarm", "composite-alarm", 1)


def _cluster(resource: Resource, _: list[Resource], prices: Prices) -> Iterator[Use]:
    if resource.values.get("manage_master_user_password"):
        yield Use("Database: the administrator's secret", "secret", 1)
    gigabytes = prices.assumed["csv_gb"] * prices.bytes["database"]
    yield Use("Database: storage", "aurora-storage", gigabytes)
    # The backups of one day are free.
    if resource.values["backup_retention_period"] > 1:
        yield Use("Database: backups", "aurora-backup", gigabytes)


def _instance(resource: Resource, resources: list[Resource], prices: Prices) -> Iterator[Use]:
    if resource.values["instance_class"] != "db.serverless":
        raise CostError(f"{resource.address}: no price of {resource.values['instance_class']}.")
    scaling = _only(resources, "aws_rds_cluster").values["serverlessv2_scaling_configuration"][0]
    hours = prices.assumed["hours"] * scaling["min_capacity"]
    yield Use("Database: capacity while it is paused", "aurora-acu", hours)


def _repository(resource: Resource, _: list[Resource], prices: Prices) -> Iterator[Use]:
    ours = prices.image_gb[resource.values["name"].rpartition("/")[2]]
    kept = ours * prices.assumed["compression"] * prices.assumed["images_kept"]
    yield Use("Images", "image-storage", prices.assumed["base_image_gb"] + kept)


def _rule(resource: Resource, resources: list[Resource], prices: Prices) -> Iterator[Use]:
    # Those that keep functions active call once a day what answers at once.
    if "keep_active" in resource.address:
        return
    if schedule := resource.values.get("schedule_expression"):
        calls = prices.assumed["hours"] * 60 / _minutes(schedule)
        seconds = calls * prices.assumed["watch_seconds"]
        yield Use("watch: calls", "lambda-call", calls)
        yield Use("watch: time", "lambda-time", seconds * _memory(resources, "watch"))
        yield Use("watch: lists of what has landed", "s3-write", calls)
        reads = calls * prices.assumed["watch_reads"]
        yield Use("watch: reads of the log table", "dynamodb-read", reads)
        yield Use("watch: its log", "logs", calls * prices.assumed["watch_log_kb"] / 1e6)


def _bucket(resource: Resource, _: list[Resource], prices: Prices) -> Iterator[Use]:
    # Landing holds the files, staging what is made of them.
    share = prices.bytes["staging"] if "staging" in resource.address else 1
    yield Use("Buckets", "s3-storage", prices.assumed["csv_gb"] * share)


def _table(_: Resource, __: list[Resource], prices: Prices) -> Iterator[Use]:
    kilobytes = prices.assumed["items"] * prices.assumed["item_kb"]
    gigabytes = kilobytes / 1e6
    yield Use("Log table", "dynamodb-storage", gigabytes * (1 + prices.assumed["indexes"]))
    yield Use("Log table: point-in-time recovery", "dynamodb-recovery", gigabytes)


def _endpoint(resource: Resource, _: list[Resource], prices: Prices) -> Iterator[Use]:
    if resource.values["vpc_endpoint_type"] != "Gateway":
        zones = len(resource.values["subnet_ids"])
        yield Use("Interface endpoint", "interface-endpoint", prices.assumed["hours"] * zones)


BY_TYPE: dict[str, Callable[[Resource, list[Resource], Prices], Iterator[Use]]] = {
    "aws_cloudwatch_composite_alarm": _composite_alarm,
    "aws_cloudwatch_dashboard": _dashboard,
    "aws_cloudwatch_event_rule": _rule,
    "aws_cloudwatch_metric_alarm": _alarm,
    "aws_dynamodb_table": _table,
    "aws_ecr_repository": _repository,
    "aws_rds_cluster": _cluster,
    "aws_rds_cluster_instance": _instance,
    "aws_s3_bucket": _bucket,
    "aws_vpc_endpoint": _endpoint,
}


def a_file(resources: list[Resource], prices: Prices) -> list[Use]:
    """Return what one file uses, whatever its size, when it finds the database paused."""
    assumed = prices.assumed
    names = ("trigger", *TASKS, "alert")
    scaling = _only(resources, "aws_rds_cluster").values["serverlessv2_scaling_configuration"][0]
    pause = scaling["seconds_until_auto_pause"]
    awake = assumed["wake_seconds"] * assumed["load_acu"] + pause * assumed["tail_acu"]
    writes = assumed["log_writes"] * math.ceil(assumed["item_kb"]) * (1 + assumed["indexes"])
    time = sum(assumed["call_seconds"] * _memory(resources, name) for name in names)
    return [
        Use("Database: waking up, and the minutes until it pauses", "aurora-acu", awake / 3600),
        Use("Functions: calls", "lambda-call", len(names)),
        Use("Functions: time", "lambda-time", time),
        Use("State machine", "transition", assumed["transitions"]),
        Use("Buckets: requests", "s3-write", assumed["s3_requests"]),
        Use("Log table", "dynamodb-write", writes),
        Use("Metrics, for an hour", "metric", assumed["metrics"] / assumed["hours"]),
        Use("Logs", "logs", assumed["log_kb_per_file"] / 1e6),
        Use("Alert, by mail", "mail", assumed["mails"]),
    ]


def a_gigabyte(resources: list[Resource], prices: Prices) -> list[Use]:
    """Return what each GB of CSV uses on its way."""
    seconds = {name: prices.seconds[name] * prices.assumed["slowness"] for name in TASKS}
    acu_hours = seconds["load"] / 3600 * prices.assumed["load_acu"]
    return [
        *(
            Use(f"Function {name}", "lambda-time", seconds[name] * _memory(resources, name))
            for name in TASKS
        ),
        Use("Database: capacity", "aurora-acu", acu_hours),
        Use("Database: writes", "aurora-io", prices.bytes["write_ahead_log"] * 1e9 / 4096),
        Use("Buckets: requests", "s3-write", prices.assumed["s3_requests_per_gb"]),
    ]


def a_gigabyte_kept(prices: Prices) -> list[Use]:
    """Return what each GB of CSV uses in a month after that."""
    return [
        Use("Landing", "s3-storage", 1),
        Use("Staging", "s3-storage", prices.bytes["staging"]),
        Use("Database", "aurora-storage", prices.bytes["database"]),
        Use("Database: backups", "aurora-backup", prices.bytes["database"]),
    ]


def raised(resources: list[Resource], prices: Prices) -> list[Use]:
    """Return what a month would use of what the module does not do."""
    hours = prices.assumed["hours"]
    return [
        Use(
            "The database awake all the time: a call every five minutes does it",
            "aurora-acu",
            hours * 0.5,
        ),
        Use(
            "The same under load, at aurora.max_capacity", "aurora-acu", hours * _maximum(resources)
        ),
        Use("A NAT gateway, in one zone", "nat", hours),
        Use("An interface endpoint, in three zones", "interface-endpoint", hours * 3),
        Use("RDS Proxy, which keeps the database awake besides", "proxy", hours * 8),
        Use("A web ACL before the API, without rules", "web-acl", 1),
        Use("A KMS key of your own, for kms_key_arn", "key", 1),
        Use("A dashboard beyond the account's third", "dashboard", 1),
        Use("A table that promises a file by a time of day: its alarm", "alarm", 1),
        Use("Its hours late, once the account's ten metrics are used up", "metric", 1),
        Use("A million calls of the API, without the database", "api-call", 1e6),
    ]


def report(resources: list[Resource], prices: Prices) -> str:
    """Return all figures, in Markdown."""
    document = prices.document
    lying = idle(resources, prices)
    kept = prices.assumed["csv_gb"]
    return "\n".join(
        [
            f"Prices of {document['region']} as known on {document['as_of']}, in USD without tax.",
            "",
            *_table_of(
                f"Idle, with {kept:g} GB of CSV kept", "a month", lying, prices, allowances=True
            ),
            "",
            *_table_of("A file, of whatever size", "each", a_file(resources, prices), prices),
            "",
            *_table_of("A GB of CSV, loaded", "each", a_gigabyte(resources, prices), prices),
            "",
            *_table_of("A GB of CSV, kept", "a month", a_gigabyte_kept(prices), prices),
            "",
            "| What would raise it | a month |",
            "| --- | ---: |",
            *(
                f"| {use.what} | {prices.usd(use.price, use.quantity):.2f} |"
                for use in raised(resources, prices)
            ),
        ]
    )


def place(figures: str, *, write: bool) -> None:
    """Put the figures into docs/cost.md, or raise CostError if it says others."""
    document = DOCUMENT.read_text()
    placed = with_figures(document, figures)
    if write:
        DOCUMENT.write_text(placed)
    elif placed != document:
        raise CostError(
            f"{DOCUMENT} says other figures: `python -m benchmarks.cost --write` puts these there."
        )


def with_figures(document: str, figures: str) -> str:
    """Return the document with these figures in their place."""
    begin, end = (
        "<!-- figures: python -m benchmarks.cost --write -->\n",
        "\n<!-- end of figures -->",
    )
    before, _, rest = document.partition(begin)
    _, marked, after = rest.partition(end)
    if not marked:
        raise CostError(f"{DOCUMENT} has no place for the figures, between {begin!r} and {end!r}.")
    return before + begin + figures + end + after


def _table_of(
    title: str, unit: str, uses: list[Use], prices: Prices, *, allowances: bool = False
) -> Iterator[str]:
    """Yield a table of equal things together, the dearest first."""
    together: dict[str, list[Use]] = {}
    for use in uses:
        together.setdefault(use.what, []).append(use)
    columns = [False, True] if allowances else [False]
    rows = {
        what: [prices.total(each, allowances=column) for column in columns]
        for what, each in together.items()
    }
    heads = [unit]
    if allowances:
        heads = [f"{unit}, nothing free", f"{unit}, with what AWS always gives"]
    yield f"| {' | '.join([title, *heads])} |"
    yield f"| --- |{' ---: |' * len(heads)}"
    for what in sorted(rows, key=lambda what: (-rows[what][0], what)):
        yield f"| {' | '.join([what, *map(_money, rows[what])])} |"
    whole = [prices.total(uses, allowances=column) for column in columns]
    yield f"| {' | '.join(['**Together**', *map(_money, whole)])} |"


def _money(usd: float) -> str:
    return (
        "0"
        if usd == 0
        else "< 0.0001"
        if usd < 0.0001
        else f"{usd:.4f}"
        if usd < 0.01
        else f"{usd:.2f}"
    )


def _minutes(schedule: str) -> float:
    found = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", schedule)
    if not found:
        raise CostError(f"how often is {schedule!r}? Only rates can be reckoned with.")
    return int(found[1]) * {"minute": 1, "hour": 60, "day": 1440}[found[2]]


def _memory(resources: list[Resource], name: str) -> float:
    """Return the memory of a function, in GB."""
    [function] = [
        each
        for each in resources
        if each.type == "aws_lambda_function" and each.address.endswith(f'["{name}"]')
    ]
    return float(function.values["memory_size"]) / 1024


def _maximum(resources: list[Resource]) -> float:
    scaling = _only(resources, "aws_rds_cluster").values["serverlessv2_scaling_configuration"][0]
    return float(scaling["max_capacity"])


def _only(resources: list[Resource], kind: str) -> Resource:
    [resource] = [each for each in resources if each.type == kind]
    return resource


if __name__ == "__main__":
    main()
