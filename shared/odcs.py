"""Parser for contracts in the Open Data Contract Standard (ODCS 3.x).

A contract is validated in three steps:

1. The standard's own JSON schema checks its form (`shared.odcs_schema`).
2. This module refuses every custom property, option and quality metric that the pipeline does not
   support. A property without effect is usually a typing error.
3. The models of `shared.contract` check the values.
"""

import functools
import itertools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pydantic
import yaml
from pydantic.alias_generators import to_camel

from shared import contract_yaml, landing_key, odcs_schema
from shared.column import Column
from shared.column_types import TYPES, RuleKind
from shared.contract import MAX_COLUMNS, Contract
from shared.dialect import Dialect
from shared.errors import InvalidContract
from shared.model import Model, Problems
from shared.naming import repeated
from shared.odcs_schema import FIXES, Place
from shared.text import listed, one_line, quoted

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from shared.contract_set import Contracts

CONTRACTS = Path(__file__).parent.parent / "contracts"
SUFFIX = ".odcs.yaml"

_MAX_PROBLEMS = 20  # problems reported for one file

M = TypeVar("M", bound=Model)

_TABLE_PROPERTIES = {
    "encoding",
    "encodingErrors",
    "compression",
    "fileFormat",
    "dialect",
    "decimalMark",
    "headerPolicy",
    "keys",
    "maxRejectedPercent",
    "timezone",
    "indexes",
    "lookup",
    "manifest",
}
_SLA_PROPERTIES = {
    "timeOfAvailability": {"property", "value", "customProperties"},
    "latency": {"property", "value", "unit"},
}
"""The keys that the pipeline reads."""
_SLA_DOCUMENTATION = {"authoritativeDefinitions", "description", "driver", "id"}
_AVAILABILITY_PROPERTIES = {"weekdays"}
_COLUMN_PROPERTIES = {
    "aliases",
    "optional",
    "formats",
    "nullTokens",
    "quotedEmpty",
    "trim",
    "trueTokens",
    "falseTokens",
    "ignoreCase",
    "groupChar",
    "bareNumber",
    "numberStyles",
}
_PLACES = {
    "the table's dialect": {to_camel(name) for name in Dialect.model_fields},
    "a column": _COLUMN_PROPERTIES,
    "the table": _TABLE_PROPERTIES,
}
"""The properties that a contract may have elsewhere, to advise."""
_WITH_FORMATS = {name for each in TYPES.values() if each.formats for name in each.logical_types}
_OPTIONS: dict[RuleKind, dict[str, str]] = {
    "length": {"minLength": "minimum", "maxLength": "maximum"},
    "range": {"minimum": "minimum", "maximum": "maximum"},
    "pattern": {"pattern": "regex"},
}
"""Each kind of rule with its options in the contract, and the rule's field for each option."""
_ARGUMENTS = {*itertools.chain.from_iterable(_OPTIONS.values()), "validValues", "notInFuture"}
_CUSTOM_PLACES = re.compile(
    r"\$\.(schema\[0\](\.properties\[\d+\])?|slaProperties\[\d+\])\.customProperties"
)
_UNSUPPORTED = {
    "encryptedName",
    "enum",
    "items",
    "map",
    "partitioned",
    "properties",
    "relationships",
    "transformLogic",
}
"""Column properties of ODCS that the pipeline does not support."""
_SEVERITIES = {"error", "warning"}
_REPORTED = {(name,) for name in ("table", "relation", "version", "columns")}
"""Fields that are left out of a contract if a problem with them is already reported."""
_DAYS = {"d", "day", "days"}


@functools.cache
def load_all(folder: Path = CONTRACTS) -> "Contracts":
    """Return the contracts of a folder; raise InvalidContract if it has none."""
    from shared.contract_set import Contracts  # noqa: PLC0415 - it imports this module

    return Contracts.of_folder(folder)


def load(path: Path) -> Contract:
    """Read and validate one contract file; raise InvalidContract if that fails."""
    return parse(path.name, read(path))


def read(path: Path) -> bytes:
    """Return a file's content, at most `MAX_BYTES` + 1; raise InvalidContract if unreadable."""
    try:
        with path.open("rb") as file:
            return file.read(contract_yaml.MAX_BYTES + 1)
    except OSError as error:
        raise InvalidContract(one_line(f"{path.name}: {error}")) from error


