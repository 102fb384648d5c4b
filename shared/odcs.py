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
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pydantic
import yaml
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for

from shared import landing_key
from shared.columns import TYPES, RuleKind
from shared.contract import MAX_COLUMNS, Column, Contract, Flaws, Model, repeated
from shared.errors import InvalidContract
from shared.text import bounded, is_storable, listed, one_line, quoted

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

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

_MAX_PROBLEMS = 20
"""Of one file: whoever has so many to correct looks again."""
_MAX_ERRORS = 1_000
"""Of the standard's schema: a list may hold 100,000, and one fault may bring up to ten of them."""
_MAX_PART = 4
"""Keys and indices down to the smallest part that is read by itself: a column, for example."""
_MAX_MESSAGE = 300
"""Characters: such an error quotes the whole part."""

M = TypeVar("M", bound=Model)
_Place = tuple[str | int, ...]
"""The keys and indices that lead to a part of the document."""

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
_FIXES = {
    "additionalProperties": "correct the name or remove it",
    "unevaluatedProperties": "correct the name or remove it",
    "extra_forbidden": "correct the name or remove it",
    "required": "add it",
    "missing": "add it",
    "type": "write a value of that type; texts such as `yes`, `1.0` and `2020-01-01` need quotes",
    "enum": "choose one of these",
}
"""What to do about an error of the standard's schema, or of pydantic, which does not say so."""
_REPORTED = {(name,) for name in ("table", "relation", "version", "columns")}
"""What is left out of a contract when something was already said of it."""
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


def relation(content: bytes) -> str | None:
    """Return which table of PostgreSQL a contract asks for, valid or not; None if it says none."""
    try:
        document = _document(content)
    except (yaml.YAMLError, ValueError):
        return None
    match document:
        case {"schema": [{"physicalName": str(name)}]} | {"schema": [{"name": str(name)}]}:
            return name
        case _:
            return None


def parse(name: str, content: bytes) -> Contract:
    """Validate what a contract file called `name` holds.

    Raises:
        InvalidContract: the file is not ODCS, asks for what this pipeline does not know, or for
            what PostgreSQL can never keep. Its `problems` are all that can be told at once: each
            names the file and, if there is one, the column, and says what to do.
    """
    problems: list[str] = []
    contract = None
    try:
        document = _document(content)
    except yaml.YAMLError as error:
        problems.append(f"it is no valid YAML: {error}")
    except ValueError as error:
        problems.append(str(error))
    else:
        contract = _contract(name, document, problems)
    if contract is None or problems:
        raise _invalid(name, problems)
    return contract


def _invalid(name: str, problems: list[str]) -> InvalidContract:
    # None twice: the standard's schema comes by several ways to the same fault.
    distinct = list(dict.fromkeys(problems))
    told = distinct[:_MAX_PROBLEMS]
    if more := len(distinct) - len(told):
        told.append(f"and at least {more:,} more: correct these first")
    return InvalidContract(
        one_line(f"{name}: {'; '.join(told)}"), [one_line(f"{name}: {each}") for each in told]
    )


def _check_width(document: Any) -> None:
    # The standard's schema takes a millisecond for each column.
    match document:
        case {"schema": [{"properties": [*columns]}]} if len(columns) > MAX_COLUMNS:
            raise ValueError(
                f"the table has {len(columns):,} columns; PostgreSQL keeps 1,600, with the "
                f"pipeline's own, so that {MAX_COLUMNS:,} are left: split the table"
            )
        case {"schema": [*tables]} if len(tables) != 1:
            raise ValueError(f"one table a file, but 'schema' holds {len(tables)}: split it")


def _document(content: bytes) -> Any:
    """Return what the YAML says.

    Raises:
        yaml.YAMLError: it is none.
        ValueError: it is more than a contract may be.
    """
    document = yaml.load(_text(content), _Loader)  # noqa: S506 - it is a safe one
    _check_width(document)
    return document


