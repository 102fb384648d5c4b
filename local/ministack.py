"""ministack, the AWS emulator, as a child process: over TLS, with roles and policies enforced."""

import os
import secrets
import shutil
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from local import account
from local.errors import LocalError
from local.home import CHECKOUT
from local.ports import LOOPBACK, free_port
from local.processes import Processes
from local.stack import Aws

REGION = "us-east-1"

_APP = CHECKOUT / "local.emulator"
"""Hypercorn imports the module `local.emulator` from that folder."""
_READS_US = "import sys; sys.path.insert(0, sys.argv[1]); import local.guard"
_NAME = "ministack"
_READY_WITHIN = 60.0


def start(processes: Processes, home: Path, report: Callable[[str], None]) -> Aws:
    """Start the emulator in a folder of `home`; it answers only after `wait_until_ready`."""
    if shutil.which("openssl") is None:
        raise LocalError("The command `openssl` is missing, which makes the local certificate.")
    folder, user = account.place(home, _NAME)
    reading = [sys.executable, "-c", _READS_US, str(CHECKOUT)]
    if user is not None and not account.can_run(reading, user):
        report(
            f"Warning: the emulator and the functions run as root, because the account {user} "
            f"cannot read {sys.executable} or {CHECKOUT}"
        )
        user = None
    aws = Aws(
        endpoint_url=f"https://{LOOPBACK}:{free_port()}",
        region=REGION,
        access_key_id=f"TM{secrets.token_hex(9).upper()}",
        secret_access_key=secrets.token_urlsafe(30),
        ca_bundle=str(folder / "ministack-tls" / "server.crt"),
    )
    address = aws.endpoint_url.removeprefix("https://")
    # Not ministack's own command: as root that would take port 443 besides.
    command = [sys.executable, "-m", "hypercorn", f"{_APP}:app"]
    command += ["--config", "python:ministack.core.hypercorn_conf", "--bind", address]
    command += ["--workers", "0", "--keep-alive", "75"]
    environment = _environment(aws, folder, port=address.partition(":")[2])
    processes.start(_NAME, command, env=environment, user=user)
    return aws


def stop(processes: Processes, home: Path) -> None:
    """End the emulator and remove its data; no emulator is no error."""
    processes.stop(_NAME)
    account.remove(home, _NAME)


def wait_until_ready(processes: Processes, aws: Aws) -> None:
    """Return once the emulator answers."""
    deadline = time.monotonic() + _READY_WITHIN
    while not _answers(aws):
        if not processes.alive(_NAME):
            raise LocalError(f"ministack ended at its start: {processes.log(_NAME)} tells why.")
        if time.monotonic() > deadline:
            raise LocalError(
                f"ministack did not answer within {_READY_WITHIN:.0f} s: "
                f"{processes.log(_NAME)} tells why."
            )
        time.sleep(0.05)


def _environment(aws: Aws, folder: Path, *, port: str) -> dict[str, str]:
    """Return all that the emulator, and the functions that it runs, see of the machine.

    Nothing else is inherited: not the user's AWS profile, endpoint or certificates, and not a
    Docker daemon whose containers are none of ours.
    """
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "DOCKER_HOST": f"unix://{folder / 'no-docker'}",
        "AUTH": "true",
        "USE_SSL": "1",
        "BIND_HOST": LOOPBACK,
        "GATEWAY_PORT": port,
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "MINISTACK_REGION": aws.region,
        "AWS_ACCESS_KEY_ID": aws.access_key_id,
        "AWS_SECRET_ACCESS_KEY": aws.secret_access_key,
        "AWS_CA_BUNDLE": aws.ca_bundle,
    }


def _answers(aws: Aws) -> bool:
    try:
        context = ssl.create_default_context(cafile=aws.ca_bundle)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        with opener.open(f"{aws.endpoint_url}/_ministack/health", timeout=5):
            return True
    except (OSError, ssl.SSLError, urllib.error.URLError):
        return False
