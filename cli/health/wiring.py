"""Checks of the connections between the parts: S3 events, EventBridge rules, state machine."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import botocore.exceptions

from cli.health.finding import Finding, ok, one_or_all, unknown, warning, wrong
from cli.stack import Stack
from shared import notices
from shared.endings import TASKS, Notice
from shared.landing_key import HIVE
from shared.text import quoted

_ENDS = ("SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")
_CREATED = "s3:ObjectCreated:*"
_DENIED = {"403", "AccessDenied"}
_FALLBACK = "watch starts such files, but up to half an hour later"
_UNVERSIONED = "no versioning: a run could read a replaced file"


def landing(stack: Stack) -> list[Finding]:
    """Check that S3 notifies trigger of every landed file."""
    needs = stack.outputs.get("landing_bucket_needs")
    found = [*_of_created(stack)] if needs is None else [*_of_existing(stack, needs)]
    return one_or_all(found, "S3 notifies trigger of every file")


def _of_created(stack: Stack) -> Iterator[Finding]:
    """Yield the problems of a landing bucket that the module created."""
    bucket, trigger = stack.landing_bucket, _arn(stack, "trigger")
    notifications = stack.s3.get_bucket_notification_configuration(Bucket=bucket)
    configured = [
        each
        for each in notifications.get("LambdaFunctionConfigurations", ())
        if each["LambdaFunctionArn"] == trigger and _CREATED in each["Events"]
    ]
    if not configured:
        yield wrong(f"{bucket} does not notify trigger of files; {_FALLBACK}", stack.apply)
    elif all("Filter" in each for each in configured):
        yield wrong(f"{bucket} notifies trigger of some keys only; {_FALLBACK}", stack.apply)
    if stack.s3.get_bucket_versioning(Bucket=bucket).get("Status") != "Enabled":
        yield wrong(f"{bucket} has {_UNVERSIONED}", stack.apply)
    if not _may_call(stack, "trigger", "s3.amazonaws.com", f":s3:::{bucket}"):
        yield wrong(f"{bucket} may not call trigger; {_FALLBACK}", stack.apply)


def _of_existing(stack: Stack, needs: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield the problems of the module's variable `landing_bucket`, as far as S3 shows them."""
    bucket, region = stack.landing_bucket, stack.outputs["region"]
    pattern = json.loads(needs["event_pattern"])
    [owner] = pattern["account"]
    ask = f"ask account {owner}, which owns the bucket"
    expected: dict[str, tuple[Callable[..., Any], Callable[[Any], bool], str]] = {
        "s3:ListBucket": (
            stack.s3.head_bucket,
            lambda answer: answer.get("BucketRegion", region) == region,
            f"is not in {region}, so its events do not reach trigger; {_FALLBACK}",
        ),
        "s3:GetBucketNotification": (
            stack.s3.get_bucket_notification_configuration,
            lambda answer: "EventBridgeConfiguration" in answer,
            f"does not send its events to EventBridge; {_FALLBACK}",
        ),
        "s3:GetBucketVersioning": (
            stack.s3.get_bucket_versioning,
            lambda answer: answer.get("Status") == "Enabled",
            f"has {_UNVERSIONED}",
        ),
    }
    for action, (call, is_well, problem) in expected.items():
        try:
            answer = call(Bucket=bucket)
        except botocore.exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in _DENIED:
                raise
            yield unknown(f"your identity has no {action} on {bucket}", f"{ask}, to allow it")
        else:
            if not is_well(answer):
                yield wrong(f"{bucket} {problem}", f"{ask}: docs/deploy.md, Landing bucket")
    prefixes = [each["prefix"] for each in pattern["detail"].get("object", {}).get("key", ())]
    if prefixes and not any(each.startswith(HIVE) or HIVE.startswith(each) for each in prefixes):
        yield warning(
            f"files under {HIVE} are not read: tm drop, tm smoke, contracts without keys",
            f'add "{HIVE}" to landing_bucket.prefixes',
        )
    for table, contract in stack.contracts.items():
        examples = [each for pattern in contract.keys for each in pattern.examples]
        unread = [each for each in examples if not each.startswith(tuple(prefixes) or "")]
        if unread:
            yield warning(
                f"files of {table} are not read, e.g. {quoted(unread[0])}",
                "add the beginning of their keys to landing_bucket.prefixes",
            )
    if owner != stack.state_machine_arn.split(":")[4]:
        yield unknown(
            f"the rule and the policy of {bucket} are in account {owner}",
            "`tm smoke` shows whether they work",
        )
    elif f"{stack.outputs['name']}-landing" not in [r["Name"] for r in _rules(stack, "trigger")]:
        yield wrong(f"no rule sends the files of {bucket} to trigger; {_FALLBACK}", stack.apply)


