"""`tm contract diff`: what `migrate`, files and readers see when a contract changes."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic.alias_generators import to_camel
from rich.text import Text

from cli.console import line, styled
from cli.errors import CommandError
from functions.api.view import View
from functions.migrate import ddl
from functions.migrate.changes import Definition, compare
from shared import odcs
from shared.column import Column
from shared.contract import Contract
from shared.model import Model
from shared.text import bounded, listed, quoted

Audience = Literal["migrate", "files", "readers"]
_TITLES: Mapping[Audience, str] = {
    "migrate": "migrate, during the next apply",
    "files": "Files that land after it",
    "readers": "Readers of the table",
}
_NOT_OF_FILES = {"table", "relation", "version", "description", "columns", "indexes", "lookup"}
"""Properties of a contract that do not change how files are treated, or have an own comparison."""
_NOT_OF_VALUES = {"name", "physical_name", "logical_type", "physical_type"} | {
    *("required", "description", "examples"),
}
"""Properties of a column that do not change how values are read, or have an own comparison."""
_SPELLED = {
    "varchar": "character varying",
    "time": "time without time zone",
    "timestamptz": "timestamp with time zone",
}
"""Types in contracts that PostgreSQL spells differently; migrate compares its spelling."""
_VALUE = 300  # maximum characters of a value in an effect


@dataclass(frozen=True, slots=True)
class Effect:
    """One effect of a changed contract; `is_refused` if `migrate` refuses the whole change."""

    audience: Audience
    text: str
    is_refused: bool = False


def read(old: Path, new: Path) -> tuple[Contract, Contract]:
    """Return two versions of one table's contract.

    Raises:
        CommandError: they are contracts of two tables.
        InvalidContract: one of them is invalid.
    """
    before, after = (
        odcs.parse(path.name, odcs.read(path), of_any_table=True) for path in (old, new)
    )
    if before.table != after.table:
        raise CommandError(
            f"{old} is the contract of {before.table}, but {new} that of {after.table}: compare "
            "two versions of one contract."
        )
    return before, after


def effects(old: Contract, new: Contract) -> list[Effect]:
    """Return the effects of replacing a contract; empty if there are none."""
    return [
        *_of_migrate(old, new),
        *(Effect("files", text) for text in _of_files(old, new)),
        *(Effect("readers", text) for text in _of_readers(old, new)),
    ]


def described(found: list[Effect], table: str) -> list[str | Text]:
    """Return the effects as lines for people."""
    if not found:
        return ["Nothing changes for migrate, files and readers."]
    lines: list[str | Text] = []
    for audience in get_args(Audience):
        if shown := [each for each in found if each.audience == audience]:
            lines.append(styled(_TITLES[audience], "bold"))
            lines += [
                line("  - ", styled(each.text, "red" if each.is_refused else "")) for each in shown
            ]
    lines.append("")
    if any(each.is_refused for each in found):
        lines.append(
            f"migrate refuses the change of {table}: the apply fails, and the table stays as it is."
        )
    if any(each.audience == "files" for each in found):
        lines.append(
            "Runs in progress keep the old contract. Loaded rows stay as they are: `tm backfill "
            f"--table {table}` loads their files again with the new contract."
        )
    return lines


def as_json(found: list[Effect]) -> list[dict[str, Any]]:
    """Return the effects as JSON fields."""
    return [
        {"audience": each.audience, "text": each.text, "isRefused": each.is_refused}
        for each in found
    ]


def _of_migrate(old: Contract, new: Contract) -> Iterator[Effect]:
    if old.relation != new.relation:
        yield Effect(
            "migrate",
            f"creates the table {new.relation}, which is empty until `tm backfill --table "
            f"{new.table}` loads the files again; {old.relation} keeps its rows, but no load "
            "changes them any more",
        )
        return
    changes = compare(new, _definitions(new), _definitions(old))
    for reason in changes.breaking:
        yield Effect("migrate", f"refuses the change, because the table {reason}", is_refused=True)
    for column in changes.added:
        yield Effect(
            "migrate",
            f"adds the column {column.physical_name} {column.physical_type}, which is null in all "
            "rows that are loaded already",
        )
    for column in changes.widened:
        kept = {each.physical_name: each.physical_type for each in old.columns}
        yield Effect(
            "migrate",
            f"widens the column {column.physical_name} from {kept[column.physical_name]} to "
            f"{column.physical_type}",
        )
    before, after = ddl.create_indexes(old).keys(), ddl.create_indexes(new).keys()
    for name in sorted(after - before):
        yield Effect(
            "migrate", f"creates the index {name}; loads of the table wait until it is built"
        )
    for name in sorted(before - after):
        yield Effect("migrate", f"keeps the index {name}, although the contract no longer has it")


def _definitions(contract: Contract) -> dict[str, Definition]:
    """Return the columns of a contract's table as PostgreSQL would describe them."""
    found = {}
    for column in contract.columns:
        name, _, modifiers = column.physical_type.replace(", ", ",").partition("(")
        spelled = _SPELLED.get(name, name) + (f"({modifiers}" if modifiers else "")
        found[column.physical_name] = Definition(spelled, column.required)
    return found


