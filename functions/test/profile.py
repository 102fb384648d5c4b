"""Profile of the clean rows: nulls, minimum and maximum per column; exact repeats."""

from dataclasses import dataclass, field
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from shared.text import bounded

_MAX_VALUE = 200  # characters of a value in the report


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """Profile of one column; `minimum` and `maximum` are None if all values are missing."""

    nulls: int = 0
    minimum: Any = None
    maximum: Any = None

    @classmethod
    def of(cls, values: pa.Array) -> Self:
        """Return the profile of values. A dictionary must have no other values."""
        nulls = values.null_count
        if nulls == len(values):
            return cls(nulls)
        if pa.types.is_dictionary(values.type):
            values = values.dictionary
        extremes = pa.array(pc.min_max(values).as_py().values(), values.type)
        # The report shows Arrow's "false" and "true", not Python's "False" and "True".
        if pa.types.is_boolean(values.type):
            extremes = extremes.cast(pa.string())
        # Python would show a `real` with the digits of a double.
        if pa.types.is_float32(values.type):
            extremes = extremes.cast(pa.string()).cast(pa.float64())
        return cls(nulls, *extremes.to_pylist())

    def __add__(self, other: Self) -> Self:
        known = [each for each in (self, other) if each.minimum is not None]
        return type(self)(
            self.nulls + other.nulls,
            min((each.minimum for each in known), default=None),
            max((each.maximum for each in known), default=None),
        )

    def as_json(self) -> dict[str, Any]:
        """Return the entry in the report."""
        return {
            "nulls": self.nulls,
            "min": None if self.minimum is None else bounded(str(self.minimum), _MAX_VALUE),
            "max": None if self.maximum is None else bounded(str(self.maximum), _MAX_VALUE),
        }


@dataclass(slots=True)
class Profile:
    """Profile of all columns by physical name, and the number of rows that repeat earlier ones."""

    columns: dict[str, ColumnProfile] = field(default_factory=dict)
    repeats: int = 0

    def add(self, columns: dict[str, ColumnProfile]) -> None:
        """Add the columns of a part."""
        for name, column in columns.items():
            self.columns[name] = self.columns.get(name, ColumnProfile()) + column
