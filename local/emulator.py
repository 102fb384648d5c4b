"""ministack behind a guard and with a queue for asynchronous Lambda events.

By default, ministack starts a worker process for each event immediately and drops an event after
three attempts. Lambda queues events for up to six hours:
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

_AT_ONCE = 4  # maximum number of events processed at the same time

_slots = threading.Semaphore(_AT_ONCE)
_is_event: contextvars.ContextVar[bool] = contextvars.ContextVar("_is_event", default=False)
_invoke, _execute = lambda_svc.invoke_async_with_retry, lambda_svc._execute_function


def _invoke_event(function: dict[str, Any], event: dict[str, Any]) -> None:
    # `_invoke` starts a thread with a copy of this context.
    token = _is_event.set(True)
    try:
        _invoke(function, event)
    finally:
        _is_event.reset(token)


def _execute_queued(function: dict[str, Any], event: dict[str, Any]) -> Any:
    if not _is_event.get():
        return _execute(function, event)
    with _slots:
        token = _is_event.set(False)
        try:
            return _execute(function, event)
        finally:
            _is_event.reset(token)


lambda_svc.invoke_async_with_retry = _invoke_event
lambda_svc._execute_function = _execute_queued
