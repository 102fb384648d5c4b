"""Health check, the public OpenAPI document, and the documents of single tables."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any, NoReturn

import jsonschema
import pytest

from functions.api.application import Application
from functions.api.html_reference import render
from shared.contract import Contract, Lookup
from shared.odcs import load_all
from tests.fixtures.aws import lambda_context
from tests.fixtures.contracts import READINGS
from tests.fixtures.lookup import TABLE, Answer, parsed, request

OPEN = {"/docs", "/health", "/openapi.json"}
OF_TABLE = ("", "/docs", "/keys", "/openapi.json", "/rows", "/summary")
PATHS = OPEN | {"/get", "/ingestions", "/ingestions/{id}", "/tables"}
PATHS |= {f"/tables/{{table}}{part}" for part in OF_TABLE}


def unavailable(*_: object, **__: object) -> NoReturn:
    pytest.fail("the request used the database or the log")


def application(*contracts: Contract) -> Application:
    by_table = {contract.table: contract for contract in contracts} or load_all()
    return Application(lambda: by_table, unavailable, unavailable)


def ask(path: str, app: Application | None = None) -> Answer:
    return parsed((app or application()).resolve(request(path), lambda_context()))


@pytest.fixture(scope="module")
def document() -> Any:
    """The public OpenAPI document."""
    return ask("/openapi.json").body


def of_table(contract: Contract) -> Any:
    return ask(f"/tables/{contract.table}/openapi.json", application(contract)).body


def test_document_lists_every_route(document: dict[str, Any]) -> None:
    assert document["paths"].keys() == PATHS
    assert document["servers"] == [{"url": "."}]


def test_public_document_names_no_table_and_no_column(document: dict[str, Any]) -> None:
    # Names that are also words of the document itself.
    ours = {"timestamp"}
    words = set(re.findall(r"\w+", json.dumps(document, ensure_ascii=False).lower()))
    words |= set(re.findall(r"\w+", ask("/docs").text.lower()))

    for contract in load_all().values():
        names = {contract.table, contract.relation, *contract.header, *contract.physical_names}
        named = {word for name in names for word in re.findall(r"\w+", name.lower())}
        assert named & words <= ours, contract.table
        assert contract.description.lower() not in str(document).lower()


@pytest.mark.parametrize("path", sorted(PATHS))
def test_document_lists_security_and_statuses_of_route(document: dict[str, Any], path: str) -> None:
    check(document, path, is_open=path in OPEN)


def check(document: dict[str, Any], path: str, *, is_open: bool) -> None:
    [(verb, operation)] = document["paths"][path].items()
    assert verb == "get"
    assert ("security" in operation) == is_open
    statuses = set(operation["responses"])
    assert statuses >= {"200", "429", "500", "503", "504"}
    assert is_open == statuses.isdisjoint({"400", "403"})
    assert "422" not in statuses
    for status, response in operation["responses"].items():
        types = set(response.get("content", ()))
        assert types == ({"application/problem+json"} if int(status) >= 400 else types)
    assert "$ref" not in json.dumps(operation.get("parameters", []))
    parameters = operation.get("parameters", [])
    in_path = {each["name"] for each in parameters if each["in"] == "path"}
    assert in_path == set(re.findall(r"{(\w+)}", path))
    for parameter in parameters:
        schema = parameter["schema"]
        assert {"type", "anyOf"} & schema.keys()
        jsonschema.validators.validator_for({}).check_schema(schema)
        for example in schema.get("examples", ()):
            jsonschema.validate(example, schema)


READINGS_LOOKUPS = {
    "all": Lookup(
        key="Zähler-Nr.", order="Tag", fields=READINGS.header, group="Raum", measure="Stand"
    ),
    "texts": Lookup(key="Raum", order="Rang", fields=("Stand",)),
    "none": None,
}


@pytest.mark.parametrize("lookup", READINGS_LOOKUPS)
def test_table_document_matches_public_document(document: dict[str, Any], lookup: str) -> None:
    """Parameters and responses depend on the contract; all else is equal."""
    contract = READINGS.model_copy(update={"lookup": READINGS_LOOKUPS[lookup]})
    made = of_table(contract)

    parts = {"all": ["/keys", "/rows", "/summary"], "texts": ["/keys", "/rows"], "none": []}
    path = "/tables/readings"
    assert made["paths"].keys() == {
        f"{path}{part}" for part in ["", "/docs", "/openapi.json", *parts[lookup]]
    }
    for each, operations in made["paths"].items():
        check(made, each, is_open=False)
        general = document["paths"][each.replace("readings", "{table}")]["get"]
        operation = operations["get"]
        assert {k: v for k, v in operation.items() if k not in {"parameters", "responses"}} == {
            k: v for k, v in general.items() if k not in {"parameters", "responses"}
        }
        assert operation["responses"].keys() == general["responses"].keys()
    assert made["servers"] == [{"url": "../.."}]


def test_table_document_has_parameters_of_contract() -> None:
    made = of_table(READINGS.model_copy(update={"lookup": READINGS_LOOKUPS["all"]}))

    paths = {path.rpartition("/")[2]: each["get"] for path, each in made["paths"].items()}
    schemas = {
        (route, each["name"]): each["schema"]
        for route, operation in paths.items()
        for each in operation.get("parameters", ())
    }
    assert {name for route, name in schemas if route == "rows"} == {
        *("key", "from", "to", "Raum", "order", "limit", "cursor")
    }
    integers = {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1}
    assert schemas["rows", "key"] == integers
    assert schemas["summary", "by"]["enum"] == ["day", "week", "month", "Raum"]
    assert ("keys", "prefix") not in schemas
    page = paths["rows"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert [*page["properties"]["items"]["items"]["properties"]] == [*READINGS.header]

    made = of_table(READINGS.model_copy(update={"lookup": READINGS_LOOKUPS["texts"]}))
    names = {each["name"] for each in made["paths"]["/tables/readings/rows"]["get"]["parameters"]}
    assert names == {"key", "order", "limit", "cursor"}


def test_documents_are_deterministic() -> None:
    paths = ("/openapi.json", f"{TABLE}/openapi.json", "/docs", f"{TABLE}/docs")
    one, other = application(), application()

    assert [ask(path, one) for path in paths] == [ask(path, other) for path in paths[::-1]][::-1]


def test_health_needs_no_database() -> None:
    assert ask("/health").body == {"status": "ok"}


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.mark.parametrize("path", ["/docs", f"{TABLE}/docs"])
def test_page_loads_no_other_resource(path: str) -> None:
    answer = ask(path)

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


@pytest.mark.parametrize("base", ["", TABLE])
def test_page_lists_every_route_and_parameter(base: str) -> None:
    text = ask(f"{base}/docs").text

    for path, operations in ask(f"{base}/openapi.json").body["paths"].items():
        assert f"<code>GET {path}</code>" in text
        for parameter in operations["get"].get("parameters", ()):
            assert f"<code>{parameter['name']}</code>" in text


def test_page_escapes_contract() -> None:
    text = ask(f"{TABLE}/openapi.json").text
    made = json.loads(re.sub("user|ned|project|One row per check-in", "<script>", text))

    assert "<script>" not in render(made)
