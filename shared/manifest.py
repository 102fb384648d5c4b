"""The manifest of a file: a second file in its folder, by which the supplier vouches for it."""

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Annotated, Self

import jmespath
import jmespath.exceptions
import jmespath.functions
from pydantic import AfterValidator, Field, model_validator

from shared import regex
from shared.content import Content
from shared.control_totals import SUM, Statement, group_problems
from shared.model import Model, Problems
from shared.text import listed, one_line, quoted
from shared.verdict import Refusal

NAME, STEM = "name", "stem"
"""Placeholders of a manifest's name: the data file's name, and that without its extensions."""
_MAX_BYTES = 1024**2
_ADVICE = "correct it, or the contract's manifest"
_QUOTED = 200
"""Maximum characters of a name in a reason."""
_FIELDS = ("name", "size", "md5", "sha256", "rows")
_NUMBER = re.compile(r"-?[0-9]+(?P<rest>(\.[0-9]+)?([eE][-+]?[0-9]+)?)")
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def _name(name: str) -> str:
    rest = _PLACEHOLDER.sub("", name)
    if not rest or set(rest) & set("/{}"):
        raise ValueError(
            f"{quoted(name)} is not the name of a manifest: write a name without folders, in which "
            "placeholders such as {name} stand beside other characters, e.g. {name}.ctl"
        )
    return name


def _expression(expression: str) -> str:
    try:
        jmespath.compile(expression)
    except (jmespath.exceptions.JMESPathError, RecursionError) as error:
        raise ValueError(
            f"{quoted(expression)} is not a JMESPath expression: {one_line(str(error), 200)}; see "
            "https://jmespath.org/specification.html"
        ) from None
    return expression


@dataclass(frozen=True, slots=True)
class FoundManifest:
    """A landed manifest with the last part of its key, which is read only if it must be."""

    name: str
    content: Content


class Manifest(Model):
    """How the manifest of a file is found and read.

    Attributes:
        name: its name in the data file's folder. `{name}` stands for the data file's name, `{stem}`
            for that without all extensions, and others for named groups of the key's pattern.
            Without placeholders, it is of all files of the folder.
        pattern: expression in RE2's syntax that lines of a text match. Its named groups are the
            file's `name`, `size` in bytes, `md5`, `sha256`, `rows` and `sum_<physicalName>`.
        entries: JMESPath expression that selects a list of objects with these fields from JSON.
        within_hours: hours after which a manifest that does not land is reported.

    Without pattern and entries, the content does not matter.
    """

    name: Annotated[str, Field(max_length=255), AfterValidator(_name)]
    pattern: Annotated[str, Field(max_length=10_000), AfterValidator(regex.checked)] | None = None
    entries: Annotated[str, Field(max_length=10_000), AfterValidator(_expression)] | None = None
    within_hours: int = Field(default=24, ge=1, le=24 * 31)

    @property
    def placeholders(self) -> frozenset[str]:
        """The placeholders in the name."""
        return frozenset(_PLACEHOLDER.findall(self.name))

    def name_for(self, file: str, groups: Mapping[str, str | None]) -> str | None:
        """Return the manifest's name for a data file with the name `file`.

        `groups` are the named groups of its key. None: these lack a placeholder.
        """
        values = {**groups, NAME: file, STEM: file.partition(".")[0]}
        if any(values.get(each) is None for each in self.placeholders):
            return None
        return _PLACEHOLDER.sub(lambda found: str(values[found[1]]), self.name)

    def is_name(self, file: str) -> bool:
        """Return whether a file with this name is the manifest of any data file."""
        texts = _PLACEHOLDER.split(self.name)[::2]
        return regex.matches("[^/]*".join(map(re.escape, texts)), file)

    def problems(self, summed: Iterable[str], key_groups: Iterable[str] = ()) -> Iterator[str]:
        """Yield what does not fit the contract.

        `summed` are the physical names of the columns that have a sum, `key_groups` the named
        groups of the keys' patterns.
        """
        known = sorted({NAME, STEM, *key_groups})
        if unknown := sorted(self.placeholders.difference(known)):
            yield (
                f"the manifest's name has the placeholders {listed(unknown)}, but only "
                f"{listed(known)} are known: correct them, or name a group so in the pattern of "
                "keys"
            )
        if self.pattern is not None:
            for each in group_problems(self.pattern, _FIELDS, summed):
                yield f"the manifest's pattern {each}"

    def statement(self, found: "FoundManifest", file: str) -> Statement | Refusal:
        """Return what a manifest says of the file with the name `file`.

        It is at most 1 MiB of UTF-8, unless its content does not matter.
        """
        source = f"the manifest {quoted(found.name, _QUOTED)}"
        entries = self._entries(found.content)
        if isinstance(entries, str):
            return Refusal(f"{source} {entries}; {_ADVICE}")
        named = [entry for entry in entries if entry.get(NAME) is not None]
        if named:
            entries = [entry for entry in named if str(entry[NAME]).rpartition("/")[2] == file]
        if len(entries) != 1:
            of_file = f"for the file {quoted(file, _QUOTED)}" if named else "without a name"
            return Refusal(
                f"{source} has {len(entries) or 'no'} entries {of_file}, but must have one; "
                f"{_ADVICE}"
            )
        return Statement(source, {k: v for k, v in entries[0].items() if k != NAME})

    def _entries(self, content: Content) -> list[dict[str, object]] | str:
        """Return the entries of a manifest, or what is wrong with it."""
        if self.pattern is None and self.entries is None:
            return [{}]
        if content.size > _MAX_BYTES:
            return f"is larger than {_MAX_BYTES // 1024**2} MiB"
        try:
            text = b"".join(content.chunks()).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            return f"is not UTF-8 text: {error.reason} at byte {error.start:,}"
        if self.pattern is not None:
            return _of_text(text, self.pattern)
        return _of_json(text, str(self.entries))

    @model_validator(mode="after")
    def _is_valid(self) -> Self:
        Problems.check(self._own_problems())
        return self

    def _own_problems(self) -> Iterator[str]:
        if self.pattern is not None and self.entries is not None:
            yield "a manifest has either a pattern or entries: remove one of them"
        if self.pattern is not None and not regex.groups(self.pattern):
            yield (
                f"the pattern {quoted(self.pattern)} has no named group, so that it verifies "
                f"nothing: name groups {listed(_FIELDS)} or {SUM}<physicalName>, or remove it"
            )


