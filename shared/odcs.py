"""From a file of the Open Data Contract Standard (ODCS 3.x) to the pipeline's contract.

Validated three times, so that nothing in a contract is without effect: by the standard's own JSON
schema; here, which refuses every custom property, option and quality metric that the pipeline does
not act on; and by the models of `shared.contract`.

One file must not stop the tables of the others. So what reading it can cost is bounded before it is
taken apart: its size with every alias written out, because nine lines of them may stand for a
gigabyte; its depth; and the length of its keys.
"""

import functools
import importlib.resources
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pydantic
import yaml
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for

from shared.columns import TYPES, RuleKind
from shared.contract import MAX_COLUMNS, Column, Contract, Model, repeated
from shared.errors import InvalidContract
from shared.text import is_storable, one_line, quoted

if TYPE_CHECKING:
    from shared.contract_set import Contracts

CONTRACTS = Path(__file__).parent.parent / "contracts"
SUFFIX = ".odcs.yaml"

MAX_BYTES = 512 * 1024
_MAX_NODES = 100_000
"""How large a contract may be: one of 1,600 columns has 320 bytes and 60 nodes for each."""
_LIMIT = f"{MAX_BYTES // 1024} KiB"
_MAX_DEPTH = 20
"""Twice as deep as what the standard asks for and the pipeline acts on."""
_MAX_KEY = 100
_MAX_SCALAR = 100
"""Characters of a key, and of a value that is no text: Python reads long numbers slowly."""

M = TypeVar("M", bound=Model)

_TABLE_PROPERTIES = {
    "encoding",
    "delimiter",
    "decimalMark",
    "nullTokens",
    "headerPolicy",
    "maxRejectedPercent",
    "timezone",
    "indexes",
    "lookup",
}
_SLA_PROPERTIES = {
    "timeOfAvailability": {"property", "value", "customProperties"},
    "latency": {"property", "value", "unit"},
}
"""What is read of each; what only people read is there too."""
_SLA_FOR_PEOPLE = {"authoritativeDefinitions", "description", "driver", "id"}
_AVAILABILITY_PROPERTIES = {"weekdays"}
_COLUMN_PROPERTIES = {"formats", "trueTokens", "falseTokens"}
_WITH_FORMATS = {name for name, each in TYPES.items() if each.formats}
_OPTIONS: dict[RuleKind, dict[str, str]] = {
    "length": {"minLength": "minimum", "maxLength": "maximum"},
    "range": {"minimum": "minimum", "maximum": "maximum"},
    "pattern": {"pattern": "regex"},
}
"""The rules that a column's options ask for, and what each option is called in the rule."""
_ARGUMENTS = {*itertools.chain.from_iterable(_OPTIONS.values()), "validValues", "notInFuture"}
_CUSTOM_PLACES = re.compile(
    r"\$\.(schema\[0\](\.properties\[\d+\])?|slaProperties\[\d+\])\.customProperties"
)
_WITHOUT_EFFECT = {
    "encryptedName",
    "enum",
    "items",
    "map",
    "partitioned",
    "primaryKey",
    "properties",
    "relationships",
    "transformLogic",
}
"""What ODCS lets a column ask for and this pipeline does not do."""
_SEVERITIES = {"error", "warning"}
_DAYS = {"d", "day", "days"}


@functools.cache
def load_all(folder: Path = CONTRACTS) -> "Contracts":
    """Return every contract of a folder.

    Raises:
        InvalidContract: there is no contract file at all.
    """
    from shared.contract_set import Contracts  # noqa: PLC0415 - it stands on this module

    return Contracts.of_folder(folder)


def load(path: Path) -> Contract:
    """Read and validate one contract file.

    Raises:
        InvalidContract: the file cannot be read, or see `parse`.
    """
    return parse(path.name, read(path))


