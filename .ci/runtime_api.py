"""A server for the Lambda Runtime API that sends one event to a function's image.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html

The entry point of AWS's base images reads events from the address in AWS_LAMBDA_RUNTIME_API.
Without that variable it starts AWS's Runtime Interface Emulator. This module does not use that,
because changing its port means replacing the entry point, which is part of the test. The source
shows the entry point for Ruby; the one for Python 3.13 has not been checked:
https://github.com/aws/aws-lambda-runtime-interface-emulator/issues/120
"""

import json
import queue
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from engines import Engine

SECONDS = 120
"""The longest wait for an answer."""


@dataclass(frozen=True)
class Answer:
    """A function's answer to an event."""

    ok: bool
    """True for a result, False for an error."""
    body: Any
    init_ms: int
    """Milliseconds from the container's start until the function asked for an event."""


def invoke(
    engine: Engine,
    image: str,
    event: Any,
    environment: Mapping[str, str],
    files: Mapping[str, Path] = {},
) -> Answer:
    """Start the image, send it the event, and return its answer."""
    server = _RuntimeApi(event)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    # Lambda sets these for every function:
    # https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
    every = {
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_port}",
        "AWS_LAMBDA_FUNCTION_NAME": "image",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "2048",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/image",
        "AWS_LAMBDA_LOG_STREAM_NAME": "local",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",  # pragma: allowlist secret
    }
    started = time.monotonic()
    with engine.running(image, environment={**every, **environment}, files=files) as process:
        path, body = _wait(server, process, image)
    server.shutdown()
    # The other paths report errors: …/invocation/<id>/error and …/init/error.
    ok = path.endswith("/response")
    return Answer(ok, json.loads(body), round((server.asked_at - started) * 1000))


def _wait(
    server: "_RuntimeApi", process: "subprocess.Popen[bytes]", image: str
) -> tuple[str, bytes]:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            return server.answers.get(timeout=0.1)
        except queue.Empty:
            if process.poll() is not None:
                raise SystemExit(f"{image} ended with status {process.returncode}") from None
    raise SystemExit(f"{image} did not answer within {SECONDS} s")


class _RuntimeApi(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, event: Any) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.events: queue.Queue[bytes] = queue.Queue()
        self.events.put(json.dumps(event).encode())
        self.answers: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self.asked_at = time.monotonic()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _RuntimeApi

    def do_GET(self) -> None:
        asked_at = time.monotonic()
        event = self.server.events.get()  # the second call blocks until the container ends
        self.server.asked_at = asked_at
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": "00000000-0000-0000-0000-000000000000",
            "Lambda-Runtime-Deadline-Ms": str(round((time.time() + SECONDS) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": (
                "arn:aws:lambda:us-east-1:000000000000:function:image"
            ),
        }
        self._answer(200, event, headers)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(202, b"", {})
        self.server.answers.put((self.path, body))

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Log nothing: the container's own log is sufficient."""
