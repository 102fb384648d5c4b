"""Every policy of a plan, as statements; and what is wrong with a statement."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

COPIES = {("aws_api_gateway_rest_api", "policy"), ("aws_s3_bucket", "policy")}
"""What AWS answers with, of policies that are resources of their own."""

PULL_KEYS = {"aws:SourceArn"}
"""The condition keys that AWS documents for Lambda's pulls of images:
https://docs.aws.amazon.com/lambda/latest/dg/images-create.html"""


@dataclass(frozen=True)
class Statement:
    """One statement; `where` is the address of the resource that it stands in."""

    where: str
    effect: str
    actions: frozenset[str]
    resources: frozenset[str]
    principal: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By kind; without one, it is the role that has the policy."""
    conditions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    inverted: bool = False
    """Whether it says of whom or what it does not hold."""

    @classmethod
    def of(cls, where: str, document: Mapping[str, Any]) -> Self:
        """Read a statement as IAM does, where one of anything needs no list."""
        principal = document.get("Principal", {})
        if principal == "*":
            principal = {"AWS": "*"}
        return cls(
            where,
            document["Effect"],
            _several(document.get("Action", ())),
            _several(document.get("Resource", ())),
            {kind: _several(names) for kind, names in principal.items()},
            document.get("Condition", {}),
            any(name.startswith("Not") for name in document),
        )

    def says(self, operator: str, key: str) -> Any:
        """Return what a condition asks a key to be, or None."""
        return self.conditions.get(operator, {}).get(key)


def of_plan(plan: Mapping[str, Any]) -> list[Statement]:
    """Return every statement of every policy that a plan (`terraform show -json`) would make.

    Raises:
        ValueError: a policy is not known before the apply.
    """
    return [
        Statement.of(address, each)
        for address, document in documents(plan)
        for each in _statements(document)
    ]


def documents(plan: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every policy of a plan as a document, each with the address that it stands in.

    Raises:
        ValueError: a policy is not known before the apply.
    """
    for each in plan["resource_changes"]:
        if each["mode"] == "managed" and each["change"]["after"] is not None:
            for document in _of_resource(each):
                yield each["address"], document


def _of_resource(resource: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    kind, address, change = resource["type"], resource["address"], resource["change"]
    for name, unknown in change["after_unknown"].items():
        if unknown and name.endswith("policy") and (kind, name) not in COPIES:
            raise ValueError(f"{address}: {name} builds upon what the mocks do not name")
    yield from filter(None, map(_policy, change["after"].values()))
    if kind == "aws_lambda_permission":
        yield _permission(change["after"])


def _permission(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what Lambda makes of a permission: a statement of the function's own policy."""
    account = values["source_account"]
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": values["principal"]},
                "Action": values["action"],
                "Resource": values["function_name"],
                "Condition": {
                    "ArnLike": {"aws:SourceArn": values["source_arn"]},
                    **({"StringEquals": {"aws:SourceAccount": account}} if account else {}),
                },
            }
        ],
    }


def _statements(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = document["Statement"]
    return [found] if isinstance(found, dict) else found


def _policy(value: object) -> dict[str, Any]:
    if not isinstance(value, str) or '"Statement"' not in value:
        return {}
    document = json.loads(value)
    return document if isinstance(document, dict) else {}


def _several(one_or_more: str | Iterable[str]) -> frozenset[str]:
    return frozenset([one_or_more] if isinstance(one_or_more, str) else one_or_more)


def wild(name: str) -> bool:
    """Tell whether a name may stand for several."""
    return "*" in name or "?" in name


def too_much(statement: Statement, account: str) -> list[str]:
    """Return what a statement allows that none should, but for wide resources.

    Args:
        statement: of any policy.
        account: the only one on whose behalf services may do something.
    """
    found = []
    if statement.inverted:
        found.append("it says what it does not hold for")
    if statement.effect == "Deny":
        return found
    found += [f"{action} is no single action" for action in statement.actions if wild(action)]
    for name in statement.principal.get("AWS", ()):
        principals = _several(statement.says("ArnEquals", "aws:PrincipalArn") or "*")
        if wild(name) and any(map(wild, principals)):
            found.append("everybody may")
    for service in statement.principal.get("Service", ()):
        sources = _several(statement.says("ArnLike", "aws:SourceArn") or ())
        of_account = statement.says("StringEquals", "aws:SourceAccount") == account
        if not of_account and not (sources and all(f":{account}:" in each for each in sources)):
            found.append(f"{service} may on anybody's behalf")
        if service == "lambda.amazonaws.com" and any(
            a.startswith("ecr:") for a in statement.actions
        ):
            keys = {key for keys in statement.conditions.values() for key in keys}
            found += [f"{service} need not send {key}" for key in keys - PULL_KEYS]
    found += [f"a {kind} may" for kind in statement.principal if kind not in {"AWS", "Service"}]
    return found
