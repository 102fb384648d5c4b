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
            f"the folder for temporary files is full: {error}; send the rows in several files, or "
            "make room if this is not AWS"
        ) from error
