"""From a file of the Open Data Contract Standard (ODCS 3.x) to the pipeline's contract.

Validated three times, so that nothing in a contract is without effect: by the standard's own JSON
schema; here, which refuses every custom property, option and quality metric that the pipeline does
not act on; and by the models of `shared.contract`.
"""

import functools
import importlib.resources
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pydantic
import yaml
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for

from shared.contract import Column, Contract, Model
from shared.errors import InvalidContract

CONTRACTS = Path(__file__).parent.parent / "contracts"
SUFFIX = ".odcs.yaml"

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
_ARGUMENTS = {
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "pattern",
    "validValues",
    "notInFuture",
}
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


def load(path: Path) -> Contract:
    """Read and validate one contract file.

    Raises:
        InvalidContract: the file is not ODCS, or asks for what this pipeline does not know.
    """
    try:
        document = yaml.load(path.read_text("utf-8"), _Loader)  # noqa: S506 - it is a safe one
        if error := best_match(_validator().iter_errors(document)):
            raise InvalidContract(f"{path.name}: at {error.json_path}: {_message(error)}")
        contract = _contract(document)
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidContract(f"{path.name}: {error}") from error
    if path.name != contract.table + SUFFIX:
        raise InvalidContract(
            f"{path.name}: its schema is called {contract.table!r}; "
            f"name the file {contract.table}{SUFFIX}"
        )
    return contract


@functools.cache
def load_all(folder: Path = CONTRACTS) -> Mapping[str, Contract]:
    """Return every contract of `folder` by table name.

    Raises:
        InvalidContract: one of them is invalid, two are in each other's way, or there is none.
    """
    contracts = [load(path) for path in sorted(folder.glob(f"*{SUFFIX}"))]
    if not contracts:
        raise InvalidContract(f"no contract (*{SUFFIX}) in {folder}; write one to receive a table")
    relations = [contract.relation for contract in contracts]
    if shared := {name for name in relations if relations.count(name) > 1}:
        raise InvalidContract(f"two contracts ask for the table {', '.join(sorted(shared))}")
    lookups = [contract.table for contract in contracts if contract.lookup]
    if len(lookups) > 1:
        raise InvalidContract(
            f"{' and '.join(lookups)} both have the custom property 'lookup'; the API has one"
        )
    return {contract.table: contract for contract in contracts}


@functools.cache
def _validator() -> Validator:
    package = importlib.resources.files("open_data_contract_standard")
    schema = json.loads((package / "schema.json").read_text("utf-8"))
    return validator_for(schema)(schema)


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, but of two equal keys it does not silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if repeated := sorted({str(key) for key in keys if keys.count(key) > 1}):
            line = node.start_mark.line + 1
            raise ValueError(f"in what begins at line {line}, {repeated} is there more than once")
        return super().construct_mapping(node, deep)


def _message(error: ValidationError) -> str:
    # The standard's schema then takes the column for one of every type, and misses a map's parts.
    is_column = re.search(r"\.properties\[\d+\]$", error.json_path)
    if is_column and isinstance(error.instance, dict) and "logicalType" not in error.instance:
        return "a column needs a logicalType"
    return error.message


