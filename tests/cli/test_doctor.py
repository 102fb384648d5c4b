"""Tests of `tm doctor` on the laptop cloud: each test breaks a part, checks it, and repairs it."""

import datetime as dt
import functools
import io
import json
import re
import shlex
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import boto3
import botocore
import botocore.exceptions
import botocore.session
import pytest

from cli import doctor
from cli.health import access, functions, loads, schema
from cli.health.finding import Finding, Verdict
from cli.stack import Stack
from local.postgres import connected
from shared import odcs
from shared.contract import ServiceLevel
from shared.endings import State, Status
from shared.ingestion import Run
from shared.ingestion_log import IngestionLog
from shared.telemetry import KEEP_ACTIVE
from tests.fixtures.aws import KEY, LANDING, LOG_TABLE, REGION, land, run_of
from tests.fixtures.contracts import contract_set
from tests.fixtures.database import Database
from tests.fixtures.laptop import Laptop
from tests.fixtures.operator import ACCOUNT, MOST, OUTPUTS, Cloud, deploy, have_contracts, tm
from tests.fixtures.pipeline import eventually
from tests.fixtures.rds_data_api import CLUSTER_ARN, Calls, DataApi, intercepted

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def findings(stack: Stack, check: str) -> list[Finding]:
    with mock.patch.object(doctor, "CHECKS", {check: doctor.CHECKS[check]}):
        return [finding for _, finding in doctor.examine(stack)]


def problem(stack: Stack, check: str) -> Finding:
    """Return the only problem that a check finds."""
    [found] = [each for each in findings(stack, check) if each.verdict is Verdict.WRONG]
    assert found.todo
    return found


def assert_ok(stack: Stack, check: str) -> None:
    found = findings(stack, check)
    assert {each.verdict for each in found} == {Verdict.OK}, found
    assert all(each.todo is None for each in found)


