"""`tm contract` for a table that has a contract: a patch of it that accepts sample files.

What the contract accepts without the patch, it accepts with it, unless its encoding or dialect
changes. Its rules stay as they are.
"""

import copy
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic.alias_generators import to_camel

from cli import contract_diff
from cli.console import errors, print_lines
from cli.drafting.decisions import decide
from cli.drafting.document import column_lines, options_of
from cli.drafting.draft import Chunk, checked_with, keys_in, show_failed, trials_on
from cli.drafting.edits import Written, edited, patch
from cli.drafting.extension import Missed, accepted, extended, wider
from cli.errors import CommandError
from cli.items import many
from cli.sniffing import sample_of, sniff
from functions.transform import drift
from functions.transform.header import match_header
from shared import contract_yaml, odcs
from shared.column import Column
from shared.compression import unpack
from shared.content import LocalFile
from shared.contract import Contract
from shared.errors import InvalidContract
from shared.rows import Table, read_table
from shared.text import listed, quoted
from shared.verdict import Refusal
from shared.yaml_text import flow

_OWN = {"nullSequence", "headerJoin", "footer"}
"""Properties of a dialect that are not found, or whose absence proves nothing."""
_KEPT = "\n\r\t"
Form = Mapping[tuple[str, ...], Any]
"""Custom properties of the table to set, by their place."""


