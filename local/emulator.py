"""ministack as the laptop cloud runs it: behind a guard, and queueing events as Lambda does.

By itself it starts a worker for each event at once, and so hundreds of processes for hundreds of
files, or refuses an event after three tries. Lambda keeps an event for up to six hours until the
function can take it:
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
"""

import contextvars
import os
import threading
from typing import Any

from ministack.app import app as ministack
from ministack.services import lambda_svc

from local.guard import guarded

app = guarded(ministack, os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])

_AT_ONCE = 4
"""Events that are at work at the same time."""

_turn = threading.Semaphore(_AT_ONCE)
_is_event: contextvars.ContextVar[bool] = contextvars.ContextVar("_is_event", default=False)
_invoke, _execute = lambda_svc.invoke_async_with_retry, lambda_svc._execute_function


def _invoke_in_turn(function: dict[str, Any], event: dict[str, Any]) -> None:
    # The thread that this starts has a copy of the context.
    token = _is_event.set(True)
    try:
        _invoke(function, event)
    finally:
        _is_event.reset(token)


def _execute_in_turn(function: dict[str, Any], event: dict[str, Any]) -> Any:
    if not _is_event.get():
        return _execute(function, event)
    with _turn:
        token = _is_event.set(False)
        try:
            return _execute(function, event)
        finally:
            _is_event.reset(token)


lambda_svc.invoke_async_with_retry = _invoke_in_turn
lambda_svc._execute_function = _execute_in_turn
