"""The contract of a table: what its files hold, what its rows must fulfil, what PostgreSQL keeps.

One file `contracts/<dataset>.odcs.yaml` in the Open Data Contract Standard (ODCS 3.x) per table,
validated twice: by the standard's own JSON schema, and by the models below, which refuse every
custom property and every rule this pipeline would not act on.
"""

import functools
import importlib.resources
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import jsonschema
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator
from pydantic.alias_generators import to_camel

from shared.errors import InvalidContract

CONTRACTS = Path(__file__).parent.parent / "contracts"
SUFFIX = ".odcs.yaml"

_OWN_RELATIONS = {"source", "schema_version"}
_OWN_COLUMNS = {"id", "line", "source_id", "source_line"}
"""What each table and each staged row has besides the contract's columns."""

_TABLE_PROPERTIES = {"encoding", "delimiter", "nullTokens", "timezone", "indexes"}
_COLUMN_PROPERTIES = {"formats"}

Severity = Literal["error", "warning"]


class _Model(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )


class TimestampFormat(_Model):
    """One way a timestamp may be written: a Java `DateTimeFormatter` pattern and its language."""

    pattern: str
    locale: str = "en"


class Rule(_Model):
    """One thing that every row's value must fulfil.

    `name` is what reports and rejects call it; `bounds` are inclusive (minimum, maximum), None
    where open.
    """

    name: str
    kind: Literal["required", "max_length", "range"]
    severity: Severity = "error"
    bounds: tuple[float | None, float | None] = (None, None)
    length: int | None = None


class RowCount(_Model):
    """What the number of rows in a file must be: greater than `more_than`."""

    name: str
    more_than: int


class Column(_Model):
    """One column: `name` in the file's header, `physical_name` in PostgreSQL."""

    name: str
    physical_name: str
    logical_type: Literal["string", "number", "timestamp"]
    physical_type: str
    required: bool
    formats: tuple[TimestampFormat, ...] = ()
    zone: str = "Etc/UTC"
    rules: tuple[Rule, ...] = ()

    @property
    def precision_and_scale(self) -> tuple[int, int]:
        """Digits in all and after the point of a `numeric(p,s)` column."""
        match = re.fullmatch(r"numeric\((\d+),\s*(\d+)\)", self.physical_type)
        if match is None:
            raise ValueError(
                f"column {self.name}: physicalType {self.physical_type!r} of a number must be "
                "numeric(precision,scale)"
            )
        return int(match[1]), int(match[2])

    @model_validator(mode="after")
    def _is_whole(self) -> "Column":
        if self.logical_type == "timestamp" and not self.formats:
            raise ValueError(
                f"timestamp column {self.name} needs the custom property 'formats': "
                "no format is guessed"
            )
        if self.logical_type == "number":
            _ = self.precision_and_scale
        return self

    @field_validator("physical_name")
    @classmethod
    def _is_an_identifier(cls, name: str) -> str:
        return _identifier(name)

    @field_validator("physical_type")
    @classmethod
    def _is_a_type(cls, name: str) -> str:
        # It goes into DDL as it is; whether PostgreSQL has such a type, `migrate` will see.
        if not re.fullmatch(r"[a-z][a-z0-9_ ]*(\(\d+(, ?\d+)?\))?", name):
            raise ValueError(f"physicalType {name!r} is not of the form of PostgreSQL's types")
        return name


class Contract(_Model):
    """A table's contract, as far as this pipeline acts on it."""

    table: str
    relation: str
    version: str
    columns: tuple[Column, ...]
    encoding: str = "utf-8"
    delimiter: str = ","
    null_tokens: tuple[str, ...] = ("",)
    timezone: str = "Etc/UTC"
    indexes: tuple[tuple[str, ...], ...] = ()
    row_counts: tuple[RowCount, ...] = ()

    @field_validator("relation")
    @classmethod
    def _is_an_identifier(cls, name: str) -> str:
        return _identifier(name)

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except ZoneInfoNotFoundError as error:
            raise ValueError(f"{name!r} is no time zone; one is Europe/Berlin") from error
        return name

    @field_validator("delimiter")
    @classmethod
    def _is_one_byte(cls, delimiter: str) -> str:
        if len(delimiter.encode()) != 1 or delimiter in '"\r\n':
            raise ValueError(f"the delimiter must be one ASCII character, not {delimiter!r}")
        return delimiter

    @model_validator(mode="after")
    def _is_consistent(self) -> "Contract":
        if self.relation in _OWN_RELATIONS:
            raise ValueError(f"the table {self.relation} is the pipeline's own: choose another")
        for names in (self.header, tuple(column.physical_name for column in self.columns)):
            if taken := _OWN_COLUMNS.intersection(names):
                raise ValueError(f"columns {sorted(taken)} are the pipeline's own: rename them")
            if repeated := {name for name in names if names.count(name) > 1}:
                raise ValueError(f"columns {sorted(repeated)} are there more than once")
        for index in self.indexes:
            if unknown := set(index).difference(self.header):
                raise ValueError(f"an index names {sorted(unknown)}, which are no columns")
        return self

    @property
    def header(self) -> tuple[str, ...]:
        """The column names in the order of the contract."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """Return the column called `name` in the file's header.

        Raises:
            KeyError: the contract has no such column.
        """
        return {column.name: column for column in self.columns}[name]


def load(path: Path) -> Contract:
    """Read and validate one contract file.

    Raises:
        InvalidContract: the file is not ODCS, or asks for what this pipeline does not know.
    """
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
        jsonschema.validate(document, _odcs_schema())
        contract = _from_odcs(document)
    except (yaml.YAMLError, ValidationError, ValueError) as error:
        raise InvalidContract(f"{path.name}: {error}") from error
    except jsonschema.ValidationError as error:
        raise InvalidContract(f"{path.name}: at {error.json_path}: {error.message}") from error
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
        InvalidContract: one of them is invalid, or there is none.
    """
    contracts = [load(path) for path in sorted(folder.glob(f"*{SUFFIX}"))]
    if not contracts:
        raise InvalidContract(f"no contract (*{SUFFIX}) in {folder}; write one to receive a table")
    return {contract.table: contract for contract in contracts}


