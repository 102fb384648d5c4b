"""Reader and writer of compressed files: gzip, ZIP archives with one file, and Zstandard.

The libraries check what they read: a file that ends early or does not have its checksum is refused.
Memory does not depend on the file.
"""

import errno
import fnmatch
import gzip
import io
import re
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Literal, NamedTuple, Protocol, Self, TypeVar

from pydantic import Field, model_validator

from shared import content as contents
from shared.content import Content
from shared.file_types import start_of
from shared.model import Model
from shared.text import listed, one_line, quoted
from shared.verdict import Refusal

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["Compression", "Packed", "Packing", "Unpacked", "pack", "unpack", "zstd"]

T = TypeVar("T")

_MIB = 1024**2
_ANY_RATIO = 64 * _MIB
"""Unpacked bytes up to which a file may have any ratio, because they are harmless."""
_MAX_DIRECTORY = 4 * _MIB
"""Maximum size of the list of members in a ZIP archive, which is in memory: about 40,000 names."""
_MAX_WINDOW = 27
"""Zstandard's own limit for the memory that a file may demand: 128 MiB, as a power of 2."""
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
"""Not LZMA, which may demand gigabytes, nor what Python cannot unpack, e.g. Deflate64."""
_ENCRYPTED = 0b100_0001
"""The flags of a member with a password."""
_OFFICE = "[Content_Types].xml"
"""A member of each file of Microsoft Office."""
_NO_FILES = "__MACOSX/"
"""The folder in which macOS keeps what its file system knows about the files."""
_BUFFER = _MIB
_FAULT = 200
"""Maximum characters of a library's message."""

Packing = Literal["gzip", "zip", "zstd"]

_STARTS: dict[Packing, bytes] = {
    "gzip": rb"\x1f\x8b(\x08|\Z)",
    "zip": rb"PK(\x03\x04|\x05\x06)",
    # A frame, or one to be skipped, with which parallel compressors begin.
    "zstd": rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18",
}
_NAMES: dict[Packing, str] = {
    "gzip": "gzip file",
    "zip": "ZIP archive",
    "zstd": "Zstandard file",
}
_NESTED: dict[Packing, str] = {
    "gzip": "is gzip-compressed too: compress it once",
    "zip": "is a ZIP archive or an Excel workbook: send the CSV file that is in it, or save the "
    "sheet as CSV",
    "zstd": "is Zstandard-compressed too: compress it once",
}
_DAMAGE = (
    *(gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, zstd.ZstdError),
    # `zipfile` raises these too for damaged archives.
    *(NotImplementedError, OSError, OverflowError, RuntimeError, ValueError, struct.error),
)


class Compression(Model):
    """What a contract allows of compressed files.

    Attributes:
        member: a glob that selects one file of a ZIP archive; `*` also matches `/`. None: the
            archive has one file.
        max_unpacked_mib: maximum size of the unpacked file in MiB.
        max_ratio: maximum of unpacked bytes for each byte of the file, if it unpacks to more than
            64 MiB.
    """

    member: str | None = Field(default=None, min_length=1, max_length=200)
    max_unpacked_mib: int = Field(default=10_240, ge=1, le=1024**2, alias="maxUnpackedMiB")
    max_ratio: int = Field(default=200, ge=2, le=100_000)

    @model_validator(mode="after")
    def _has_effect(self) -> Self:
        if "max_ratio" in self.model_fields_set and self.max_unpacked_mib * _MIB <= _ANY_RATIO:
            raise ValueError(
                f"maxRatio has no effect, because it applies to files of more than "
                f"{_ANY_RATIO // _MIB} MiB: remove it, or raise maxUnpackedMiB"
            )
        return self