def _text(content: bytes) -> str:
    if len(content) > MAX_BYTES:
        raise ValueError(f"it is larger than {_LIMIT}, which no contract needs")
    try:
        # Terraform deploys every text in this form of Unicode:
        # https://developer.hashicorp.com/terraform/language/expressions/strings
        return unicodedata.normalize("NFC", content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not in UTF-8: {error}: save it in UTF-8") from error


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
        raise ValueError(
            f"{where}: a number or date of more than {_MAX_SCALAR} characters: quote it"
        )
    if not is_storable(node.value):
        raise ValueError(
            f"{where}: a text holds the character NUL or half of a character: remove it"
        )


def _standard_errors(document: Any, problems: list[str]) -> set[_Place] | None:
    """Say what breaks the standard; return the parts of the document that something is wrong with.

    A part that is not among these is of the form that the standard asks for. None if so much is
    wrong that not all of it was looked for.
    """
    broken: set[_Place] = set()
    errors: list[ValidationError] = []
    found = [*itertools.islice(_validator().iter_errors(document), _MAX_ERRORS + 1)]
    for error in found[:_MAX_ERRORS]:
        broken.update(_prefixes(tuple(error.absolute_path)[:_MAX_PART]))
        if closest := best_match([error]):
            errors.append(closest)
    errors.sort(key=lambda error: [*error.absolute_path])
    others = {
        place
        for error in errors
        if error.validator != "unevaluatedProperties"
        for place in _prefixes(tuple(error.absolute_path))
    }
    problems += filter(None, (_text_of(each, document, others) for each in errors))
    return broken if len(found) <= _MAX_ERRORS else None


def _prefixes(place: _Place) -> Iterator[_Place]:
    return (place[:length] for length in range(len(place) + 1))


def _text_of(error: ValidationError, document: Any, others: set[_Place]) -> str | None:
    """Return what is wrong and what to do; None if that follows from the `others`."""
    message, where = error.message, f"at {error.json_path}"
    match document, tuple(error.absolute_path):
        case {"schema": [{"properties": columns}]}, ("schema", 0, "properties", int(i), *inner):
            column = columns[i] if isinstance(columns[i], dict) else {}
            if isinstance(column.get("name"), str):
                where = f"column {quoted(column['name'])}: {where}"
            # Without a type the schema takes a column for one of every type, such as a map.
            of_type = inner[:1] in (["logicalType"], ["logicalTypeOptions"])
            if column.get("logicalType") is None and (of_type or message.startswith("'map'")):
                where = re.sub(r"\.logicalType(Options)?$", "", where)
                return f"{where}: a column needs a logicalType: {' or '.join(TYPES)}"
    if error.validator == "unevaluatedProperties" and tuple(error.absolute_path) in others:
        # The schema then takes all properties for unknown ones.
        instance = cast("dict[str, Any]", error.instance)
        unknown = ", ".join(repr(each) for each in sorted(instance.keys() - _standard_names()))
        if not unknown:
            return None
        message = f"the standard knows no {unknown} here"
    elif error.validator in {"additionalProperties", "unevaluatedProperties"}:
        unknown = message.partition("(")[2].rsplit(" ", 2)[0]  # … ('a', 'b' were unexpected)
        message = f"the standard knows no {unknown} here"
    elif error.validator == "oneOf":
        many = "is valid under each of" in message
        message = f"it has the parts of {'more than one form' if many else 'no form'} that the "
        message += "standard knows; a quality, for instance, has one of mustBe, mustBeLessThan, …"
    fix = _FIXES.get(str(error.validator), "correct it")
    return f"{where}: {bounded(message, _MAX_MESSAGE)}: {fix}"


@functools.cache
def _standard_names() -> set[str]:
    """Return the names of all properties that the standard knows at any place."""
    names, parts = set(), [_validator().schema]
    while parts:
        part: Any = parts.pop()
        if isinstance(part, dict):
            names.update(part.get("properties", ()))
            parts += part.values()
        elif isinstance(part, list):
            parts += part
    return names


def _contract(name: str, document: Any, problems: list[str]) -> Contract | None:
    """Return the contract that a document is; None if something is wrong with its table."""
    broken = _standard_errors(document, problems)
    if broken is None:
        return None
    if isinstance(document, dict) and "schema" not in document:
        problems.append("one table a file, but there is no 'schema': add it")
    match document:
        case {"schema": [dict() as schema]}:
            pass
        case _:
            return None
    if elsewhere := list(_custom_places(document)):
        problems.append(
            f"customProperties at {listed(elsewhere)} are without effect: move them, for "
            "they belong to the table ($.schema[0]), to a column of it, or to one of slaProperties"
        )
    table = schema.get("name")
    is_table = isinstance(table, str) and re.fullmatch(landing_key.TABLE, table)
    if is_table and name != f"{table}{SUFFIX}":
        problems.append(f"its schema is called {table!r}; name the file {table}{SUFFIX}")

    def sound(key: str) -> list[Any]:
        return _sound(schema, ("schema", 0, key), broken)

    texts = {
        "table": table,
        "relation": schema.get("physicalName", table),
        "version": document.get("version"),
        "description": schema.get("description") or _purpose(document),
    }
    columns = [_column(each, problems) for each in sound("properties")]
    values = {field: text for field, text in texts.items() if isinstance(text, str)} | {
        "rowCounts": _row_counts(sound("quality"), problems),
        "sla": _service_level(document, broken, problems),
        **_custom_properties(sound("customProperties"), _TABLE_PROPERTIES, "the table", problems),
    }
    # What compares columns with each other waits until all of them are right.
    if None not in columns and ("schema", 0, "properties") not in broken:
        values["columns"] = tuple(columns)
    return _validated(Contract, values, "the table", problems)


def _purpose(document: dict[str, Any]) -> Any:
    described = document.get("description")
    return described.get("purpose") if isinstance(described, dict) else None


def _sound(part: dict[str, Any], place: _Place, broken: set[_Place]) -> list[Any]:
    """Return what is of the standard's form, of the list in `part` that stands at `place`."""
    items = part.get(str(place[-1]), ())
    if not isinstance(items, list):
        return []
    return [each for i, each in enumerate(items) if (*place, i) not in broken]


def _service_level(
    document: dict[str, Any], broken: set[_Place], problems: list[str]
) -> dict[str, Any] | None:
    if "slaDefaultElement" in document:
        problems.append(
            "slaDefaultElement is without effect: remove it, for a contract has one table"
        )
    properties = _sound(document, ("slaProperties",), broken)
    for each in properties:
        _check_sla_property(each, problems)
    names = [each["property"] for each in properties]
    if twice := repeated(names):
        problems.append(f"slaProperties: {twice} are there more than once: keep one of each")
    found = {each["property"]: each for each in properties}
    if "timeOfAvailability" not in found:
        if found and ("slaProperties",) not in broken:
            problems.append(
                f"slaProperties: {names} without timeOfAvailability say by no time of day when a "
                "file must be loaded: add it"
            )
        return None
    by = found["timeOfAvailability"]
    return (
        {"time": by["value"]}
        | _custom_properties(
            by.get("customProperties", ()), _AVAILABILITY_PROPERTIES, "timeOfAvailability", problems
        )
        | ({"latency": found["latency"]["value"]} if _is_latency(found.get("latency")) else {})
    )


def _is_latency(sla: dict[str, Any] | None) -> bool:
    return sla is not None and type(sla["value"]) is int and sla.get("unit") in _DAYS


def _check_sla_property(sla: dict[str, Any], problems: list[str]) -> None:
    name = sla["property"]
    if name not in _SLA_PROPERTIES:
        problems.append(
            f"slaProperties: this pipeline does not act on {quoted(name)}, only on "
            f"{', '.join(sorted(_SLA_PROPERTIES))}: remove it"
        )
        return
    if unserved := sorted(sla.keys() - _SLA_PROPERTIES[name] - _SLA_FOR_PEOPLE):
        problems.append(
            f"slaProperties: this pipeline does not act on {unserved} of {name}: remove it"
        )
    if name == "latency" and not _is_latency(sla):
        problems.append(
            "slaProperties: latency must be a whole number of days with the unit d: so many days "
            f"after the day of the file; it is {sla['value']!r} {sla.get('unit')!r}"
        )


def _column(schema: dict[str, Any], problems: list[str]) -> Column | None:
    name = schema["name"]
    where = f"column {quoted(name)}"
    if unserved := sorted(key for key in _WITHOUT_EFFECT if schema.get(key)):
        problems.append(f"{where}: this pipeline does not act on {', '.join(unserved)}: remove it")
    custom = _custom_properties(
        schema.get("customProperties", ()), _COLUMN_PROPERTIES, where, problems
    )
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
        problems.append(f"{where}: unknown logicalTypeOptions {sorted(options)}: remove them")
    for quality in schema.get("quality", ()):
        rules += _quality_rules(where, quality, problems)
    given = {key: schema[key] for key in ("logicalType", "physicalType") if key in schema}
    return _validated(
        Column,
        custom
        | given
        | {
            "name": name,
            "physicalName": schema.get("physicalName", name),
            "required": schema.get("required", False),
            "description": schema.get("description", ""),
            "rules": tuple(rules),
            "examples": tuple(schema.get("examples", ())),
        },
        where,
        problems,
    )


def _bound_rules(options: dict[str, Any], name: str | None) -> list[dict[str, Any]]:
    """Take what bounds a value out of `options`; without a name a rule is called as the option."""
    rules: list[dict[str, Any]] = []
    for kind, fields in _OPTIONS.items():
        if found := [option for option in fields if option in options]:
            bounds = {fields[option]: options.pop(option) for option in found}
            rules.append({"name": name or "/".join(found), "kind": kind, **bounds})
    return rules


def _quality_rules(
    where: str, quality: dict[str, Any], problems: list[str]
) -> list[dict[str, Any]]:
    if "name" not in quality:
        problems.append(f"{where}: every quality needs a name, which rejects refer to: add it")
        return []
    name, arguments = quality["name"], dict(quality.get("arguments", {}))
    if unknown := sorted(arguments.keys() - _ARGUMENTS):
        problems.append(
            f"{where}: the quality {quoted(name)} has unknown arguments {unknown}; "
            f"known: {sorted(_ARGUMENTS)}"
        )
        return []
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
            problems.append(
                f"{where}: the quality {quoted(name)} has the metric {metric!r}; this pipeline "
                "knows nullValues, missingValues, duplicateValues and invalidValues"
            )
            return []
    if arguments or len(rules) != 1:
        problems.append(
            f"{where}: the quality {quoted(name)} must ask for one thing: with the metric "
            "invalidValues by minLength and maxLength, minimum and maximum, pattern, validValues "
            f"or notInFuture, with another by no arguments; it has {quality.get('arguments')}"
        )
        return []
    severity = quality.get("severity", "error")
    if severity not in _SEVERITIES:
        problems.append(
            f"{where}: the quality {quoted(name)} must be an error or a warning, by its severity"
        )
        severity = "error"
    return [
        rules[0] | {"severity": severity, "threshold": _threshold(where, name, quality, problems)}
    ]


def _threshold(
    where: str, name: str, quality: dict[str, Any], problems: list[str]
) -> dict[str, Any] | None:
    unit = quality.get("unit", "rows")
    if quality.get("mustBe") == 0:
        return None
    for operator, inclusive in (("mustBeLessThan", False), ("mustBeLessOrEqualTo", True)):
        if operator in quality:
            return {"limit": str(quality[operator]), "unit": unit, "inclusive": inclusive}
    problems.append(
        f"{where}: the quality {quoted(name)} must say mustBe 0, or how many rows may fail: "
        "mustBeLessThan or mustBeLessOrEqualTo, with the unit rows or percent"
    )
    return None


def _row_counts(qualities: list[dict[str, Any]], problems: list[str]) -> list[dict[str, Any]]:
    return [bounds for each in qualities if (bounds := _row_count(each, problems)) is not None]


def _row_count(quality: dict[str, Any], problems: list[str]) -> dict[str, Any] | None:
    if "name" not in quality:
        problems.append("the table: every quality needs a name, by which reports call it: add it")
        return None
    name = quality["name"]
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
        problems.append(
            f"the quality {quoted(name)} of the table must be an error of the metric rowCount with "
            "mustBe, mustBeBetween or one of the four comparisons, without arguments and unit: "
            "this pipeline knows no other, and a wrong count always halts"
        )
        return None
    return {"name": name} | bounds


def _validated(model: type[M], values: dict[str, Any], where: str, problems: list[str]) -> M | None:
    try:
        return model.model_validate(values)
    except pydantic.ValidationError as error:
        for each in error.errors(include_url=False, include_input=False):
            place = _words(each["loc"], values)
            problems += [": ".join([where, *place, text]) for text in _texts(each)]
    return None


def _words(place: _Place, values: dict[str, Any]) -> list[str]:
    """Return where in the values something is wrong, in the words of the contract."""
    match place:
        case ("rules", int(i), _, *inner):
            named = [f"the rule {quoted(values['rules'][i]['name'])}"]
        case ("rowCounts", int(i), *inner):
            named = [f"the quality {quoted(values['rowCounts'][i]['name'])}"]
        case _:
            named, inner = [], list(place)
    return [*named, ".".join(map(str, inner))] if inner else named


def _texts(error: "ErrorDetails") -> list[str]:
    """Return what pydantic says of one part, one text for each fault."""
    raised = error.get("ctx", {}).get("error")
    if error["type"] == "missing" and error["loc"] in _REPORTED:
        return []
    if isinstance(raised, Flaws):
        return [str(each) for each in raised.args]
    text = error["msg"].removeprefix("Value error, ")
    text = text.replace("a valid tuple", "a list").replace("Tuple should", "The list should")
    return [f"{text}: {fix}" if (fix := _FIXES.get(error["type"])) else text]


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


def _custom_properties(
    found: Iterable[dict[str, Any]], known: set[str], where: str, problems: list[str]
) -> dict[str, Any]:
    """Return the values of the known ones by name."""
    properties = {each["property"]: each["value"] for each in found}
    if twice := repeated(each["property"] for each in found):
        problems.append(
            f"{where}: customProperties {twice} are there more than once: keep one of each"
        )
    if unknown := sorted(properties.keys() - known):
        problems.append(f"{where}: unknown customProperties {unknown}; known: {sorted(known)}")
    return {name: value for name, value in properties.items() if name in known}
