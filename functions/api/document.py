"""The document of the API, OpenAPI 3.1: `python -m functions.api.document` writes it anew."""

import json
from pathlib import Path
from typing import Any

from aws_lambda_powertools.event_handler import APIGatewayRestResolver

from functions.api.answers import PROBLEM

DOCUMENT = Path(__file__).with_name("openapi.json")
"""The committed one: what the function shows, and what the gateway is made of."""

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


def document(app: APIGatewayRestResolver) -> dict[str, Any]:
    """Return the document of an application."""
    made: dict[str, Any] = json.loads(
        app.get_openapi_json_schema(
            title="Look-up",
            version="1.0.0",
            description="What was loaded, and what became of each file.",
        )
    )
    for operations in made["paths"].values():
        for operation in operations.values():
            # Powertools adds it; here a parameter that will not do is a 400.
            operation["responses"].pop("422", None)
            for response in operation["responses"].values():
                if not response.get("content"):
                    response.pop("content", None)
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _tidied(parameter["schema"])
    return made | {
        # Relative to the document: the stage, wherever it is.
        "servers": [{"url": "."}],
        "security": [{"apiKey": []}, {"signature": []}],
        "components": {"schemas": {"Problem": PROBLEM}, "securitySchemes": _SECURITY},
    }


def written(made: dict[str, Any]) -> str:
    """Return the text of a document."""
    return json.dumps(made, ensure_ascii=False, indent=2) + "\n"


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


if __name__ == "__main__":
    from functions.api.application import application
    from functions.api.view import View
    from shared.odcs import load_all

    DOCUMENT.write_text(written(document(application(View.of(load_all().values())))), "utf-8")
