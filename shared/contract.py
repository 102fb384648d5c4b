"""Models of a table's contract: the form of its files, the rules for its rows, and its storage.

`shared.odcs` reads these models from a file `<table>.odcs.yaml` in the Open Data Contract Standard.
docs/contracts.md describes each property for authors of contracts.
"""

import codecs
import datetime as dt
import functools
import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Annotated, Any, Literal, Self, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic.alias_generators import to_camel

from shared import landing_key, regex, undecodable
from shared.columns import (
    MAX_DIGITS,
    TYPES,
    ColumnType,
    Kind,
    Limits,
    LogicalType,
    RuleKind,
    comparable,
    stored,
)
from shared.compression import Compression
from shared.control_totals import ROWS, group_problems
from shared.dialect import Dialect
from shared.file_types import FileFormat
from shared.formats import MICROSECOND_DIGITS, Described, Reading, readings
from shared.key_pattern import KEY, KeyPattern
from shared.manifest import Manifest
from shared.model import Model, Problems
from shared.text import bounded, listed, quoted
from shared.undecodable import EncodingErrors

OWN_RELATIONS = {
    *("source", "source_id_seq", "source_pkey", "source_source_key_key"),
    *("schema_version", "schema_version_id_seq", "schema_version_pkey"),
    *("replacement", "replacement_pkey"),
}
"""The pipeline's tables, indexes and sequences, which share one namespace in PostgreSQL."""
OWN_COLUMNS = {"id", "line", "source_id", "source_line"}
SYSTEM_COLUMNS = {"cmax", "cmin", "ctid", "tableoid", "xmax", "xmin"}
"""Columns of every PostgreSQL table. https://www.postgresql.org/docs/17/ddl-system-columns.html"""
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
Severity = Literal["error", "warning"]
NumberStyle = Literal["exponent", "omittedZero", "parentheses", "trailingMinus", "integralDecimal"]
_GROUP_CHARS = (",", ".", "'", " ")
"""The usual separators of groups, which the reason of a rejected number advises."""
_NUMERIC: tuple[Kind, ...] = ("integer", "number", "float")
_OPTIONS_OF: dict[str, tuple[Kind, ...]] = {
    "quoted_empty": ("string",),
    "ignore_case": ("boolean",),
    **dict.fromkeys(("group_char", "bare_number", "number_styles"), _NUMERIC),
}
"""The types that each option of a column is for; the others are for all types."""


Bound = Decimal | dt.date | dt.datetime | dt.time
"""A bound of a rule."""
_EXAMPLES: dict[type, str] = dict(
    zip(
        get_args(Bound),
        ("24", '"2020-01-31"', '"2020-01-31T12:00:00Z"', '"08:30"'),
        strict=True,
    )
)
"""Bounds as contracts write them, by type, to advise."""


def _bound(value: object) -> object:
    # Parsed here because pydantic would also read a timestamp at midnight as a date.
    try:
        match value:
            case str() if re.fullmatch("[0-9]{2}:[0-9:.]+", value):
                return dt.time.fromisoformat(value)
            case str() if re.match("[0-9]{4}-", value):
                is_day = len(value) == len("2020-01-31")
                return dt.date.fromisoformat(value) if is_day else dt.datetime.fromisoformat(value)
            case str() | int() | float() if not isinstance(value, bool):
                number = Decimal(str(value))
                if number.is_finite():
                    return number
            case Decimal() | dt.date() | dt.time():
                return value
    except (ValueError, ArithmeticError):
        pass
    raise ValueError(
        f"{quoted(str(value))} is not a valid bound: write e.g. {' or '.join(_EXAMPLES.values())}"
    )


def _check_limits(value: Bound) -> Bound:
    # Arrow compares values within these limits exactly.
    if isinstance(value, Decimal):
        exponent = value.as_tuple().exponent
        if value.adjusted() >= MAX_DIGITS or int(exponent) < -MAX_DIGITS:
            raise ValueError(
                f"{quoted(str(value))} has more than {MAX_DIGITS} digits before or after the "
                "decimal point: write fewer"
            )
        return Decimal(int(value)) if int(exponent) > 0 else value
    if isinstance(value, dt.datetime):
        try:
            value.astimezone(dt.UTC)
        except OverflowError as error:
            raise ValueError(
                f"{value} is outside the calendar (years 1 to 9999) in UTC: correct it"
            ) from error
    return value


