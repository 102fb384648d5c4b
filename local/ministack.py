"""ministack, the AWS emulator, as a child process with TLS and enforced IAM policies."""

import os
import secrets
import shutil
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import trustme

from local import account
from local.home import CHECKOUT
from local.ports import LOOPBACK, free_port
from local.processes import Processes
from local.stack import Aws

REGION = "us-east-1"

_APP = CHECKOUT / "local.emulator"
"""Hypercorn's notation for the module `local.emulator` in the folder CHECKOUT."""
_IMPORT = "import sys; sys.path.insert(0, sys.argv[1]); import local.guard"
_NAME = "ministack"
_READY_WITHIN = 60.0
_AUTHORITY, _CERTIFICATE, _KEY = "ca.pem", "certificate.pem", "key.pem"


def start(processes: Processes, home: Path, report: Callable[[str], None]) -> Aws:
    """Start the emulator with its data in `home`; call `wait_until_ready` before using it."""
    folder, user = account.place(home, _NAME)
    importing = [sys.executable, "-c", _IMPORT, str(CHECKOUT)]
    if user is not None and not account.can_run(importing, user):
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
        ca_bundle=str(folder / _AUTHORITY),
    )
    address = aws.endpoint_url.removeprefix("https://")
    # ministack's own command would also listen on port 443 when run as root.
    command = [sys.executable, "-m", "hypercorn", f"{_APP}:app"]
    command += ["--config", "python:ministack.core.hypercorn_conf", "--bind", address]
    command += ["--workers", "0", "--keep-alive", "75"]
    _write_certificate(folder, user)
    environment = _environment(aws, folder, port=address.partition(":")[2])
    processes.start(_NAME, command, env=environment, user=user)
    return aws


def stop(processes: Processes, home: Path) -> None:
    """Stop the emulator and remove its data if they exist."""
    processes.stop(_NAME)
    account.remove(home, _NAME)


def wait_until_ready(processes: Processes, aws: Aws) -> None:
    """Return once the emulator answers."""
    processes.wait_until(lambda: _answers(aws), _NAME, _NAME, _READY_WITHIN)


def _write_certificate(folder: Path, user: str | None) -> None:
    """Write a certificate for this machine's loopback address, and the authority that issued it."""
    authority = trustme.CA()
    issued = authority.issue_cert(LOOPBACK, "localhost")
    for name, pems in {
        _AUTHORITY: [authority.cert_pem],
        _CERTIFICATE: issued.cert_chain_pems,
        _KEY: [issued.private_key_pem],
    }.items():
        path = folder / name
        path.touch(mode=0o600)
        if user is not None:
            shutil.chown(path, user)
        path.write_bytes(b"".join(pem.bytes() for pem in pems))


def _environment(aws: Aws, folder: Path, *, port: str) -> dict[str, str]:
    """Return the complete environment of the emulator and of the functions that it runs.

    They do not inherit the user's AWS settings, certificates or Docker daemon.
    """
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "DOCKER_HOST": f"unix://{folder / 'no-docker'}",
        "AUTH": "true",
        "USE_SSL": "1",
        "MINISTACK_SSL_CERT": str(folder / _CERTIFICATE),
        "MINISTACK_SSL_KEY": str(folder / _KEY),
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