def relation(content: bytes) -> str | None:
    """Return the PostgreSQL table of a contract, valid or not; None if it names none."""
    try:
        document = _document(content)
    except (yaml.YAMLError, ValueError):
        return None
    match document:
        case {"schema": [{"physicalName": str(name)}]} | {"schema": [{"name": str(name)}]}:
            return name
        case _:
            return None


def parse(name: str, content: bytes, *, of_any_table: bool = False) -> Contract:
    """Parse and validate the content of the contract file `name`.

    The file must have the name of its table, except with `of_any_table`.

    Raises:
        InvalidContract: the file is not valid ODCS, or uses features that the pipeline or
            PostgreSQL does not support. Each of its `problems` names the file and the column,
            and says what to do.
    """
    problems: list[str] = []
    contract = None
    try:
        document = _document(content)
    except yaml.YAMLError as error:
        problems.append(f"the file is not valid YAML: {error}")
    except ValueError as error:
        problems.append(str(error))
    else:
        contract = _contract(document, None if of_any_table else name, problems)
    if contract is None or problems:
        raise _invalid(name, problems)
    return contract


def _invalid(name: str, problems: list[str]) -> InvalidContract:
    # The standard's schema can report one fault several times.
    distinct = list(dict.fromkeys(problems))
    reported = distinct[:_MAX_PROBLEMS]
    if more := len(distinct) - len(reported):
        reported.append(f"and at least {more:,} more: correct these first")
    return InvalidContract(
        one_line(f"{name}: {'; '.join(reported)}"),
        [one_line(f"{name}: {each}") for each in reported],
    )


def _document(content: bytes) -> Any:
    """Return the parsed YAML of a document with one table that is not too wide."""
    document = contract_yaml.load(content)
    # Checked before the standard's schema, which takes a millisecond per column.
    match document:
        case {"schema": [{"properties": [*columns]}]} if len(columns) > MAX_COLUMNS:
            raise ValueError(
                f"the table has {len(columns):,} columns, but the maximum is {MAX_COLUMNS:,} "
                "(PostgreSQL's 1,600 less the pipeline's own): split the table"
            )
        case {"schema": [*tables]} if len(tables) != 1:
            raise ValueError(f"'schema' has {len(tables)} tables: write one file per table")
    return document


def _contract(document: Any, name: str | None, problems: list[str]) -> Contract | None:
    """Return the document's contract; None if its table is invalid.

    `name` is the file's name, which must be the table's; None if it may differ.
    """
    broken = odcs_schema.check(document, problems)
    if broken is None:
        return None
    if isinstance(document, dict) and "schema" not in document:
        problems.append("'schema' is missing: add it, with one table")
    match document:
        case {"schema": [dict() as schema]}:
            pass
        case _:
            return None
    if elsewhere := list(_custom_places(document)):
        problems.append(
            f"customProperties at {listed(elsewhere)} have no effect: move them to the table "
            "($.schema[0]), to a column or to one of slaProperties"
        )
    table = schema.get("name")
    is_table = isinstance(table, str) and re.fullmatch(landing_key.TABLE, table)
    if is_table and name not in {None, f"{table}{SUFFIX}"}:
        problems.append(
            f"the contract is for the table {table!r}: rename the file to {table}{SUFFIX}"
        )

    def sound(key: str) -> list[Any]:
        return _sound(schema, ("schema", 0, key), broken)

    texts = {
        "table": table,
        "relation": schema.get("physicalName", table),
        "version": document.get("version"),
        "description": schema.get("description") or _purpose(document),
    }
    columns = [_column(each, problems) for each in sound("properties")]
    rules = [_table_rule(each, problems) for each in sound("quality")]
    rules += _primary_key(sound("properties"), problems)
    values = {field: text for field, text in texts.items() if isinstance(text, str)} | {
        "rowCounts": [each for each in rules if each and "columns" not in each],
        "uniqueRows": [each for each in rules if each and "columns" in each],
        "sla": _service_level(document, broken, problems),
        **_custom_properties(sound("customProperties"), _TABLE_PROPERTIES, "the table", problems),
    }
    # Checks that compare columns need all of them to be valid.
    if None not in columns and ("schema", 0, "properties") not in broken:
        values["columns"] = tuple(columns)
    return _validated(Contract, values, "the table", problems)


def _purpose(document: dict[str, Any]) -> Any:
    described = document.get("description")
    return described.get("purpose") if isinstance(described, dict) else None


def _sound(part: dict[str, Any], place: Place, broken: set[Place]) -> list[Any]:
    """Return the items of the list at `place` that have the form the standard requires."""
    items = part.get(str(place[-1]), ())
    if not isinstance(items, list):
        return []
    return [each for i, each in enumerate(items) if (*place, i) not in broken]