def _of_text(text: str, pattern: str) -> list[dict[str, object]] | str:
    """Return an entry for each line; or for all lines together, if a line has no file's name."""
    found = (regex.captured(pattern, each.removesuffix("\r")) for each in text.split("\n"))
    lines = [groups for groups in found if groups is not None]
    if not lines:
        return f"has no line that matches {quoted(pattern)}"
    if NAME in lines[0]:
        return [dict(each) for each in lines if each[NAME] is not None]
    entry: dict[str, object] = dict.fromkeys(lines[0])
    for name, value in itertools.chain.from_iterable(each.items() for each in lines):
        if value is not None and entry[name] is not None:
            return f"has several values for {name}"
        entry[name] = entry[name] if value is None else value
    return [entry]


def _of_json(text: str, expression: str) -> list[dict[str, object]] | str:
    """Return the entries that an expression selects from JSON. Fractions are exact decimals."""
    try:
        document = json.loads(text, parse_float=_decimal, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        return f"is not JSON: {one_line(str(error), 200)}"
    try:
        found = jmespath.search(expression, document, _OPTIONS)
    # The library does not convert all errors, e.g. of a comparison of a text with a number.
    except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
        return f"does not fit the expression {quoted(expression)}: {one_line(str(error), 200)}"
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        return (
            f"does not fit the expression {quoted(expression)}, which must select a list of objects"
        )
    return found


def _constant(name: str) -> None:
    raise ValueError(f"it contains {name}")


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(f"the exponent of {quoted(text)} is too large") from None


class _Functions(jmespath.functions.Functions):
    """The functions of JMESPath, of which `to_number` keeps numbers exact.

    The library's own one makes an integer of a decimal, which takes hours for 1e999999999.
    """

    @jmespath.functions.signature({"types": []})
    def _func_to_number(self, value: object) -> object:
        match value:
            case str() if found := _NUMBER.fullmatch(value.strip()):
                return _decimal(found[0]) if found["rest"] else int(found[0])
            case int() | float() | Decimal() if not isinstance(value, bool):
                return value
            case _:
                return None


_OPTIONS = jmespath.Options(custom_functions=_Functions())
