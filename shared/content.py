"""The bytes of a landed file, which can be read from any position and several times."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

CHUNK_BYTES = 8 * 1024 * 1024
"""About 150,000 rows: fast with Arrow, and little memory even if every row is suspect."""


class Content(Protocol):
    """The bytes of a file as it landed, e.g. compressed."""

    @property
    def size(self) -> int:
        """The number of bytes."""

    def chunks(self, begin: int = 0) -> Iterator[bytes]:
        """Yield the bytes from the offset `begin` to the end; no chunk is empty."""


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file on this machine as content."""

    path: Path

    @property
    def size(self) -> int:
        """The number of bytes."""
        return self.path.stat().st_size

    def chunks(self, begin: int = 0) -> Iterator[bytes]:
        """Yield the bytes from the offset `begin` in chunks of `CHUNK_BYTES`."""
        with self.path.open("rb") as file:
            file.seek(begin)
            while chunk := file.read(CHUNK_BYTES):
                yield chunk


def digest(content: Content, algorithm: Literal["md5", "sha256"]) -> str:
    """Return the hash of a content in lower-case hexadecimal digits."""
    found = hashlib.new(algorithm, usedforsecurity=False)
    for chunk in content.chunks():
        found.update(chunk)
    return found.hexdigest()
