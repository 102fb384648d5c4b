"""The text of a drafted contract: YAML with the evidence as comments."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cli.drafting.decisions import Drafted
from shared.column import Column
from shared.naming import OWN_SUFFIXES
from shared.quality import Allowed, Unique
from shared.text import one_line
from shared.yaml_text import flow, scalar

_WIDTH = 100  # characters of a line of comments
_MAX_COMMENT = 500


def document(
    table: str,
    properties: Mapping[str, Any],
    columns: Iterable[Drafted],
    evidence: Iterable[str],
) -> str:
    """Return the text of a contract.

    Args:
        table: the name of the table.
        properties: its custom properties.
        columns: its columns.
        evidence: comments about how the files are read.
    """
    lines = [
        "apiVersion: v3.1.0",
        "kind: DataContract",
        f"id: urn:tm-pipeline:{table}",
        "version: 0.1.0",
        "status: draft",
        "schema:",
        f"  - name: {table}",
        *([f"    physicalName: {table}_table"] if table.endswith(OWN_SUFFIXES) else ()),
        *_comments(evidence, indent=4),
        *indented(_custom_properties(properties), 4),
        "    properties:",
    ]
    for each in columns:
        lines += indented(column_lines(each), 6)
    return _text(lines)


def headed(heading: Iterable[str], text: str) -> str:
    """Return the text of a contract with comments at the beginning."""
    return _text(_comments(heading)) + text


def entry(name: str, value: Any) -> list[str]:
    """Return the lines of an entry of a block mapping."""
    if name == "customProperties":
        return [f"{name}:", *(f"  - {flow(each)}" for each in value)]
    return [f"{scalar(name)}: {flow(value)}"]


def indented(lines: Iterable[str], indent: int) -> Iterator[str]:
    """Yield lines after some spaces."""
    return (f"{' ' * indent}{line}" for line in lines)


def column_lines(drafted: Drafted) -> Iterator[str]:
    """Yield the lines of a column as an item of a block sequence, with its evidence."""
    yield from _comments([", ".join(drafted.evidence)])
    yield from _comments([f"check: {each}" for each in drafted.checks])
    yield "- " + next(lines := indented(_entries(drafted.column), 2)).lstrip()
    yield from lines


def _entries(column: Column) -> Iterator[str]:
    yield f"name: {scalar(column.name)}"
    if column.physical_name != column.name:
        yield f"physicalName: {scalar(column.physical_name)}"
    yield f"logicalType: {column.logical_type}"
    yield f"physicalType: {column.physical_type}"
    if column.required:
        yield "required: true"
    if any(isinstance(rule, Unique) for rule in column.rules):
        yield "unique: true"
    yield from _custom_properties(options_of(column))
    for rule in column.rules:
        if isinstance(rule, Allowed):
            yield "quality:"
            yield f"  - name: {scalar(rule.name)}"
            yield "    metric: invalidValues"
            yield f"    arguments: {flow({'validValues': list(rule.values)})}"
            yield "    mustBe: 0"
            yield f"    severity: {rule.severity}"


def options_of(column: Column) -> dict[str, Any]:
    """Return the custom properties of a column."""
    own = {"name", "physical_name", "logical_type", "physical_type", "required", "rules"}
    options = column.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=own)
    if "formats" in options:
        options["formats"] = [
            each.model_dump(mode="json", by_alias=True, exclude_defaults=True)
            for each in column.formats
        ]
    return options


def _custom_properties(properties: Mapping[str, Any]) -> list[str]:
    found = [{"property": name, "value": value} for name, value in properties.items()]
    return entry("customProperties", found) if found else []


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _comments(texts: Iterable[str], indent: int = 0) -> Iterator[str]:
    """Yield comments; none has a line end of its own."""
    for text in texts:
        words = one_line(text, _MAX_COMMENT)
        yield from textwrap.wrap(
            words,
            _WIDTH,
            initial_indent=f"{' ' * indent}# ",
            subsequent_indent=f"{' ' * indent}#   ",
            break_long_words=False,
            break_on_hyphens=False,
        )
