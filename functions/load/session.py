"""Work that needs the database, tried again while the database is away."""

from collections.abc import Callable
from typing import TypeVar

from shared.database import Connection, connect, patiently
from shared.settings import LoadSettings

T = TypeVar("T")


def connected(settings: LoadSettings, work: Callable[[Connection], T]) -> T:
    """Do `work` over a connection of its own.

    Raises:
        PipelineError: what `work` raises, or what PostgreSQL answered.
    """

    def once() -> T:
        with connect(settings) as connection:
            return work(connection)

    return patiently(once)
