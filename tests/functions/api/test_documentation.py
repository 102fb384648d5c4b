"""The open routes, and the document that the gateway is made of."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import jsonschema
import pytest

from functions.api.html_reference import render
from functions.api.open_routes import DOCUMENT
from functions.api.openapi import document
from shared.contract import Lookup
from shared.odcs import load_all
from tests.fixtures.contracts import READINGS
from tests.fixtures.lookup import ask, found

PATHS = {
    "/docs",
    "/get",
    "/health",
    "/ingestions",
    "/ingestions/{id}",
    "/openapi.json",
    "/users",
    "/users/{user}/checkins",
    "/users/{user}/summary",
}
COMMITTED = json.loads(DOCUMENT.read_text("utf-8"))


def test_the_document_is_what_the_function_and_the_contracts_say() -> None:
    assert DOCUMENT.read_text("utf-8") == document(*load_all().values()), (
        "openapi.json is outdated: python -m functions.api.openapi"
    )


@pytest.mark.parametrize("path", sorted(PATHS))
def test_every_route_says_who_may_ask_and_how_it_may_end(path: str) -> None:
    [(verb, operation)] = COMMITTED["paths"][path].items()
    assert verb == "get"
    is_open = path in {"/docs", "/health", "/openapi.json"}

    assert ("security" in operation) == is_open
    statuses = set(operation["responses"])
    assert statuses >= {"200", "429", "500", "503", "504"}
    assert is_open == statuses.isdisjoint({"400", "403"})
    assert "422" not in statuses
    for status, response in operation["responses"].items():
        types = set(response.get("content", ()))
        assert types == ({"application/problem+json"} if int(status) >= 400 else types)
    assert "$ref" not in json.dumps(operation.get("parameters", []))
    for parameter in operation.get("parameters", ()):
        schema = parameter["schema"]
        assert {"type", "anyOf"} & schema.keys()
        jsonschema.validators.validator_for({}).check_schema(schema)
        for example in schema.get("examples", ()):
            jsonschema.validate(example, schema)


def test_another_contract_has_another_document() -> None:
    lookup = Lookup(key="Raum", order="Rang", fields=("Stand",))
    made = json.loads(document(READINGS.model_copy(update={"lookup": lookup})))

    assert made["paths"].keys() == PATHS
    [name] = [
        each["name"] for each in made["paths"]["/get"]["get"]["parameters"] if each["required"]
    ]
    assert name == "Raum"
    names = {each["name"] for each in made["paths"]["/users/{user}/checkins"]["get"]["parameters"]}
    assert names == {"user", "order", "limit", "cursor"}


def test_health_asks_nobody(function: None) -> None:
    """The database's port is one where nobody is."""
    assert found("/health") == {"status": "ok"}


def test_the_function_shows_the_document(function: None) -> None:
    answer = ask("/openapi.json")

    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert answer.body == COMMITTED


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_the_page_for_people_asks_for_nothing_else(function: None) -> None:
    answer = ask("/docs")

    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html")
    page = _Page(answer.text)
    assert not {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe", "object", "base"}
    assert [attrs["href"] for tag, attrs in page.tags if tag == "a"] == ["openapi.json"]
    assert not any({"src", "style", "onclick"} & attrs.keys() for _, attrs in page.tags)
    assert "://" not in answer.text
    assert "@import" not in answer.text
    [style] = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = answer.headers["Content-Security-Policy"]
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert len(answer.text) < 40_000


def test_the_page_names_every_route_and_parameter(function: None) -> None:
    text = ask("/docs").text

    for path, operations in COMMITTED["paths"].items():
        assert f"<code>GET {path}</code>" in text
        for parameter in operations["get"].get("parameters", ()):
            assert f"<code>{parameter['name']}</code>" in text


def test_a_contract_writes_no_html() -> None:
    made = json.loads(json.dumps(COMMITTED).replace("The rows of a user", "<script>"))

    assert "<script>" not in render(made)