Value = Annotated[Bound, BeforeValidator(_bound), AfterValidator(_check_limits)]


# https://www.postgresql.org/docs/17/limits.html
MAX_COLUMNS = 1_600 - len({"id", "source_id", "source_line"})
_MAX_INDEX_COLUMNS = 32
MAX_ROW_BYTES = 8_160
"""Maximum size of a row: a page of 8 KiB less its header and the pointer to the row.

https://www.postgresql.org/docs/17/storage-page-layout.html
"""
_ROW_HEADER_BYTES = 24
_OWN_BYTES = 8 + 4 + 4  # id, source_id, source_line

_MAX_CHARACTERS = 2**31 - 1  # maximum length that Arrow can count

_UNSUPPORTED_ENCODINGS = {
    *("charmap", "idna", "mbcs", "oem", "palmos", "punycode"),
    *("raw-unicode-escape", "raw_unicode_escape", "undefined", "unicode-escape", "unicode_escape"),
}
"""Python's text encodings that are not used for files, or exist on some platforms only.

https://docs.python.org/3/library/codecs.html#python-specific-encodings
"""


def repeated(names: Iterable[str]) -> list[str]:
    """Return the names that occur more than once, sorted."""
    return sorted(name for name, count in Counter(names).items() if count > 1)


def folded(name: str) -> str:
    """Return a name without white space at its ends and differences of case, in the form NFC."""
    return unicodedata.normalize("NFC", name.strip().casefold())


def _identifier(name: str) -> str:
    # The names become part of DDL statements, which take no parameters.
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name):
        raise ValueError(
            f"{quoted(name)} is not a plain lower-case PostgreSQL identifier: use up to 63 letters "
            "a to z, digits and underscores, and begin with a letter"
        )
    return name


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError) as error:  # "Europe" is a folder of zones
        raise ValueError(
            f"{quoted(name)} is not a time zone: use an IANA name, e.g. Europe/Berlin"
        ) from error
    return name


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


def _order_problems(minimum: Any, maximum: Any) -> Iterator[str]:
    if minimum is not None and maximum is not None and minimum > maximum:
        yield f"the minimum {minimum} is greater than the maximum {maximum}: correct these bounds"


Identifier = Annotated[str, AfterValidator(_identifier)]
Description = Annotated[str, AfterValidator(functools.partial(bounded, limit=1_000))]
"""Description of a table or column for readers, cut after 1,000 characters."""
Zone = Annotated[str, AfterValidator(_zone)]


class Format(Model):
    """Format of a date, timestamp or time of day.

    `pattern` is one of Java's `DateTimeFormatter`, or `iso8601`, `epochSeconds` or `epochMillis`.
    `locale` is the language of names. `timezone` overrides the time zone of the column. `pivot` is
    the first of the hundred years that `yy` means. `beyond_microseconds` says what happens to a
    text whose fraction has further digits that are not zero.
    """

    pattern: str = Field(max_length=200)
    locale: str = Field(default="en", max_length=50)
    timezone: Zone | None = None
    pivot: int | None = Field(default=None, ge=1, le=9_900)
    beyond_microseconds: Literal["reject", "truncate"] | None = None

    def readings(self, described: Described) -> tuple[Reading, ...]:
        """Return the ways to read a text; raise ValueError if they do not describe what they must.

        A reading is one choice of optional sections.
        """
        return readings(self.pattern, self.locale, described)

    def problems(self, described: Described) -> Iterator[str]:
        """Yield why the format does not describe what it must, or has properties without effect."""
        try:
            found = self.readings(described)
        except ValueError as error:
            yield str(error)
            return
        form = f"format {quoted(self.pattern)}"
        if self.timezone is not None and described != "instants":
            yield f"{form} has no time zone: remove 'timezone'"
        elif self.timezone is not None and all(each.is_absolute for each in found):
            yield f"{form} reads the time zone from the text: remove 'timezone'"
        if self.pivot is not None and not any("year_of_century" in each.groups for each in found):
            yield f"{form} has no yy: remove 'pivot'"
        if self.beyond_microseconds is not None and not any(
            each.fraction_digits > MICROSECOND_DIGITS for each in found
        ):
            yield (
                f"{form} has no fraction of more than {MICROSECOND_DIGITS} digits: remove "
                "'beyondMicroseconds'"
            )


