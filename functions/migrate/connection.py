"""What a migration needs of PostgreSQL, whichever way it is reached."""

from contextlib import AbstractContextManager
from typing import Any, Protocol

Value = str | int | bool | None
"""What stands for a `:name` in a statement."""


class Connection(Protocol):
    """An administrator's: that of `shared.database` or that of `data_api`."""

    def run(self, sql: str, **parameters: Value) -> list[list[Any]]:
        """Execute a statement and return its rows; an error is one of ours."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """Make everything in the block one transaction; an exception undoes it."""
        ...