@dataclass(slots=True)
class Patch:
    """Changes of a contract.

    Attributes:
        name: the name of its file.
        old: the text of the file; `new`, with the changes.
        before: the contract; `after`, with the changes.
        notes: why each change is made, or why one is not possible, one sentence each.
    """

    name: str
    old: str
    new: str
    before: Contract
    after: Contract
    notes: list[str] = field(default_factory=list)
    _have: Any = None
    _want: Any = None

    @classmethod
    def of(cls, table: str, content: bytes) -> "Patch":
        """Return a patch without changes; raise InvalidContract for an invalid contract."""
        name = f"{table}{odcs.SUFFIX}"
        contract, text = odcs.parse(name, content), content.decode()
        document = _apart(contract_yaml.load(content))
        return cls(name, text, text, contract, contract, _have=document, _want=document)

    def accept(self, files: Sequence[Path]) -> None:
        """Change the contract so that it accepts files.

        Raises:
            CommandError: the text of the contract cannot be edited.
        """
        # A contract has one form. Another one would not suit files that have the contract's.
        if not any(_is_readable(file, self.after) for file in files):
            self._accept_form(files[0])
        for file in files:
            self._accept_columns(file)
        self._accept_values(files)
        self._draft_columns(files)

    def _accept_form(self, file: Path) -> None:
        """Change encoding and dialect to those of a file."""
        found = sniff(sample_of(unpack(LocalFile(file), self.after.compression).chunks))
        if isinstance(found, Refusal) or found.file_format != self.after.file_format:
            return  # the check of the patch says why
        form = dict(_differences(found.contract, self.after))
        changed = self._with_form(form)
        if changed is None or not _is_readable(file, changed[1]):
            return
        for place in [*form]:
            fewer = {name: value for name, value in form.items() if name != place}
            smaller = self._with_form(fewer)
            if smaller is not None and _is_readable(file, smaller[1]):
                form, changed = fewer, smaller
        shown = [f"{'.'.join(place)}: {flow(value)}" for place, value in form.items()]
        self.notes.append(
            f"{quoted(file.name)} has another form: {listed(shown)}. All later files would be read "
            "like this: do not apply it if others still have the former form"
        )
        self._set(*changed)

    def _with_form(self, form: Form) -> tuple[Any, Contract] | None:
        """Return the document and the contract with other properties; None if it is invalid."""
        want = copy.deepcopy(self._want)
        table = want["schema"][0]
        for (name, *inner), value in form.items():
            if inner:
                _set_property(table, name, next(_values(table, name), {}) | {inner[0]: value})
            else:
                _set_property(table, name, value)
        parsed = self._parsed(want)
        return None if isinstance(parsed, InvalidContract) else (want, parsed)

    def _accept_columns(self, file: Path) -> None:
        """Add unknown columns and other names, and make missing columns optional."""
        contract = self.after
        names = _names(file, contract)
        columns = None if names is None else drift.accepting(names, contract)
        if columns is None:
            return  # the check of the patch says why
        want = copy.deepcopy(self._want)
        properties = want["schema"][0]["properties"]
        known = {
            old.name: (old, part) for old, part in zip(contract.columns, properties, strict=True)
        }
        changed = []
        for column in columns:
            old, part = known.get(column.name, (None, None))
            what = f"{quoted(file.name)}: the column {quoted(column.name)} "
            if old is None or part is None:
                part = _new(column)
                self.notes.append(f"{what}is new")
            elif column.aliases != old.aliases:
                _set_property(part, "aliases", [*column.aliases])
                self.notes.append(f"{what}is named {quoted(column.aliases[-1])}")
            elif column.optional and not old.optional and old.is_needed:
                self.notes.append(
                    f"{what}is missing, and it cannot be optional, because its values are required"
                )
            elif column.optional and not old.optional:
                _set_property(part, "optional", True)
                self.notes.append(f"{what}is missing")
            changed.append(part)
        want["schema"][0]["properties"] = changed
        self._attempt(want, f"the columns of {quoted(file.name)}")

    def _accept_values(self, files: Sequence[Path]) -> None:
        """Add options to columns that accept more texts."""
        contract = self.after
        known = {*self.before.header}
        found = {each.name: Missed() for each in contract.columns if each.name in known}
        columns = {each.name: each for each in contract.columns}
        for _, values in _chunks(files, contract):
            for name in values.keys() & found:
                found[name].add(values[name], columns[name], contract)
        want = copy.deepcopy(self._want)
        parts = want["schema"][0]["properties"]
        for column, part in zip(contract.columns, parts, strict=True):
            if column.name in found:
                self._extend(column, part, found[column.name])
        self._attempt(want, "the values of columns")

    def _extend(self, column: Column, part: dict[str, Any], missed: Missed) -> None:
        """Change the part of the document about a column such that it accepts more texts."""
        where = f"the column {quoted(column.name)}: "
        limit = column.limits.length
        if limit is not None and missed.longest > limit:
            part["physicalType"] = f"varchar({missed.longest})"
            if "maxLength" in part.get("logicalTypeOptions", {}):
                part["logicalTypeOptions"]["maxLength"] = missed.longest
            self.notes.append(f"{where}texts have up to {missed.longest:,} characters")
        if not missed.texts:
            return
        changed = extended(column, missed.texts, self.after)
        read = accepted(changed, missed.texts, self.after)
        if options := [*_set_options(part, column, changed)]:
            self.notes.append(f"{where}{listed(options)} for {_shown(read)}")
        if changed.group_char != column.group_char:
            self.notes.append(
                f"{where}if {changed.group_char!r} is the decimal mark instead, set decimalMark in "
                "the table"
            )
        left = {text: rows for text, rows in missed.texts.items() if text not in read}
        if left and (stored := wider(changed, left, self.after)):
            self.notes.append(
                f"{where}{_shown(left)} would need {stored} instead of {column.physical_type}, "
                "which migrate refuses: alter the table by hand to match the contract, or set "
                "another physicalName of the table and replay its files"
            )

    def _draft_columns(self, files: Sequence[Path]) -> None:
        """Give new columns the types of their values."""
        contract = self.after
        new = {each.name: each for each in contract.columns if each.name not in self.before.header}
        if not new:
            return

        def chunks() -> Iterator[Chunk]:
            for number, values in _chunks(files, contract):
                yield number, {name: values[name] for name in values.keys() & new}

        trials, _ = trials_on(
            chunks, [*new], contract, lambda names: [new[name].physical_name for name in names]
        )
        want = copy.deepcopy(self._want)
        properties = want["schema"][0]["properties"]
        for i, column in enumerate(contract.columns):
            if column.name in new:
                # A new column is never required, because loaded rows have no value.
                drafted = decide(
                    trials[column.name], contract.decimal_mark, is_first=False, optional=True
                )
                lines = column_lines(drafted.with_optional(optional=column.optional))
                properties[i] = Written([*lines])
        self._attempt(want, "the new columns")

    def _attempt(self, want: Any, what: str) -> None:
        """Change the contract unless the result is invalid."""
        if want == self._want:
            return
        parsed = self._parsed(want)
        if isinstance(parsed, InvalidContract):
            self.notes.append(f"{what}: no change, because the contract would be invalid: {parsed}")
        else:
            self._set(want, parsed)

    def _set(self, want: Any, contract: Contract) -> None:
        self._want, self.after = want, contract
        self.new = self._edited(want)

    def _parsed(self, want: Any) -> Contract | InvalidContract:
        try:
            return odcs.parse(self.name, self._edited(want).encode())
        except InvalidContract as error:
            return error

    def _edited(self, want: Any) -> str:
        try:
            return edited(self.old, self._have, want)
        except ValueError as error:
            raise CommandError(
                f"{self.name} has a form that cannot be edited ({error}): write it without "
                "anchors and aliases, or draft a contract to compare with, without --contracts"
            ) from error


def show(found: Patch, files: Sequence[Path]) -> bool:
    """Print a patch; explain it on standard error. Return whether all rows would be loaded."""
    rows, failed = checked_with(files, found.after)
    for note in found.notes:
        errors.print(f"tm: {note}")
    if found.new != found.old:
        text = patch(found.name, found.old, found.new)
        others = {each for each in text if unicodedata.category(each) != "Cc"}
        print_lines(text, kept="".join([_KEPT, *others]))
        effects = contract_diff.effects(found.before, found.after)
        errors.print(*contract_diff.described(effects, found.after.table), sep="\n")
    elif not failed:
        errors.print(f"{found.name} accepts all rows: nothing needs to change.")
    else:
        errors.print(f"No change of {found.name} is known that would load more rows.")
    show_failed(failed)
    errors.print(f"{many(rows, 'row')}, {many(len(failed), 'problem')} with the patch.")
    return not failed