class Threshold(Model):
    """Number of rows that may fail a rule before the file halts, even without hard testing.

    The failing rows, or their percentage of all rows read, must be less than `limit`. They may
    equal it if the threshold is `inclusive`.
    """

    limit: Decimal
    unit: Literal["rows", "percent"] = "rows"
    inclusive: bool = False

    def is_met(self, failed: int, rows: int) -> bool:
        """Return whether `failed` of `rows` rows may fail."""
        share = Decimal(failed) if self.unit == "rows" else Decimal(100 * failed) / max(rows, 1)
        return share <= self.limit if self.inclusive else share < self.limit

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        if not self.is_met(0, 1):
            raise ValueError(
                f"the limit of {self} halts every file: write mustBe: 0 or a higher limit"
            )
        return self

    def __str__(self) -> str:
        bound = "at most" if self.inclusive else "fewer than"
        return f"{bound} {self.limit:f}{'%' if self.unit == 'percent' else ' rows'}"


class Check(Model):
    """Check of each row; reports and rejected rows refer to it by `name`."""

    name: str
    severity: Severity = "error"
    threshold: Threshold | None = None


class Rule(Check):
    """Check of a value of one column."""

    kind: RuleKind


class Required(Rule):
    """The value must not be missing."""

    kind: Literal["required"] = "required"


class Length(Rule):
    """The text must have this many characters; None means no bound."""

    kind: Literal["length"] = "length"
    minimum: int | None = Field(default=None, ge=0, le=_MAX_CHARACTERS)
    maximum: int | None = Field(default=None, ge=0, le=_MAX_CHARACTERS)

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        Problems.check(_order_problems(self.minimum, self.maximum))
        return self


class Range(Rule):
    """The value must be within two inclusive bounds; None means no bound."""

    kind: Literal["range"] = "range"
    minimum: Value | None = None
    maximum: Value | None = None


class Pattern(Rule):
    """The whole text must match a regular expression, in RE2's syntax."""

    kind: Literal["pattern"] = "pattern"
    regex: Annotated[str, Field(max_length=10_000), AfterValidator(regex.checked)]


class Allowed(Rule):
    """The text must be one of `values`."""

    kind: Literal["allowed"] = "allowed"
    values: tuple[str, ...] = Field(min_length=1)


class Unique(Rule):
    """No earlier row of the file may have the same value."""

    kind: Literal["unique"] = "unique"


class NotInFuture(Rule):
    """The date or timestamp must not be later than the time of the test."""

    kind: Literal["not_in_future"] = "not_in_future"


AnyRule = Annotated[
    Required | Length | Range | Pattern | Allowed | Unique | NotInFuture,
    Field(discriminator="kind"),
]


class UniqueRows(Check):
    """No earlier row of the file may have the same values in all `columns`.

    As in SQL, a row with a missing value in one of them is not checked.
    """

    columns: tuple[str, ...] = Field(min_length=1)

    @property
    def of(self) -> str:
        """The columns, as reports and rejected rows show them."""
        return listed(self.columns)


