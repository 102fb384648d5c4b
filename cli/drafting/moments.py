"""Formats of dates, timestamps and times of day that the shapes of texts allow.

A shape is a text with `9` for each digit and `A` for each run of letters. A text has a value in a
format only if its shape is one of the format's, so that few formats need to be tried.
"""

import functools
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from shared.formats import Format

Kind = Literal["date", "timestamp", "time"]
Order = Literal["year first", "day first", "month first", "named"]
"""In which order a format has its numbers. Formats of different orders may read a text differently.
"""

MAX_FORMS = 62
"""Formats of a column that are tried: a mask of them must fit into 63 bits."""
_MAX_CHOSEN = 3  # formats of a column; texts of more are rather no dates
_LOCALES = ("de", "fr", "es", "it", "pt", "nl", "pl", "cs", "sv", "da", "ru")
"""The languages of names that are tried after English."""

_NUMERIC: dict[Order, tuple[str, ...]] = {
    "year first": ("yyyy{}MM{}dd", "yyyy{}M{}d", "yy{}MM{}dd"),
    "day first": ("dd{}MM{}yyyy", "d{}M{}yyyy", "dd{}MM{}yy", "d{}M{}yy"),
    "month first": ("MM{}dd{}yyyy", "M{}d{}yyyy", "MM{}dd{}yy", "M{}d{}yy"),
}
_SEPARATORS: dict[Order, str] = {"year first": "-/.", "day first": "-/. ", "month first": "-/ "}
_NAMED = (
    *("d MMM yyyy", "d MMMM yyyy", "d-MMM-yyyy", "d-MMM-yy", "d/MMM/yyyy", "d. MMM yyyy"),
    *(
        "d. MMMM yyyy",
        "d MMM yy",
        "d.MMM.yyyy",
        "ddMMMyyyy",
        "yyyy-MMM-dd",
        "d 'de' MMMM 'de' yyyy",
    ),
    *("MMM d, yyyy", "MMMM d, yyyy", "MMM d yyyy", "MMMM d yyyy", "EEE, d MMM yyyy"),
    *("EEE d MMM yyyy", "EEEE, d MMMM yyyy", "EEEE, d. MMMM yyyy", "EEEE, MMMM d, yyyy"),
    *("EEEE d MMMM yyyy", "MMM yyyy", "MMMM yyyy", "MMM-yyyy", "MMM-yy", "LLLL yyyy"),
)
_PARTIAL = (
    *("yyyyMMdd", "yyyy-MM", "yyyy/MM", "MM/yyyy", "M/yyyy", "d. M. yyyy"),
    *("yyyy-'Q'Q", "yyyy 'Q'Q", "yyyy'Q'Q", "'Q'Q yyyy", "'Q'Q-yyyy", "'Q'Q/yyyy"),
)
_TIMES = (
    *("HH:mm", "H:mm", "HH:mm:ss", "H:mm:ss", "HH:mm:ss.SSS", "HH:mm:ss.SSSSSS", "H:mm:ss[.SSS]"),
    "HH:mm:ss[.SSSSSS][.SSSSS][.SSSS][.SSS]",
    *("h:mm a", "h:mm:ss a", "hh:mm a", "hh:mm:ss a", "h:mma"),
)
_ZONES = ("", "XXX", " XXX", "XX", " XX", " VV")
_ISO = "9999-99-99([A ]99:99(:99([.,]9+)?)?(A|[+-]99(:?99)?)?)?"
_LETTERS = {"MMM": "A\\.?", "EEE": "A\\.?", "a": "A(\\.A\\.?)?", "VV": "A([/+-]A|[/+-]9+)*"}
_ZONE_SHAPE = "(A|[+-]99(:?99)?)"
_TIME_BEGIN = re.compile(r"(?P<date>.*?\S)(?P<gap>,? |:|A)(?P<time>9{1,2}:99.*)")
_GAPS = {" ": " ", ", ": ", ", ":": ":", "A": "'T'"}
_TOKEN = re.compile(r"'([^']*)'|(([A-Za-z])\3*)|(.)")


@dataclass(frozen=True, slots=True)
class Form:
    """A format that texts may have; `order` says which part of a date comes first."""

    pattern: str
    order: Order
    locale: str = "en"
    truncates: bool = False

    @property
    def format(self) -> Format:
        """The format as a contract has it."""
        more = {} if self.locale == "en" else {"locale": self.locale}
        if self.truncates:
            more["beyondMicroseconds"] = "truncate"
        return Format.model_validate({"pattern": self.pattern} | more)


_ISO_FORMS = (Form("iso8601", "year first"), Form("iso8601", "year first", truncates=True))


@dataclass(frozen=True, slots=True)
class Choice:
    """The formats that a column needs, each with the number of its values.

    `rivals` are formats of another order that read the same values: a person must choose. `missed`
    is the number of values that no format reads without doubt.
    """

    forms: dict[Form, int]
    rivals: tuple[Form, ...]
    missed: int


