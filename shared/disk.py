"""Temporary files of the functions."""

import contextlib
import errno
from collections.abc import Iterator

from shared.errors import DiskFull


@contextlib.contextmanager
def disk_space() -> Iterator[None]:
    """Convert the error that a disk is full into `DiskFull`; other errors propagate unchanged."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise DiskFull(
            f"the temporary folder is full: {error}; raise ephemeral_storage of the function, or "
            "send the rows in several files"
        ) from error
