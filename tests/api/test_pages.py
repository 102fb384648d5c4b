"""Paging through the API returns the same rows as one query of the database."""

from typing import Any

import pytest

from tests.api.conftest import KEYS, ROWS, Api
from tests.fixtures.pipeline import AT, HEADER, Pipeline

pytestmark = pytest.mark.api


def pages(api: Api, path: str, rows: str, **parameters: str) -> list[list[Any]]:
    found = []
    more: dict[str, str] = {}
    while True:
        page = api.get(path, **parameters, **more).json()
        found.append(page[rows])
        if page["next"] is None:
            return found
        more = {"cursor": page["next"]}


def test_pages_together_are_all_rows(by_key: Api, filled: Pipeline) -> None:
    ((user, count),) = filled.query(
        "SELECT username, count(*) FROM daily_checkins GROUP BY 1 ORDER BY 2 DESC LIMIT 1"
    )
    whole = [
        {"user": user, "project": project, "hours": hours, "timestamp": at}
        for project, hours, at in filled.query(
            "SELECT project, hours::text, "
            """to_char(timestamp AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') """
            "FROM daily_checkins WHERE username = :user ORDER BY timestamp, source_id, source_line",
            user=user,
        )
    ]
    assert len(whole) == count > 400

    for found, wanted in (
        (pages(by_key, "/get", "response", user=user, limit="100"), whole),
        (pages(by_key, ROWS, "items", key=user, limit="100"), whole),
        (pages(by_key, ROWS, "items", key=user, order="desc"), whole[::-1]),
    ):
        assert [len(page) for page in found[:-1]] == [100] * (len(found) - 1)
        assert [row for page in found for row in page] == wanted


def test_pages_of_keys_together_are_all_keys(by_key: Api, filled: Pipeline) -> None:
    found = pages(by_key, KEYS, "items", limit="7")

    wanted = filled.query('SELECT DISTINCT username COLLATE "C" FROM daily_checkins ORDER BY 1')
    assert [user for page in found for user in page] == [user for (user,) in wanted]
    assert len(found) > 5


def test_unchanged_rows_answer_304(by_key: Api) -> None:
    first = by_key.get(ROWS, key="ned")
    url = f"{by_key.url}{ROWS}?key=ned"
    headers = {"If-None-Match": first.headers["ETag"]}
    again = by_key.session.get(url, auth=by_key.auth, headers=headers, timeout=60)

    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]


def test_replaced_file_ends_paging_with_410(by_key: Api, filled: Pipeline) -> None:
    first_pages = []
    for hours in ("1.00", "2.00"):
        rows = [f"walker,{AT},{hours},{n}" for n in range(3)]
        assert filled.ingest("\n".join([HEADER, *rows]), day=3, name="walk.csv")["rowsLoaded"] == 3
        first_pages.append(by_key.get("/get", user="walker", limit="2").json())
        assert [row["hours"] for row in first_pages[-1]["response"]] == [hours] * 2

    before, after = (
        by_key.get("/get", user="walker", limit="2", cursor=page["next"]) for page in first_pages
    )
    assert (before.status_code, before.headers["Content-Type"]) == (410, "application/problem+json")
    assert [row["hours"] for row in after.json()["response"]] == ["2.00"]
