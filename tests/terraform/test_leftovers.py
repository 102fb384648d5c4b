"""What may be left of a stack, and what may not; test_complete_example.py looks at a whole one."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.terraform.leftovers import leftovers

SNAPSHOT = "tm-pipeline-database-of-20261128101500"
BACKUP = "tm-pipeline-log$DeletedTableBackup-1701168000000"


@pytest.mark.parametrize(
    ("kind", "identifier"),
    [
        ("database snapshot", SNAPSHOT),
        ("log backup", f"{BACKUP} SYSTEM"),
        ("key", "1234abcd-12ab-34cd-56ef-1234567890ab PendingDeletion"),
        ("subscription", "PendingConfirmation you@example.com"),
    ],
)
def test_what_aws_keeps_is_expected(
    kind: str, identifier: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert leftovers.tell([(kind, identifier)], "tm-pipeline") == 0
    assert f"expected   {kind} {identifier}: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("kind", "identifier"),
    [
        ("database snapshot", "tm-pipeline-database-before-the-upgrade"),
        ("database snapshot", SNAPSHOT.replace("tm-pipeline", "other")),
        ("log backup", "by-hand USER"),
        ("key", "1234abcd-12ab-34cd-56ef-1234567890ab Enabled"),
        ("subscription", "arn:aws:sns:eu-west-1:123456789012:tm-pipeline-alerts:1 you@example.com"),
        ("network interface", "eni-1"),
    ],
)
def test_anything_else_is_left_over(
    kind: str, identifier: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert leftovers.tell([("key", "1 PendingDeletion"), (kind, identifier)], "tm-pipeline") == 1
    assert f"LEFT OVER  {kind} {identifier}\n" in capsys.readouterr().out


class Answers:
    """A client that answers every operation in the same way."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self._answer = answer

    def can_paginate(self, _operation: str) -> bool:
        return False

    def __getattr__(self, _operation: str) -> Any:
        return lambda **_arguments: self._answer


def found(kind: str, answer: dict[str, Any]) -> list[str]:
    session = SimpleNamespace(client=lambda _service: Answers(answer))
    return list(leftovers.KINDS[kind](session, "tm-pipeline"))


def test_other_stacks_are_none_of_this_one() -> None:
    names = ["tm-pipeline-load", "tm-pipelines-load", "other-load", "tm-pipeline"]
    functions = [{"FunctionName": name} for name in names]
    topics = [{"TopicArn": f"arn:aws:sns:eu-west-1:123456789012:{name}"} for name in names]

    assert found("function", {"Functions": functions}) == ["tm-pipeline-load", "tm-pipeline"]
    assert found("topic", {"Topics": topics}) == [topics[0]["TopicArn"], topics[3]["TopicArn"]]
    assert found("repository", {"repositories": [{"repositoryName": "tm-pipeline/load"}]})


def test_only_the_log_s_backups_that_are_there() -> None:
    backup = {"TableName": "tm-pipeline-log", "BackupName": BACKUP, "BackupType": "SYSTEM"}
    backups = [
        backup | {"BackupStatus": "AVAILABLE"},
        backup | {"BackupStatus": "DELETED"},
        backup | {"BackupStatus": "AVAILABLE", "TableName": "other-log"},
    ]

    assert found("log backup", {"BackupSummaries": backups}) == [f"{BACKUP} SYSTEM"]


def test_by_tag_only_what_no_service_was_asked_for() -> None:
    """The tags of what has been deleted are listed for a while."""
    arns = [
        "arn:aws:lambda:eu-west-1:123456789012:function:tm-pipeline-load",
        "arn:aws:glue:eu-west-1:123456789012:job/unknown",
    ]
    answer = {"ResourceTagMappingList": [{"ResourceARN": arn} for arn in arns]}

    assert found("resource", answer) == [arns[1]]
