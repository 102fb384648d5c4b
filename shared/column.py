"""Model of a column in a contract: its names, its type, its spellings and its rules."""

import itertools
from collections.abc import Iterator
from typing import Any, Literal, Self, get_args

from pydantic import Field, model_validator
from pydantic.alias_generators import to_camel

from shared.column_types import TYPES, ColumnType, Kind, Limits, LogicalType, comparable, stored
from shared.formats import Described, Format
from shared.model import Description, Model, Problems, Zone
from shared.naming import Identifier, repeated
from shared.quality import (
    BOUND_EXAMPLES,
    Allowed,
    AnyRule,
    Length,
    Range,
    Required,
    order_problems,
)
from shared.text import quoted

NumberStyle = Literal["exponent", "omittedZero", "parentheses", "trailingMinus", "integralDecimal"]
GROUP_CHARS = (",", ".", "'", " ")
"""The usual separators of groups, which the reason of a rejected number advises."""
_NUMERIC: tuple[Kind, ...] = ("integer", "number", "float")
_OPTIONS_OF: dict[str, tuple[Kind, ...]] = {
    "quoted_empty": ("string",),
    "ignore_case": ("boolean",),
    **dict.fromkeys(("group_char", "bare_number", "number_styles"), _NUMERIC),
}
"""The types that each option of a column is for; the others are for all types."""


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
        chars = GROUP_CHARS if self.group_char is None else ()
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
        advised = " or ".join(BOUND_EXAMPLES[each] for each in self.type.bounds)
        for bound in wrong:
            yield (
                f"the rule {rule.name} compares the type {self.kind} with {bound}, which "
                f"has another type: write e.g. {advised}"
            )
        if not wrong:
            yield from order_problems(
                *(comparable(bound) for bound in (rule.minimum, rule.maximum))
            )
