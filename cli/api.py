"""What the look-up API answers to the operator."""

import contextlib
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
_WALKS = 10
"""How often all pages are asked for: files with rows of the key may be replaced meanwhile."""


class _Replaced(Exception):
    """The API answered 410: rows were replaced since the first page."""


def looked_up(stack: Stack, key: str, value: str) -> list[dict[str, Any]]:
    """Return every row whose `key`, that of the table of `/get`, has that value.

    Raises:
        CommandError: the API refused to answer, or rows were replaced in every one of ten walks.
    """
    return _all_pages(stack, "/get", {key: value}, "response", value)


def rows(stack: Stack, table: str, key: str) -> list[dict[str, Any]]:
    """Return every row of a table whose look-up key has that value.

    Raises:
        CommandError: the API refused to answer, or rows were replaced in every one of ten walks.
    """
    return _all_pages(stack, f"/tables/{quote(table, safe='')}/rows", {"key": key}, "items", key)


def ingestion(stack: Stack, ingested_id: str) -> dict[str, Any]:
    """Return what the API says of an ingestion.

    Raises:
        CommandError: the API refused to answer.
    """
    with _session(stack) as session:
        return _get(session, stack, f"/ingestions/{ingested_id}", {})


def _all_pages(
    stack: Stack, path: str, asked: dict[str, str], rows: str, of: str
) -> list[dict[str, Any]]:
    """Return the rows of all pages; if they would not fit together any more, ask for all again.

    Args:
        stack: whose API.
        path: the route.
        asked: its parameters.
        rows: under which name a page has its rows.
        of: whose rows they are, for people.

    Raises:
        CommandError: the API refused to answer, or rows were replaced in every one of ten walks.
    """
    with _session(stack) as session:
        for _ in range(_WALKS):
            with contextlib.suppress(_Replaced):
                return _walk(session, stack, path, asked | {"limit": _PAGE}, rows)
    raise CommandError(
        f"Files with rows of {of} were replaced each of the {_WALKS} times that the rows were "
        "read: try again when fewer files are loaded"
    )


def _walk(
    session: requests.Session, stack: Stack, path: str, first: dict[str, str], rows: str
) -> list[dict[str, Any]]:
    """Return the rows of all pages from the first on.

    Raises:
        _Replaced: rows were replaced on the way.
        CommandError: the API refused to answer.
    """
    page = _get(session, stack, path, first)
    found: list[dict[str, Any]] = page[rows]
    while page["next"] is not None:
        page = _get(session, stack, path, first | {"cursor": page["next"]})
        found += page[rows]
    return found


def _session(stack: Stack) -> requests.Session:
    # A database or a function that wakes up: the API answers 503 with a Retry-After, of which the
    # longest, 20 s (terraform/api.tf), makes two minutes of six retries.
    waking = Retry(total=6, status_forcelist=[503], allowed_methods=["GET"], backoff_factor=1)
    session = requests.Session()
    session.mount("https://", HTTPAdapter(max_retries=waking))
    session.auth = stack.api_auth
    if stack.ca_bundle is not None:
        # The laptop's own certificate: neither a proxy nor a bundle of the environment applies.
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
        raise CommandError(f"The look-up API refused with {answer.status_code}: {_message(answer)}")
    found: dict[str, Any] = answer.json()
    return found


def _message(answer: requests.Response) -> str:
    try:
        said = answer.json()
        # What AWS refuses before the API is asked is no problem in RFC 9457's form.
        return str(said["detail"] if "detail" in said else said["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text.strip() or "no message"
