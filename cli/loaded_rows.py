"""Rows of one landed key in its table, through the function load.

The database of a deployed stack can only be reached from its own network, so `tm` calls load.
"""

from typing import Any

from cli import invocation
from cli.stack import Stack


def count(stack: Stack, key: str) -> int:
    """Return the number of rows of a landed key in its table."""
    return int(_invoke(stack, "count", key)["rows"])


def remove(stack: Stack, key: str) -> tuple[int, str | None]:
    """Remove the rows and the ledger entry of a landed key, unless its loaded version exists.

    Return the number of removed rows, and the ID of the loaded ingestion if its rows were kept
    because its version is in the landing bucket.
    """
    answer = _invoke(stack, "remove", key)
    return int(answer["rows"]), answer["kept"]


def _invoke(stack: Stack, operation: str, key: str) -> Any:
    request = {"operation": operation, "bucket": stack.landing_bucket, "key": key}
    return invocation.invoke(stack, "load", request, f"{operation} the rows of {key}")
