"""A sample of a file, and its encoding."""

import codecs
import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass

import charset_normalizer

from shared import file_types
from shared.text import listed, quoted
from shared.undecodable import EncodingErrors
from shared.verdict import Refusal

_BEGIN = 1 << 20
_END = 1 << 16
_OTHERS = 1 << 16
_AROUND = 20
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_BIG_ENDIAN = (codecs.BOM_UTF32_BE, codecs.BOM_UTF16_BE)
_CUT = 3
_MOST = 0.9
_ISOLATED = 1.5
"""In languages with Latin letters, other letters than a to z are rarely next to each other."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Bytes of a file.

    Attributes:
        begin: its first bytes, at most 1 MiB.
        end: its last bytes, at most 64 KiB, if `begin` is not the whole file.
        size: the number of its bytes.
        is_utf8: whether all of it is UTF-8.
        others: bytes that are not ASCII, with those around them, at most about 64 KiB; empty if
            the file is UTF-8.
    """

    begin: bytes
    end: bytes
    size: int
    is_utf8: bool
    others: bytes

    @property
    def is_whole(self) -> bool:
        """Whether `begin` is the whole file."""
        return self.size == len(self.begin)


@dataclass(frozen=True, slots=True)
class Encoding:
    """The encoding of a file.

    Attributes:
        name: the name of a Python codec, as in a contract.
        codec: the codec for bytes in the middle of the file.
        evidence, doubts: as in `Sniffed`.
        damage: what bytes that are no characters cost.
    """

    name: str
    codec: str
    evidence: str
    doubts: tuple[str, ...] = ()
    damage: EncodingErrors = "refuse"


def sample_of(chunks: Iterable[bytes | Refusal]) -> Sample | Refusal:
    """Return a sample of a file, which is divided anywhere; read all of it in constant memory.

    A refusal, e.g. of an archive that ends early, is the result.
    """
    begin, end, others, size = b"", b"", b"", 0
    decode, is_utf8 = codecs.getincrementaldecoder("utf-8")().decode, True
    for chunk in itertools.chain(chunks, [b""]):
        if isinstance(chunk, Refusal):
            return chunk
        size += len(chunk)
        begin += chunk[: _BEGIN - len(begin)]
        end = (end + chunk[-_END:])[-_END:]
        if len(others) < _OTHERS and not chunk.isascii():
            others += _others(chunk, _OTHERS - len(others))
        try:
            if is_utf8:
                decode(chunk, final=not chunk)
        except UnicodeDecodeError:
            is_utf8 = False
    whole = size == len(begin)
    return Sample(begin, b"" if whole else end, size, is_utf8, b"" if is_utf8 else others)


def _others(chunk: bytes, limit: int) -> bytes:
    found, at = b"", 0
    for each in re.finditer(rb"[\x80-\xff]+", chunk):
        begin, end = max(at, each.start() - _AROUND), each.end() + _AROUND
        # Places that are apart do not share a word.
        found += (b"\n" if begin > at else b"") + chunk[begin:end]
        at = end
        if len(found) >= limit:
            break
    return found


def encoding_of(sample: Sample) -> Encoding | Refusal:
    """Return the encoding of a file, or why it is not text."""
    if not sample.size:
        return Refusal("the file is empty: use a file with rows")
    for mark, name in _MARKS.items():
        if sample.begin.startswith(mark):
            order = "-be" if mark in _BIG_ENDIAN else "-le"
            codec = name if name == "utf-8" else name + order
            return Encoding(name, codec, f"The file begins with the byte order mark of {name}.")
    for name in ("utf-16-le", "utf-16-be"):
        zeros = sample.begin[name == "utf-16-le" : 2000 : 2]
        if len(zeros) > 1 and zeros.count(b"\0") > len(zeros) * 0.8:
            return Encoding(name, name, "Every second byte of the file is 0.")
    if kind := file_types.type_of(sample.begin, "utf-8"):
        return Refusal(f"the file {kind}")
    if b"\0" in sample.begin:
        line = sample.begin.count(b"\n", 0, sample.begin.index(b"\0")) + 1
        return Refusal(f"line {line} contains the byte 0, so the file is not text: send it as CSV")
    if sample.is_utf8:
        return Encoding("utf-8", "utf-8", "All of the file is UTF-8.")
    return _other_encoding(sample.others)


def _other_encoding(others: bytes) -> Encoding | Refusal:
    """Return the encoding of a file that is not UTF-8."""
    runs = re.findall(rb"[\x80-\xff]+", others)
    good = sum(_is_text(run, "utf-8") for run in runs)
    if good > _MOST * len(runs):
        damaged = next(run for run in runs if not _is_text(run, "utf-8"))
        return Encoding(
            "utf-8",
            "utf-8",
            f"Of {len(runs):,} places with other characters than ASCII, {good:,} are UTF-8.",
            (f"Rows with other bytes, e.g. {damaged[:8].hex(' ')}, are rejected: are these few?",),
            damage="reject",
        )
    name = "cp1252"
    if sum(map(len, runs)) > _ISOLATED * len(runs) or not _is_text(others, name, _CUT):
        best = charset_normalizer.from_bytes(others).best()
        if best is None or not _is_text(others, best.encoding, _CUT):
            return Refusal(
                "the file is neither UTF-8 nor text in an encoding that can be guessed, e.g. the "
                f"bytes {runs[0][:8].hex(' ')}: send it as UTF-8"
            )
        name = best.encoding
    words = re.findall(r"\w*[^\x00-\x7f]+\w*", others.decode(name, "replace"))
    shown = listed([quoted(each) for each in dict.fromkeys(words)], 5)
    return Encoding(
        name,
        name,
        "The file is not UTF-8.",
        (f"The encoding is a guess. With {name} the file contains {shown}: are these right?",),
    )


def _is_text(data: bytes, encoding: str, cut: int = 0) -> bool:
    """Return whether bytes are text; the last character may lack up to `cut` bytes."""
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        return error.start >= len(data) - cut
    return not re.search("[\x80-\x9f]", text)


def lines_of(sample: Sample, encoding: Encoding) -> tuple[bytes, bytes]:
    """Return the whole lines at the begin and at the end of a file as UTF-8.

    Lines end with any of LF, CRLF and CR.
    """
    begin = _decoded(sample.begin, encoding.codec)
    odd = (sample.size - len(sample.end)) % 4 if encoding.codec.startswith("utf-") else 0
    end = _decoded(sample.end[-odd % 4 :], encoding.codec)
    if not sample.is_whole:
        begin = begin[: max(begin.rfind(b"\n"), begin.rfind(b"\r")) + 1]
        places = [each.end() for each in re.finditer(rb"\r\n|\n|\r", end[:_BEGIN])][:1]
        end = end[places[0] :] if places else b""
    return begin, end


def _decoded(data: bytes, codec: str) -> bytes:
    return data.decode(codec, "replace").encode().removeprefix(codecs.BOM_UTF8)
