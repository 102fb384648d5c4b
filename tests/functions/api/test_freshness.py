"""ETags and 304 responses, which need only the ingestion log."""

import boto3
import botocore.exceptions
import pytest

from functions.api import freshness
from functions.api import handler as api
from shared.endings import State, Status
from shared.ingestion import Ingestion, Run, Source
from shared.ingestion_log import IngestionLog
from tests.fixtures.aws import KEY, ingestion_of, item_of, run_of
from tests.fixtures.database import Database
from tests.fixtures.lookup import KEYS, ROWS, SUMMARY, add, ask

NED = {"key": "ned"}
ROUTES: dict[str, dict[str, str]] = {"/get": {"user": "ned"}, KEYS: {}, ROWS: NED, SUMMARY: NED}


@pytest.fixture(autouse=True)
def _uncached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freshness, "_CACHE_SECONDS", -1)


def loaded(log: IngestionLog, version: str = "1") -> Ingestion:
    one = ingestion_of(Source("bucket", KEY, version, 1))
    run = run_of(one)
    log.open(one, run)
    log.finish(one, run, State.LOAD, Status.SUCCESS, {})
    return one


def test_unchanged_rows_answer_304_without_database(
    reader: Database, log: IngestionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(reader, ("ned", "p", "1", "2019-09-27 UTC"))
    loaded(log)
    first = {path: ask(path, **parameters) for path, parameters in ROUTES.items()}
    tags = {path: answer.headers["ETag"] for path, answer in first.items()}
    assert len(set(tags.values())) == len(ROUTES)
    assert all(each.headers["Cache-Control"] == "private, no-cache" for each in first.values())

    api.session.close()
    monkeypatch.setattr(api.session, "_connect", lambda within: pytest.fail("PostgreSQL was asked"))
    for path, tag in tags.items():
        assert tag.startswith('W/"')
        for had in (tag, tag.removeprefix("W/"), f'"another", {tag}'):
            again = ask(path, {"if-none-match": had}, **ROUTES[path])
            assert (again.status, again.text, again.headers["ETag"]) == (304, "", tag)
            assert again.headers["Cache-Control"] == "private, no-cache"


def test_etag_changes_whenever_rows_may_have_changed(reader: Database, log: IngestionLog) -> None:
    add(reader, ("ned", "p", "1", "2019-09-27 UTC"))

    def tag() -> str:
        return ask(ROWS, key="ned").headers["ETag"]

    tags = [tag()]
    loaded(log)
    tags.append(tag())
    other = loaded(log, "2")
    tags.append(tag())
    # A replayed ingestion is no longer a success, and it may load rows before it fails.
    again = Run(f"{run_of(other).execution_arn}-r2")
    assert log.reopen(item_of(log, other), again)
    tags.append(tag())
    assert log.begin(other, again)
    assert log.finish(other, again, State.LOAD, Status.FAIL, {}, "killed")
    tags.append(tag())

    assert len(set(tags)) == len(tags)
    assert tag() == tags[-1]


def test_etag_depends_on_parameters(reader: Database, log: IngestionLog) -> None:
    add(reader, ("ned", "p", "1", "2019-09-27 UTC"), ("jon", "p", "1", "2019-09-27 UTC"))
    tag = ask(ROWS, key="ned").headers["ETag"]

    for asked in ({"key": "jon"}, {"key": "ned", "order": "desc"}):
        assert ask(ROWS, {"if-none-match": tag}, **asked).status == 200
    assert ask(ROWS, {"if-none-match": tag}, key="ned", limit="x").status == 400


def test_burst_of_requests_queries_log_once(
    reader: Database, log: IngestionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freshness, "_CACHE_SECONDS", 60)
    tag = ask(KEYS).headers["ETag"]
    loaded(log)

    assert ask(KEYS, {"if-none-match": tag}).status == 304


def test_unavailable_log_omits_etag(reader: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    add(reader, ("ned", "p", "1", "2019-09-27 UTC"))

    def away(*_: object, **__: object) -> None:
        raise botocore.exceptions.ConnectTimeoutError(endpoint_url="dynamodb")

    monkeypatch.setattr(api.log()._table, "query", away)

    answer = ask(ROWS, key="ned")

    assert answer.status == 200
    assert "ETag" not in answer.headers
    assert ask("/ingestions").status == 503


def test_missing_log_table_answers_500(reader: Database) -> None:
    boto3.client("dynamodb").delete_table(TableName="tm-log")

    assert ask(KEYS).status == 500
