"""The contract of a table: what its files hold, what its rows must fulfil, what PostgreSQL keeps.

One file `contracts/<table>.odcs.yaml` in the Open Data Contract Standard per table; `shared.odcs`
reads it into these models. docs/contracts.md says what each part means to the people who write one.
"""

import codecs
import datetime as dt
import functools
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Annotated, Any, Literal, Self, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)
from pydantic.alias_generators import to_camel

from shared import landing_key, regex
from shared.columns import MAX_DIGITS, TYPES, ColumnType, Limits, LogicalType, RuleKind, comparable
from shared.formats import TextFormat, text_format
from shared.text import bounded, quoted

_OWN_RELATIONS = {
    *("source", "source_id_seq", "source_pkey", "source_source_key_key"),
    *("schema_version", "schema_version_id_seq", "schema_version_pkey"),
    *("replacement", "replacement_pkey"),
}
"""The pipeline's tables, with their indexes and sequences: PostgreSQL names all in one space."""
_OWN_COLUMNS = {"id", "line", "source_id", "source_line"}
_SYSTEM_COLUMNS = {"cmax", "cmin", "ctid", "tableoid", "xmax", "xmin"}
"""Every table of PostgreSQL has them. https://www.postgresql.org/docs/17/ddl-system-columns.html"""
_LOOKUP_PARAMETERS = {"by", "cursor", "from", "limit", "order", "prefix", "to"}
"""The API's own words in a query. A key's name is one too (`/get?<key>=`)."""
_GROUP_PARAMETERS = _LOOKUP_PARAMETERS | {"key", "day", "month", "week"}
"""A group's name stands beside `?key=`, and beside the periods by which rows are summed."""
_ASKED_FOR = " or ".join(name for name, each in TYPES.items() if each.parameter)
_SUMMED = " or ".join(name for name, each in TYPES.items() if each.is_summed)
_UNORDERED = " or ".join(name for name, each in TYPES.items() if each.compared_as is None)
_SUMMARY = {"group", "rows"}

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)
Severity = Literal["error", "warning"]


def _moment(value: object) -> object:
    # A text of ten characters is a day; pydantic would take a longer one for a day too.
    if isinstance(value, str) and "-" in value[1:]:
        day = len(value) == len("2020-01-01")
        return dt.date.fromisoformat(value) if day else dt.datetime.fromisoformat(value)
    return value


def _within(value: Decimal | dt.date | dt.datetime) -> Decimal | dt.date | dt.datetime:
    # What Arrow can hold a value against, exactly.
    if isinstance(value, Decimal):
        exponent = value.as_tuple().exponent
        if value.adjusted() >= MAX_DIGITS or int(exponent) < -MAX_DIGITS:
            raise ValueError(
                f"{quoted(str(value))} has more than {MAX_DIGITS} digits before or after the "
                "decimal point"
            )
        return Decimal(int(value)) if int(exponent) > 0 else value
    if isinstance(value, dt.datetime):
        try:
            value.astimezone(dt.UTC)
        except OverflowError as error:
            raise ValueError(f"{value} lies outside of the calendar in UTC") from error
    return value


Value = Annotated[
    Decimal | dt.date | dt.datetime, BeforeValidator(_moment), AfterValidator(_within)
]


# https://www.postgresql.org/docs/17/limits.html
MAX_COLUMNS = 1_600 - len({"id", "source_id", "source_line"})
_MAX_INDEX_COLUMNS = 32
MAX_ROW_BYTES = 8_160
"""What a page of 8 KiB has room for beside its header and the pointer to the row.

https://www.postgresql.org/docs/17/storage-page-layout.html
"""
_ROW_HEADER_BYTES = 24
_OWN_BYTES = 8 + 4 + 4

_MAX_CHARACTERS = 2**31 - 1
"""Arrow counts them so far."""

_NO_ENCODINGS = {
    *("charmap", "idna", "mbcs", "oem", "palmos", "punycode"),
    *("raw-unicode-escape", "raw_unicode_escape", "undefined", "unicode-escape", "unicode_escape"),
}
"""What Python can encode text as, but no file is written in, or not on every machine.

https://docs.python.org/3/library/codecs.html#python-specific-encodings
"""


def repeated(names: Iterable[str]) -> list[str]:
    """Return the names that are there more than once, sorted."""
    return sorted(name for name, count in Counter(names).items() if count > 1)