def _of_files(old: Contract, new: Contract) -> Iterator[str]:
    yield from _changes(old, new, "", _NOT_OF_FILES)
    before = {column.physical_name: column for column in old.columns}
    after = {column.physical_name: column for column in new.columns}
    for name, column in after.items():
        if name in before:
            yield from _of_column(before[name], column)
        else:
            without = "may lack it" if column.optional else "that lack it are refused"
            yield f"the column {quoted(column.name)} is new: files {without}"
    ignores = new.header_policy.unknown == "ignore"
    for name, column in before.items():
        if name not in after:
            treated = "is ignored in files" if ignores else "is unknown: files with it are refused"
            yield f"the column {quoted(column.name)} {treated}"
    kept = [name for name in before if name in after]
    if new.by_position and kept != [name for name in after if name in before]:
        yield "the order of the columns changes, by which they are found"


def _of_column(old: Column, new: Column) -> Iterator[str]:
    where = f"the column {quoted(new.name)}: "
    if old.name not in new.names:
        yield (
            f"the column {quoted(old.name)} is named {quoted(new.name)}: files with the old name "
            f"are refused; to load both, add aliases: [{json.dumps(old.name, ensure_ascii=False)}]"
        )
    elif old.name != new.name:
        yield f"the column {quoted(old.name)} may also be named {quoted(new.name)}"
    if (old.kind, old.physical_type) != (new.kind, new.physical_type):
        yield (
            f"{where}values are cast to {new.kind} ({new.physical_type}) instead of {old.kind} "
            f"({old.physical_type})"
        )
    if old.required != new.required:
        yield f"{where}values {'must' if new.required else 'need'} not be missing"
    yield from _changes(old, new, where, _NOT_OF_VALUES)


def _of_readers(old: Contract, new: Contract) -> Iterator[str]:
    if old.relation != new.relation:
        yield f"SQL: {old.relation} is no longer loaded; {new.relation} takes its place"
    before, after = View.of(old), View.of(new)
    path = f"/tables/{new.table}"
    if before is None and after is not None:
        yield f"API: gets the routes {path}"
    elif before is not None and after is None:
        yield f"API: loses the routes {path}, which then answer 404"
    elif before is not None and after is not None:
        yield from (f"API: {text}" for text in _of_view(before, after))


def _of_view(old: View, new: View) -> Iterator[str]:
    shown, fields = ({each.name: each for each in view.fields} for view in (old, new))
    if gone := [quoted(name) for name in shown if name not in fields]:
        yield f"rows no longer have {listed(gone)}"
    if added := [quoted(name) for name in fields if name not in shown]:
        yield f"rows also have {listed(added)}"
    for name, column in fields.items():
        if name in shown and column.kind != shown[name].kind:
            yield f"{quoted(name)} is {column.kind} instead of {shown[name].kind}"
    if old.key.name != new.key.name:
        yield (
            f"rows are looked up by {quoted(new.key.name)} instead of {quoted(old.key.name)}, also "
            "in the parameter of /get"
        )
    if old.order.name != new.order.name:
        yield (
            f"rows are ordered by {quoted(new.order.name)} instead of {quoted(old.order.name)}; a "
            "'next' value from an earlier answer is refused"
        )
    summed = [view.measure.name if view.measure else "" for view in (old, new)]
    if summed != ["", ""] and (summed[0], old.groupings) != (summed[1], new.groupings):
        by = f"{quoted(summed[1])} can be summed by {listed(new.groupings)}"
        yield by if new.measure else "rows can no longer be summed"


def _changes(old: Model, new: Model, where: str, skipped: Iterable[str] = ()) -> Iterator[str]:
    """Yield the properties in which two models differ, with both values."""
    for field in type(new).model_fields:
        before, after = getattr(old, field), getattr(new, field)
        name = f"{where}{to_camel(field)}"
        if before == after or field in skipped:
            continue
        if isinstance(before, Model) and isinstance(after, Model) and type(before) is type(after):
            yield from _changes(before, after, f"{name}.")
        elif isinstance(before, tuple) and isinstance(after, tuple):
            gone, added = (
                [_shown(each) for each in these if each not in those]
                for these, those in ((before, after), (after, before))
            )
            texts = [f"without {listed(gone)}"] if gone else []
            texts += [f"with {listed(added)}"] if added else []
            yield f"{name}: {', '.join(texts) or 'in another order'}"
        else:
            yield f"{name}: {_shown(after)} instead of {_shown(before)}"


def _shown(value: Any) -> str:
    """Return a value in JSON, with the names that contracts use."""
    if isinstance(value, Model):
        value = value.model_dump(mode="json", by_alias=True, exclude_none=True)
    return bounded(json.dumps(value, ensure_ascii=False, default=str), _VALUE)