class Packed(NamedTuple):
    """How a file is compressed; `member` is the name of its member if it is a ZIP archive."""

    packing: Packing
    member: str = ""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A file without its compression.

    Attributes:
        start: its first bytes, which `file_types` takes.
        chunks: its bytes. A refusal is the last item.
        packed: how it is compressed; None if it is not.
    """

    start: bytes
    chunks: Iterator[bytes | Refusal]
    packed: Packed | None = None


def unpack(content: Content, allowed: Compression) -> Unpacked:
    """Read a file without its compression, which its first bytes tell; it may have none.

    Errors of reading the content are raised.
    """
    start, chunks = start_of(content.chunks())
    packing = _packing(start)
    if packing is None:
        return Unpacked(start, chunks)
    stream = _Stream(content, chunks)
    opened = stream.attempt(packing, lambda: _opened(packing, stream, allowed))
    if isinstance(opened, Refusal):
        return Unpacked(start, iter([opened]))
    start, unpacked = start_of(_chunks(opened, packing, stream, allowed))
    if nested := _packing(start):
        unpacked = iter([Refusal(f"the unpacked file {_NESTED[nested]}")])
    return Unpacked(start, unpacked, Packed(packing, opened.member))


def pack(chunks: Iterable[bytes], into: IO[bytes], packed: Packed | None) -> None:
    """Write a file with the compression of another one."""
    if packed is None:
        into.writelines(chunks)
        return
    match packed.packing:
        case "gzip":
            with gzip.GzipFile(fileobj=into, mode="wb") as file:
                file.writelines(chunks)
        case "zstd":
            with zstd.ZstdFile(into, "wb") as file:
                file.writelines(chunks)
        case "zip":
            with (
                zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive,
                # The size is not known, and may exceed the 2 GiB of the older form.
                archive.open(packed.member, "w", force_zip64=True) as file,
            ):
                file.writelines(chunks)


def _packing(start: bytes) -> Packing | None:
    return next((each for each, magic in _STARTS.items() if re.match(magic, start, re.S)), None)


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Opened(NamedTuple):
    """An unpacked file; `member` and `size` are its name and size in a ZIP archive."""

    file: _Readable
    member: str = ""
    size: int | None = None


def _opened(packing: Packing, stream: "_Stream", allowed: Compression) -> _Opened | Refusal:
    match packing:
        case "gzip":
            return _Opened(gzip.GzipFile(fileobj=io.BufferedReader(stream, _BUFFER)))
        case "zstd":
            limit = {int(zstd.DecompressionParameter.window_log_max): _MAX_WINDOW}
            return _Opened(zstd.ZstdFile(io.BufferedReader(stream, _BUFFER), options=limit))
        case "zip":
            return _member(_Archive(stream, _BUFFER), allowed.member)


def _member(file: "_Archive", glob: str | None) -> _Opened | Refusal:
    archive = zipfile.ZipFile(file)
    file.limit = sys.maxsize
    members = [
        each
        for each in archive.infolist()
        if not each.filename.endswith("/") and not each.filename.startswith(_NO_FILES)
    ]
    if min((each.header_offset for each in archive.infolist()), default=0) > 0:
        return Refusal(
            "the ZIP archive begins with files that its list of files lacks, e.g. because it was "
            "appended to another archive: create it again"
        )
    if any(each.filename == _OFFICE for each in members):
        return Refusal(
            "the file is an Excel workbook or another Office document: save the sheet as CSV"
        )
    chosen = [each for each in members if glob is None or fnmatch.fnmatchcase(each.filename, glob)]
    if len(chosen) != 1:
        names = f"the files {listed([quoted(each.filename) for each in members])}"
        advice = "send exactly one file in it, or select one by member in the contract"
        if glob is not None:
            advice = f"the contract's member {quoted(glob)} selects {len(chosen)} of them, not one"
        return Refusal(f"the ZIP archive has {names if members else 'no file'}: {advice}")
    [info] = chosen
    named = f"the file {quoted(info.filename)} in the ZIP archive"
    if info.flag_bits & _ENCRYPTED:
        return Refusal(f"{named} is encrypted: send it without a password")
    if info.compress_type not in _METHODS:
        return Refusal(f"{named} is compressed by method {info.compress_type}: use Deflate")
    return _Opened(archive.open(info), info.filename, info.file_size)


def _chunks(
    opened: _Opened, packing: Packing, stream: "_Stream", allowed: Compression
) -> Iterator[bytes | Refusal]:
    size, most = 0, allowed.max_unpacked_mib * _MIB
    most_by_ratio = max(_ANY_RATIO, allowed.max_ratio * stream.size)
    unpacks = f"the {_NAMES[packing]} unpacks to more than"
    while chunk := stream.attempt(packing, lambda: opened.file.read(contents.CHUNK_BYTES)):
        if isinstance(chunk, Refusal):
            yield chunk
            return
        size += len(chunk)
        if size > most:
            yield Refusal(
                f"{unpacks} {allowed.max_unpacked_mib:,} MiB: send smaller files, or raise "
                "maxUnpackedMiB in the contract's compression"
            )
            return
        if size > most_by_ratio:
            yield Refusal(
                f"{unpacks} {allowed.max_ratio:,} times its size: if the file is right, raise "
                "maxRatio in the contract's compression"
            )
            return
        yield chunk
    if opened.size is not None and opened.size != size:  # `zipfile` does not compare them
        yield Refusal(
            f"the {_NAMES[packing]} has {size:,} bytes of the file instead of {opened.size:,}: "
            "compress the file again, and upload it"
        )


class _Archive(io.BufferedReader):
    """A ZIP archive that reads at most `limit` bytes at a time."""

    limit = _MAX_DIRECTORY

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self.limit:
            raise zipfile.BadZipFile(f"its list of files is larger than {self.limit // _MIB} MiB")
        return super().read(size)


class _Stream(io.RawIOBase):
    """A content as a file. Each position that is sought begins another read of the content."""

    def __init__(self, content: Content, chunks: Iterator[bytes]) -> None:
        self.size = content.size
        self._content, self._chunks = content, chunks
        self._at, self._rest = 0, memoryview(b"")
        self._failure: Exception | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        if at < 0:
            raise OSError(errno.EINVAL, "a position before the file's beginning")
        if at != self._at:
            self._at, self._rest = at, memoryview(b"")
            self._chunks = self._content.chunks(at)
        return at

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        into = memoryview(buffer).cast("B")
        if not self._rest:
            try:
                self._rest = memoryview(next(self._chunks, b""))
            except Exception as error:
                self._failure = error
                raise
        part, self._rest = self._rest[: len(into)], self._rest[len(into) :]
        into[: len(part)] = part
        self._at += len(part)
        return len(part)

    def attempt(self, packing: Packing, step: Callable[[], T]) -> T | Refusal:
        """Return the result of a step of a library, or why it cannot unpack the file."""
        name = _NAMES[packing]
        try:
            return step()
        except EOFError:
            reason = f"the {name} ends early: upload it again"
        except _DAMAGE as error:
            # The libraries convert some errors of reading.
            if self._failure:
                raise self._failure from None
            fault = one_line(str(error), _FAULT)
            reason = f"the {name} cannot be read ({fault}): compress the file again, and upload it"
            if "too much memory" in fault:
                most = 2**_MAX_WINDOW // _MIB
                reason = (
                    f"the {name} needs more than {most} MiB of memory: compress it without --long"
                )
        return Refusal(reason)
