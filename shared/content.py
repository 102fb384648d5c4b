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

    def chunks(self, begin: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from the offset `begin` to `end`, or to the last; no chunk is empty."""


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file on this machine as content."""

    path: Path

    @property
    def size(self) -> int:
        """The number of bytes."""
        return self.path.stat().st_size

    def chunks(self, begin: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from the offset `begin` to `end` in chunks of `CHUNK_BYTES`."""
        left = (self.size if end is None else end) - begin
        with self.path.open("rb") as file:
            file.seek(begin)
            while left > 0 and (chunk := file.read(min(left, CHUNK_BYTES))):
                left -= len(chunk)
                yield chunk


def digest(content: Content, algorithm: Literal["md5", "sha256"]) -> str:
    """Return the hash of a content in lower-case hexadecimal digits."""
    found = hashlib.new(algorithm, usedforsecurity=False)
    for chunk in content.chunks():
        found.update(chunk)
    return found.hexdigest()
