"""Access control of the emulator: only signed requests of the stack's key and roles pass.

By itself, ministack accepts the access key `test`, any account number or no signature as its root,
does not verify signatures of its root key, and has routes without authentication. Anyone who can
reach its port could create a function and run code as the user who started the emulator.
"""

import re
from collections.abc import Awaitable, Callable, MutableMapping
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs

from ministack.core.iam_evaluator import ResolvedCredential, is_root_access_key, resolve_credential
from ministack.core.router import extract_access_key_id
from ministack.core.sigv4 import (
    decode_header_value,
    header_signature_failure,
    parse_header_signature,
    parse_query_signature,
)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_HEALTH = "/_ministack/health"
_API = "/_aws/execute-api/"
"""API Gateway's URLs. The emulated gateway checks API keys and signatures itself."""
_REGISTRY = re.compile(r"/v2/|/v2/.+/(blobs|manifests|tags)/.*")
"""The image registry, which Docker calls without a signature. No function of the laptop cloud runs
an image of it. https://github.com/opencontainers/distribution-spec/blob/main/spec.md#endpoints"""
_REFUSAL = (
    b"<ErrorResponse><Error><Code>InvalidClientTokenId</Code><Message>The laptop cloud accepts "
    b"only its own keys: use those in the state folder of `tm`.</Message></Error></ErrorResponse>"
)


def guarded(app: App, key: str, secret: str) -> App:
    """Wrap an ASGI application (ministack) so that it gets only authenticated requests.

    `key` and `secret` are the access key of its root.
    """

    async def guard(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await app(scope, receive, send)
        elif scope["type"] == "http":
            receive, is_allowed = await _checked(scope, receive, key, secret)
            await (app(scope, receive, send) if is_allowed else _refuse(send))
        else:
            await send({"type": "websocket.close", "code": 1008})

    return guard


async def _checked(scope: Message, receive: Receive, key: str, secret: str) -> tuple[Receive, bool]:
    """Return a receiver of the request's body, and whether the request is allowed."""
    headers = _headers(scope)
    query = parse_qs(scope["query_string"].decode(), keep_blank_values=True)
    signer = extract_access_key_id(headers, query)
    if not signer:
        return receive, _is_public(scope)
    if signer != key:
        if is_root_access_key(signer):
            return receive, False
        if scope["path"].startswith(_API):
            # The gateway verifies the signature and answers like AWS.
            return receive, True
        token = headers.get("x-amz-security-token") or query.get("X-Amz-Security-Token", [None])[0]
        known = resolve_credential(signer, None, token)
        if not isinstance(known, ResolvedCredential):
            return receive, False
        secret = known.secret_access_key
    presigned = "authorization" not in headers
    parse = parse_query_signature(query) if presigned else parse_header_signature(headers)
    if isinstance(parse, tuple):
        return receive, False
    body = b""
    hashed = headers.get("x-amz-content-sha256", "")
    if not presigned and (not hashed or hashed.startswith("STREAMING-AWS4-HMAC")):
        receive, body = await _read(receive)
    path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
    failure = header_signature_failure(
        parse, secret, scope["method"], path, query, headers, body, presigned=presigned
    )
    return receive, failure is None


def _is_public(scope: Message) -> bool:
    path = scope["path"]
    is_health = path == _HEALTH and scope["method"] == "GET"
    return is_health or path.startswith(_API) or _REGISTRY.fullmatch(path) is not None


def _headers(scope: Message) -> dict[str, str]:
    found: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), decode_header_value(raw_value)
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


async def _read(receive: Receive) -> tuple[Receive, bytes]:
    """Return a receiver that replays the body, and the body."""
    messages = [await receive()]
    while messages[-1].get("more_body"):
        messages.append(await receive())
    body = b"".join(message.get("body", b"") for message in messages)

    async def again() -> Message:
        return messages.pop(0) if messages else await receive()

    return again, body


async def _refuse(send: Send) -> None:
    headers = [(b"content-type", b"text/xml"), (b"date", formatdate(usegmt=True).encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": _REFUSAL})
