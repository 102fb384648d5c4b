"""The interface of a database connection that migrations use."""

from contextlib import AbstractContextManager
from typing import Any, Protocol

Value = str | int | bool | None
"""Value of a `:name` in a statement."""


class Connection(Protocol):
    """A connection of the administrator, by `shared.database` or `data_api`."""

    def run(self, sql: str, **parameters: Value) -> list[list[Any]]:
        """Execute a statement and return its rows; raise PipelineError if it fails."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """Run the block in a transaction; roll back on an exception."""
        ...
