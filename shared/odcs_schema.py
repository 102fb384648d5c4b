"""Check of a contract against the JSON schema of ODCS, with messages for its author.

`jsonschema_rs` accepts a valid contract in less than a millisecond. `jsonschema` decides about all
others, because it says more exactly what is wrong. It is imported then, which takes much longer.
"""

import datetime as dt
import functools
import importlib.resources
import itertools
import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast, get_args

import jsonschema_rs

from shared.column_types import LogicalType
from shared.text import bounded, quoted

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

Place = tuple[str | int, ...]
"""Keys and indices that lead to a part of the document."""

FIXES = {
    "additionalProperties": "correct the name or remove it",
    "unevaluatedProperties": "correct the name or remove it",
    "extra_forbidden": "correct the name or remove it",
    "required": "add it",
    "missing": "add it",
    "type": "write a value of that type, without quotes",
    "string_type": (
        "put it in quotes (without them, YAML does not read `1960`, `1.0`, `yes`, `null` and "
        "`2020-01-01` as text)"
    ),
    "tuple_type": "write it in [ ], even if there is only one",
    "model_type": "write its properties in { }, each with its name",
    "enum": "choose one of them",
}
"""What to do about an error, by JSON schema keyword or pydantic error type."""
_MAX_ERRORS = 1_000
"""Schema errors examined. A list of 100,000 items can cause ten errors for each item."""
_MAX_PLACE = 4
"""Keys and indices that lead to the smallest part that is read separately, e.g. a column."""
_MAX_MESSAGE = 300  # characters of a schema error, which quotes the whole invalid part


def check(document: Any, problems: list[str]) -> set[Place] | None:
    """Add the violations of the standard to `problems`; return the places of the invalid parts.

    All other parts have the form that the standard requires. The result is None if there are more
    violations than are examined.
    """
    if _is_valid(document):
        return set()
    from jsonschema.exceptions import best_match  # noqa: PLC0415 - slow and seldom needed

    broken: set[Place] = set()
    errors: list[ValidationError] = []
    found = [*itertools.islice(_validator().iter_errors(document), _MAX_ERRORS + 1)]
    for error in found[:_MAX_ERRORS]:
        broken.update(_prefixes(tuple(error.absolute_path)[:_MAX_PLACE]))
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


def _is_valid(document: Any) -> bool:
    try:
        return _fast_validator().is_valid(document)
    except ValueError:  # it contains a date, which is no value of JSON
        return False


def _prefixes(place: Place) -> Iterator[Place]:
    return (place[:length] for length in range(len(place) + 1))


def _text_of(error: "ValidationError", document: Any, others: set[Place]) -> str | None:
    """Return what is wrong and what to do; None if errors at `others` cause this error."""
    message, where = error.message, f"at {error.json_path}"
    match document, tuple(error.absolute_path):
        case {"schema": [{"properties": columns}]}, ("schema", 0, "properties", int(i), *inner):
            column = columns[i] if isinstance(columns[i], dict) else {}
            if isinstance(column.get("name"), str):
                where = f"column {quoted(column['name'])}: {where}"
            # Without a logicalType, the schema applies the rules of every type, e.g. of a map.
            of_type = inner[:1] in (["logicalType"], ["logicalTypeOptions"])
            if column.get("logicalType") is None and (of_type or message.startswith("'map'")):
                where = re.sub(r"\.logicalType(Options)?$", "", where)
                known = " or ".join(get_args(LogicalType))
                return f"{where}: the column has no logicalType: add {known}"
    if error.validator == "unevaluatedProperties" and tuple(error.absolute_path) in others:
        # If another error is at the same place, the schema reports all properties as unknown.
        instance = cast("dict[str, Any]", error.instance)
        unknown = ", ".join(repr(each) for each in sorted(instance.keys() - _standard_names()))
        if not unknown:
            return None
        message = f"ODCS does not define {unknown} here"
    elif error.validator in {"additionalProperties", "unevaluatedProperties"}:
        unknown = message.partition("(")[2].rsplit(" ", 2)[0]  # … ('a', 'b' were unexpected)
        message = f"ODCS does not define {unknown} here"
        if ")" in unknown:
            return (
                f'{where}: {message}: put e.g. "numeric(5,2)" in quotes, because inside {{ }} '
                "YAML splits it at the comma"
            )
    elif isinstance(error.instance, dt.date):
        message = message.replace(repr(error.instance), str(error.instance))
    elif error.validator == "oneOf":
        matching = "more than one" if "is valid under each of" in message else "none"
        message = (
            f"it matches {matching} of the forms that ODCS allows; e.g. a quality has exactly one "
            "of mustBe, mustBeLessThan, …"
        )
    expects_text = error.validator == "type" and error.validator_value == "string"
    fix = FIXES.get("string_type" if expects_text else str(error.validator), "correct it")
    return f"{where}: {bounded(message, _MAX_MESSAGE)}: {fix}"


@functools.cache
def _standard_names() -> set[str]:
    """Return the names of all properties that the standard defines at any place."""
    names, parts = set(), [_schema()]
    while parts:
        part: Any = parts.pop()
        if isinstance(part, dict):
            names.update(part.get("properties", ()))
            parts += part.values()
        elif isinstance(part, list):
            parts += part
    return names


@functools.cache
def _fast_validator() -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(_schema())


@functools.cache
def _validator() -> "Validator":
    from jsonschema.validators import validator_for  # noqa: PLC0415 - as above

    return validator_for(_schema())(_schema())


@functools.cache
def _schema() -> Any:
    package = importlib.resources.files("open_data_contract_standard")
    return json.loads((package / "schema.json").read_text("utf-8"))