@pytest.fixture(scope="module")
def up(laptop: Laptop) -> Stack:
    """The laptop cloud as the operator's command opens it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TM_HOME", str(laptop.home))
        return Stack.open(None)


def altered(stack: Stack, **outputs: Any) -> Stack:
    """Return a stack with changed outputs; None removes an output."""
    found = {**stack.outputs, **outputs}
    return replace(stack, outputs={name: value for name, value in found.items() if value})


@pytest.mark.usefixtures("operator")
def test_doctor_reports_no_problems() -> None:
    result = tm("doctor", "--json")

    found = json.loads(result.stdout)
    assert list(dict.fromkeys(each["check"] for each in found)) == list(doctor.CHECKS)
    # Other tests of this session may have caused problems that these checks find.
    shared = {"alarms", "failures", "spellings"}
    bad = [each for each in found if each["verdict"] == "wrong" and each["check"] not in shared]
    assert not bad
    assert result.exit_code == any(each["verdict"] == "wrong" for each in found)
    assert len([each for each in found if each["check"] == "last loads"]) == len(odcs.load_all())


@pytest.mark.usefixtures("operator")
def test_doctor_prints_finding_with_instruction(monkeypatch: pytest.MonkeyPatch) -> None:
    finding = Finding(Verdict.WRONG, "the [wire]\nis cut", "`fix it`")
    checks = {"credentials": doctor.CHECKS["credentials"], "wire": lambda _: [finding]}
    monkeypatch.setattr(doctor, "CHECKS", checks)

    result = tm("doctor")

    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "ok       credentials    arn:aws:iam::000000000000:root",
        "wrong    wire           the [wire] is cut",
        "                        → `fix it`",
    ]


def test_contracts_check_reports_invalid_contract(
    up: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = "budgets.odcs.yaml: column 'a': it is broken"
    have_contracts(contract_set(odcs.load_all(), {"budgets": reason}), monkeypatch)

    found = [finding for name, finding in doctor.examine(up) if name == "contracts"]

    assert found == [Finding(Verdict.WRONG, reason, "correct the contract, then `tm up`")]


def test_outputs_check_reports_stack_of_older_version(up: Stack) -> None:
    (_, first), *others = doctor.examine(altered(up, topic_arn=None))

    assert first.verdict is Verdict.WRONG
    assert "an older version deployed the stack: topic_arn" in first.what
    assert {(each.verdict, each.todo) for _, each in others} == {
        (Verdict.UNKNOWN, "fix outputs first")
    }


@pytest.mark.parametrize(
    ("minutes", "verdict", "what"),
    [
        (6, "wrong", "s fast: AWS refuses requests"),
        (-6, "wrong", "s slow: AWS refuses requests"),
        (2, "warning", "s fast"),
        (0.5, "ok", "clock agrees with AWS"),
    ],
)
def test_clock_check_reports_skew(
    up: Stack, monkeypatch: pytest.MonkeyPatch, minutes: float, verdict: str, what: str
) -> None:
    now = access.now
    monkeypatch.setattr(access, "now", lambda: now() + dt.timedelta(minutes=minutes))
    [found] = findings(up, "clock")
    assert found.verdict == verdict
    assert what in found.what


def test_credentials_check_reports_refused_credentials(up: Stack, laptop: Laptop) -> None:
    stranger = replace(laptop.aws, access_key_id="nobody")
    found = dict(doctor.examine(replace(up, client=stranger.client)))

    assert found["clock"].verdict is Verdict.OK, "a refusal has a Date header too"
    assert found["credentials"].verdict is Verdict.WRONG
    assert "tm up" in str(found["credentials"].todo)
    assert found["alarms"].todo == "fix credentials first"
    assert_ok(up, "credentials")


def test_credentials_check_reports_missing_credentials(up: Stack) -> None:
    client = mock.Mock()
    client.get_caller_identity.side_effect = botocore.exceptions.NoCredentialsError
    found = dict(doctor.examine(replace(up, client=lambda _: client, tap=None)))

    assert found["clock"].verdict is Verdict.UNKNOWN
    assert found["credentials"].what == "Unable to locate credentials"
    assert "aws sso login" in str(found["credentials"].todo)


def test_credentials_check_reports_other_account(up: Stack) -> None:
    machine = up.state_machine_arn.replace("000000000000", "123456789012")
    elsewhere = replace(up, state_machine_arn=machine)
    assert "the stack is in account 123456789012" in problem(elsewhere, "credentials").what


def test_subscriptions_check_reports_unconfirmed_subscription(up: Stack) -> None:
    """The check covers the topic for alarms too."""
    sns = up.client("sns")
    topic = sns.create_topic(Name="doctor-alarms")["TopicArn"]
    stack = altered(up, alarm_topic_arn=topic)
    first, nobody = findings(stack, "subscriptions")
    assert (first.verdict, nobody.verdict) == (Verdict.OK, Verdict.WARNING)
    assert "doctor-alarms has no subscriptions" in nobody.what

    # An HTTP endpoint must confirm its subscription, and nothing listens on this port.
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint="http://127.0.0.1:9/alarms")
    unconfirmed = "1 of 1 subscriptions to doctor-alarms are not confirmed"
    assert unconfirmed in problem(stack, "subscriptions").what


def test_subscriptions_check_lists_pending_endpoints(up: Stack) -> None:
    sns = mock.Mock()
    listed = [
        {"SubscriptionArn": arn, "Protocol": "email", "Endpoint": f"{who}@example.com"}
        for who, arn in (("ned", "PendingConfirmation"), ("jon", "arn:…"))
    ]
    sns.get_paginator().paginate.return_value = [{"Subscriptions": listed}]
    sns.get_topic_attributes.return_value = {"Attributes": {"SubscriptionsPending": "1"}}
    found = problem(replace(up, client=lambda _: sns), "subscriptions")
    assert found.what.startswith("1 of 2 subscriptions to tm-pipeline-alerts are not confirmed")
    assert found.what.endswith(": ned@example.com")


def problem_between(
    stack: Stack, check: str, do: Callable[[], object], undo: Callable[[], object]
) -> Finding:
    """Return the only problem between `do` and `undo`; assert that there is none afterwards."""
    do()
    try:
        found = problem(stack, check)
    finally:
        undo()
    assert_ok(stack, check)
    return found


def test_landing_check_reports_missing_and_filtered_notifications(up: Stack) -> None:
    s3, bucket = up.client("s3"), up.outputs["landing_bucket"]
    before = s3.get_bucket_notification_configuration(Bucket=bucket)
    before.pop("ResponseMetadata")
    [complete] = before["LambdaFunctionConfigurations"]
    rules = [{"Name": "suffix", "Value": ".csv"}]
    partial = complete | {"Filter": {"Key": {"FilterRules": rules}}}
    filtered = {"LambdaFunctionConfigurations": [partial]}

    def put(configuration: dict[str, Any]) -> None:
        s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration=configuration
        )

    found = problem_between(up, "landing", lambda: put({}), lambda: put(before))
    assert "does not notify trigger" in found.what
    found = problem_between(up, "landing", lambda: put(filtered), lambda: put(before))
    assert "notifies trigger of some keys only" in found.what


def test_landing_check_reports_missing_versioning(up: Stack) -> None:
    s3, bucket = up.client("s3"), up.outputs["landing_bucket"]

    def put(status: str) -> None:
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})

    found = problem_between(up, "landing", lambda: put("Suspended"), lambda: put("Enabled"))
    assert "has no versioning" in found.what


def with_bucket_of(stack: Stack, account: str, *rules: str) -> Stack:
    """Return a stack with an existing landing bucket of an account, and rules that call trigger."""
    keys = [{"prefix": "erp/"}, {"prefix": "table="}]
    detail = {"bucket": {"name": [LANDING]}, "object": {"key": keys}}
    needs = {"event_pattern": json.dumps({"account": [account], "detail": detail})}
    events = mock.Mock()
    events.get_paginator().paginate.return_value = [{"RuleNames": rules}]
    events.describe_rule = lambda Name: {"Name": Name}  # noqa: N803 - boto3's name
    found = altered(stack, landing_bucket_needs=needs)
    return replace(found, client=lambda name: events if name == "events" else stack.client(name))


def test_landing_check_reports_what_an_existing_bucket_lacks(
    aws_stack: Stack, s3: "S3Client", monkeypatch: pytest.MonkeyPatch
) -> None:
    """The S3 notification of a created bucket does not matter."""
    stack = with_bucket_of(aws_stack, ACCOUNT, "tm-landing")
    found = problem(stack, "landing")
    assert found.what.startswith("tm-landing does not send its events to EventBridge; watch starts")
    assert (
        found.todo
        == f"ask account {ACCOUNT}, which owns the bucket: docs/deploy.md, Landing bucket"
    )

    # moto does not return this setting.
    sending = mock.Mock(return_value={"EventBridgeConfiguration": {}})
    monkeypatch.setattr(stack.s3, "get_bucket_notification_configuration", sending)
    assert_ok(stack, "landing")
    no_rule = with_bucket_of(stack, ACCOUNT)
    assert "no rule sends the files of tm-landing to trigger" in problem(no_rule, "landing").what
    needs = stack.outputs["landing_bucket_needs"]
    for prefix, what in (
        ("table=", "files under table= are not read"),
        ("erp/", "files of projectbudgets are not read, e.g. 'erp/budgets.csv'"),
    ):
        narrow = {"event_pattern": needs["event_pattern"].replace(prefix, "in/")}
        [found] = findings(altered(stack, landing_bucket_needs=narrow), "landing")
        assert found.verdict == Verdict.WARNING
        assert found.what.startswith(what)
    elsewhere = replace(stack, outputs={**stack.outputs, "region": "us-east-2"})
    assert "tm-landing is not in us-east-2" in problem(elsewhere, "landing").what

    s3.put_bucket_versioning(Bucket=LANDING, VersioningConfiguration={"Status": "Suspended"})
    assert "tm-landing has no versioning" in problem(stack, "landing").what


def test_landing_check_says_what_it_cannot_see_in_a_bucket_of_another_account(
    aws_stack: Stack,
) -> None:
    stack = with_bucket_of(aws_stack, "210987654321")
    denied = botocore.exceptions.ClientError({"Error": {"Code": "AccessDenied"}}, "any")
    closed = mock.Mock(
        head_bucket=mock.Mock(side_effect=denied),
        get_bucket_versioning=mock.Mock(side_effect=denied),
        get_bucket_notification_configuration=mock.Mock(side_effect=denied),
    )

    found = findings(replace(stack, client=lambda _: closed), "landing")

    assert {each.verdict for each in found} == {Verdict.UNKNOWN}
    assert [each.what for each in found] == [
        "your identity has no s3:ListBucket on tm-landing",
        "your identity has no s3:GetBucketNotification on tm-landing",
        "your identity has no s3:GetBucketVersioning on tm-landing",
        "the rule and the policy of tm-landing are in account 210987654321",
    ]
    assert found[0].todo == "ask account 210987654321, which owns the bucket, to allow it"


@pytest.mark.parametrize(
    ("function", "sid", "check", "what"),
    [
        ("trigger", "landing", "landing", "may not call trigger"),
        ("alert", "notice", "events", "may not call alert"),
        ("watch", "schedule", "events", "may not call watch"),
        ("api", "keep-active", "events", "keep-active-api may not call api"),
    ],
)
def test_checks_report_missing_permission(
    up: Stack, function: str, sid: str, check: str, what: str
) -> None:
    client, name = up.client("lambda"), up.outputs["function_names"][function]
    policy = json.loads(client.get_policy(FunctionName=name)["Policy"])
    statement = next(each for each in policy["Statement"] if sid in each["Sid"])
    place = {"FunctionName": name, "StatementId": statement["Sid"]}
    account = statement["Condition"].get("StringEquals", {}).get("AWS:SourceAccount")
    permission = place | {
        "Action": statement["Action"],
        "Principal": statement["Principal"]["Service"],
        "SourceArn": statement["Condition"]["ArnLike"]["AWS:SourceArn"],
        **({"SourceAccount": account} if account else {}),
    }
    found = problem_between(
        up,
        check,
        lambda: client.remove_permission(**place),
        lambda: client.add_permission(**permission),
    )
    assert what in found.what


@pytest.mark.parametrize("rule", ["execution-ended", "notice", "watch", "keep-active-load"])
def test_events_check_reports_disabled_rule(up: Stack, rule: str) -> None:
    events, name = up.client("events"), f"{up.outputs['name']}-{rule}"
    found = problem_between(
        up, "events", lambda: events.disable_rule(Name=name), lambda: events.enable_rule(Name=name)
    )
    assert found.what == f"the rule {name} is disabled"
    assert found.todo == f"`aws events enable-rule --name {name}`"


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        ("execution-ended", "no rule sends to alert: run-end events with status SUCCEEDED,"),
        ("execution-ended", "no rule sends run-end events to watch"),
        ("notice", "to alert: the notice 'Ingestion Rejected', the notice 'File Missing'"),
        ("watch", "no schedule calls watch, so missing files go unnoticed"),
        ("keep-active-migrate", "no rule keeps migrate active"),
    ],
)
def test_events_check_reports_rule_without_target(up: Stack, rule: str, what: str) -> None:
    events, name = up.client("events"), f"{up.outputs['name']}-{rule}"
    targets = events.list_targets_by_rule(Rule=name)["Targets"]
    events.remove_targets(Rule=name, Ids=[each["Id"] for each in targets])
    found = findings(up, "events")
    events.put_targets(Rule=name, Targets=targets)
    assert [each for each in found if each.verdict is Verdict.WRONG and what in each.what]
    assert_ok(up, "events")


def test_state_machine_check_reports_missing_machine(up: Stack) -> None:
    assert_ok(up, "state machine")
    gone = replace(up, state_machine_arn=f"{up.state_machine_arn}-of-old")
    assert problem(gone, "state machine").what.endswith("-of-old does not exist")


def test_state_machine_check_reports_foreign_function(up: Stack) -> None:
    client, machine = up.client("stepfunctions"), up.outputs["state_machine_arn"]
    definition = client.describe_state_machine(stateMachineArn=machine)["definition"]
    load = up.outputs["function_names"]["load"]
    update = functools.partial(client.update_state_machine, stateMachineArn=machine)
    other = functools.partial(update, definition=definition.replace(f":{load}", ":somebody-elses"))
    found = problem_between(
        up, "state machine", other, functools.partial(update, definition=definition)
    )
    assert found.what.endswith("does not call load")


def test_functions_check_reports_zero_concurrency(up: Stack) -> None:
    client, name = up.client("lambda"), up.outputs["function_names"]["migrate"]
    found = problem_between(
        up,
        "functions",
        lambda: client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0),
        lambda: client.delete_function_concurrency(FunctionName=name),
    )
    assert "migrate cannot be called" in found.what
    assert found.todo == f"`aws lambda delete-function-concurrency --function-name {name}`"


def test_functions_check_reports_changed_code(up: Stack) -> None:
    client, name = up.client("lambda"), up.outputs["function_names"]["migrate"]
    by_hand = io.BytesIO()
    with zipfile.ZipFile(by_hand, "w") as archive:
        archive.writestr("functions/migrate/handler.py", "def handler(*_): pass")
    client.update_function_code(FunctionName=name, ZipFile=by_hand.getvalue())
    found = eventually(lambda: [e for e in findings(up, "functions") if e.verdict != "warning"])
    assert [each.what for each in found] == ["functions that do not run the deployed code: migrate"]
    code = {"S3Bucket": "tm-pipeline-code", "S3Key": "functions.zip"}
    client.update_function_code(FunctionName=name, **code)
    eventually(lambda: findings(up, "functions")[0].verdict == "ok")


def test_functions_check_reports_missing_function(up: Stack) -> None:
    gone = altered(up, function_names=up.outputs["function_names"] | {"watch": "gone"})
    assert problem(gone, "functions").what == "the function watch does not exist"


@pytest.mark.parametrize(
    ("configuration", "verdict", "what"),
    [
        ({}, None, ""),
        ({"State": "Active", "LastUpdateStatus": "Successful"}, None, ""),
        ({"State": "Inactive"}, "warning", "fails and activates it, which takes one to two"),
        ({"State": "Pending"}, "warning", "is being deployed"),
        ({"State": "Active", "LastUpdateStatus": "InProgress"}, "warning", "is being deployed"),
        ({"State": "Failed", "StateReason": "no image"}, "wrong", "has failed: no image"),
        (
            {"LastUpdateStatus": "Failed", "LastUpdateStatusReason": "no ENI"},
            "wrong",
            "the last update of load failed: no ENI",
        ),
    ],
)
def test_functions_check_reports_lambda_states(
    configuration: dict[str, str], verdict: str | None, what: str
) -> None:
    stack = mock.Mock(spec=Stack, apply="`terraform apply`", outputs=OUTPUTS)
    answer = {"Configuration": {"FunctionName": "tm-load", **configuration}}
    found = list(functions._state(stack, "load", answer))
    assert [each.verdict for each in found] == [verdict] * bool(verdict)
    assert all(what in each.what for each in found)


def test_command_to_activate_function_sends_keep_active_event() -> None:
    stack = mock.Mock(spec=Stack, outputs=OUTPUTS)
    answer = {"Configuration": {"FunctionName": "tm-load", "State": "Inactive"}}
    [found] = functions._state(stack, "load", answer)

    command, _, rest = str(found.todo).removeprefix("`").partition("`")
    arguments = shlex.split(command)
    assert arguments[:5] == ["aws", "lambda", "invoke", "--function-name", "tm-load"]
    assert json.loads(arguments[arguments.index("--payload") + 1]) == KEEP_ACTIVE
    assert "the rule tm-keep-active-load is enabled" in rest


@pytest.mark.parametrize(("deployed", "same"), [("repo@sha256:1", True), ("repo@sha256:2", False)])
def test_functions_check_compares_image_uri(deployed: str, same: bool) -> None:
    stack = mock.Mock(spec=Stack, outputs={"image_uris": {"load": "repo@sha256:1"}})
    assert functions._as_deployed(stack, "load", {"Code": {"ImageUri": deployed}}, "") is same


@pytest.mark.parametrize(
    ("statement", "back", "what"),
    [
        (
            "INSERT INTO schema_version (contract, version, ddl_hash) "
            "VALUES ('dailycheckins', '0.9.0', 'x')",
            "DELETE FROM schema_version WHERE version = '0.9.0'",
            "the table of dailycheckins has contract version 0.9.0, but 1.",
        ),
        (
            "UPDATE schema_version SET contract = 'budgets' WHERE contract = 'projectbudgets'",
            "UPDATE schema_version SET contract = 'projectbudgets' WHERE contract = 'budgets'",
            "projectbudgets has no table: migrate has not created it",
        ),
        (
            "ALTER TABLE project_budgets RENAME TO elsewhere",
            "ALTER TABLE elsewhere RENAME TO project_budgets",
            "the table project_budgets, which migrate created, no longer exists",
        ),
        (
            "ALTER TABLE schema_version RENAME TO elsewhere",
            "ALTER TABLE elsewhere RENAME TO schema_version",
            "migrate has not run",
        ),
    ],
)
def test_schema_check_reports_difference_from_contracts(
    up: Stack, statement: str, back: str, what: str
) -> None:
    assert up.database is not None
    with connected(up.database) as administrator:
        run = administrator.run
        found = problem_between(up, "schema", lambda: run(statement), lambda: run(back))
    assert what in found.what


def test_schema_check_reports_unreachable_database(up: Stack) -> None:
    assert up.database is not None
    away = replace(up, database=replace(up.database, port=1))
    assert "PostgreSQL does not answer" in problem(away, "schema").what


def test_alarms_check_reports_active_and_muted_alarm(up: Stack) -> None:
    cloudwatch, name = up.client("cloudwatch"), f"{up.outputs['name']}-doctor"
    cloudwatch.put_metric_alarm(
        AlarmName=name,
        AlarmDescription="Runs fail. See docs/runbook.md, Alarm: executions-failed.",
        Namespace="tests",
        MetricName="Doctor",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="3 of 3")
    on = {each.what.split()[0]: each for each in findings(up, "alarms")}
    assert on[name].verdict == "wrong"
    assert on[name].what.endswith("UTC: Runs fail.")
    assert on[name].todo == "docs/runbook.md, Alarm: executions-failed"

    cloudwatch.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="0 of 3")
    cloudwatch.disable_alarm_actions(AlarmNames=[name])
    muted = {each.what.split()[0]: each for each in findings(up, "alarms")}
    assert muted[name].verdict == "warning"
    assert muted[name].todo == f"`aws cloudwatch enable-alarm-actions --alarm-names {name}`"

    cloudwatch.enable_alarm_actions(AlarmNames=[name])
    assert not any(name in each.what for each in findings(up, "alarms"))
    cloudwatch.delete_alarms(AlarmNames=[name])


def test_alarms_check_reports_missing_alarms(up: Stack) -> None:
    assert problem(altered(up, name="another"), "alarms").what == "the stack has no alarms"


# The following tests simulate AWS with moto, where they can change times and use Aurora.


def test_last_loads_check_reports_overdue_file(
    aws_stack: Stack, cloud: Cloud, log: IngestionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = odcs.load_all()["dailycheckins"]
    promised = contract.model_copy(
        update={"sla": ServiceLevel.model_validate({"time": "00:00"}), "timezone": "UTC"}
    )
    have_contracts(contract_set({"dailycheckins": promised}, {}), monkeypatch)
    [found] = findings(aws_stack, "last loads")
    assert found.what == "dailycheckins: no load within 31 days", "not due on a new stack"
    assert found.verdict == "ok"

    last_week = dt.datetime.now(dt.UTC) - dt.timedelta(days=7)
    monkeypatch.setattr(IngestionLog, "begun", lambda _: last_week)
    today = dt.datetime.now(dt.UTC).date()
    key = f"table=dailycheckins/year={today.year}/month={today.month}/day={today.day}/f.csv"
    cloud.ingest(b"refused", key)
    late = problem(aws_stack, "last loads")
    assert f"the file of {today} was due by {today} 00:00 UTC" in late.what
    assert str(late.todo).startswith(f"`tm status --table dailycheckins --date {today}`")

    cloud.start(b"good", key)
    assert_ok(aws_stack, "last loads")
    cloud.turn()
    assert_ok(aws_stack, "last loads")
    assert f"file of {today} loaded 0 min ago" in findings(aws_stack, "last loads")[0].what

    for item in list(log.of_day(today)):
        log.removed(item["ingestedID"], item["ingestedTable"])
    late = problem(aws_stack, "last loads")
    assert late.what.startswith("dailycheckins: no load within 31 days")


def test_failures_check_reports_failure_until_key_is_loaded(aws_stack: Stack, cloud: Cloud) -> None:
    assert_ok(aws_stack, "failures")
    failed = cloud.ingest(b"refused")
    found = problem(aws_stack, "failures")
    assert found.what.startswith(f"{failed.id} of dailycheckins failed 0 min ago in ")
    assert found.todo == f"`tm status {failed.id}`"

    cloud.ingest(b"good", KEY.replace(".csv", "2.csv"))
    assert problem(aws_stack, "failures") == found
    cloud.ingest(b"good")
    assert_ok(aws_stack, "failures")


def test_spellings_check_reports_two_spellings_of_one_key(aws_stack: Stack, s3: "S3Client") -> None:
    day = "table=dailycheckins/year=2024/month={}/day={}/{}"
    for key in ((3, 3, "a.csv"), ("03", 3, "b.csv"), (4, "05", "it's.csv"), (12, "05", "c.csv")):
        s3.put_object(Bucket=LANDING, Key=day.format(*key), Body=b"x")
    assert_ok(aws_stack, "spellings")

    s3.put_object(Bucket=LANDING, Key=day.format("04", "05", "it's.csv"), Body=b"x")

    found = problem(aws_stack, "spellings")
    assert "month=4/day=05/it's.csv" in found.what
    assert "month=04/day=05/it's.csv" in found.what
    assert str(found.todo).startswith("`tm remove 'table=")


def test_runs_check_reports_ended_run_that_is_open_in_log(aws_stack: Stack, cloud: Cloud) -> None:
    ingestion = cloud.start(b"good")
    assert_ok(aws_stack, "runs")
    boto3.resource("dynamodb", region_name=REGION).Table(LOG_TABLE).update_item(
        Key={"ingestedID": ingestion.id, "ingestedTable": ingestion.table},
        UpdateExpression="SET updatedAt = :at",
        ExpressionAttributeValues={":at": "2024-03-03T09:00:00.000Z"},
    )
    assert_ok(aws_stack, "runs")
    item = cloud.item(ingestion)
    assert (item["state"], item["status"]) == (State.TRIGGER, Status.RUNNING)
    cloud.stop(Run.from_item(item), "ABORTED")
    found = problem(aws_stack, "runs")
    assert "its run ended with ABORTED" in found.what
    assert found.todo == f"`tm replay {ingestion.id}`"

    assert tm("replay", ingestion.id).exit_code == 0
    assert_ok(aws_stack, "runs")


def test_runs_check_reports_run_that_never_started(
    aws_stack: Stack, cloud: Cloud, log: IngestionLog
) -> None:
    ingestion = cloud.ingest(b"good")
    again = Run(f"{run_of(ingestion).execution_arn}-r2")
    log.reopen(cloud.item(ingestion), again)
    log.begin(ingestion, again)
    with mock.patch.object(loads, "_STUCK", dt.timedelta(0)):
        found = problem(aws_stack, "runs")
    assert "its run never started, or ended more than 90 days ago" in found.what


def test_runs_check_reports_file_that_waits_despite_free_slot(
    aws_stack: Stack, log: IngestionLog, s3: "S3Client"
) -> None:
    ingestion = land(s3, b"good")
    log.enqueue(ingestion, run_of(ingestion))
    with mock.patch.object(loads, "_STUCK", dt.timedelta(0)):
        found = problem(aws_stack, "runs")
        assert "has waited for 0 min, although 5 more runs may start" in found.what
        assert found.todo == f"`tm replay {ingestion.id}`"
        for number in range(MOST):
            log.claim_slot(f"20240303-{number}/dailycheckins/a-run", MOST)
        assert_ok(aws_stack, "runs")


def test_schema_check_is_unknown_for_given_database(aws_stack: Stack) -> None:
    [found] = findings(aws_stack, "schema")
    assert found.verdict == "unknown"
    assert "cannot be reached from here" in found.what
    assert "aws lambda invoke --function-name tm-migrate" in str(found.todo)


@pytest.mark.parametrize(
    ("public", "verdict"), [(["connect to the database hr"], "warning"), ([], "ok")]
)
def test_privileges_check_asks_migrate(aws_stack: Stack, public: list[str], verdict: str) -> None:
    client = mock.Mock()
    answer = json.dumps({"public": public}).encode()
    client.invoke.return_value = {"Payload": io.BytesIO(answer)}

    [found] = findings(replace(aws_stack, client=lambda _, **__: client), "privileges")

    assert found.verdict == verdict
    assert all(words in found.what for words in public)
    assert client.invoke.call_args.kwargs["FunctionName"] == "tm-migrate"


@pytest.fixture
def calls(migrated: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Calls of the Data API by a stack with Aurora, which a real PostgreSQL simulates."""
    outputs = {
        "database_cluster_arn": CLUSTER_ARN,
        "database_secret_arn": migrated.administrator.secret_arn,
        "database_name": migrated.name,
    }
    deploy(tmp_path, OUTPUTS | outputs, monkeypatch)
    monkeypatch.setattr(schema, "_PAUSE", 0.1)
    return intercepted(monkeypatch, DataApi(migrated.server, migrated.administrator))