def _service_level(
    document: dict[str, Any], broken: set[Place], problems: list[str]
) -> dict[str, Any] | None:
    if "slaDefaultElement" in document:
        problems.append(
            "slaDefaultElement has no effect because a contract has one table: remove it"
        )
    properties = _sound(document, ("slaProperties",), broken)
    for each in properties:
        _check_sla_property(each, problems)
    names = [each["property"] for each in properties]
    if twice := repeated(names):
        problems.append(f"slaProperties: {twice} occur more than once: keep one of each")
    found = {each["property"]: each for each in properties}
    if "timeOfAvailability" not in found:
        if found and ("slaProperties",) not in broken:
            problems.append(
                f"slaProperties: {names} have no effect without timeOfAvailability: add it"
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
            f"slaProperties: {quoted(name)} is not supported, only "
            f"{' and '.join(sorted(_SLA_PROPERTIES))}: remove it"
        )
        return
    if unsupported := sorted(sla.keys() - _SLA_PROPERTIES[name] - _SLA_DOCUMENTATION):
        problems.append(f"slaProperties: {unsupported} of {name} are not supported: remove them")
    if name == "latency" and not _is_latency(sla):
        problems.append(
            f"slaProperties: latency is {sla['value']!r} with the unit {sla.get('unit')!r}: write "
            "a whole number of days after the file's day, with the unit d"
        )


def _column(schema: dict[str, Any], problems: list[str]) -> Column | None:
    name = schema["name"]
    where = f"column {quoted(name)}"
    if unsupported := sorted(key for key in _UNSUPPORTED if schema.get(key)):
        problems.append(
            f"{where}: the pipeline does not support {', '.join(unsupported)}: remove it"
        )
    custom = _custom_properties(
        schema.get("customProperties", ()), _COLUMN_PROPERTIES, where, problems
    )
    options = dict(schema.get("logicalTypeOptions", {}))
    options.pop("timezone", None)  # every timestamp is stored with a time zone
    if "defaultTimezone" in options:
        custom["timezone"] = options.pop("defaultTimezone")
    if "format" in options and schema.get("logicalType") in _WITH_FORMATS:
        formats = [{"pattern": options.pop("format")}]
        if custom.setdefault("formats", formats) is not formats:
            problems.append(
                f"{where}: logicalTypeOptions.format has no effect beside formats: remove one of "
                "them"
            )
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
    if schema.get("logicalType") != "string" and any(each["kind"] == "allowed" for each in rules):
        problems.append(
            f"{where}: validValues is for strings only: use minimum and maximum, or the "
            "logicalType string"
        )
        rules = [each for each in rules if each["kind"] != "allowed"]
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
    """Remove the bounds of a value from `options`, and return them as rules.

    Without a `name`, a rule gets the names of its options.
    """
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
        problems.append(
            f"{where}: a quality has no name: add one, because rejected rows refer to it"
        )
        return []
    name, arguments = quality["name"], dict(quality.get("arguments", {}))
    if unknown := sorted(arguments.keys() - _ARGUMENTS):
        problems.append(
            f"{where}: the quality {quoted(name)} has unknown arguments {unknown}: "
            f"correct or remove them; known: {sorted(_ARGUMENTS)}"
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
                f"{where}: the quality {quoted(name)} has the metric {metric!r}: use nullValues, "
                "missingValues, duplicateValues or invalidValues"
            )
            return []
    if arguments or len(rules) != 1:
        problems.append(
            f"{where}: the quality {quoted(name)} must make exactly one check. The metric "
            "invalidValues takes minLength and maxLength, minimum and maximum, pattern, "
            "validValues or notInFuture; the other metrics take no arguments: correct the "
            f"arguments {quality.get('arguments')}"
        )
        return []
    return [rules[0] | _consequences(where, name, quality, problems)]


def _consequences(
    where: str, name: str, quality: dict[str, Any], problems: list[str]
) -> dict[str, Any]:
    """Return the severity and the threshold of a quality."""
    severity = quality.get("severity", "error")
    if severity not in _SEVERITIES:
        problems.append(
            f"{where}: the quality {quoted(name)} has the severity {quoted(str(severity))}: use "
            "error or warning"
        )
        severity = "error"
    return {"severity": severity, "threshold": _threshold(where, name, quality, problems)}


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
        f"{where}: the quality {quoted(name)} has no supported limit: write mustBe: 0, or "
        "mustBeLessThan or mustBeLessOrEqualTo with the unit rows or percent"
    )
    return None


