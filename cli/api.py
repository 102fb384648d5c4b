"""Client of the lookup API."""

import contextlib
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from cli.errors import CommandError
from cli.stack import Stack

_TIMEOUT = 30.0
_PAGE = "1000"
_ATTEMPTS = 10  # how often to read all pages again when rows were replaced between two pages


class _Replaced(Exception):
    """The API answered 410 because rows were replaced after the first page."""


def rows(stack: Stack, table: str | None, key: str) -> list[dict[str, Any]]:
    """Return every row of a key, page by page; without a table, ask the route `/get`.

    If the API answers 410 because rows were replaced, read all pages again.

    Raises:
        CommandError: the API returned an error, or rows were replaced during all ten attempts.
    """
    path, items, name = (
        ("/get", "response", "user")
        if table is None
        else (f"/tables/{quote(table, safe='')}/rows", "items", "key")
    )
    with _session(stack) as session:
        for _ in range(_ATTEMPTS):
            with contextlib.suppress(_Replaced):
                return [*_items(session, stack, path, items, {name: key, "limit": _PAGE})]
    raise CommandError(
        f"Files with rows of {key} were replaced during each of {_ATTEMPTS} attempts to read them: "
        "try again when fewer files are being loaded."
    )


def ingestion(stack: Stack, ingested_id: str) -> dict[str, Any]:
    """Return an ingestion from the API; raise CommandError if the API returns an error."""
    with _session(stack) as session:
        return _get(session, stack, f"/ingestions/{ingested_id}", {})


def _items(
    session: requests.Session, stack: Stack, path: str, items: str, parameters: dict[str, str]
) -> Iterator[dict[str, Any]]:
    page = _get(session, stack, path, parameters)
    yield from page[items]
    while page["next"] is not None:
        page = _get(session, stack, path, parameters | {"cursor": page["next"]})
        yield from page[items]


def _session(stack: Stack) -> requests.Session:
    # While the database resumes or a function is prepared, the API answers 503 with a Retry-After
    # of at most 20 s (terraform/api.tf). Six retries cover two minutes.
    retry = Retry(total=6, status_forcelist=[503], allowed_methods=["GET"], backoff_factor=1)
    session = requests.Session()
    session.mount("https://", HTTPAdapter(max_retries=retry))
    session.auth = stack.api_auth
    if stack.ca_bundle is not None:
        # The laptop cloud has its own certificate. Ignore proxies and CA bundles of the user.
        session.trust_env = False
        session.verify = stack.ca_bundle
    return session


def _get(
    session: requests.Session, stack: Stack, path: str, parameters: dict[str, str]
) -> dict[str, Any]:
    answer = session.get(f"{stack.api_url}{path}", params=parameters, timeout=_TIMEOUT)
    if answer.status_code == HTTPStatus.GONE:
        raise _Replaced
    if not answer.ok:
        raise CommandError(f"The lookup API answered {answer.status_code}: {_message(answer)}")
    found: dict[str, Any] = answer.json()
    return found


def _message(answer: requests.Response) -> str:
    try:
        problem = answer.json()
        # Errors of API Gateway itself are not RFC 9457 problems and have a `message` instead.
        return str(problem["detail"] if "detail" in problem else problem["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text.strip() or "no message"
