"""Tests of .ci/leftovers.py. test_complete_example.py runs it on a whole stack."""

import fnmatch
import json
import re
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from docs.deploy_policies import policies
from tests.stand_ins import CHECKOUT
from tests.terraform.leftovers import leftovers

SNAPSHOT = "tm-pipeline-database-of-20261128101500"
BACKUP = "tm-pipeline-log$DeletedTableBackup-1701168000000"


@pytest.mark.parametrize(
    ("kind", "identifier", "is_expected"),
    [
        ("database snapshot", SNAPSHOT, True),
        ("log backup", f"{BACKUP} SYSTEM", True),
        ("key", "1234abcd-12ab-34cd-56ef-1234567890ab PendingDeletion", True),
        ("subscription", "PendingConfirmation you@example.com", True),
        ("database snapshot", "tm-pipeline-database-before-the-upgrade", False),
        ("database snapshot", SNAPSHOT.replace("tm-pipeline", "other"), False),
        ("log backup", "by-hand USER", False),
        ("key", "1234abcd-12ab-34cd-56ef-1234567890ab Enabled", False),
        ("subscription", "arn:aws:sns:eu-west-1:123456789012:tm-pipeline-alerts:1 y@a.com", False),
        ("network interface", "eni-1", False),
    ],
)
def test_only_things_that_aws_keeps_are_expected(
    kind: str, identifier: str, is_expected: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [("key", "1 PendingDeletion"), (kind, identifier)]
    assert leftovers.tell(found, "tm-pipeline") == (0 if is_expected else 1)
    line = (
        f"expected   {kind} {identifier}: " if is_expected else f"LEFT OVER  {kind} {identifier}\n"
    )
    assert line in capsys.readouterr().out


class Answers:
    """A client that returns the same answer for every operation."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self._answer = answer

    def can_paginate(self, _operation: str) -> bool:
        return False

    def __getattr__(self, _operation: str) -> Any:
        return lambda **_arguments: self._answer


def found(kind: str, answers: Answers | dict[str, Any]) -> list[str]:
    client = answers if isinstance(answers, Answers) else Answers(answers)
    session = SimpleNamespace(client=lambda _service: client)
    return list(leftovers.KINDS[kind](session, "tm-pipeline"))


def test_other_stacks_are_ignored() -> None:
    names = ["tm-pipeline-load", "tm-pipelines-load", "other-load", "tm-pipeline"]
    functions = [{"FunctionName": name} for name in names]
    topics = [{"TopicArn": f"arn:aws:sns:eu-west-1:123456789012:{name}"} for name in names]

    assert found("function", {"Functions": functions}) == ["tm-pipeline-load", "tm-pipeline"]
    assert found("topic", {"Topics": topics}) == [topics[0]["TopicArn"], topics[3]["TopicArn"]]
    assert found("repository", {"repositories": [{"repositoryName": "tm-pipeline/load"}]})


def test_region_is_reported_and_required(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(leftovers, "look", lambda session, _: [("in", session.region_name)])
    one, other = {"AWS_REGION": "eu-west-1"}, {"AWS_DEFAULT_REGION": "eu-west-2"}
    for options, environment, region in (
        *(([], one, "eu-west-1"), ([], other, "eu-west-2"), ([], one | other, "eu-west-1")),
        (["--region", "eu-west-3"], one, "eu-west-3"),
    ):
        assert run(options, environment, monkeypatch) == 1
        shown = capsys.readouterr().out
        assert f"Looking for tm-pipeline in {region}.\n" in shown
        assert f"in {region}\n" in shown

    with pytest.raises(SystemExit) as ended:
        run([], {"AWS_REGION": ""}, monkeypatch)

    assert ended.value.code == 2
    assert "no region: give --region, or set AWS_REGION" in capsys.readouterr().err


def run(options: list[str], environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["leftovers.py", "tm-pipeline", *options])
    return leftovers.main()


class Keys(Answers):
    """A KMS client with a key that may not be described, and the key of the stack."""

    def __init__(self, code: str) -> None:
        super().__init__({"Keys": [{"KeyId": "hidden"}, {"KeyId": "ours"}]})
        self._code = code

    def describe_key(self, *, KeyId: str) -> dict[str, Any]:  # noqa: N803 - boto3's name
        if KeyId == "hidden":
            raise ClientError({"Error": {"Code": self._code}}, "DescribeKey")
        key = {"KeyId": KeyId, "Description": "Encrypts the data of tm-pipeline."}
        return {"KeyMetadata": key | {"KeyState": "Enabled"}}


def test_inaccessible_key_is_reported_once(capsys: pytest.CaptureFixture[str]) -> None:
    """A key policy may deny access that IAM policies allow:
    docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html
    """
    for _ in range(2):
        assert found("key", Keys("AccessDeniedException")) == ["ours Enabled"]
    assert capsys.readouterr().out.count("not read   key hidden: ") == 1

    with pytest.raises(ClientError):
        found("key", Keys("ThrottlingException"))


def test_deploying_role_and_state_do_not_belong_to_the_stack() -> None:
    """Otherwise the deploying role could extend its own permissions, and would be a leftover."""
    document = (CHECKOUT / "docs" / "deploy.md").read_text("utf-8")
    roles = set(re.findall(r"--role-name (\S+)", document))
    [bucket] = set(re.findall(r'arn:aws:s3:::([\w.-]+)["/]', document))
    made = [
        resource
        for policy in policies().values()
        for statement in json.loads(policy)["Statement"]
        for resource in statement["Resource"]
        if resource.startswith(("arn:aws:iam::", "arn:aws:s3:::"))
    ]

    assert len(roles) == 2
    assert len(made) > 2
    for arn in (f"arn:aws:s3:::{bucket}", *(f"arn:aws:iam::1:role/{role}" for role in roles)):
        assert not any(fnmatch.fnmatchcase(arn, each) for each in made)
    assert found("role", {"Roles": [{"RoleName": role} for role in roles]}) == []
    assert found("bucket", {"Buckets": [{"Name": bucket}]}) == []


def test_deleted_log_backups_are_ignored() -> None:
    backup = {"TableName": "tm-pipeline-log", "BackupName": BACKUP, "BackupType": "SYSTEM"}
    backups = [
        backup | {"BackupStatus": "AVAILABLE"},
        backup | {"BackupStatus": "DELETED"},
        backup | {"BackupStatus": "AVAILABLE", "TableName": "other-log"},
    ]

    assert found("log backup", {"BackupSummaries": backups}) == [f"{BACKUP} SYSTEM"]


def test_tagged_resources_exclude_listed_services() -> None:
    """AWS lists tags of deleted resources for a while."""
    arns = [
        "arn:aws:lambda:eu-west-1:123456789012:function:tm-pipeline-load",
        "arn:aws:glue:eu-west-1:123456789012:job/unknown",
    ]
    answer = {"ResourceTagMappingList": [{"ResourceARN": arn} for arn in arns]}

    assert found("resource", answer) == [arns[1]]
