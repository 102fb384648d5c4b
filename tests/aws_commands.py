"""Checks AWS CLI commands against botocore's service models, without AWS.

The CLI generates its commands from these models. `CUSTOM` lists the commands that it adds.
"""

import re
from collections.abc import Iterator
from typing import Any

import botocore.session
import jmespath
from botocore import xform_name
from botocore.exceptions import UnknownServiceError
from botocore.model import OperationModel
from botocore.waiter import WaiterModel

SESSION = botocore.session.get_session()
# The used ones of docs.aws.amazon.com/cli/latest/userguide/cli-configure-options.html.
GLOBAL = {"cli-binary-format", "output", "profile", "query", "region"}
# Options and number of positional words of each command that has no model.
CUSTOM: dict[tuple[str, str], tuple[set[str], int]] = {
    ("ecr", "get-login-password"): (set(), 0),
    ("logs", "tail"): ({"filter-pattern", "follow", "format", "since"}, 1),
    ("s3", "cp"): (set(), 2),
}


class Misused(Exception):
    """An invalid command; the message says what is wrong."""


def check(words: list[str]) -> None:
    """Check the words after `aws`.

    Raises:
        Misused: the AWS CLI would refuse the command.
    """
    service, action, *rest = words
    options, besides = _options(rest)
    unknown: set[str]
    if (service, action) in CUSTOM:
        known, wanted = CUSTOM[service, action]
        unknown = options.keys() - known - GLOBAL
    else:
        if action == "wait":
            action = besides.pop(0)
            model = _waited(service, action)
        else:
            model = _operation(service, action)
        wanted = 0
        if (service, action) == ("lambda", "invoke"):
            wanted = 1  # the file for the answer
            *_, last = [[], *options.values()]
            if not besides and len(last) > 1:
                besides.append(last.pop())
        unknown = _check_parameters(model, options)
    if unknown:
        raise Misused(f"{service} {action} has no --{', --'.join(sorted(unknown))}")
    if len(besides) != wanted:
        raise Misused(f"{service} {action} takes {wanted} words, not {besides}")


_OTHER_NAMES = {
    ("lambda", "invoke"): "InvokeFunction",
    ("s3api", "list-objects-v2"): "ListBucket",
    ("s3api", "put-bucket-notification-configuration"): "PutBucketNotification",
}
"""IAM actions that are not named like the operation."""


def action(words: list[str]) -> str:
    """Return the IAM action that the words after `aws` need."""
    service, operation, *_ = words
    if (service, operation) == ("logs", "tail"):
        return "logs:FilterLogEvents"
    model = _operation(service, operation)
    name = _OTHER_NAMES.get((service, operation), model.name)
    return f"{model.service_model.signing_name.replace('monitoring', 'cloudwatch')}:{name}"


def _options(words: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Return each option with its values, and the words before the first option."""
    options: dict[str, list[str]] = {}
    besides: list[str] = []
    values = besides
    for word in words:
        if word.startswith("--"):
            name, equals, value = word.removeprefix("--").partition("=")
            values = options.setdefault(name, [])
            if equals:
                values.append(value)
        else:
            values.append(word)
    return options, besides


def _service(name: str) -> Any:
    try:
        return SESSION.get_service_model("s3" if name == "s3api" else name)
    except UnknownServiceError:
        raise Misused(f"there is no service {name}") from None


def _operation(service: str, action: str) -> OperationModel:
    model = _service(service)
    for name in model.operation_names:
        if xform_name(name, "-") == action:
            operation: OperationModel = model.operation_model(name)
            return operation
    raise Misused(f"{service} has no operation {action}")


def _waited(service: str, action: str) -> OperationModel:
    waiters: WaiterModel = SESSION.get_waiter_model(_service(service).service_name)
    for name in waiters.waiter_names:
        if xform_name(name, "-") == action:
            operation = waiters.get_waiter(name).operation
            return _operation(service, xform_name(operation, "-"))
    raise Misused(f"{service} has no waiter {action}")


def _check_parameters(operation: OperationModel, options: dict[str, list[str]]) -> set[str]:
    """Check that parameters are complete and have the right types; return unknown options."""
    shape: Any = operation.input_shape
    members = {xform_name(name, "-"): each for name, each in shape.members.items()} if shape else {}
    required = {xform_name(name, "-") for name in shape.required_members} if shape else set()
    if missing := required - options.keys():
        raise Misused(f"{operation.name} needs --{', --'.join(sorted(missing))}")
    unknown = set()
    for name, values in options.items():
        if name in members:
            _check_value(f"--{name}", members[name], values)
        elif name not in GLOBAL:
            unknown.add(name)
    for query in options.get("query", ()):
        _check_query(operation, query)
    return unknown


def _check_value(name: str, shape: Any, values: list[str]) -> None:
    if shape.type_name == "boolean":
        if values:
            raise Misused(f"{name} takes no value, not {values}")
        return
    if not values:
        raise Misused(f"{name} needs a value")
    if shape.type_name == "list":
        for value in values:
            _check_one(name, shape.member, value)
    elif len(values) > 1:
        raise Misused(f"{name} takes one value, not {values}")
    else:
        _check_one(name, shape, values[0])


def _check_one(name: str, shape: Any, value: str) -> None:
    if "$" in value:
        return
    if shape.type_name == "structure" and not value.startswith("{"):
        for part in re.findall(r"(?:^|,)(\w+)=", value) or [value]:
            if part not in shape.members:
                raise Misused(f"{name} has no {part}; it has {', '.join(shape.members)}")
    elif shape.type_name in {"integer", "long"} and not value.isdigit():
        raise Misused(f"{name} is a number, not {value}")
    elif getattr(shape, "enum", None) and value not in shape.enum:
        raise Misused(f"{name} is one of {', '.join(shape.enum)}, not {value}")


def _check_query(operation: OperationModel, query: str) -> None:
    """Check that everything that a query names is in the operation's answer."""
    shape = operation.output_shape
    sample = _sample(shape, ()) if shape else {}
    # Without filters, because the sample's values match none.
    found = jmespath.search(re.sub(r"\[\?[^]]*\]", "[]", query), sample)
    if found is None or any(each in (None, []) for each in _leaves(found)):
        raise Misused(f"--query {query} matches nothing in the answer of {operation.name}")


def _sample(shape: Any, above: tuple[str, ...]) -> Any:
    """Return an answer that has every member of a shape."""
    if shape.name in above:
        return None
    above = (*above, shape.name)
    if shape.type_name == "structure":
        return {name: _sample(member, above) for name, member in shape.members.items()}
    if shape.type_name == "list":
        return [_sample(shape.member, above)]
    if shape.type_name == "map":
        return {"key": _sample(shape.value, above)}
    return 1 if shape.type_name in {"double", "float", "integer", "long"} else "text"


def _leaves(found: Any) -> Iterator[Any]:
    if isinstance(found, dict):
        found = list(found.values())
    if isinstance(found, list) and found:
        for each in found:
            yield from _leaves(each)
    else:
        yield found