def forms(shapes: Iterable[str], kind: Kind) -> list[Form]:
    """Return the formats that texts of these shapes may have, the strictest ones first."""
    found: dict[Form, None] = {}
    has_time = False
    for shape in shapes:
        has_time |= ":" in shape
        match kind:
            case "date":
                found |= dict.fromkeys(_dates(shape))
            case "time":
                found |= {Form(each, "named"): None for each in _times(shape, ("",))}
            case "timestamp":
                found |= dict.fromkeys(_timestamps(shape))
    if kind == "timestamp" and not has_time:
        return []
    return sorted(found, key=_rank)


def choose(forms: Sequence[Form], masks: Mapping[int, int]) -> Choice:
    """Choose the fewest formats that read all values.

    `masks` has the number of values for each set of formats that read them: the bit i stands for
    `forms[i]`.
    """
    left = Counter(masks)
    missed = left.pop(0, 0)
    chosen: dict[Form, int] = {}
    rivals: list[Form] = []
    taken = 0
    while left and len(chosen) < _MAX_CHOSEN:
        counts = [sum(n for mask, n in left.items() if mask >> i & 1) for i in range(len(forms))]
        best = counts.index(max(counts))
        chosen[forms[best]] = counts[best]
        rivals += [
            form
            for form, count in zip(forms, counts, strict=True)
            if form.order != forms[best].order
            and count == counts[best]
            and all(mask >> forms.index(form) & 1 for mask in left if mask >> best & 1)
        ]
        # A sample from May does not tell short names from long ones.
        chosen |= {
            form: count
            for form, count in zip(forms, counts, strict=True)
            if count == counts[best] and _is_twin(form, forms[best])
        }
        for mask in [each for each in left if each >> best & 1]:
            del left[mask]
        taken |= 1 << best
    orders = {i: form.order for i, form in enumerate(forms) if taken >> i & 1}
    for mask, count in masks.items():
        # The reader would reject a text that two formats read differently.
        read = {order for i, order in orders.items() if mask >> i & 1}
        missed += count * (len(read) > 1)
    one_each = {form.order: form for form in reversed(rivals)}
    first_each = [form for form in rivals if form is one_each[form.order]]
    return Choice(chosen, tuple(first_each), missed + left.total())


def _is_twin(form: Form, other: Form) -> bool:
    """Return whether formats differ only in the length of names."""
    short, same = (each.pattern.replace("MMMM", "MMM") for each in (form, other))
    return form.locale == other.locale and form.pattern != other.pattern and short == same


def _rank(form: Form) -> tuple[int, int, int]:
    """Order formats: those of fixed width before others of the same order."""
    flexible = len(re.findall(r"(?<![A-Za-z])[dMHh](?![A-Za-z])", form.pattern))
    locale = 0 if form.locale == "en" else 1 + _LOCALES.index(form.locale)
    return locale, form.truncates, flexible


@functools.lru_cache(maxsize=10_000)
def _dates(shape: str) -> tuple[Form, ...]:
    return tuple(form for form in _catalogue() if _shape(form.pattern).fullmatch(shape))


@functools.lru_cache(maxsize=10_000)
def _times(shape: str, zones: tuple[str, ...]) -> tuple[str, ...]:
    patterns = (time + zone for time, zone in itertools.product(_TIMES, zones))
    return tuple(each for each in patterns if _shape(each).fullmatch(shape))


def _timestamps(shape: str) -> Iterator[Form]:
    if re.fullmatch(_ISO, shape):
        yield from _ISO_FORMS
        return
    parts = _TIME_BEGIN.fullmatch(shape)
    if parts is None:
        yield from _dates(shape)
        return
    for date, time in itertools.product(_dates(parts["date"]), _times(parts["time"], _ZONES)):
        yield Form(date.pattern + _GAPS[parts["gap"]] + time, date.order, date.locale)


@functools.cache
def _catalogue() -> tuple[Form, ...]:
    numeric = [
        Form(pattern.format(separator, separator), order)
        for order, patterns in _NUMERIC.items()
        for separator, pattern in itertools.product(_SEPARATORS[order], patterns)
        # 20.01.02 begins with the day.
        if not (separator == "." and pattern.startswith("yy{}"))
    ]
    partial = [Form(pattern, "named") for pattern in _PARTIAL]
    named = [
        Form(pattern, "named", locale)
        for locale, pattern in itertools.product(("en", *_LOCALES), _NAMED)
    ]
    return (*numeric, *partial, *named)


@functools.cache
def _shape(pattern: str) -> re.Pattern[str]:
    """Return the expression of the shapes of a pattern's texts."""
    return re.compile("".join(map(_token_shape, _TOKEN.finditer(pattern))))


def _token_shape(token: re.Match[str]) -> str:
    literal, letters, _, other = token.groups()
    if literal is not None:
        return re.escape(re.sub("[A-Za-z]+", "A", literal))
    if other is not None:
        return {"[": "(?:", "]": ")?"}.get(other, re.escape(other))
    if letters[:3] in _LETTERS or letters in _LETTERS:
        return _LETTERS.get(letters) or _LETTERS[letters[:3]]
    if letters.startswith("X"):
        return _ZONE_SHAPE
    return "9{1,2}" if len(letters) == 1 and letters != "Q" else "9" * len(letters)