def _contract(document: dict[str, Any]) -> Contract:
    schemas = document.get("schema", [])
    if len(schemas) != 1:
        raise ValueError(f"one table a file, but 'schema' holds {len(schemas)}")
    (schema,) = schemas
    if elsewhere := list(_custom_places(document)):
        raise ValueError(
            f"customProperties at {', '.join(elsewhere)} are without effect: "
            "they belong to the table ($.schema[0]), to a column of it, or to one of slaProperties"
        )
    return _validated(
        Contract,
        _custom_properties(schema, _TABLE_PROPERTIES)
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
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"slaProperties: {repeated} are there more than once")
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
    return {"time": by["value"]} | days | _custom_properties(by, _AVAILABILITY_PROPERTIES)


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
    if unserved := sorted(key for key in _WITHOUT_EFFECT if schema.get(key)):
        raise ValueError(f"column {name}: this pipeline does not act on {', '.join(unserved)}")
    custom = _custom_properties(schema, _COLUMN_PROPERTIES)
    options = dict(schema.get("logicalTypeOptions", {}))
    options.pop("timezone", None)  # every instant is kept with one
    if "defaultTimezone" in options:
        custom["timezone"] = options.pop("defaultTimezone")
    if "format" in options and schema.get("logicalType") in {"date", "timestamp"}:
        custom.setdefault("formats", [{"pattern": options.pop("format")}])
    rules = []
    if schema.get("required"):
        rules.append({"name": "required", "kind": "required"})
    if schema.get("unique"):
        rules.append({"name": "unique", "kind": "unique"})
    rules += _bound_rules(options, name=None)
    if options:
        raise ValueError(f"column {name}: unknown logicalTypeOptions {sorted(options)}")
    for quality in schema.get("quality", ()):
        rules += _quality_rules(name, quality)
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
        where=f"column {name}",
    )


def _bound_rules(options: dict[str, Any], name: str | None) -> list[dict[str, Any]]:
    """Take what bounds a value out of `options`; without a name a rule is called as the option."""
    rules: list[dict[str, Any]] = []
    for low, high, kind in (
        ("minLength", "maxLength", "length"),
        ("minimum", "maximum", "range"),
    ):
        found = [option for option in (low, high) if option in options]
        if found:
            bounds = {"minimum": options.pop(low, None), "maximum": options.pop(high, None)}
            rules.append({"name": name or "/".join(found), "kind": kind, **bounds})
    if "pattern" in options:
        regex = options.pop("pattern")
        rules.append({"name": name or "pattern", "kind": "pattern", "regex": regex})
    return rules


def _quality_rules(column: str, quality: dict[str, Any]) -> list[dict[str, Any]]:
    name = _name(quality, f"column {column}")
    arguments = dict(quality.get("arguments", {}))
    if unknown := arguments.keys() - _ARGUMENTS:
        raise ValueError(
            f"column {column}: the quality {name} has unknown arguments {sorted(unknown)}; "
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
                f"column {column}: the quality {name} has the metric {metric!r}; this pipeline "
                "knows nullValues, missingValues, duplicateValues and invalidValues"
            )
    if arguments or len(rules) != 1:
        raise ValueError(
            f"column {column}: the quality {name} must ask for one thing: with the metric "
            "invalidValues by minLength and maxLength, minimum and maximum, pattern, validValues "
            f"or notInFuture, with another by no arguments; it has {quality.get('arguments')}"
        )
    severity = quality.get("severity", "error")
    if severity not in _SEVERITIES:
        raise ValueError(f"column {column}: the quality {name} must be an error or a warning")
    return [rules[0] | {"severity": severity, "threshold": _threshold(column, name, quality)}]


def _threshold(column: str, name: str, quality: dict[str, Any]) -> dict[str, Any] | None:
    unit = quality.get("unit", "rows")
    if quality.get("mustBe") == 0:
        return None
    for operator, inclusive in (("mustBeLessThan", False), ("mustBeLessOrEqualTo", True)):
        if operator in quality:
            return {"limit": str(quality[operator]), "unit": unit, "inclusive": inclusive}
    raise ValueError(
        f"column {column}: the quality {name} must say mustBe 0, or how many rows may fail: "
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
            f"the quality {name} of the table must be an error of the metric rowCount with mustBe, "
            "mustBeBetween or one of the four comparisons, without arguments and unit: "
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


def _custom_properties(schema: dict[str, Any], known: set[str]) -> dict[str, Any]:
    where = schema.get("name") or schema["property"]
    names = [each["property"] for each in schema.get("customProperties", ())]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{where}: customProperties {sorted(repeated)} are there more than once")
    properties = {each["property"]: each["value"] for each in schema.get("customProperties", ())}
    if unknown := properties.keys() - known:
        raise ValueError(
            f"{where}: unknown customProperties {sorted(unknown)}; known: {sorted(known)}"
        )
    return properties
