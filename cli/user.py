"""`tm user`: what the look-up API says of one user."""

from decimal import Decimal
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from rich.table import Table
from urllib3.util import Retry

from cli.console import console
from cli.errors import CommandError
from cli.stack import Stack

_TIMEOUT = 30.0
_SHOWN = 20
_PAGE = "1000"


def ask(stack: Stack, user: str) -> list[dict[str, Any]]:
    """Return every row of `user`, page by page.

    Raises:
        CommandError: the API refused to answer.
    """
    rows: list[dict[str, Any]] = []
    first = {"user": user, "limit": _PAGE}
    parameters: dict[str, str] | None = first
    with _session(stack) as session:
        while parameters is not None:
            page = _get(session, stack, parameters)
            rows += page["response"]
            cursor = page["next"]
            parameters = None if cursor is None else first | {"cursor": cursor}
    return rows


def show(user: str, rows: list[dict[str, Any]]) -> None:
    """Print the newest rows and the sums for people."""
    if not rows:
        console.print(f"No rows of {user}.", markup=False)
        return
    table = Table("timestamp", "project", box=None)
    table.add_column("hours", justify="right")
    for row in sorted(rows, key=lambda row: str(row["timestamp"]), reverse=True)[:_SHOWN]:
        table.add_row(row["timestamp"], row["project"], row["hours"])
    console.print(table)
    if len(rows) > _SHOWN:
        console.print(f"… the newest {_SHOWN}; --json gives all")
    hours = sum((Decimal(row["hours"]) for row in rows), Decimal(0))
    console.print(f"{user}: {len(rows):,} rows, {hours:,} h", markup=False)


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


def _get(session: requests.Session, stack: Stack, parameters: dict[str, str]) -> dict[str, Any]:
    answer = session.get(f"{stack.api_url}/get", params=parameters, timeout=_TIMEOUT)
    if not answer.ok:
        raise CommandError(f"The look-up API refused with {answer.status_code}: {_message(answer)}")
    page: dict[str, Any] = answer.json()
    return page


def _message(answer: requests.Response) -> str:
    try:
        said = answer.json()
        # What AWS refuses before the API is asked is no problem in RFC 9457's form.
        return str(said["detail"] if "detail" in said else said["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text.strip() or "no message"
