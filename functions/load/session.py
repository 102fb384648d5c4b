"""Database work, with retries while the database is unavailable."""

from collections.abc import Callable
from typing import TypeVar

from shared.database import Connection, connect, retry_until_available
from shared.settings import LoadSettings

T = TypeVar("T")


def connector(settings: LoadSettings) -> Callable[[], Connection]:
    """Return the function that opens a further connection."""
    return lambda: connect(settings)


def connected(settings: LoadSettings, work: Callable[[Connection], T]) -> T:
    """Return the result of `work`, which gets a connection of its own at each try."""

    def once() -> T:
        with connect(settings) as connection:
            return work(connection)

    return retry_until_available(once)