def _identifier(name: str) -> str:
    # The names go into DDL, where no parameter can stand.
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name):
        raise ValueError(
            f"{quoted(name)} is no plain lower-case PostgreSQL identifier: write up to 63 letters "
            "a to z, digits and underscores, the first of them a letter"
        )
    return name


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError) as error:  # "Europe" is a folder of them
        raise ValueError(f"{quoted(name)} is no time zone; one is Europe/Berlin") from error
    return name


def _table(name: str) -> str:
    if not re.fullmatch(landing_key.TABLE, name):
        raise ValueError(
            f"{quoted(name)} cannot stand in a landing key: a table's name has up to 48 lower-case "
            "letters, digits and underscores, the first of them a letter"
        )
    return name


def _pattern(pattern: str) -> str:
    regex.check(pattern)
    regex.check(regex.whole(pattern))  # `\Qa`, for instance, quotes what follows it
    return pattern


def _encoding(name: str) -> str:
    try:
        "".encode(name)
        known = codecs.lookup(name).name not in _NO_ENCODINGS
    except (LookupError, ValueError):  # ROT13 makes text of text; a name may hold a NUL
        known = False
    if not known:
        raise ValueError(
            f"Python knows no encoding {quoted(name)} of files; some are utf-8, utf-16 and cp1252"
        )
    return name


def _delimiter(text: str) -> str:
    if not (len(text) == 1 and text.isascii()) or text.isalnum() or text in '\0"\r\n':
        raise ValueError(
            f"the delimiter must be one ASCII character, and neither a letter, a digit, a quote, "
            f"a line end nor NUL, but it is {quoted(text)}"
        )
    return text


def _disorder(minimum: Any, maximum: Any) -> Iterator[str]:
    if minimum is not None and maximum is not None and minimum > maximum:
        yield f"no value can be at least {minimum} and at most {maximum}: correct these bounds"


Identifier = Annotated[str, AfterValidator(_identifier)]
Description = Annotated[str, AfterValidator(functools.partial(bounded, limit=1_000))]
"""What people are told of a table or a column, cut where it is longer than anybody reads."""
Zone = Annotated[str, AfterValidator(_zone)]


class Flaws(ValueError):
    """What is wrong with a part, one text for each flaw."""

    @classmethod
    def check(cls, found: Iterable[str]) -> None:
        """Raise all flaws that are found, if there is one.

        Raises:
            Flaws: there is one.
        """
        if texts := [*found]:
            raise cls(*texts)


class Model(BaseModel):
    """Base of the models: immutable, and refuses what it does not know."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )


class Format(Model):
    """One way a date or timestamp may be written.

    `pattern` is Java's (`DateTimeFormatter`), `locale` the language of its month names, `timezone`
    the zone that is meant where the column's is not.
    """

    pattern: str = Field(max_length=200)
    locale: str = Field(default="en", max_length=50)
    timezone: Zone | None = None

    @property
    def text_format(self) -> TextFormat:
        """What reads texts of this format."""
        return text_format(self.pattern, self.locale)

    @model_validator(mode="after")
    def _is_understood(self) -> Self:
        text_format(self.pattern, self.locale)
        return self


class Threshold(Model):
    """How many rows may fail a rule before the file halts, also without hard testing.

    The file halts unless the failing rows, or their percentage of all rows read, are less than
    `limit`, or equal to it where `inclusive`.
    """

    limit: Decimal
    unit: Literal["rows", "percent"] = "rows"
    inclusive: bool = False

    def is_kept(self, failed: int, rows: int) -> bool:
        """Tell whether so many failed of so many rows are few enough."""
        share = Decimal(failed) if self.unit == "rows" else Decimal(100 * failed) / max(rows, 1)
        return share <= self.limit if self.inclusive else share < self.limit

    @model_validator(mode="after")
    def _can_be_kept(self) -> Self:
        if not self.is_kept(0, 1):
            raise ValueError(
                f"no file can have {self} that fail: it would always halt; say "
                "mustBe 0, or let more of them fail"
            )
        return self

    def __str__(self) -> str:
        bound = "at most" if self.inclusive else "fewer than"
        return f"{bound} {self.limit:f}{'%' if self.unit == 'percent' else ' rows'}"


class Rule(Model):
    """What a value must fulfil; `name` is what reports and rejects call it."""

    name: str
    kind: RuleKind
    severity: Severity = "error"
    threshold: Threshold | None = None


class Required(Rule):
    """The value must not be missing."""

    kind: Literal["required"] = "required"


class Length(Rule):
    """The text must have that many characters; a bound that is None is open."""

    kind: Literal["length"] = "length"
    minimum: int | None = Field(default=None, ge=0, le=_MAX_CHARACTERS)
    maximum: int | None = Field(default=None, ge=0, le=_MAX_CHARACTERS)

    @model_validator(mode="after")
    def _can_be_kept(self) -> Self:
        Flaws.check(_disorder(self.minimum, self.maximum))
        return self


class Range(Rule):
    """The value must lie between two bounds, themselves allowed; one that is None is open."""

    kind: Literal["range"] = "range"
    minimum: Value | None = None
    maximum: Value | None = None


class Pattern(Rule):
    """The whole text must match a regular expression, in RE2's syntax."""

    kind: Literal["pattern"] = "pattern"
    regex: Annotated[str, Field(max_length=10_000), AfterValidator(_pattern)]