def _primary_key(
    columns: Iterable[dict[str, Any]], problems: list[str]
) -> Iterator[dict[str, Any]]:
    """Yield the rule for the columns with `primaryKey`, if there are any."""
    keys = []
    for each in columns:
        where, position = f"column {quoted(each['name'])}", each.get("primaryKeyPosition", -1)
        if each.get("primaryKey"):
            keys.append((position, each["name"]))
            if not each.get("required"):
                problems.append(f"{where}: primaryKey needs required: true: add it")
        elif position != -1:
            problems.append(
                f"{where}: primaryKeyPosition has no effect without primaryKey: true: add it, or "
                "remove the position"
            )
    positions = sorted(position for position, _ in keys)
    if positions not in ([*range(1, len(keys) + 1)], [-1]):
        problems.append(
            f"the table: the columns with primaryKey have the primaryKeyPosition {positions}: "
            f"number them from 1 to {len(keys)}"
        )
    if keys:
        yield {"name": "primaryKey", "columns": [name for _, name in sorted(keys)]}


def _table_rule(quality: dict[str, Any], problems: list[str]) -> dict[str, Any] | None:
    """Return a rule of the table: with `columns` if these must be unique together."""
    if "name" not in quality:
        problems.append("the table: a quality has no name: add one, because reports refer to it")
        return None
    name = quality["name"]
    arguments = quality.get("arguments", {})
    if quality.get("metric") == "duplicateValues" and arguments.keys() == {"properties"}:
        columns = {"columns": arguments["properties"]}
        return {"name": name} | columns | _consequences("the table", name, quality, problems)
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
            f"the quality {quoted(name)} of the table is not supported: use the metric rowCount "
            "and the severity error with mustBe, mustBeBetween or one of the four comparisons, "
            "without arguments and unit; or the metric duplicateValues with the argument "
            "properties, a list of columns"
        )
        return None
    return {"name": name} | bounds


def _validated(model: type[M], values: dict[str, Any], where: str, problems: list[str]) -> M | None:
    try:
        return model.model_validate(values)
    except pydantic.ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
        parts = {each["loc"][:-1] for each in errors}
        for each in errors:
            if each["type"] == "too_short" and each["loc"] in parts:
                continue  # only because its items are invalid
            place = _words(each["loc"], values)
            problems += [": ".join([where, *place, text]) for text in _texts(each)]
    return None


def _words(place: Place, values: dict[str, Any]) -> list[str]:
    """Return the place of an error, in the terms of the contract."""
    match place:
        case ("rules", int(i), _, *inner):
            named = [f"the rule {quoted(values['rules'][i]['name'])}"]
        case ("rowCounts" | "uniqueRows" as rules, int(i), *inner):
            named = [f"the quality {quoted(values[rules][i]['name'])}"]
        case _:
            named, inner = [], list(place)
    return [*named, ".".join(map(str, inner))] if inner else named


def _texts(error: "ErrorDetails") -> list[str]:
    """Return pydantic's messages about one part, one text per problem."""
    raised = error.get("ctx", {}).get("error")
    if error["type"] == "missing" and error["loc"] in _REPORTED:
        return []
    if isinstance(raised, Problems):
        return [str(each) for each in raised.args]
    text = error["msg"].removeprefix("Value error, ")
    text = text.replace("a valid tuple", "a list").replace("Tuple should", "The list should")
    text = re.sub(r"a valid dictionary or instance of \w+", "a mapping", text)
    return [f"{text}: {fix}" if (fix := FIXES.get(error["type"])) else text]


def _custom_places(part: Any, place: str = "$") -> Iterator[str]:
    """Yield the places of custom properties that the pipeline does not read."""
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
    """Return the values of the `known` properties by name; report the others."""
    properties = {each["property"]: each["value"] for each in found}
    if twice := repeated(each["property"] for each in found):
        problems.append(f"{where}: customProperties {twice} occur more than once: keep one of each")
    if unknown := sorted(properties.keys() - known):
        elsewhere = [
            f"; {listed(names)} can be in {place}"
            for place, of_place in _PLACES.items()
            if (names := [name for name in unknown if name in of_place])
        ]
        problems.append(
            f"{where}: unknown customProperties {unknown}: correct or remove them; "
            f"known: {sorted(known)}{''.join(elsewhere)}"
        )
    return {name: value for name, value in properties.items() if name in known}
