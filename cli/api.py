"""What the look-up API answers to the operator."""

import contextlib
from dataclasses import dataclass
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


def rows(stack: Stack, table: str | None, key: str, **asked: str) -> list[dict[str, Any]]:
    """Return every row of a key, page by page.

    If the API says that the pages would not fit together any more, all are asked for again.

    Args:
        stack: whose API.
        table: whose rows; None for the sample's, which `/get` returns by the name `user`.
        key: the value of the look-up's key.
        asked: further parameters of `/tables/{table}/rows`, such as `order`.

    Raises:
        CommandError: the API refused to answer, or rows were replaced in every one of ten walks.
    """
    walk = (
        _Walk("/get", "response", {"user": key, "limit": _PAGE})
        if table is None
        else _Walk(
            f"/tables/{quote(table, safe='')}/rows", "items", {"key": key, "limit": _PAGE, **asked}
        )
    )
    with _session(stack) as session:
        for _ in range(_WALKS):
            with contextlib.suppress(_Replaced):
                return walk.whole(session, stack)
    raise CommandError(
        f"Files with rows of {key} were replaced each of the {_WALKS} times that the rows were "
        "read: try again when fewer files are loaded"
    )


def ingestion(stack: Stack, ingested_id: str) -> dict[str, Any]:
    """Return what the API says of an ingestion.

    Raises:
        CommandError: the API refused to answer.
    """
    with _session(stack) as session:
        return _get(session, stack, f"/ingestions/{ingested_id}", {})


@dataclass(frozen=True)
class _Walk:
    """A way through the pages of a route, which hold items under a name."""

    path: str
    items: str
    asked: dict[str, str]

    def whole(self, session: requests.Session, stack: Stack) -> list[dict[str, Any]]:
        """Return the items of all pages.

        Raises:
            _Replaced: rows were replaced on the way.
            CommandError: the API refused to answer.
        """
        page = _get(session, stack, self.path, self.asked)
        found: list[dict[str, Any]] = page[self.items]
        while page["next"] is not None:
            page = _get(session, stack, self.path, self.asked | {"cursor": page["next"]})
            found += page[self.items]
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