class Allowed(Rule):
    """The text must be one of these."""

    kind: Literal["allowed"] = "allowed"
    values: tuple[str, ...] = Field(min_length=1)


class Unique(Rule):
    """No earlier row of the file may have the same value."""

    kind: Literal["unique"] = "unique"


class NotInFuture(Rule):
    """The date or instant must not lie after the moment of the test."""

    kind: Literal["not_in_future"] = "not_in_future"


AnyRule = Annotated[
    Required | Length | Range | Pattern | Allowed | Unique | NotInFuture,
    Field(discriminator="kind"),
]


class RowCount(Model):
    """How many rows a file must hold, both bounds allowed; otherwise it halts."""

    name: str
    minimum: int | None = None
    maximum: int | None = None

    @model_validator(mode="after")
    def _can_be_kept(self) -> Self:
        Flaws.check(_disorder(self.minimum, self.maximum))
        return self

    def is_kept(self, rows: int) -> bool:
        """Tell whether a file of so many rows will do."""
        return (self.minimum or 0) <= rows and (self.maximum is None or rows <= self.maximum)

    def __str__(self) -> str:
        match self.minimum, self.maximum:
            case None, maximum:
                return f"at most {maximum}"
            case minimum, None:
                return f"at least {minimum}"
            case minimum, maximum:
                return f"{minimum} to {maximum}"


class Column(Model):
    """One column: `name` in the file's header, `physical_name` in PostgreSQL."""

    name: str
    physical_name: Identifier
    logical_type: LogicalType
    physical_type: str
    required: bool = False
    description: Description = ""
    formats: tuple[Format, ...] = ()
    timezone: Zone = "Etc/UTC"
    true_tokens: tuple[str, ...] = ()
    false_tokens: tuple[str, ...] = ()
    rules: tuple[AnyRule, ...] = ()
    examples: tuple[Any, ...] = ()

    @property
    def type(self) -> ColumnType:
        """What it has in common with all columns of its logical type."""
        return TYPES[self.logical_type]

    @property
    def limits(self) -> Limits:
        """What PostgreSQL keeps of it."""
        return Limits.of(self.logical_type, self.physical_type)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        Flaws.check([*self._flaws(), *self._flaws_of_type(), *self._flaws_of_rules()])
        return self

    def _flaws(self) -> Iterator[str]:
        if bool(self.type.formats) != bool(self.formats):
            yield (
                f"a {self.logical_type} "
                + (
                    "needs 'formats': none is guessed"
                    if self.type.formats
                    else "has no 'formats': remove it"
                )
            )
        if self.type.formats == "days":
            yield from self._times_of_dates()
        tokens = (self.true_tokens, self.false_tokens)
        if not (all(tokens) if self.type.has_tokens else not any(tokens)):
            yield (
                f"a {self.logical_type} "
                + ("needs" if self.type.has_tokens else "has no")
                + " 'trueTokens' and 'falseTokens': "
                + ("add both" if self.type.has_tokens else "remove them")
            )
        if both := set(self.true_tokens) & set(self.false_tokens):
            yield f"{sorted(both)} cannot mean true and false: leave it out of one"

    def _times_of_dates(self) -> Iterator[str]:
        for each in self.formats:
            if times := each.text_format.times:
                yield (
                    f"date format {quoted(each.pattern)} names {times}: a date has no time, a "
                    "timestamp has"
                )

    def _flaws_of_type(self) -> Iterator[str]:
        try:
            length = self.limits.length
        except ValueError as error:
            yield str(error)
            return
        # Otherwise a text could pass every rule and break the COPY of all other rows.
        limits = [
            rule.maximum
            for rule in self.rules
            if isinstance(rule, Length) and rule.severity == "error" and rule.maximum is not None
        ]
        if length is not None and (not limits or min(limits) > length):
            yield f"{self.physical_type} needs a logicalTypeOptions.maxLength of at most {length}"

    def _flaws_of_rules(self) -> Iterator[str]:
        for rule in self.rules:
            if rule.kind not in self.type.rules:
                yield (
                    f"the rule {rule.name} ({rule.kind}) says nothing of a {self.logical_type}: "
                    "remove it"
                )
            elif isinstance(rule, Range):
                yield from self._flaws_of_bounds(rule)
        if names := repeated(rule.name for rule in self.rules):
            yield (
                f"rules {names} are there more than once; rejects refer to a rule by its name: "
                "give each a name of its own"
            )

    def _flaws_of_bounds(self, rule: Range) -> Iterator[str]:
        bounds = [bound for bound in (rule.minimum, rule.maximum) if bound is not None]
        wrong = [bound for bound in bounds if type(bound) not in self.type.bounds]
        for bound in wrong:
            yield (
                f"the rule {rule.name} holds a {self.logical_type} against {bound}, which is none: "
                f"write a {self.logical_type}"
            )
        if not wrong:
            yield from _disorder(*(comparable(bound) for bound in (rule.minimum, rule.maximum)))


