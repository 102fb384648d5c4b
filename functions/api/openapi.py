"""The documents of the API, OpenAPI 3.1, drawn up from its routes."""

import json
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from functions.api.answers import PROBLEM
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
        "description": "AWS Signature Version 4, where the stack authorizes by IAM.",
    },
}
_TABLE = {
    "name": "table",
    "in": "path",
    "required": True,
    "description": "One of those that /tables lists.",
    "schema": {"type": "string", "pattern": f"^{TABLE}$"},
}


def document(
    app: APIGatewayRestResolver, title: str, description: str, *, server: str = "."
) -> dict[str, Any]:
    """Return the document of an application's routes.

    Args:
        app: the application.
        title: what the document is called.
        description: what is behind the routes.
        server: where the stage is, seen from the document.
    """
    drawn = app.get_openapi_json_schema(title=title, version=VERSION, description=description)
    # Powertools makes 1 a 1.0; there is no other number with a point.
    made: dict[str, Any] = json.loads(drawn, parse_float=lambda text: int(float(text)))
    for path, operations in made["paths"].items():
        for operation in operations.values():
            # Powertools adds it; here a parameter that will not do is a 400.
            operation["responses"].pop("422", None)
            for response in operation["responses"].values():
                if not response.get("content"):
                    response.pop("content", None)
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _tidied(parameter["schema"])
            if "{table}" in path:
                operation["parameters"] = [_TABLE, *operation.get("parameters", ())]
    return made | {
        "servers": [{"url": server}],
        "security": [{"apiKey": []}, {"signature": []}],
        "components": {"schemas": {"Problem": PROBLEM}, "securitySchemes": _SECURITY},
        "paths": dict(sorted(made["paths"].items())),
    }


def _tidied(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a parameter's schema without what the parameter says, and without null.

    Whoever means nothing leaves it out.
    """
    elsewhere = {"anyOf", "description", "title"}
    rest = {name: value for name, value in schema.items() if name not in elsewhere}
    if rest.get("default", ...) in {None, ""}:
        del rest["default"]
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) > 1:
        return rest | {"anyOf": kinds}
    return (kinds[0] if kinds else {}) | rest