class RowCount(Model):
    """Number of rows that a file must have, within two inclusive bounds; otherwise it halts."""

    name: str
    minimum: int | None = Field(default=None, ge=0)
    maximum: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        Problems.check(_order_problems(self.minimum, self.maximum))
        return self

    def is_met(self, rows: int) -> bool:
        """Return whether a file may have `rows` rows."""
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
    """Column with the name `name` in the file's header and `physical_name` in PostgreSQL.

    Attributes:
        aliases: further names in the header.
        optional: a file may lack the column; its values are then missing.
        null_tokens: the texts of a missing value. None: those of the dialect.
        quoted_empty: what an empty value in quotes is, if an empty value without is missing.
        trim: white space around a value is removed before anything else.
        true_tokens: the texts for true.
        false_tokens: the texts for false.
        ignore_case: these texts may have any case.
        group_char: separates groups of three digits. A space stands for no-break spaces too.
        bare_number: a number has no text, such as a currency or a percent sign, around it.
        number_styles: further spellings of numbers: `1.5e-7`; `.5` and `5.`; `(5)` and `5-` for
            -5; `1.0` for an integer.
    """

    name: str
    physical_name: Identifier
    logical_type: LogicalType
    physical_type: str
    required: bool = False
    aliases: tuple[str, ...] = Field(default=(), min_length=1)
    optional: bool = False
    description: Description = ""
    formats: tuple[Format, ...] = ()
    timezone: Zone = "Etc/UTC"
    null_tokens: tuple[str, ...] | None = None
    quoted_empty: Literal["missing", "text"] = "missing"
    trim: bool = False
    true_tokens: tuple[str, ...] = ()
    false_tokens: tuple[str, ...] = ()
    ignore_case: bool = False
    group_char: str | None = None
    bare_number: bool = True
    number_styles: tuple[NumberStyle, ...] = Field(default=(), min_length=1)
    rules: tuple[AnyRule, ...] = ()
    examples: tuple[Any, ...] = ()

    @property
    def kind(self) -> Kind:
        """The type, which rejected rows and the API name."""
        return stored(self.logical_type, self.physical_type)[0]

    @property
    def names(self) -> tuple[str, ...]:
        """All names that the column may have in the file's header."""
        return (self.name, *self.aliases)

    @property
    def type(self) -> ColumnType:
        """The properties that all columns of this kind share."""
        return TYPES[self.kind]

    @property
    def limits(self) -> Limits:
        """The limits of the column's PostgreSQL type."""
        return stored(self.logical_type, self.physical_type)[1]

    @property
    def spells_numbers(self) -> bool:
        """Whether numbers may be spelled otherwise than with digits and a decimal mark."""
        return self.group_char is not None or not self.bare_number or bool(self.number_styles)

    @property
    def is_needed(self) -> bool:
        """Whether a file without the column could not be loaded."""
        return self.required or any(
            isinstance(rule, Required) and (rule.severity == "error" or rule.threshold is not None)
            for rule in self.rules
        )

    def folded(self, token: str) -> str:
        """Return a token of a boolean as it is compared."""
        return token.casefold() if self.ignore_case else token

    def further_options(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield options that accept further texts: as written in a contract, and as fields."""
        chars = _GROUP_CHARS if self.group_char is None else ()
        styles = [(*self.number_styles, style) for style in get_args(NumberStyle)]
        found: list[tuple[str, dict[str, Any]]] = [
            ("trim: true", {"trim": True}),
            ("ignoreCase: true", {"ignore_case": True}),
            ("bareNumber: false", {"bare_number": False}),
            *((f"groupChar: {char!r}", {"group_char": char}) for char in chars),
            *((f"numberStyles: [{', '.join(each)}]", {"number_styles": each}) for each in styles),
        ]
        for option, update in found:
            changed = self.model_copy(update=update)
            if changed != self and not [*changed._option_problems()]:
                yield option, update

    @model_validator(mode="after")
    def _is_valid(self) -> Self:
        stored(self.logical_type, self.physical_type)
        Problems.check(
            [
                *self._format_and_token_problems(),
                *self._option_problems(),
                *self._length_problems(),
                *self._rule_problems(),
                *self._optional_problems(),
            ]
        )
        return self

    def _format_and_token_problems(self) -> Iterator[str]:
        if self.type.formats and not self.formats:
            yield f"the type {self.kind} needs 'formats': add them, because none is guessed"
        if self.formats and not self.type.formats:
            yield f"the type {self.kind} cannot have 'formats': remove them"
        if described := self.type.formats:
            problems = [text for each in self.formats for text in each.problems(described)]
            yield from problems
            if "timezone" in self.model_fields_set and not problems:
                yield from self._timezone_problems(described)
        tokens = (self.true_tokens, self.false_tokens)
        if self.type.has_tokens and not all(tokens):
            yield f"the type {self.kind} needs 'trueTokens' and 'falseTokens': add both"
        if any(tokens) and not self.type.has_tokens:
            yield f"the type {self.kind} cannot have 'trueTokens' and 'falseTokens': remove them"
        if both := {*map(self.folded, tokens[0])} & {*map(self.folded, tokens[1])}:
            yield f"{sorted(both)} cannot mean both true and false: remove them from one list"

    def _timezone_problems(self, described: Described) -> Iterator[str]:
        readings = [
            reading
            for each in self.formats
            if each.timezone is None
            for reading in each.readings(described)
        ]
        if described != "instants" or all(each.is_absolute for each in readings):
            yield (
                "defaultTimezone has no effect, because every format has a time zone or needs "
                "none: remove it"
            )

    def _option_problems(self) -> Iterator[str]:
        for option, types in _OPTIONS_OF.items():
            if option in self.model_fields_set and self.kind not in types:
                yield (
                    f"the type {self.kind} cannot have {to_camel(option)!r}, only "
                    f"{' or '.join(types)}: remove it"
                )
        tokens = (*self.true_tokens, *self.false_tokens)
        if self.trim:
            allowed = [rule.values for rule in self.rules if isinstance(rule, Allowed)]
            texts = {*tokens, *(self.null_tokens or ()), *itertools.chain.from_iterable(allowed)}
            if never := sorted(each for each in texts if each != each.strip()):
                yield f"no trimmed value is {' or '.join(map(quoted, never))}: trim these texts too"
            if self.quoted_empty == "text":
                yield (
                    "quotedEmpty: text contradicts trim: true, after which a blank value is empty "
                    "too: remove one of them"
                )
        if self.ignore_case and all(each.lower() == each.upper() for each in tokens):
            yield "ignoreCase has no effect, because no token has letters: remove it"
        yield from self._number_problems()

    def _number_problems(self) -> Iterator[str]:
        char, styles = self.group_char, self.number_styles
        if char is not None and (len(char) != 1 or char.isalnum() or char in "+-()"):
            yield (
                f"the groupChar {quoted(char)} is not valid: use one character other than a "
                "letter, a digit, a sign or a parenthesis"
            )
        if twice := repeated(styles):
            yield f"numberStyles: {twice} occur more than once: keep one of each"
        is_whole = "integralDecimal" in styles
        needless = {"number": {"integralDecimal"}, "float": {"integralDecimal", "exponent"}}
        for style in sorted(needless.get(self.kind, set()).intersection(styles)):
            yield f"the type {self.kind} needs no {style} in numberStyles: remove it"
        if "omittedZero" in styles and self.kind == "integer" and not is_whole:
            yield (
                "omittedZero has no effect on integers without integralDecimal: add that to "
                "numberStyles, or remove omittedZero"
            )

    def _length_problems(self) -> Iterator[str]:
        length = self.limits.length
        # Without this rule, a text could pass every check and fail the COPY of all other rows.
        limits = [
            rule.maximum
            for rule in self.rules
            if isinstance(rule, Length) and rule.severity == "error" and rule.maximum is not None
        ]
        if length is not None and (not limits or min(limits) > length):
            yield (
                f"{self.physical_type} needs a logicalTypeOptions.maxLength of at most {length}: "
                "add or lower it"
            )

    def _rule_problems(self) -> Iterator[str]:
        for rule in self.rules:
            if rule.kind not in self.type.rules:
                yield (
                    f"the rule {rule.name} ({rule.kind}) does not apply to the type {self.kind}: "
                    "remove it"
                )
            elif isinstance(rule, Range):
                yield from self._bound_problems(rule)
        if names := repeated(rule.name for rule in self.rules):
            yield (
                f"rules {names} occur more than once, but rejected rows refer to a rule by name: "
                "give each rule its own name"
            )

    def _optional_problems(self) -> Iterator[str]:
        if self.optional and self.is_needed:
            yield (
                "it is optional, but its values must not be missing, so that no file without it "
                "could be loaded: remove optional, or required and the rules against missing values"
            )

    def _bound_problems(self, rule: Range) -> Iterator[str]:
        bounds = [bound for bound in (rule.minimum, rule.maximum) if bound is not None]
        wrong = [bound for bound in bounds if type(bound) not in self.type.bounds]
        advised = " or ".join(_EXAMPLES[each] for each in self.type.bounds)
        for bound in wrong:
            yield (
                f"the rule {rule.name} compares the type {self.kind} with {bound}, which "
                f"has another type: write e.g. {advised}"
            )
        if not wrong:
            yield from _order_problems(
                *(comparable(bound) for bound in (rule.minimum, rule.maximum))
            )


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
    def physical_names(self) -> tuple[str, ...]:
        """The column names in PostgreSQL, in the order of the contract."""
        return tuple(column.physical_name for column in self.columns)

    @property
    def checks(self) -> tuple[tuple[str, Check], ...]:
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

    def null_tokens(self, column: Column) -> tuple[str, ...]:
        """Return the texts of a missing value of a column."""
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
        null_tokens = self.null_tokens(column)
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