def read(path: Path) -> bytes:
    """Return what a file holds, or as much of it as shows that it is too large for a contract.

    Raises:
        InvalidContract: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidContract(one_line(f"{path.name}: {error}")) from error


def parse(name: str, content: bytes) -> Contract:
    """Validate what a contract file called `name` holds.

    Raises:
        InvalidContract: the file is not ODCS, asks for what this pipeline does not know, or for
            what PostgreSQL can never keep. It names the file and, if there is one, the column.
    """
    try:
        document = yaml.load(_text(content), _Loader)  # noqa: S506 - it is a safe one
        _check_width(document)
        if error := best_match(_validator().iter_errors(document)):
            raise ValueError(f"at {error.json_path}: {_message(error)}")  # noqa: TRY301
        contract = _contract(document)
        if name != contract.table + SUFFIX:
            raise ValueError(  # noqa: TRY301
                f"its schema is called {contract.table!r}; name the file {contract.table}{SUFFIX}"
            )
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidContract(one_line(f"{name}: {error}")) from error
    return contract


def _check_width(document: Any) -> None:
    # The standard's schema takes a millisecond for each column.
    match document:
        case {"schema": [{"properties": [*columns]}]} if len(columns) > MAX_COLUMNS:
            raise ValueError(
                f"the table has {len(columns):,} columns; PostgreSQL keeps 1,600, with the "
                f"pipeline's own, so that {MAX_COLUMNS:,} are left"
            )
        case {"schema": [*tables]} if len(tables) != 1:
            raise ValueError(f"one table a file, but 'schema' holds {len(tables)}")


def _text(content: bytes) -> str:
    if len(content) > MAX_BYTES:
        raise ValueError(f"it is larger than {_LIMIT}, which no contract needs")
    return content.decode("utf-8")


@functools.cache
def _validator() -> Validator:
    package = importlib.resources.files("open_data_contract_standard")
    schema = json.loads((package / "schema.json").read_text("utf-8"))
    return validator_for(schema)(schema)


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, but bounded, without tags, and with texts as keys, none of them twice."""

    _depth = 0

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._extents: dict[yaml.Node, _Extent] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        where = f"line {event.start_mark.line + 1}"
        if getattr(event, "tag", None) is not None:
            raise ValueError(f"{where}: the tag {quoted(event.tag)}: leave it out")
        self._depth += 1
        _check_extent(_Extent(self._depth, len(self._extents), 0), where)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if node is not None and not isinstance(event, yaml.AliasEvent):
            self._extents[node] = self._extent(node, where)
        elif node not in self._extents:
            raise ValueError(f"{where}: an alias stands within what it stands for")
        return node

    def _extent(self, node: yaml.Node, where: str) -> "_Extent":
        match node:
            case yaml.ScalarNode():
                _check_scalar(node, where)
                return _Extent(1, 1, len(node.value))
            case yaml.MappingNode():
                parts = [self._extents[part] for pair in node.value for part in pair]
            case _:
                parts = [self._extents[part] for part in node.value]
        extent = _Extent(
            1 + max((part.depth for part in parts), default=0),
            1 + sum(part.nodes for part in parts),
            sum(part.characters for part in parts),
        )
        _check_extent(extent, where)
        return extent

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        line = node.start_mark.line + 1
        for key in keys:
            if not isinstance(key, str) or len(key) > _MAX_KEY:
                raise ValueError(
                    f"in what begins at line {line}, the key {quoted(str(key))} is no text of up "
                    f"to {_MAX_KEY} characters; `yes` and `no` and numbers need quotes"
                )
        if twice := repeated(keys):
            raise ValueError(f"in what begins at line {line}, {twice} is there more than once")
        return super().construct_mapping(node, deep)


@dataclass(frozen=True, slots=True)
class _Extent:
    """How deep and how large a part of the document is, with every alias written out."""

    depth: int
    nodes: int
    characters: int


def _check_extent(extent: _Extent, where: str) -> None:
    if extent.depth > _MAX_DEPTH:
        raise ValueError(f"{where} is nested more than {_MAX_DEPTH} levels deep")
    if extent.nodes > _MAX_NODES or extent.characters > MAX_BYTES:
        raise ValueError(
            f"{where}: here the contract is larger than {_LIMIT} or {_MAX_NODES:,} values, with "
            "every alias written out, which no contract needs"
        )


def _check_scalar(node: yaml.ScalarNode, where: str) -> None:
    text = node.tag == "tag:yaml.org,2002:str"
    if not text and len(node.value) > _MAX_SCALAR:
        raise ValueError(f"{where}: a number or date of more than {_MAX_SCALAR} characters")
    if not is_storable(node.value):
        raise ValueError(f"{where}: a text holds the character NUL or half of a character")


def _message(error: ValidationError) -> str:
    # The standard's schema then takes the column for one of every type, and misses a map's parts.
    is_column = re.search(r"\.properties\[\d+\]$", error.json_path)
    if is_column and isinstance(error.instance, dict) and "logicalType" not in error.instance:
        return "a column needs a logicalType"
    return error.message


def _contract(document: dict[str, Any]) -> Contract:
    if "schema" not in document:
        raise ValueError("one table a file, but there is no 'schema'")
    (schema,) = document["schema"]
    if elsewhere := list(_custom_places(document)):
        raise ValueError(
            f"customProperties at {', '.join(elsewhere)} are without effect: "
            "they belong to the table ($.schema[0]), to a column of it, or to one of slaProperties"
        )
    return _validated(
        Contract,
        _custom_properties(schema, _TABLE_PROPERTIES, "the table")
        | {
            "table": schema["name"],
            "relation": schema.get("physicalName", schema["name"]),
            "version": document["version"],
            "columns": tuple(_column(each) for each in schema.get("properties", ())),
            "rowCounts": tuple(_row_count(each) for each in schema.get("quality", ())),
            "sla": _service_level(document),
        },
        where="the table",
    )


