"""Generates the IAM policies in `docs/policies/`: `python -m docs.deploy_policies`.

`deploy_policies.toml` lists their contents with reasons.
"""

import fnmatch
import importlib.util
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "policies"
TABLE = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
MODULE = ROOT / "terraform"
EXAMPLE = MODULE / "examples" / "complete"

MANAGED_POLICY_CHARACTERS = 6144
"""IAM's limit, without white space: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html."""

_HANDLERS = ("create", "read", "update", "delete")

Statement = dict[str, Any]


def main() -> None:
    """Replace the policies in `docs/policies/`."""
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.json"):
        path.unlink()
    for name, text in policies().items():
        (FOLDER / name).write_text(text)


def policies() -> dict[str, str]:
    """Return the text of each policy by file name."""
    module = actions_of(types(MODULE))
    key = {each for each in module | actions_of(types(EXAMPLE)) if each.startswith("kms:")}
    deploy = _packed(_statements(module - key))
    documents = {f"deploy-{number}.json": each for number, each in enumerate(deploy, 1)}
    documents["deploy-key.json"] = _statements(key)
    documents |= {f"{each['name']}.json": _statements(each["actions"]) for each in TABLE["others"]}
    return {
        name: json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=2) + "\n"
        for name, statements in documents.items()
    }


def types(folder: Path) -> set[str]:
    """Return the resource types in a module, and its data source types as `data.…`."""
    text = "".join(path.read_text("utf-8") for path in folder.glob("*.tf"))
    found = re.findall(r'^(resource|data) "(\w+)"', text, re.MULTILINE)
    return {name if kind == "resource" else f"data.{name}" for kind, name in found}


def actions_of(of_types: Iterable[str]) -> set[str]:
    """Return the actions that resources of these types need.

    Raises:
        ValueError: deploy_policies.toml lacks a type.
    """
    of_types = set(of_types)
    if unknown := of_types - TABLE["schemas"].keys():
        raise ValueError(
            f"docs/deploy_policies.toml has no schema for {', '.join(sorted(unknown))}: add it."
        )
    found = {action for each in of_types for action in _handled(TABLE["schemas"][each])}
    found = {each for each in found if exists(each) and not _is_unused(each)}
    for more in (*TABLE["provider"], *TABLE["special"]):
        if not of_types.isdisjoint(more.get("types", ())):
            found |= set(more["actions"])
    return found


@cache
def _cfnlint() -> Path:
    """Return the data folder of cfn-lint, without importing it."""
    spec = importlib.util.find_spec("cfnlint")
    if spec is None or spec.origin is None:
        raise ValueError("cfn-lint is missing: run `make setup`.")
    return Path(spec.origin).parent / "data"


@cache
def _handled(schema: str) -> frozenset[str]:
    """Return the actions that CloudFormation needs for a type, from AWS's schema."""
    if not schema:
        return frozenset()
    schemas = _cfnlint() / "schemas"
    file = json.loads((schemas / "providers" / "us-east-1.json").read_text())[schema]
    handlers = json.loads((schemas / "resources" / f"{file}.json").read_text())["handlers"]
    return frozenset(
        action for name in _HANDLERS for action in handlers.get(name, {}).get("permissions", ())
    )


@cache
def _iam() -> Mapping[str, Any]:
    """Return each service's actions, in lower case, with the types of resources they support."""
    found = json.loads((_cfnlint() / "AdditionalSpecs" / "Policies.json").read_text())
    return {service: each["Actions"] for service, each in found.items()}


def exists(action: str) -> bool:
    """Return whether an action exists; the schemas contain some that do not."""
    service, _, name = action.partition(":")
    return name.lower() in _iam().get(service, {})


def _is_unused(action: str) -> bool:
    return any(
        fnmatch.fnmatchcase(action, pattern)
        for unused in TABLE["unused"]
        if action not in unused.get("except", ())
        for pattern in unused["actions"]
    )


def _statements(actions: Iterable[str]) -> list[Statement]:
    """Return statements that allow these actions on the smallest sets of resources."""
    special = {action: each for each in TABLE["special"] for action in each["actions"]}
    groups: dict[str, list[str]] = {}
    for action in sorted(actions):
        service, _, name = action.partition(":")
        if action in special:
            resources, condition = special[action]["resources"], special[action].get("condition")
        elif not _takes_resource(service, name):
            resources, condition = ["*"], None
        else:
            resources, condition = TABLE["resources"][service], None
        scope: Statement = {"Resource": [each.format(name=TABLE["name"]) for each in resources]}
        if condition:
            scope["Condition"] = condition
        groups.setdefault(json.dumps(scope), []).append(action)
    return [
        {"Effect": "Allow", "Action": found, **json.loads(scope)} for scope, found in groups.items()
    ]


def _takes_resource(service: str, name: str) -> bool:
    # Describe and List calls also request resources without a name, or with other names.
    if service != "s3" and name.startswith(("Describe", "List")):
        return False
    return bool(_iam()[service][name.lower()].get("Resources"))


def size(statements: list[Statement]) -> int:
    """Return the size of a policy with these statements, as IAM counts it."""
    text = json.dumps({"Version": "2012-10-17", "Statement": statements})
    return len("".join(text.split()))


def _packed(statements: Iterable[Statement]) -> list[list[Statement]]:
    """Return the statements, grouped so that each group fits into a managed policy."""
    packed: list[list[Statement]] = [[]]
    for each in statements:
        if size([*packed[-1], each]) > MANAGED_POLICY_CHARACTERS:
            packed.append([])
        packed[-1].append(each)
    return packed


if __name__ == "__main__":
    main()