def events(stack: Stack) -> list[Finding]:
    """Check the EventBridge rules that call alert and watch and keep all functions active."""
    found: list[Finding] = []
    patterns = []
    for function in sorted(stack.outputs["function_names"]):
        keeper = f"{stack.outputs['name']}-keep-active-{function}"
        rules = _rules(stack, function)
        for rule in rules:
            name = rule["Name"]
            if rule["State"] == "DISABLED":
                found.append(
                    wrong(f"the rule {name} is disabled", f"`aws events enable-rule --name {name}`")
                )
            if not _may_call(stack, function, "events.amazonaws.com", f":rule/{name}"):
                found.append(wrong(f"the rule {name} may not call {function}", stack.apply))
        others = [rule for rule in rules if rule["Name"] != keeper]
        if len(others) == len(rules):
            inactive = (
                f"no rule keeps {function} active: after weeks without a call, one call fails"
            )
            found.append(wrong(inactive, stack.apply))
        if function == "alert":
            patterns = [rule["EventPattern"] for rule in others if "EventPattern" in rule]
        if function == "watch" and not any("ScheduleExpression" in rule for rule in others):
            found.append(
                wrong("no schedule calls watch, so missing files go unnoticed", stack.apply)
            )
        if function == "watch" and not any("EventPattern" in rule for rule in others):
            late = "queued files start at the next scheduled call only"
            found.append(wrong(f"no rule sends run-end events to watch: {late}", stack.apply))
    unmatched = [what for what, event in _samples(stack) if not _matches(stack, patterns, event)]
    if unmatched:
        found.append(wrong(f"no rule sends to alert: {', '.join(unmatched)}", stack.apply))
    return one_or_all(
        list(dict.fromkeys(found)),
        "alert gets every run-end event, watch runs on schedule, all functions are kept active",
    )


def state_machine(stack: Stack) -> Iterator[Finding]:
    """Check that the state machine exists and calls the functions of this stack."""
    client = stack.stepfunctions
    try:
        machine = client.describe_state_machine(stateMachineArn=stack.state_machine_arn)
    except client.exceptions.StateMachineDoesNotExist:
        yield wrong(f"{stack.state_machine_arn} does not exist", stack.apply)
        return
    missing = [name for name in TASKS if f'"{_arn(stack, name)}"' not in machine["definition"]]
    if machine["status"] != "ACTIVE":
        yield wrong(f"{machine['name']} is {machine['status'].lower()}", stack.apply)
    elif missing:
        yield wrong(f"{machine['name']} does not call {', '.join(missing)}", stack.apply)
    else:
        yield ok(f"{machine['name']} calls {', '.join(TASKS[:-1])} and {TASKS[-1]}")


def _rules(stack: Stack, function: str) -> list[Any]:
    target = _arn(stack, function)
    paginator = stack.events.get_paginator("list_rule_names_by_target")
    names = [name for page in paginator.paginate(TargetArn=target) for name in page["RuleNames"]]
    return [stack.events.describe_rule(Name=name) for name in names]


def _samples(stack: Stack) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield one event of each kind that alert must get, with a description."""
    for status in _ENDS:
        detail = {"stateMachineArn": stack.state_machine_arn, "status": status}
        yield (
            f"run-end events with status {status}",
            {
                "source": "aws.states",
                "detail-type": "Step Functions Execution Status Change",
                "detail": detail,
            },
        )
    for notice in Notice:
        event = {"source": notices.SOURCE, "detail-type": notice, "detail": {}}
        yield f"the notice {notice.value!r}", event


def _matches(stack: Stack, patterns: Iterable[str], event: dict[str, Any]) -> bool:
    _, _, _, region, account, *_ = stack.state_machine_arn.split(":")
    envelope: dict[str, Any] = {
        "id": "tm-doctor",
        "account": account,
        "region": region,
        "time": "2024-03-03T00:00:00Z",
        "resources": [],
    }
    return any(
        stack.events.test_event_pattern(EventPattern=pattern, Event=json.dumps(envelope | event))[
            "Result"
        ]
        for pattern in patterns
    )


def _may_call(stack: Stack, function: str, service: str, source: str) -> bool:
    """Return whether a function's policy allows calls from a source whose ARN ends like that."""
    client = stack.client("lambda")
    try:
        answer = client.get_policy(FunctionName=stack.outputs["function_names"][function])
    except client.exceptions.ResourceNotFoundException:
        return False
    return any(
        each["Effect"] == "Allow"
        and each["Principal"] == {"Service": service}
        and any(arn.endswith(source) for arn in _sources(each.get("Condition", {})))
        for each in json.loads(answer["Policy"])["Statement"]
    )


def _sources(condition: Mapping[str, Mapping[str, str]]) -> list[str]:
    return [
        value
        for operator in ("ArnLike", "ArnEquals", "StringEquals")
        for key, value in condition.get(operator, {}).items()
        if key.lower() == "aws:sourcearn"
    ]


def _arn(stack: Stack, function: str) -> str:
    _, partition, _, region, account, *_ = stack.state_machine_arn.split(":")
    name = stack.outputs["function_names"][function]
    return f"arn:{partition}:lambda:{region}:{account}:function:{name}"
