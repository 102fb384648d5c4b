"""Models of a table's contract: the form of its files, the rules for its rows, and its storage.

`shared.odcs` reads these models from a file `<table>.odcs.yaml` in the Open Data Contract Standard.
docs/contracts.md describes each property for authors of contracts.
"""

import codecs
import datetime as dt
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Literal, Self, get_args
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic.alias_generators import to_camel

from shared import landing_key, undecodable
from shared.column import Column
from shared.column_types import TYPES
from shared.compression import Compression
from shared.control_totals import ROWS, group_problems
from shared.dialect import Dialect
from shared.file_types import FileFormat
from shared.key_pattern import KEY, KeyPattern
from shared.manifest import Manifest
from shared.model import Description, Model, Problems, Zone
from shared.naming import (
    OWN_COLUMNS,
    OWN_RELATIONS,
    OWN_SUFFIXES,
    SYSTEM_COLUMNS,
    Identifier,
    folded,
    repeated,
)
from shared.quality import AnyRule, RowCount, UniqueRows
from shared.text import listed, quoted
from shared.undecodable import EncodingErrors

_LOOKUP_PARAMETERS = {"by", "cursor", "from", "limit", "order", "prefix", "to"}
"""Query parameters of the API. The name of the key column is one too (`/get?<key>=`)."""
_GROUP_PARAMETERS = _LOOKUP_PARAMETERS | {"key", "day", "month", "week"}
"""Further query parameters that a group's name must not collide with."""
_KEY_TYPES = " or ".join(name for name, each in TYPES.items() if each.parameter)
_MEASURE_TYPES = " or ".join(name for name, each in TYPES.items() if each.is_summed)
_ORDER_TYPES = " or ".join(name for name, each in TYPES.items() if each.compared_as)
_SUMMARY_FIELDS = {"group", "rows"}

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)
# https://www.postgresql.org/docs/17/limits.html
MAX_COLUMNS = 1_600 - len({"load_id", "source_id", "source_line"})
_MAX_INDEX_COLUMNS = 32
MAX_ROW_BYTES = 8_160
"""Maximum size of a row: a page of 8 KiB less its header and the pointer to the row.

https://www.postgresql.org/docs/17/storage-page-layout.html
"""
_ROW_HEADER_BYTES = 24
MAX_RELATION = 63 - len(max(OWN_SUFFIXES, key=len))
_OWN_BYTES = 4 + 4  # load_id, source_line

_UNSUPPORTED_ENCODINGS = {
    *("charmap", "idna", "mbcs", "oem", "palmos", "punycode"),
    *("raw-unicode-escape", "raw_unicode_escape", "undefined", "unicode-escape", "unicode_escape"),
}
"""Python's text encodings that are not used for files, or exist on some platforms only.

https://docs.python.org/3/library/codecs.html#python-specific-encodings
"""


def _table(name: str) -> str:
    if not re.fullmatch(landing_key.TABLE, name):
        raise ValueError(
            f"{quoted(name)} is not a valid table name in a landing key: use up to 48 lower-case "
            "letters, digits and underscores, and begin with a letter"
        )
    return name


def _encoding(name: str) -> str:
    try:
        "".encode(name)
        known = codecs.lookup(name).name not in _UNSUPPORTED_ENCODINGS
    except (LookupError, ValueError):  # ROT13 encodes to text; a name may contain NUL
        known = False
    if not known:
        raise ValueError(
            f"{quoted(name)} is not a text encoding of Python: use e.g. utf-8, utf-16 or cp1252"
        )
    return name


