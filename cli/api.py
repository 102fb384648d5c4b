"""What the look-up API answers to the operator."""

from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from cli.errors import CommandError
from cli.stack import Stack

_TIMEOUT = 30.0
_PAGE = "1000"


def rows(stack: Stack, key: str, value: str) -> list[dict[str, Any]]:
    """Return every row whose `key`, the look-up's, has that value, page by page.

    Raises:
        CommandError: the API refused to answer.
    """
    found: list[dict[str, Any]] = []
    first = {key: value, "limit": _PAGE}
    parameters: dict[str, str] | None = first
    with _session(stack) as session:
        while parameters is not None:
            page = _get(session, stack, "/get", parameters)
            found += page["response"]
            cursor = page["next"]
            parameters = None if cursor is None else first | {"cursor": cursor}
    return found


def ingestion(stack: Stack, ingested_id: str) -> dict[str, Any]:
    """Return what the API says of an ingestion.

    Raises:
        CommandError: the API refused to answer.
    """
    with _session(stack) as session:
        return _get(session, stack, f"/ingestions/{ingested_id}", {})


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
