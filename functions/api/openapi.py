"""The document of the API, OpenAPI 3.1: `python -m functions.api.openapi` writes it anew."""

import json
from typing import Any, NoReturn

from functions.api.answers import PROBLEM
from functions.api.application import application
from functions.api.open_routes import DOCUMENT
from functions.api.view import View
from shared.contract import Contract
from shared.odcs import load_all

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


def document(*contracts: Contract) -> str:
    """Return the document of the API that contracts ask for, as the text of its file."""
    app = application(View.of(contracts), _not_here, _not_here)
    drawn = app.get_openapi_json_schema(
        title="Look-up",
        version="1.0.0",
        description="What was loaded, and what became of each file.",
    )
    # Powertools makes 1 a 1.0; there is no other number with a point.
    made: dict[str, Any] = json.loads(drawn, parse_float=lambda text: int(float(text)))
    for operations in made["paths"].values():
        for operation in operations.values():
            # Powertools adds it; here a parameter that will not do is a 400.
            operation["responses"].pop("422", None)
            for response in operation["responses"].values():
                if not response.get("content"):
                    response.pop("content", None)
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _tidied(parameter["schema"])
    made |= {
        # Relative to the document: the stage, wherever it is.
        "servers": [{"url": "."}],
        "security": [{"apiKey": []}, {"signature": []}],
        "components": {"schemas": {"Problem": PROBLEM}, "securitySchemes": _SECURITY},
        "paths": dict(sorted(made["paths"].items())),
    }
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


def _not_here(*_: Any, **__: Any) -> NoReturn:
    raise NotImplementedError("a document is drawn up without a database and without a log")


if __name__ == "__main__":
    DOCUMENT.write_text(document(*load_all().all_valid().values()), "utf-8")
