"""Checks of alerting: subscriptions to the topics, and alarms."""

from collections.abc import Iterator
from typing import Any

from cli.health.finding import Finding, ok, warning, wrong
from cli.items import many
from cli.stack import Stack

_PENDING = "PendingConfirmation"
_SEE = "See "  # the text in an alarm's description before its section of the runbook


def subscriptions(stack: Stack) -> Iterator[Finding]:
    """Check that the topics have subscriptions and that all are confirmed."""
    topics = [stack.outputs["topic_arn"], stack.outputs.get("alarm_topic_arn")]
    for topic in dict.fromkeys(filter(None, topics)):
        yield from _of_topic(stack, topic)


def _of_topic(stack: Stack, topic: str) -> list[Finding]:
    sns = stack.client("sns")
    name = topic.rpartition(":")[2]
    pages = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    found: list[Any] = [each for page in pages for each in page["Subscriptions"]]
    if not found:
        todo = f"add addresses to alert_emails, then {stack.apply}"
        return [warning(f"{name} has no subscriptions, so its messages reach nobody", todo)]
    attributes = sns.get_topic_attributes(TopicArn=topic)["Attributes"]
    if pending := int(attributes["SubscriptionsPending"]):
        endpoints = [each["Endpoint"] for each in found if each["SubscriptionArn"] == _PENDING]
        return [
            wrong(
                f"{pending} of {len(found)} subscriptions to {name} are not confirmed and receive "
                f"nothing: {', '.join(endpoints)}",
                "confirm them with the link in the mail from AWS (for HTTPS endpoints, its "
                f"SubscribeURL); the link expires after three days, {stack.apply} sends a new one",
            )
        ]
    kinds = ", ".join(sorted({each["Protocol"] for each in found}))
    return [ok(f"{many(len(found), 'subscription')} to {name}, all confirmed: {kinds}")]


def alarms(stack: Stack) -> Iterator[Finding]:
    """Check that the stack has alarms, and that none is on or muted."""
    paginator = stack.client("cloudwatch").get_paginator("describe_alarms")
    pages = paginator.paginate(
        AlarmNamePrefix=f"{stack.outputs['name']}-", AlarmTypes=["CompositeAlarm", "MetricAlarm"]
    )
    found: list[Any] = [
        each
        for page in pages
        for kind in ("CompositeAlarms", "MetricAlarms")
        for each in page[kind]
    ]
    on = [each for each in found if each["StateValue"] == "ALARM"]
    for each in on:
        why, _, todo = each.get("AlarmDescription", "").partition(_SEE)
        since = f"{each['StateUpdatedTimestamp']:%Y-%m-%d %H:%M} UTC"
        yield wrong(
            f"{each['AlarmName']} has been on since {since}: {why.rstrip() or each['StateReason']}",
            todo.removesuffix(".") or "docs/runbook.md, Alarms",
        )
    for each in found:
        if not each["ActionsEnabled"]:
            yield warning(
                f"{each['AlarmName']} is muted and notifies nobody",
                f"`aws cloudwatch enable-alarm-actions --alarm-names {each['AlarmName']}`",
            )
    if not found:
        yield wrong("the stack has no alarms", stack.apply)
    elif not on:
        yield ok(f"none of {many(len(found), 'alarm')} is on")
