"""OpenAPI 3.1 documents, generated from the routes."""

import json
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from functions.api.responses import PROBLEM_SCHEMA
from shared.landing_key import TABLE
from shared.version import VERSION

_SECURITY = {
    "apiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "The stack's API key.",
    },
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "x-amazon-apigateway-authtype": "awsSigv4",
        "description": "AWS Signature Version 4, if the stack uses IAM authorization.",
    },
}
_TABLE = {
    "name": "table",
    "in": "path",
    "required": True,
    "description": "A table listed by /tables.",
    "schema": {"type": "string", "pattern": f"^{TABLE}$"},
}


def document(
    app: APIGatewayRestResolver, title: str, description: str, *, server: str = "."
) -> dict[str, Any]:
    """Return the OpenAPI document of an application's routes.

    `server` is the URL of the stage, relative to the document.
    """
    text = app.get_openapi_json_schema(title=title, version=VERSION, description=description)
    # Powertools writes integers as floats, e.g. 1.0. The document has no other floats.
    made: dict[str, Any] = json.loads(text, parse_float=lambda digits: int(float(digits)))
    for path, operations in made["paths"].items():
        for operation in operations.values():
            # Powertools documents 422, but this API answers 400 to invalid parameters.
            operation["responses"].pop("422", None)
            for response in operation["responses"].values():
                if not response.get("content"):
                    response.pop("content", None)
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _simplified(parameter["schema"])
            if "{table}" in path:
                operation["parameters"] = [_TABLE, *operation.get("parameters", ())]
    return made | {
        "servers": [{"url": server}],
        "security": [{"apiKey": []}, {"signature": []}],
        "components": {"schemas": {"Problem": PROBLEM_SCHEMA}, "securitySchemes": _SECURITY},
        "paths": dict(sorted(made["paths"].items())),
    }


def _simplified(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a parameter's schema without null, empty defaults, description and title.

    Callers omit a parameter instead of sending null, and the parameter itself has a description.
    """
    removed = {"anyOf", "description", "title"}
    rest = {name: value for name, value in schema.items() if name not in removed}
    if rest.get("default", ...) in {None, ""}:
        del rest["default"]
    types = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    if len(types) > 1:
        return rest | {"anyOf": types}
    return (types[0] if types else {}) | rest