def _service_level(document: dict[str, Any]) -> dict[str, Any] | None:
    properties = document.get("slaProperties", [])
    if "slaDefaultElement" in document:
        raise ValueError("slaDefaultElement is without effect: a contract has one table")
    for each in properties:
        _check_sla_property(each)
    names = [each["property"] for each in properties]
    if twice := repeated(names):
        raise ValueError(f"slaProperties: {twice} are there more than once")
    found = {each["property"]: each for each in properties}
    if not found:
        return None
    if "timeOfAvailability" not in found:
        raise ValueError(
            f"slaProperties: {names} without timeOfAvailability say by no time of day when a "
            "file must be loaded"
        )
    by = found["timeOfAvailability"]
    days = {"latency": found["latency"]["value"]} if "latency" in found else {}
    return (
        {"time": by["value"]}
        | days
        | _custom_properties(by, _AVAILABILITY_PROPERTIES, "timeOfAvailability")
    )


def _check_sla_property(sla: dict[str, Any]) -> None:
    name = sla["property"]
    if name not in _SLA_PROPERTIES:
        raise ValueError(
            f"slaProperties: this pipeline does not act on {name!r}, only on "
            + ", ".join(sorted(_SLA_PROPERTIES))
        )
    if unserved := sorted(sla.keys() - _SLA_PROPERTIES[name] - _SLA_FOR_PEOPLE):
        raise ValueError(f"slaProperties: this pipeline does not act on {unserved} of {name}")
    if name == "latency" and (type(sla["value"]) is not int or sla.get("unit") not in _DAYS):
        raise ValueError(
            "slaProperties: latency must be a whole number of days with the unit d: so many days "
            f"after the day of the file; it is {sla['value']!r} {sla.get('unit')!r}"
        )


def _column(schema: dict[str, Any]) -> Column:
    name = schema["name"]
    where = f"column {quoted(name)}"
    if unserved := sorted(key for key in _WITHOUT_EFFECT if schema.get(key)):
        raise ValueError(f"{where}: this pipeline does not act on {', '.join(unserved)}")
    custom = _custom_properties(schema, _COLUMN_PROPERTIES, where)
    options = dict(schema.get("logicalTypeOptions", {}))
    options.pop("timezone", None)  # every instant is kept with one
    if "defaultTimezone" in options:
        custom["timezone"] = options.pop("defaultTimezone")
    if "format" in options and schema.get("logicalType") in _WITH_FORMATS:
        custom.setdefault("formats", [{"pattern": options.pop("format")}])
    rules = []
    if schema.get("required"):
        rules.append({"name": "required", "kind": "required"})
    if schema.get("unique"):
        rules.append({"name": "unique", "kind": "unique"})
    rules += _bound_rules(options, name=None)
    if options:
        raise ValueError(f"{where}: unknown logicalTypeOptions {sorted(options)}")
    for quality in schema.get("quality", ()):
        rules += _quality_rules(where, quality)
    return _validated(
        Column,
        custom
        | {
            "name": name,
            "physicalName": schema.get("physicalName", name),
            "logicalType": schema.get("logicalType"),
            "physicalType": schema.get("physicalType"),
            "required": schema.get("required", False),
            "rules": tuple(rules),
            "examples": tuple(schema.get("examples", ())),
        },
        where=where,
    )


def _bound_rules(options: dict[str, Any], name: str | None) -> list[dict[str, Any]]:
    """Take what bounds a value out of `options`; without a name a rule is called as the option."""
    rules: list[dict[str, Any]] = []
    for kind, fields in _OPTIONS.items():
        if found := [option for option in fields if option in options]:
            bounds = {fields[option]: options.pop(option) for option in found}
            rules.append({"name": name or "/".join(found), "kind": kind, **bounds})
    return rules


