"""ministack behind a guard, with a queue for asynchronous Lambda events and early initialisation.

By default, ministack starts a worker process for each event immediately and drops an event after
three attempts. Lambda queues events for up to six hours:
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html

It imports a function's code at the first call. Here it does so when the function is created, while
Terraform waits for it, so the first file waits less.
"""

import contextlib
import contextvars
import os
import threading
from typing import Any

from ministack.app import app as ministack
from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from local.guard import guarded

app = guarded(ministack, os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])

_AT_ONCE = 4  # maximum number of events processed at the same time

_slots = threading.Semaphore(_AT_ONCE)
_is_event: contextvars.ContextVar[bool] = contextvars.ContextVar("_is_event", default=False)
_invoke, _execute = lambda_svc.invoke_async_with_retry, lambda_svc._execute_function
_activate = lambda_svc._schedule_state_transition


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


def _activate_initialised(name: str, delay: float) -> None:
    _activate(name, delay)
    function = lambda_svc._functions[name]
    if function["code_zip"]:
        run = contextvars.copy_context().run
        threading.Thread(target=run, args=(_initialise, name, function), daemon=True).start()


def _initialise(name: str, function: dict[str, Any]) -> None:
    # A call in the meantime waits for this worker instead of starting its own.
    worker = lambda_runtime.get_or_create_worker(name, function["config"], function["code_zip"])
    # An update stops the worker, and the next call reports an error in the code.
    with contextlib.suppress(Exception):
        lambda_runtime.ensure_spawned(worker)


lambda_svc.invoke_async_with_retry = _invoke_event
lambda_svc._execute_function = _execute_queued
lambda_svc._schedule_state_transition = _activate_initialised