def _differences(form: Contract, contract: Contract) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the properties in which the form of a file differs from the contract."""
    for name in ("encoding", "encoding_errors"):
        if getattr(form, name) != getattr(contract, name):
            yield (to_camel(name),), getattr(form, name)
    theirs, ours = (
        each.dialect.model_dump(mode="json", by_alias=True) for each in (form, contract)
    )
    for name, value in theirs.items():
        if name not in _OWN and value != ours[name]:
            yield ("dialect", name), value
    if form.dialect.footer is not None and contract.dialect.footer is None:
        footer = form.dialect.footer.model_dump(by_alias=True, exclude_none=True)
        yield ("dialect", "footer"), footer


def _table(file: Path, contract: Contract) -> Table | Refusal:
    return read_table(unpack(LocalFile(file), contract.compression).chunks, contract)


def _is_readable(file: Path, contract: Contract) -> bool:
    """Return whether the file has columns of the contract, and most of its rows are well-formed."""
    table = _table(file, contract)
    if isinstance(table, Refusal):
        return False
    names = drift.names_of(table.header, table.width, contract)
    is_one = table.width == 1 < len(contract.columns) and contract.by_position
    if is_one or drift.accepting(names, contract) is None:
        return False
    good = bad = 0
    for chunk in table.chunks:
        if isinstance(chunk, Refusal):
            return False
        rows = chunk()
        good, bad = good + len(rows.lines), bad + len(rows.malformed)
    return contract.file_format == "jsonLines" or bad <= good


def _names(file: Path, contract: Contract) -> list[str] | None:
    """Return the names of a file's columns; None if the file cannot be read."""
    if contract.file_format == "jsonLines":
        return [*keys_in(file, contract)]
    table = _table(file, contract)
    if isinstance(table, Refusal):
        return None
    return drift.names_of(table.header, table.width, contract)


def _chunks(files: Sequence[Path], contract: Contract) -> Iterator[Chunk]:
    """Yield the rows of files that the contract does not refuse."""
    for number, file in enumerate(files):
        table = _table(file, contract)
        if isinstance(table, Refusal):
            continue
        places = match_header(table.header, table.width, table.line, contract)
        if isinstance(places, Refusal):
            continue
        for chunk in table.chunks:
            if isinstance(chunk, Refusal):
                break
            columns = chunk().columns
            yield (
                number,
                {
                    name: columns[place]
                    for name, place in zip(contract.header, places, strict=True)
                    if place is not None
                },
            )


def _apart(value: Any) -> Any:
    """Return a copy in which aliases of an anchor are parts of their own."""
    match value:
        case dict():
            return {key: _apart(each) for key, each in value.items()}
        case list():
            return [*map(_apart, value)]
        case _:
            return value


def _shown(texts: Mapping[str, int]) -> str:
    return f"{many(sum(texts.values()), 'value')} such as {quoted(next(iter(texts)))}"


def _values(part: dict[str, Any], name: str) -> Iterator[Any]:
    """Yield the value of a custom property, if a table or column has it."""
    for each in part.get("customProperties", ()):
        if each["property"] == name:
            yield each["value"]


def _set_property(part: dict[str, Any], name: str, value: Any) -> None:
    """Set a custom property of a table or column."""
    found = part.setdefault("customProperties", [])
    for each in found:
        if each["property"] == name:
            each["value"] = value
            return
    found.append({"property": name, "value": value})


def _new(column: Column) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": column.name,
        "physicalName": column.physical_name,
        "logicalType": column.logical_type,
        "physicalType": column.physical_type,
    }
    for name, value in options_of(column).items():
        _set_property(entry, name, value)
    return entry


def _set_options(part: dict[str, Any], old: Column, new: Column) -> Iterator[str]:
    """Set the options of a column that change, and yield them as text."""
    if new.physical_type != old.physical_type:
        part["physicalType"] = new.physical_type
        yield f"physicalType: {new.physical_type}"
    before = options_of(old)
    for name, value in options_of(new).items():
        known = before.get(name)
        if known == value:
            continue
        written: list[Any] = []
        added = value
        if isinstance(value, list) and isinstance(known, list):
            # Those that the contract has may be written with defaults.
            written, added = next(_values(part, name), known), value[len(known) :]
        _set_property(part, name, [*written, *added] if written else value)
        yield f"{name}: {flow(added)}"
    if new.formats != old.formats and "format" in part.get("logicalTypeOptions", {}):
        del part["logicalTypeOptions"]["format"]
