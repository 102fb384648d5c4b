"""The column of a contract for each column of the sample files, with the evidence for it."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, get_args

from cli.drafting.moments import Form
from cli.drafting.survey import Survey
from cli.drafting.trials import Mark, MomentTrial, Trial, Trials, is_close
from shared.column import Column
from shared.column_types import MAX_DIGITS
from shared.quality import Allowed, Unique
from shared.text import is_storable, listed, quoted

_MIN_DIFFERENT = 20  # rows whose values must differ before the contract says that they always do
_MIN_REPEATED = (
    20  # rows for each of a few values before the contract says that there are no others
)
_MAX_ALLOWED = 40  # characters of such a value
_SMALLINT, _INTEGER, _BIGINT = 4, 9, 18
"""The most digits that each type always stores."""
_KEYS = ("id", "key", "code", "nr", "no", "number", "uuid", "guid")
_EPOCHS = {"epochSeconds": 1, "epochMillis": 1_000}
_EPOCH_YEARS = (2000, 2040)


@dataclass(frozen=True, slots=True)
class Drafted:
    """A column of a draft.

    Attributes:
        column: the column, with its rules.
        evidence: what the files show, one phrase each.
        checks: what the files do not settle, one sentence each.
    """

    column: Column
    evidence: tuple[str, ...]
    checks: tuple[str, ...]

    def not_required(self) -> "Drafted":
        """Return the column without the rule that its values must not be missing."""
        return replace(self, column=self.column.model_copy(update={"required": False}))

    def with_optional(self, *, optional: bool) -> "Drafted":
        """Return the column such that files may or may not lack it."""
        return replace(self, column=self.column.model_copy(update={"optional": optional}))


def mark_of(columns: Sequence[Trials]) -> Mark:
    """Return the decimal mark of the table: the one with which more columns are numbers."""
    dot, comma = (
        sum(any(trial.fits for trial in each.numeric[mark]) for each in columns)
        for mark in get_args(Mark)
    )
    return "," if comma > dot else "."


def decide(trials: Trials, mark: Mark, *, is_first: bool, optional: bool) -> Drafted:
    """Return the narrowest type that accepts every value, as a column.

    `is_first` says whether it is the first column; `optional`, whether a file lacks it.
    """
    survey = trials.survey
    checks: list[str] = []
    chosen, formats = _chosen(trials, mark)
    if isinstance(chosen, MomentTrial):
        first = next(iter(chosen.columns.values()))
        column = first.model_copy(update={"formats": tuple(form.format for form in formats)})
        missing = survey.rows - sum(chosen.masks.values())
        checks += _moment_checks(column)
    else:
        column = chosen.column.model_copy(update={"physical_type": _sized(chosen)})
        missing = survey.rows - chosen.accepted - chosen.missed
    required = bool(survey.rows) and not missing and not optional
    rules: list[Any] = []
    evidence = [f"{survey.rows:,} values"]
    if missing:
        tokens = [] if column.null_tokens is None else _counted(survey.tokens)
        evidence.append(f"{missing:,} missing" + (f" ({listed(tokens)})" if tokens else ""))
    if required and _is_key(survey, chosen, is_first=is_first):
        rules.append(Unique(name="unique"))
        evidence.append("all different")
        checks.append(f"all {survey.rows:,} values differ: is each value unique in a file?")
    elif survey.repeats is False and survey.rows >= _MIN_DIFFERENT:
        evidence.append("all different")
    if not survey.filled:
        checks.append("it has no values, so its type is unknown: set the type")
    match column.kind:
        case "string":
            checks += _text_checks(trials, mark)
            evidence += _texts(survey)
            if (rule := _allowed(survey)) is not None:
                rules.append(rule)
        case "boolean":
            evidence += _counted(survey.few or {})
        case "integer" | "number" | "float":
            checks += _number_checks(trials, mark, chosen)
            evidence += _bounds(chosen)
        case "date" | "timestamp" | "time":
            evidence += [f"{count:,} match {form.pattern}" for form, count in formats.items()]
        case "uuid" | "json":
            pass
    update = {"required": required, "optional": optional, "rules": tuple(rules)}
    # Validated again, because options may depend on the type and on each other.
    given = column.model_dump(exclude_unset=True) | {
        name: value for name, value in update.items() if value
    }
    return Drafted(Column.model_validate(given), tuple(evidence), tuple(checks))


def _chosen(trials: Trials, mark: Mark) -> tuple[Trial | MomentTrial, dict[Form, int]]:
    """Return the first type that accepts every value, with its formats."""
    for trial in (*trials.numeric[mark], *trials.boolean):
        if trial.fits:
            return trial, {}
    for moments in trials.moments:
        choice = moments.choice
        if choice.forms and not choice.missed and not choice.rivals:
            return moments, choice.forms
    return next((each for each in trials.others if each.fits), trials.text), {}


def _sized(trial: Trial) -> str:
    """Return the type with room for one digit more than the samples have, as far as possible."""
    before, after = trial.digits
    match trial.column.kind:
        case "integer":
            return (
                "smallint" if before < _SMALLINT else "integer" if before < _INTEGER else "bigint"
            )
        case "number":
            return f"numeric({min(before + 1 + after, MAX_DIGITS)},{after})"
        case "string" | "boolean" | "date" | "timestamp" | "float" | "time" | "uuid" | "json":
            return trial.column.physical_type


def _is_key(survey: Survey, chosen: Trial | MomentTrial, *, is_first: bool) -> bool:
    if isinstance(chosen, MomentTrial) or survey.repeats is not False:
        return False
    words = chosen.column.physical_name.split("_")
    if survey.rows < _MIN_DIFFERENT or not (is_first or any(each in words for each in _KEYS)):
        return False
    match chosen.column.kind:
        case "integer":
            # 0 and -0 are the same number, and so are 5 and +5.
            is_signed = any(each.startswith("+") for each in survey.shapes or {})
            return chosen.minimum > 0 and not chosen.column.spells_numbers and not is_signed
        case "string" | "uuid":
            return True
        case "number" | "boolean" | "date" | "timestamp" | "float" | "time" | "json":
            return False


def _allowed(survey: Survey) -> Allowed | None:
    """Return a rule that warns of other values, if there are only a few over many rows."""
    counts = survey.few
    if not counts or len(counts) < 2 or survey.padded:
        return None
    values = sorted([*counts, *survey.tokens])
    is_short = all(len(each) <= _MAX_ALLOWED and is_storable(each) for each in values)
    if not is_short or survey.filled < _MIN_REPEATED * len(counts) or min(counts.values()) < 2:
        return None
    return Allowed(name="known_value", severity="warning", values=tuple(values))


def _counted(counts: Mapping[str, int]) -> list[str]:
    return [f"{rows:,} × {quoted(each)}" for each, rows in counts.items()]


def _texts(survey: Survey) -> Iterator[str]:
    if survey.few and survey.filled >= _MIN_REPEATED * len(survey.few):
        yield from _counted(survey.few)
    elif survey.filled:
        yield f"up to {survey.longest:,} characters"
    if survey.leading_zeros:
        yield f"{survey.leading_zeros:,} begin with a 0, which a number would lose"


def _text_checks(trials: Trials, mark: Mark) -> Iterator[str]:
    survey = trials.survey
    if survey.filled and survey.tokens:
        tokens = listed(_counted(survey.tokens))
        yield f"does {tokens} mean missing? If so, add the custom property nullTokens"
    if survey.padded:
        yield f"{survey.padded:,} values have white space around them: trim: true would remove it"
    for moments in trials.moments:
        choice = moments.choice
        total = sum(moments.masks.values())
        if choice.rivals and not choice.missed:
            patterns = [form.pattern for form in (*choice.forms, *choice.rivals)]
            yield (
                f"all values are a {moments.kind} in each of the formats {' and '.join(patterns)}: "
                f"ask which is right, then set both types as for a {moments.kind} and add e.g. "
                f"{{ property: formats, value: [{{ pattern: {patterns[0]} }}] }}"
            )
        elif is_close(choice.missed, total):
            yield _but(choice.missed, total, f"a {moments.kind}", moments.examples)
    for trial in (*trials.numeric[mark], *trials.others):
        total = trial.accepted + trial.missed
        if is_close(trial.missed, total):
            yield _but(trial.missed, total, f"of the type {trial.column.kind}", trial.examples)
            break
    other: Mark = "." if mark == "," else ","
    if any(each.fits for each in trials.numeric[other]):
        yield f"all values are numbers with the decimal mark {other!r}, but the table has {mark!r}"


def _but(missed: int, total: int, what: str, examples: Sequence[str]) -> str:
    some = f", e.g. {listed([quoted(each) for each in examples])}" if examples else ""
    return f"all but {missed:,} of {total:,} values are {what}; the others are not{some}"


def _moment_checks(column: Column) -> Iterator[str]:
    described = column.type.formats
    if described is None:
        return
    readings = [each for form in column.formats for each in form.readings(described)]
    if described == "instants" and not all(
        each.is_absolute or not each.has_time for each in readings
    ):
        yield "a time without a time zone is read as UTC: for others, set defaultTimezone"
    if any("year_of_century" in each.groups for each in readings):
        yield "yy is a year from 2000 to 2099: for others, set pivot in the format"
    if any(form.beyond_microseconds for form in column.formats):
        yield "digits beyond microseconds are cut: for others, remove beyondMicroseconds"


def _bounds(chosen: Trial | MomentTrial) -> Iterator[str]:
    if isinstance(chosen, Trial) and chosen.minimum is not None:
        yield f"from {_number(chosen.minimum)} to {_number(chosen.maximum)}"


def _number(value: Any) -> str:
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)


def _number_checks(trials: Trials, mark: Mark, chosen: Trial | MomentTrial) -> Iterator[str]:
    if isinstance(chosen, MomentTrial):
        return
    survey, column = trials.survey, chosen.column
    other: Mark = "." if mark == "," else ","
    rivals = [each for each in trials.numeric[other] if each.fits]
    if rivals and other == column.group_char:
        yield (
            f"in {quoted(survey.samples[0])}, {other!r} separates groups of digits: if it is the "
            f"decimal mark, set decimalMark: {other!r} in the table and remove groupChar"
        )
    elif (
        rivals
        and rivals[0].column.group_char == mark
        and chosen.contract.dialect.delimiter not in {",", mark}
    ):
        yield (
            f"in {quoted(survey.samples[0])}, {mark!r} is the decimal mark: if it separates groups "
            f"of digits, set decimalMark: {other!r} in the table and groupChar: {mark!r}"
        )
    if not column.bare_number:
        yield f"the text around numbers is dropped, e.g. in {quoted(survey.samples[0])}"
    if column.kind != "integer":
        return
    if (chosen.minimum, chosen.maximum) == (0, 1):
        yield "it has only 0 and 1: a boolean has trueTokens and falseTokens"
    for moments in trials.moments:
        choice = moments.choice
        if choice.forms and not choice.missed:
            pattern = next(iter(choice.forms)).pattern
            yield f"all values are also a {moments.kind} in the format {pattern}"
            break
    for pattern, ticks in _EPOCHS.items():
        first, last = (dt.datetime(y, 1, 1, tzinfo=dt.UTC).timestamp() for y in _EPOCH_YEARS)
        if first * ticks <= chosen.minimum and chosen.maximum < last * ticks:
            yield f"all values are also a timestamp of this century in the format {pattern}"
