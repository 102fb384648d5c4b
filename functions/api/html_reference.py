"""The OpenAPI document as one HTML page without scripts or external resources."""

import base64
import hashlib
import json
from collections.abc import Iterator
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 25%, transparent) }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 50rem; margin: 2rem auto; padding: 0 1rem }
h2 { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: 1rem }
h2 code { font-size: .9em }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0 }
td { border-top: 1px solid var(--line) }
pre { overflow-x: auto; border: 1px solid var(--line); padding: .8rem; font-size: .85rem }
small { opacity: .7 }
"""

_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

POLICY = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content security policy of the page. It allows only the page's own style."""


def render(document: dict[str, Any]) -> str:
    """Return the HTML page of an OpenAPI document."""
    info = document["info"]
    operations = [
        _operation(method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    problem = json.dumps(_example(document["components"]["schemas"]["Problem"]), indent=2)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(info['title'])}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(info['title'])} <small>{escape(info['version'])}</small></h1>"
        f"<p>{escape(info['description'])}</p>"
        '<p>Machine-readable: <a href="openapi.json">openapi.json</a> (OpenAPI 3.1).</p>'
        f"{''.join(operations)}"
        f"<h2>Problems</h2><p>All errors are <code>application/problem+json</code>:</p>"
        f"<pre>{escape(problem)}</pre></body></html>"
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    is_open = operation.get("security") == []
    rows = "".join(_parameter(each) for each in operation.get("parameters", ()))
    header = "<tr><th>Parameter<th>Format<th>Description</tr>"
    responses = "".join(
        f"<tr><td><code>{escape(status)}</code></td><td>{escape(response['description'])}</td></tr>"
        for status, response in operation["responses"].items()
    )
    return (
        f"<h2><code>{method} {escape(path)}</code></h2>"
        f"<p>{escape(operation['summary'])}. {escape(operation.get('description', ''))}"
        f"{' <small>Needs no key.</small>' if is_open else ''}</p>"
        f"{rows and f'<table>{header}{rows}</table>'}"
        f"<table><tr><th>Status<th>Description</tr>{responses}</table>"
        f"{''.join(_body(operation['responses']['200']))}"
    )


def _parameter(parameter: dict[str, Any]) -> str:
    required = " <small>required</small>" if parameter["required"] else ""
    return (
        f"<tr><td><code>{escape(parameter['name'])}</code>{required}</td>"
        f"<td>{escape(_format(parameter['schema']))}</td>"
        f"<td>{escape(parameter.get('description', ''))}</td></tr>"
    )


def _body(response: dict[str, Any]) -> Iterator[str]:
    for media_type, content in response["content"].items():
        if "properties" in content["schema"]:
            shown = json.dumps(_example(content["schema"]), ensure_ascii=False, indent=2)
            yield f"<p><code>{escape(media_type)}</code></p><pre>{escape(shown)}</pre>"


def _format(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(map(_format, schema["anyOf"]))
    text = " | ".join(schema["enum"]) if "enum" in schema else schema.get("format", schema["type"])
    if "maximum" in schema:
        text += f" from {schema['minimum']} to {schema['maximum']}"
    if "default" in schema:
        text += f", default {schema['default']}"
    if "examples" in schema:
        text += f", e.g. {schema['examples'][0]}"
    return str(text)


def _example(schema: dict[str, Any]) -> Any:
    if "properties" in schema:
        return {name: _example(each) for name, each in schema["properties"].items()}
    if "items" in schema:
        return [_example(schema["items"])]
    if "examples" in schema:
        return schema["examples"][0]
    if "enum" in schema:
        return " | ".join(schema["enum"])
    kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    return " | ".join([schema.get("format", kinds[0]), *kinds[1:]])