class HeaderPolicy(Model):
    """Policy for the header: how its columns are matched to the contract's.

    Attributes:
        match: by name, by `folded` name, or by position, whatever the header says.
        order: the order of the columns, unless they are matched by position.
        unknown: whether a file with further columns is refused, or these columns are ignored.
    """

    match: Literal["exact", "folded", "position"] = "exact"
    order: Literal["any", "contract"] = "any"
    unknown: Literal["refuse", "ignore"] = "refuse"

    def key(self, name: str) -> str:
        """Return the form in which a name of the header or of the contract is compared."""
        match self.match:
            case "exact" | "position":
                return name
            case "folded":
                return folded(name)

    @model_validator(mode="after")
    def _is_valid(self) -> Self:
        if self.match == "position" and "order" in self.model_fields_set:
            raise ValueError("order has no effect with match: position: remove it")
        return self


class Lookup(Model):
    """Lookup in the API: returns `fields` of the rows with a given `key`, ordered by `order`.

    Rows can be filtered by `group`, and their `measure` can be summed by `group`.
    """

    key: str
    order: str
    fields: tuple[str, ...] = Field(min_length=1)
    group: str | None = None
    measure: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns that the lookup uses."""
        named = (self.key, self.order, *self.fields, self.group, self.measure)
        return tuple(name for name in named if name is not None)


def _time(value: object) -> object:
    # Only this form, because pydantic would read 900 as 00:15.
    if not isinstance(value, str) or not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
        raise ValueError(f'{value!r} is not a time of day: write e.g. "09:00", in quotes')
    return value


class ServiceLevel(Model):
    """Deadline for the files of the `weekdays`: `time`, `latency` days after the day of the file.

    `time` is local time in the contract's time zone.
    """

    time: Annotated[dt.time, BeforeValidator(_time)]
    latency: int = Field(default=0, ge=0, le=31)
    weekdays: tuple[Weekday, ...] = Field(default=_WEEKDAYS, min_length=1)


class Contract(Model):
    """Contract of a table: the parts of ODCS that the pipeline supports."""

    table: Annotated[str, AfterValidator(_table)]
    relation: Identifier
    version: str
    description: Description = ""
    columns: tuple[Column, ...] = Field(min_length=1, max_length=MAX_COLUMNS)
    encoding: Annotated[str, AfterValidator(_encoding)] = "utf-8"
    encoding_errors: EncodingErrors = "refuse"
    compression: Compression = Compression()
    file_format: FileFormat = "csv"
    dialect: Dialect = Dialect()
    decimal_mark: Literal[".", ","] = "."
    header_policy: HeaderPolicy = HeaderPolicy()
    keys: tuple[KeyPattern, ...] = Field(default=(), min_length=1, max_length=100)
    timezone: Zone = "Etc/UTC"
    indexes: tuple[Annotated[tuple[str, ...], Field(min_length=1)], ...] = ()
    lookup: Lookup | None = None
    unique_rows: tuple[UniqueRows, ...] = ()
    row_counts: tuple[RowCount, ...] = ()
    max_rejected_percent: Annotated[Decimal, Field(ge=0, le=100)] = Decimal(50)
    sla: ServiceLevel | None = None
    manifest: Manifest | None = None

    @property
    def header(self) -> tuple[str, ...]:
        """The column names in the file's header, in the order of the contract."""
        return tuple(column.name for column in self.columns)

    @property
    def rows_table(self) -> str:
        """The PostgreSQL table with the rows of all loads; `relation` is a view of current ones."""
        return f"{self.relation}_rows"

    @property
    def physical_names(self) -> tuple[str, ...]:
        """The column names in PostgreSQL, in the order of the contract."""
        return tuple(column.physical_name for column in self.columns)

    @property
    def checks(self) -> tuple[tuple[str, AnyRule | UniqueRows], ...]:
        """All checks of rows, each after its column or columns."""
        of_columns = ((column.name, rule) for column in self.columns for rule in column.rules)
        return (*of_columns, *((each.of, each) for each in self.unique_rows))

    @property
    def fixed_width(self) -> int | None:
        """How many values a row has if columns are found by position; None: as the first row."""
        varies = self.header_policy.unknown == "ignore" or any(
            column.optional for column in self.columns
        )
        return None if varies else len(self.columns)

    @property
    def by_position(self) -> bool:
        """Whether columns are found by their position, and not by their names."""
        return self.header_policy.match == "position" or not self.dialect.header

    @property
    def allows_no_rows(self) -> bool:
        """Whether a file may be empty: a rule on the number of rows must say so explicitly."""
        return any(rule.minimum == 0 for rule in self.row_counts) and all(
            rule.is_met(0) for rule in self.row_counts
        )

    def column(self, name: str) -> Column:
        """Return the column called `name` in the file's header; raise KeyError if there is none."""
        return {column.name: column for column in self.columns}[name]

    def missing(self, column: Column) -> tuple[str, ...]:
        """Return the texts that mean a missing value in a column."""
        if column.null_tokens is None:
            return self.dialect.null_sequence
        return column.null_tokens

    @property
    def distinguishes_quoted_empty(self) -> bool:
        """Whether an empty value with quotes differs from one without in any column."""
        return any(column.quoted_empty == "text" for column in self.columns)

    def deadline(self, day: dt.date) -> dt.datetime | None:
        """Return the deadline in UTC for the file of a day; None if none is due for that day."""
        if self.sla is None or _WEEKDAYS[day.weekday()] not in self.sla.weekdays:
            return None
        local = dt.datetime.combine(
            day + dt.timedelta(days=self.sla.latency), self.sla.time, ZoneInfo(self.timezone)
        )
        # A clock change repeats or skips an hour; the later of the two readings is the deadline.
        return max(local.replace(fold=fold).astimezone(dt.UTC) for fold in (0, 1))

    def due(self, since: dt.datetime, until: dt.datetime) -> dict[dt.date, dt.datetime]:
        """Return the days whose deadlines are in (`since`, `until`], with their deadlines."""
        if self.sla is None:
            return {}
        # A time zone differs from UTC by up to a day.
        first = since.astimezone(dt.UTC).date() - dt.timedelta(days=self.sla.latency + 1)
        last = until.astimezone(dt.UTC).date() + dt.timedelta(days=1)
        days = [first + dt.timedelta(days=n) for n in range((last - first).days + 1)]
        deadlines = [(day, self.deadline(day)) for day in days]
        return {day: by for day, by in deadlines if by is not None and since < by <= until}

    @model_validator(mode="after")
    def _is_valid(self) -> Self:
        Problems.check(
            [
                *self._encoding_problems(),
                *self._json_problems(),
                *self._storage_problems(),
                *self._name_problems(),
                *self._header_problems(),
                *self._row_count_problems(),
                *self._unique_problems(),
                *self._lookup_problems(),
                *self._total_problems(),
                *self._key_problems(),
            ]
        )
        return self

    def _encoding_problems(self) -> Iterator[str]:
        if self.encoding_errors == "reject" and (problem := undecodable.problem(self.encoding)):
            yield f"encodingErrors is reject, but {problem}"

    def _json_problems(self) -> Iterator[str]:
        if self.file_format == "csv":
            return
        needless = "have no effect on JSON lines: remove them"
        if names := sorted(self.dialect.model_fields_set - {"null_sequence"}):
            yield f"properties of the dialect ({listed([*map(to_camel, names)])}) {needless}"
        policy = self.header_policy
        if policy.match == "position" or "order" in policy.model_fields_set:
            yield f"match: position and order of the headerPolicy {needless}"
        if names := [column.name for column in self.columns if column.optional]:
            yield (
                "optional has no effect on JSON lines, because a row may lack any column: remove "
                f"it from {listed([*map(quoted, names)])}"
            )
        if self.decimal_mark != ".":
            yield (
                "decimalMark contradicts fileFormat: jsonLines, because a number in JSON has a "
                "decimal point: remove decimalMark"
            )

    def _storage_problems(self) -> Iterator[str]:
        if self.relation in OWN_RELATIONS:
            yield f"the table {self.relation} is reserved for the pipeline: choose another name"
        if self.relation.startswith("pg_"):
            yield (
                f"the table {self.relation} could be hidden by a system table of PostgreSQL: "
                "choose a physicalName that does not begin with pg_"
            )
        if self.relation.endswith(OWN_SUFFIXES):
            yield (
                f"the pipeline appends {listed(OWN_SUFFIXES)} to names of tables: choose a "
                "physicalName that does not end with one of them"
            )
        if len(self.relation) > MAX_RELATION:
            yield (
                f"the table {self.relation} has {len(self.relation)} characters, but the pipeline "
                f"appends up to {len(max(OWN_SUFFIXES, key=len))}: choose a physicalName of at "
                f"most {MAX_RELATION}"
            )
        for owner, columns in (("the pipeline", OWN_COLUMNS), ("PostgreSQL", SYSTEM_COLUMNS)):
            if taken := columns.intersection(self.physical_names):
                yield (
                    f"columns {sorted(taken)} are reserved for {owner}: choose another physicalName"
                )
        least = _ROW_HEADER_BYTES + _OWN_BYTES
        least += sum(column.limits.least_bytes for column in self.columns if column.required)
        if least > MAX_ROW_BYTES:
            yield (
                f"the required columns alone need {least:,} bytes per row, but a PostgreSQL page "
                f"has {MAX_ROW_BYTES:,}: require fewer columns, or split the table"
            )
        for index in self.indexes:
            if len(index) > _MAX_INDEX_COLUMNS:
                yield (
                    f"the index that begins with {quoted(index[0])} has {len(index)} columns, but "
                    f"PostgreSQL allows {_MAX_INDEX_COLUMNS}: remove some"
                )

    def _name_problems(self) -> Iterator[str]:
        key = self.header_policy.key
        in_header = [name for column in self.columns for name in column.names]
        same = {*repeated(map(key, in_header))}
        ambiguous = sorted({name for name in in_header if key(name) in same})
        for twice in (ambiguous, repeated(self.physical_names)):
            if twice:
                yield (
                    f"columns {twice} occur more than once: give each its own name, aliases and "
                    "physicalName"
                )
        named = [("an index", index) for index in self.indexes]
        named += [("the lookup", self.lookup.columns)] if self.lookup else []
        named += [(f"the rule {quoted(each.name)}", each.columns) for each in self.unique_rows]
        known = set(self.header)
        for what, names in named:
            if unknown := set(names) - known:
                yield (
                    f"{what} names {sorted(unknown)}, which are not columns: use names of the "
                    "header"
                )
        for column in self.columns:
            yield from (
                f"column {quoted(column.name)}: {each}" for each in self._value_problems(column)
            )

    def _value_problems(self, column: Column) -> Iterator[str]:
        null_tokens = self.missing(column)
        tokens = {*map(column.folded, (*column.true_tokens, *column.false_tokens))}
        if both := tokens.intersection(map(column.folded, null_tokens)):
            yield (
                f"{sorted(both)} cannot mean both missing and true or false: remove them from the "
                "column's tokens, or from nullSequence or nullTokens"
            )
        if column.group_char == self.decimal_mark:
            yield (
                f"the groupChar {column.group_char!r} is also the decimalMark of the table: change "
                "one of them"
            )
        if column.quoted_empty == "text" and "" not in null_tokens:
            yield (
                "quotedEmpty has no effect, because an empty value is not missing: remove it, or "
                'add "" to nullTokens'
            )
        if column.quoted_empty == "text" and self.dialect.quote_char is None:
            yield "quotedEmpty has no effect, because the dialect has no quoteChar: remove it"

    def _header_problems(self) -> Iterator[str]:
        if not self.dialect.header and {"match", "order"} & self.header_policy.model_fields_set:
            yield (
                "match and order of the headerPolicy have no effect, because the dialect's files "
                "have no header: remove them"
            )
        needed = [i for i, column in enumerate(self.columns) if not column.optional]
        last = max(needed, default=0)
        for i, column in enumerate(self.columns):
            if self.by_position and column.aliases:
                yield (
                    f"column {quoted(column.name)}: aliases have no effect, because columns "
                    "are found by position: remove them"
                )
            if self.by_position and column.optional and i < last:
                yield (
                    f"column {quoted(column.name)}: it cannot be optional before a column that is "
                    "not, because columns are found by position: move it to the end, or remove "
                    "optional"
                )
        # Every file has a first column, whatever its name.
        if self.header_policy.unknown == "ignore" and len(needed) <= (1 if self.by_position else 0):
            yield (
                "the headerPolicy would accept the header of every file: set unknown: refuse, or "
                "make fewer columns optional"
            )

    def _row_count_problems(self) -> Iterator[str]:
        least = max([1, *(rule.minimum or 0 for rule in self.row_counts)])
        for rule in self.row_counts:
            if rule.maximum is not None and rule.maximum < least:
                yield (
                    f"the quality {quoted(rule.name)} allows {rule} rows, so that no file with "
                    "rows could be loaded: correct the rules of rowCount; to allow empty files, "
                    "write mustBeGreaterOrEqualTo: 0"
                )

    def _unique_problems(self) -> Iterator[str]:
        if names := repeated(rule.name for rule in self.unique_rows):
            yield (
                f"rules {names} of the table occur more than once, but rejected rows refer to a "
                "rule by name: give each rule its own name"
            )
        for rule in self.unique_rows:
            if twice := repeated(rule.columns):
                yield f"the rule {quoted(rule.name)} names {twice} more than once: remove them"
            wrong = [
                f"{column.name} ({column.kind})"
                for column in self.columns
                if column.name in rule.columns and "unique" not in column.type.rules
            ]
            if wrong:
                yield (
                    f"the rule {quoted(rule.name)} cannot compare {listed(wrong)}: remove these "
                    "columns"
                )

    def _lookup_problems(self) -> Iterator[str]:
        if self.lookup is None or not {*self.lookup.columns}.issubset(self.header):
            return
        order = self.column(self.lookup.order)
        for role, name in (("key", self.lookup.key), ("group", self.lookup.group)):
            taken = _GROUP_PARAMETERS if role == "group" else _LOOKUP_PARAMETERS
            if name is None:
                continue
            if self.column(name).type.parameter is None or name in taken:
                yield (
                    f"the lookup's {role} {name} must be of type {_KEY_TYPES}, and its name must "
                    f"not be a query parameter of the API: {sorted(taken)}"
                )
        if self.lookup.measure is not None:
            measure = self.column(self.lookup.measure)
            if not measure.type.is_summed or measure.name in _SUMMARY_FIELDS:
                yield (
                    f"the lookup's measure {measure.name} must be of type {_MEASURE_TYPES}, and "
                    f"its name must not be another field of a summary: {sorted(_SUMMARY_FIELDS)}"
                )
        if not order.required or order.type.compared_as is None:
            # A page begins after the `order` of the last row, so that value must not be missing.
            yield (
                f"the lookup's order {order.name} must be required, and of type {_ORDER_TYPES}, "
                "because the API pages by it"
            )

    def _total_problems(self) -> Iterator[str]:
        summed = [column.physical_name for column in self.columns if column.type.is_summed]
        footer = self.dialect.footer
        if footer is not None and footer.pattern is not None:
            for each in group_problems(footer.pattern, (ROWS,), summed):
                yield f"the footer's pattern {each}"
        if self.manifest is not None:
            common = [each.groups for each in self.keys]
            yield from self.manifest.problems(
                summed, frozenset.intersection(*common or [frozenset()])
            )

    def _key_problems(self) -> Iterator[str]:
        for pattern in repeated(each.pattern for each in self.keys):
            yield f"the pattern {quoted(pattern)} is in keys more than once: remove the others"
        for key in (each for pattern in self.keys for each in pattern.examples):
            if self.manifest is not None and self.manifest.is_name(key.rpartition("/")[2]):
                yield (
                    f"the example {quoted(key, KEY)} of a data file has the name of a manifest "
                    f"({self.manifest.name}): change one of them"
                )