def test_schema_check_uses_data_api_for_aurora(
    calls: Calls, migrated: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aurora = Stack.open(tmp_path)
    calls.says("DatabaseResumingException", "resuming", times=2)
    assert_ok(aurora, "schema")
    migrated.run("UPDATE schema_version SET version = '0.9.0'")
    assert {each.verdict for each in findings(aurora, "schema")} == {Verdict.WRONG}

    monkeypatch.setattr(schema, "_PATIENCE", 0.2)
    calls.says("DatabaseResumingException", "resuming", times=20)
    assert "DatabaseResumingException" in problem(aurora, "schema").what


def test_check_names_denied_aws_call(aws_stack: Stack) -> None:
    denied = botocore.exceptions.ClientError(
        {"Error": {"Code": "AccessDenied", "Message": "you may not"}}, "DescribeAlarms"
    )
    client = mock.Mock()
    client.get_paginator.side_effect = denied
    found = problem(replace(aws_stack, client=lambda _: client), "alarms")
    assert "you may not" in found.what
    assert found.todo == "allow your identity DescribeAlarms"


def test_suggested_aws_commands_exist() -> None:
    sources = [path.read_text() for path in Path(doctor.__file__).parent.rglob("*.py")]
    pattern = r"`aws ((?!sso )[a-z-]+ [a-z-]+(?: --[a-z-]+)*)"
    commands = sorted({command for text in sources for command in re.findall(pattern, text)})
    for command in commands:
        service, operation, *options = command.split()
        model = botocore.session.get_session().get_service_model(service)
        operations = {botocore.xform_name(name, "-"): name for name in model.operation_names}
        shape = model.operation_model(operations[operation]).input_shape
        assert shape is not None
        assert set(options) <= {f"--{botocore.xform_name(name, '-')}" for name in shape.members}
    assert [command.split()[1] for command in commands] == [
        "enable-alarm-actions",
        "enable-rule",
        "delete-function-concurrency",
        "invoke",
        "execute-statement",
    ]
