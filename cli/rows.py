"""The rows of one landed key in its table, asked of the function load.

No other way leads to the database of every stack: a created one answers in its own network only.
"""

from typing import Any

from cli import invocation
from cli.stack import Stack


def count(stack: Stack, key: str) -> int:
    """Return how many rows of a landed key its table holds.

    Raises:
        CommandError: the function failed.
    """
    return int(_ask(stack, "count", key)["rows"])


def remove(stack: Stack, key: str) -> tuple[int, str | None]:
    """Remove the rows of a landed key and its entry in the ledger, unless its version is there.

    Returns:
        How many rows were removed; and the ID of the loaded version, if its rows were kept because
        it is in the landing bucket.

    Raises:
        CommandError: the function failed.
    """
    answer = _ask(stack, "remove", key)
    return int(answer["rows"]), answer["kept"]


def _ask(stack: Stack, operation: str, key: str) -> Any:
    request = {"operation": operation, "bucket": stack.landing_bucket, "key": key}
    return invocation.invoke(stack, "load", request, f"{operation} the rows of {key}")