class HeaderPolicy(Model):
    """What the first line may be: columns in `any` order or the `contract`'s; others or none."""

    order: Literal["any", "contract"] = "any"
    unknown: Literal["refuse", "ignore"] = "refuse"


class Lookup(Model):
    """What the API shows of the table: `fields`, of rows with a `key`, in the order of `order`.

    Rows can be filtered and summed by their `group`; what is summed is their `measure`.
    """

    key: str
    order: str
    fields: tuple[str, ...] = Field(min_length=1)
    group: str | None = None
    measure: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns that the look-up stands on."""
        named = (self.key, self.order, *self.fields, self.group, self.measure)
        return tuple(name for name in named if name is not None)


def _time(value: object) -> object:
    # Nothing else: pydantic would take 900 for a quarter of an hour after midnight.
    if not isinstance(value, str) or not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
        raise ValueError(f'{value!r} is no time of day such as "09:00", in quotes')
    return value


class ServiceLevel(Model):
    """By when the file of a day is loaded, every day or on some: by `time`, `latency` days later.

    `time` is local, in the contract's zone.
    """

    time: Annotated[dt.time, BeforeValidator(_time)]
    latency: int = Field(default=0, ge=0, le=31)
    weekdays: tuple[Weekday, ...] = Field(default=_WEEKDAYS, min_length=1)


class Contract(Model):
    """A table's contract, as far as this pipeline acts on it."""

    table: Annotated[str, AfterValidator(_table)]
    relation: Identifier
    version: str
    description: Description = ""
    columns: tuple[Column, ...] = Field(min_length=1, max_length=MAX_COLUMNS)
    encoding: Annotated[str, AfterValidator(_encoding)] = "utf-8"
    delimiter: Annotated[str, AfterValidator(_delimiter)] = ","
    decimal_mark: Literal[".", ","] = "."
    null_tokens: tuple[str, ...] = ("",)
    header_policy: HeaderPolicy = HeaderPolicy()
    timezone: Zone = "Etc/UTC"
    indexes: tuple[Annotated[tuple[str, ...], Field(min_length=1)], ...] = ()
    lookup: Lookup | None = None
    row_counts: tuple[RowCount, ...] = ()
    max_rejected_percent: Annotated[Decimal, Field(ge=0, le=100)] = Decimal(50)
    sla: ServiceLevel | None = None

    @property
    def header(self) -> tuple[str, ...]:
        """The column names in the order of the contract."""
        return tuple(column.name for column in self.columns)

    @property
    def physical_names(self) -> tuple[str, ...]:
        """The column names in PostgreSQL, in the order of the contract."""
        return tuple(column.physical_name for column in self.columns)

    def column(self, name: str) -> Column:
        """Return the column called `name` in the file's header.

        Raises:
            KeyError: the contract has no such column.
        """
        return {column.name: column for column in self.columns}[name]

    def deadline(self, day: dt.date) -> dt.datetime | None:
        """Return the instant by which a day's file is loaded; None if no such file is promised."""
        if self.sla is None or _WEEKDAYS[day.weekday()] not in self.sla.weekdays:
            return None
        local = dt.datetime.combine(
            day + dt.timedelta(days=self.sla.latency), self.sla.time, ZoneInfo(self.timezone)
        )
        # A clock change repeats an hour or leaves one out: nobody is late before the later of both.
        return max(local.replace(fold=fold).astimezone(dt.UTC) for fold in (0, 1))

    def due(self, since: dt.datetime, until: dt.datetime) -> dict[dt.date, dt.datetime]:
        """Return the days whose deadlines lie after `since` and not after `until`, with these."""
        if self.sla is None:
            return {}
        # A zone is up to a day away from UTC.
        first = since.astimezone(dt.UTC).date() - dt.timedelta(days=self.sla.latency + 1)
        last = until.astimezone(dt.UTC).date() + dt.timedelta(days=1)
        days = [first + dt.timedelta(days=n) for n in range((last - first).days + 1)]
        deadlines = [(day, self.deadline(day)) for day in days]
        return {day: by for day, by in deadlines if by is not None and since < by <= until}

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        Flaws.check([*self._misfits(), *self._contradictions(), *self._flaws_of_lookup()])
        return self

    def _misfits(self) -> Iterator[str]:
        """Say what PostgreSQL cannot keep."""
        if self.relation in _OWN_RELATIONS:
            yield f"the table {self.relation} is the pipeline's own: choose another"
        if self.relation.startswith("pg_"):
            yield (
                f"the table {self.relation} would be hidden behind PostgreSQL's own: choose a "
                "physicalName that does not begin with pg_"
            )
        for owner, columns in (("the pipeline", _OWN_COLUMNS), ("PostgreSQL", _SYSTEM_COLUMNS)):
            if taken := columns.intersection(self.physical_names):
                yield f"columns {sorted(taken)} are {owner}'s own: give them another physicalName"
        least = _ROW_HEADER_BYTES + _OWN_BYTES
        least += sum(column.limits.least_bytes for column in self.columns if column.required)
        if least > MAX_ROW_BYTES:
            yield (
                f"the required columns alone make a row of at least {least:,} bytes, and "
                f"PostgreSQL keeps {MAX_ROW_BYTES:,} of a row in a page: require fewer, or split "
                "the table"
            )
        for index in self.indexes:
            if len(index) > _MAX_INDEX_COLUMNS:
                yield (
                    f"the index that begins with {quoted(index[0])} has {len(index)} columns; "
                    f"PostgreSQL takes {_MAX_INDEX_COLUMNS}: leave some out"
                )

    def _contradictions(self) -> Iterator[str]:
        for names in (self.header, self.physical_names):
            if twice := repeated(names):
                yield (
                    f"columns {twice} are there more than once: give each a name and a "
                    "physicalName of its own"
                )
        named = [("an index", index) for index in self.indexes]
        named += [("lookup", self.lookup.columns)] if self.lookup else []
        known = set(self.header)
        for what, names in named:
            if unknown := set(names) - known:
                yield (
                    f"{what} names {sorted(unknown)}, which are no columns: use names of the header"
                )
        for column in self.columns:
            tokens = {*column.true_tokens, *column.false_tokens}
            if both := tokens.intersection(self.null_tokens):
                yield (
                    f"column {quoted(column.name)}: {sorted(both)} cannot mean missing, and true "
                    "or false: leave it out of nullTokens, or of the column's tokens"
                )

    def _flaws_of_lookup(self) -> Iterator[str]:
        if self.lookup is None or not {*self.lookup.columns}.issubset(self.header):
            return
        order = self.column(self.lookup.order)
        for role, name in (("key", self.lookup.key), ("group", self.lookup.group)):
            taken = _GROUP_PARAMETERS if role == "group" else _LOOKUP_PARAMETERS
            if name is None:
                continue
            if self.column(name).type.parameter is None or name in taken:
                yield (
                    f"the lookup's {role} {name} must be of type {_ASKED_FOR}, "
                    f"and not be called as one of the API's own words {sorted(taken)}"
                )
        if self.lookup.measure is not None:
            measure = self.column(self.lookup.measure)
            if not measure.type.is_summed or measure.name in _SUMMARY:
                yield (
                    f"the lookup's measure {measure.name} must be of type {_SUMMED}, "
                    f"and not be called as what stands beside it in a summary: {sorted(_SUMMARY)}"
                )
        if not order.required or order.type.compared_as is None:
            # A page begins after the last row of the one before: after nothing, nothing comes.
            yield (
                f"the lookup's order {order.name} must be required, and not of type {_UNORDERED}: "
                "otherwise its rows cannot be told page by page"
            )
