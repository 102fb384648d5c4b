"""What one column of the sample files has: missing values, spellings, repeated values.

A survey takes constant memory: it keeps the first distinct values, an example of each shape, and
counts.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cli.sniffing.readings import NULL_TOKENS

FEW = 12
"""Distinct values of a column whose counts are kept."""
MAX_RUN = 19
"""Digits of a shape that follow each other: more than a bigint always stores."""
_MAX_SHAPES = 1_000
_MAX_SHAPE = 60  # characters of a text that may be a number or a date
_MAX_SAMPLES = 200
_LEADING_ZERO = r"\A[+-]?0[0-9]+([.,][0-9]*)?\z"

Counts = npt.NDArray[np.int64]


@dataclass(slots=True)
class Shape:
    """A shape: one of its texts, and the number of rows with it."""

    example: str
    rows: int = 0


@dataclass(slots=True)
class Survey:
    """The values of one column, without those that may mean "missing".

    Attributes:
        name: the column's name.
        budget: how many bytes the distinct values may take.
        rows: the number of rows.
        blank: how many of them are empty, or white space only.
        tokens: how many of them are each of `NULL_TOKENS`.
        padded: the number of rows with white space around the value.
        leading_zeros: the number of rows with a number that begins with a needless 0.
        longest: the most characters of a value.
        shapes: the shapes of all values without white space around; None if there are too many.
        samples: the first distinct values.
        few: the number of rows of each value; None if there are more than `FEW`.
        repeats: whether a file has a value twice; None if that took too much memory.
    """

    name: str
    budget: int
    rows: int = 0
    blank: int = 0
    tokens: Counter[str] = field(default_factory=Counter)
    padded: int = 0
    leading_zeros: int = 0
    longest: int = 0
    shapes: dict[str, Shape] | None = field(default_factory=dict)
    samples: list[str] = field(default_factory=list)
    few: Counter[str] | None = field(default_factory=Counter)
    repeats: bool | None = False
    _seen: pa.StringArray = field(default_factory=lambda: pa.array([], pa.string()))

    @property
    def filled(self) -> int:
        """The number of rows with a value that cannot mean "missing"."""
        return self.rows - self.blank - self.tokens.total()

    def begin_file(self) -> None:
        """Compare values with those of the same file only."""
        self._seen = self._seen[:0]

    def add(self, texts: pa.StringArray) -> None:
        """Add the values of some rows."""
        texts = texts.fill_null("")
        values, counts = distinct(texts)
        self.rows += len(texts)
        trimmed = pc.utf8_trim_whitespace(values)
        self.padded += _sum(counts, pc.not_equal(values, trimmed))
        is_blank = pc.equal(trimmed, "")
        self.blank += _sum(counts, is_blank)
        is_token = pc.is_in(trimmed, pa.array(sorted(NULL_TOKENS)))
        for index in pc.indices_nonzero(is_token).to_pylist():
            self.tokens[trimmed[index].as_py()] += int(counts[index])
        kept = pc.indices_nonzero(pc.invert(pc.or_(is_blank, is_token)))
        values, trimmed, counts = values.take(kept), trimmed.take(kept), counts[kept.to_numpy()]
        if len(values):
            self._add_values(values, trimmed, counts)

    def _add_values(self, values: pa.StringArray, trimmed: pa.StringArray, counts: Counts) -> None:
        self.longest = max(self.longest, pc.max(pc.utf8_length(values)).as_py())
        self.leading_zeros += _sum(counts, pc.match_substring_regex(trimmed, _LEADING_ZERO))
        if len(self.samples) < _MAX_SAMPLES:
            more = [*self.samples, *trimmed[:_MAX_SAMPLES].to_pylist()]
            self.samples = [*dict.fromkeys(more)][:_MAX_SAMPLES]
        if self.few is not None:
            first = slice(0, FEW + 1)
            self.few.update(
                dict(zip(values[first].to_pylist(), counts[first].tolist(), strict=True))
            )
            if len(self.few) > FEW:
                self.few = None
        self._add_shapes(trimmed, counts)
        self._add_seen(values, counts)

    def _add_shapes(self, trimmed: pa.StringArray, counts: Counts) -> None:
        if self.shapes is None:
            return
        encoded = shapes_of(trimmed).dictionary_encode()
        indices = encoded.indices.to_numpy()
        rows = np.bincount(indices, counts, len(encoded.dictionary)).astype(np.int64)
        firsts = np.unique(indices, return_index=True)[1]
        names = encoded.dictionary[: _MAX_SHAPES + 1].to_pylist()
        for name, first, count in zip(names, firsts.tolist(), rows.tolist(), strict=False):
            found = self.shapes.setdefault(name, Shape(trimmed[first].as_py()))
            found.rows += count
        if len(self.shapes) > _MAX_SHAPES:
            self.shapes = None

    def _add_seen(self, values: pa.StringArray, counts: Counts) -> None:
        if self.repeats is not False:
            return
        if counts.max() > 1 or pc.any(pc.is_in(values, self._seen)).as_py():
            self.repeats, self._seen = True, self._seen[:0]
            return
        self._seen = pa.concat_arrays([self._seen, values])
        if self._seen.nbytes > self.budget:
            self.repeats, self._seen = None, self._seen[:0]


def distinct(texts: pa.StringArray) -> tuple[pa.StringArray, Counts]:
    """Return the distinct texts and how often each occurs."""
    encoded = texts.dictionary_encode()
    counts = np.bincount(encoded.indices.to_numpy(), minlength=len(encoded.dictionary))
    return encoded.dictionary, counts.astype(np.int64)


def shapes_of(texts: pa.StringArray) -> pa.StringArray:
    """Return the texts with 9 for each digit and A for each run of letters.

    At most `MAX_RUN` digits follow each other. Long texts are all alike.
    """
    is_long = pc.greater(pc.utf8_length(texts), _MAX_SHAPE)
    shapes = pc.if_else(is_long, "…", texts)
    for expression, replacement in (
        (r"[0-9]", "9"),
        (f"9{{{MAX_RUN},}}", "9" * MAX_RUN),
        (r"\pL[\pL\pM]*", "A"),
    ):
        shapes = pc.replace_substring_regex(shapes, expression, replacement)
    return shapes


def _sum(counts: Counts, which: pa.BooleanArray) -> int:
    return int(counts[which.to_numpy(zero_copy_only=False)].sum())