@functools.cache
def _odcs_schema() -> Any:
    package = importlib.resources.files("open_data_contract_standard")
    return json.loads((package / "schema.json").read_text("utf-8"))


def _identifier(name: str) -> str:
    # The names go into DDL, where no parameter can stand.
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name):
        raise ValueError(f"{name!r} is no plain lower-case PostgreSQL identifier")
    return name


def _from_odcs(document: dict[str, Any]) -> Contract:
    match document.get("schema", []):
        case [schema]:
            pass
        case schemas:
            raise ValueError(f"one table a file, but 'schema' holds {len(schemas)}")
    return Contract.model_validate(
        _custom_properties(schema, _TABLE_PROPERTIES)
        | {
            "table": schema["name"],
            "relation": schema.get("physicalName", schema["name"]),
            "version": document["version"],
            "columns": tuple(_column(each) for each in schema.get("properties", ())),
            "row_counts": tuple(_row_count(each) for each in schema.get("quality", ())),
        }
    )


def _column(schema: dict[str, Any]) -> Column:
    options = dict(schema.get("logicalTypeOptions", {}))
    options.pop("timezone", None)
    custom = _custom_properties(schema, _COLUMN_PROPERTIES)
    if "defaultTimezone" in options:
        custom["zone"] = options.pop("defaultTimezone")
    required = schema.get("required", False)
    rules = [Rule(name="required", kind="required")] if required else []
    if "maxLength" in options:
        rules.append(Rule(name="maxLength", kind="max_length", length=options.pop("maxLength")))
    if "minimum" in options or "maximum" in options:
        bounds = (options.pop("minimum", None), options.pop("maximum", None))
        rules.append(Rule(name="range", kind="range", bounds=bounds))
    if options:
        raise ValueError(f"column {schema['name']}: unknown logicalTypeOptions {sorted(options)}")
    rules += [_quality_rule(schema["name"], each) for each in schema.get("quality", ())]
    return Column.model_validate(
        custom
        | {
            "name": schema["name"],
            "physical_name": schema.get("physicalName", schema["name"]),
            "logical_type": schema["logicalType"],
            "physical_type": schema["physicalType"],
            "required": required,
            "rules": tuple(rules),
        }
    )


def _quality_rule(column: str, quality: dict[str, Any]) -> Rule:
    arguments = dict(quality.get("arguments", {}))
    bounds = (arguments.pop("minimum", None), arguments.pop("maximum", None))
    if quality.get("metric") != "invalidValues" or arguments or quality.get("mustBe") != 0:
        raise ValueError(
            f"column {column}: this pipeline knows the quality metric invalidValues with minimum "
            f"or maximum and mustBe 0, not {quality}"
        )
    return Rule.model_validate(
        {
            "name": quality["name"],
            "kind": "range",
            "severity": quality.get("severity", "error"),
            "bounds": bounds,
        }
    )


def _row_count(quality: dict[str, Any]) -> RowCount:
    if quality.get("metric") != "rowCount" or "mustBeGreaterThan" not in quality:
        raise ValueError(
            f"this pipeline knows the table metric rowCount with mustBeGreaterThan, not {quality}"
        )
    return RowCount(name=quality["name"], more_than=quality["mustBeGreaterThan"])


def _custom_properties(schema: dict[str, Any], known: set[str]) -> dict[str, Any]:
    properties = {each["property"]: each["value"] for each in schema.get("customProperties", ())}
    if unknown := properties.keys() - known:
        raise ValueError(
            f"{schema['name']}: unknown customProperties {sorted(unknown)}; known: {sorted(known)}"
        )
    return properties
