"""Statements of the policies of a plan, and a check for permissive ones."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

COPIES = {("aws_api_gateway_rest_api", "policy"), ("aws_s3_bucket", "policy")}
"""Computed attributes that repeat the policy of another resource."""

PULL_KEYS = {"aws:SourceArn"}
"""Condition keys that AWS documents for Lambda's pulls of images:
https://docs.aws.amazon.com/lambda/latest/dg/images-create.html"""


@dataclass(frozen=True)
class Statement:
    """A policy statement; `where` is the address of its resource."""

    where: str
    effect: str
    actions: frozenset[str]
    resources: frozenset[str]
    principal: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Names by kind; empty for a role's policy."""
    conditions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    inverted: bool = False
    """Whether it has NotAction, NotPrincipal or NotResource."""

    @classmethod
    def of(cls, where: str, document: Mapping[str, Any]) -> Self:
        """Parse a statement; IAM allows a single value instead of a list."""
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

    def condition(self, operator: str, key: str) -> Any:
        """Return the required value of a condition key, or None."""
        return self.conditions.get(operator, {}).get(key)


def of_plan(plan: Mapping[str, Any]) -> list[Statement]:
    """Return every statement of the policies in a plan (`terraform show -json`).

    Raises:
        ValueError: a policy is not known before the apply.
    """
    return [
        Statement.of(address, each)
        for address, document in documents(plan)
        for each in _statements(document)
    ]


def documents(plan: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every policy document of a plan with the address of its resource.

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
            raise ValueError(
                f"{address}: {name} is unknown at plan time: add it to terraform/tests/mocks"
            )
    yield from filter(None, map(_policy, change["after"].values()))
    if kind == "aws_lambda_permission":
        yield _permission(change["after"])


def _permission(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the function policy that Lambda creates for a permission."""
    principal, account = values["principal"], values["source_account"]
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS" if principal.startswith("arn:") else "Service": principal},
        "Action": values["action"],
        "Resource": values["function_name"],
        "Condition": {
            **({"ArnLike": {"aws:SourceArn": arn}} if (arn := values["source_arn"]) else {}),
            **({"StringEquals": {"aws:SourceAccount": account}} if account else {}),
        },
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


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
    return "*" in name or "?" in name


def too_much(statement: Statement, account: str) -> list[str]:
    """Return the reasons why a statement is too permissive, except wildcard resources.

    Services may act only for `account`.
    """
    found = []
    if statement.inverted:
        found.append("it has a Not element")
    if statement.effect == "Deny":
        return found
    found += [f"{action} is a wildcard" for action in statement.actions if wild(action)]
    for name in statement.principal.get("AWS", ()):
        principals = _several(statement.condition("ArnEquals", "aws:PrincipalArn") or "*")
        if wild(name) and any(map(wild, principals)):
            found.append("it allows everybody")
    for service in statement.principal.get("Service", ()):
        sources = _several(statement.condition("ArnLike", "aws:SourceArn") or ())
        of_account = statement.condition("StringEquals", "aws:SourceAccount") == account
        if not of_account and not (sources and all(f":{account}:" in each for each in sources)):
            found.append(f"{service} may act for any account")
        if service == "lambda.amazonaws.com" and any(
            a.startswith("ecr:") for a in statement.actions
        ):
            keys = {key for keys in statement.conditions.values() for key in keys}
            found += [f"{service} may not send {key}" for key in keys - PULL_KEYS]
    found += [
        f"it allows a {kind} principal"
        for kind in statement.principal
        if kind not in {"AWS", "Service"}
    ]
    return found