def _quality_rules(where: str, quality: dict[str, Any]) -> list[dict[str, Any]]:
    name = _name(quality, where)
    arguments = dict(quality.get("arguments", {}))
    if unknown := arguments.keys() - _ARGUMENTS:
        raise ValueError(
            f"{where}: the quality {quoted(name)} has unknown arguments {sorted(unknown)}; "
            f"known: {sorted(_ARGUMENTS)}"
        )
    match quality.get("metric"):
        case "nullValues" | "missingValues":
            rules: list[dict[str, Any]] = [{"name": name, "kind": "required"}]
        case "duplicateValues":
            rules = [{"name": name, "kind": "unique"}]
        case "invalidValues":
            rules = _bound_rules(arguments, name)
            if "validValues" in arguments:
                values = arguments.pop("validValues")
                rules.append({"name": name, "kind": "allowed", "values": values})
            if arguments.pop("notInFuture", False):
                rules.append({"name": name, "kind": "not_in_future"})
        case metric:
            raise ValueError(
                f"{where}: the quality {quoted(name)} has the metric {metric!r}; this pipeline "
                "knows nullValues, missingValues, duplicateValues and invalidValues"
            )
    if arguments or len(rules) != 1:
        raise ValueError(
            f"{where}: the quality {quoted(name)} must ask for one thing: with the metric "
            "invalidValues by minLength and maxLength, minimum and maximum, pattern, validValues "
            f"or notInFuture, with another by no arguments; it has {quality.get('arguments')}"
        )
    severity = quality.get("severity", "error")
    if severity not in _SEVERITIES:
        raise ValueError(f"{where}: the quality {quoted(name)} must be an error or a warning")
    return [rules[0] | {"severity": severity, "threshold": _threshold(where, name, quality)}]


def _threshold(where: str, name: str, quality: dict[str, Any]) -> dict[str, Any] | None:
    unit = quality.get("unit", "rows")
    if quality.get("mustBe") == 0:
        return None
    for operator, inclusive in (("mustBeLessThan", False), ("mustBeLessOrEqualTo", True)):
        if operator in quality:
            return {"limit": str(quality[operator]), "unit": unit, "inclusive": inclusive}
    raise ValueError(
        f"{where}: the quality {quoted(name)} must say mustBe 0, or how many rows may fail: "
        "mustBeLessThan or mustBeLessOrEqualTo, with the unit rows or percent"
    )


def _row_count(quality: dict[str, Any]) -> dict[str, Any]:
    name = _name(quality, "the table")
    bounds: dict[str, Any] = {}
    match quality:
        case {"mustBeGreaterThan": more}:
            bounds["minimum"] = more + 1
        case {"mustBeGreaterOrEqualTo": least}:
            bounds["minimum"] = least
        case {"mustBeLessThan": fewer}:
            bounds["maximum"] = fewer - 1
        case {"mustBeLessOrEqualTo": most}:
            bounds["maximum"] = most
        case {"mustBeBetween": [least, most]}:
            bounds |= {"minimum": least, "maximum": most}
        case {"mustBe": exactly}:
            bounds |= {"minimum": exactly, "maximum": exactly}
    beside = {"arguments", "unit"} & quality.keys()
    severity = quality.get("severity", "error")
    if quality.get("metric") != "rowCount" or not bounds or beside or severity != "error":
        raise ValueError(
            f"the quality {quoted(name)} of the table must be an error of the metric rowCount with "
            "mustBe, mustBeBetween or one of the four comparisons, without arguments and unit: "
            "this pipeline knows no other, and a wrong count always halts"
        )
    return {"name": name} | bounds


def _name(quality: dict[str, Any], where: str) -> str:
    try:
        return str(quality["name"])
    except KeyError:
        raise ValueError(f"{where}: every quality needs a name, which rejects refer to") from None


def _validated(model: type[M], values: dict[str, Any], where: str) -> M:
    try:
        return model.model_validate(values)
    except pydantic.ValidationError as error:
        problems = [
            ": ".join([*filter(None, [".".join(map(str, each["loc"]))]), each["msg"]])
            for each in error.errors()
        ]
        text = "; ".join(problems).replace("Value error, ", "")
        raise ValueError(f"{where}: {text}") from error


def _custom_places(part: Any, place: str = "$") -> Iterator[str]:
    """Yield where custom properties stand that nobody would read."""
    if isinstance(part, dict):
        inner = {f"{place}.{key}": value for key, value in part.items()}
    elif isinstance(part, list):
        inner = {f"{place}[{i}]": value for i, value in enumerate(part)}
    else:
        return
    for where, value in inner.items():
        if _CUSTOM_PLACES.fullmatch(where):
            continue
        if where.endswith(".customProperties"):
            yield where
        yield from _custom_places(value, where)


def _custom_properties(part: dict[str, Any], known: set[str], where: str) -> dict[str, Any]:
    found = part.get("customProperties", ())
    if twice := repeated(each["property"] for each in found):
        raise ValueError(f"{where}: customProperties {twice} are there more than once")
    properties = {each["property"]: each["value"] for each in found}
    if unknown := properties.keys() - known:
        raise ValueError(
            f"{where}: unknown customProperties {sorted(unknown)}; known: {sorted(known)}"
        )
    return properties
