"""Tests of `make audit` with a stand-in for OSV, because our lock has no vulnerable package."""

import json
import os
import threading
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.checkout import CHECKOUT
from tests.programs import Done, run

pytestmark = pytest.mark.security

ADVISORY = {
    "id": "PYSEC-2021-108",
    "aliases": ["CVE-2021-33503"],
    "summary": "Catastrophic backtracking in the URL authority parser.",
    "affected": [
        {
            "package": {"name": "urllib3", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.26.5"}]}],
        }
    ],
}


class Osv(BaseHTTPRequestHandler):
    """Stand-in for OSV with one vulnerable release. Requests for the package `failing` fail."""

    def do_POST(self) -> None:
        query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        package = (query["package"]["name"], query["version"])
        failing = package[0] == "failing"
        self.send_response(HTTPStatus.BAD_GATEWAY if failing else HTTPStatus.OK)
        self.end_headers()
        answer = {"vulns": [ADVISORY]} if package == ("urllib3", "1.26.4") else {}
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def osv() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Osv) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()


def audit(tools: Path, osv: str, folder: Path, *pins: str, options: tuple[str, ...] = ()) -> Done:
    file = folder / "requirements.txt"
    file.write_text("".join(f"{pin} --hash=sha256:{64 * '0'}\n" for pin in pins))
    environment = {**os.environ, "PIP_AUDIT_OSV_URL": osv}
    return run(tools / "python", CHECKOUT / ".ci" / "audit.py", *options, file, env=environment)


def test_audit_fails_for_known_vulnerability(tools: Path, osv: str, tmp_path: Path) -> None:
    done = audit(tools, osv, tmp_path, "six==1.17.0", "urllib3==1.26.4")
    assert done.returncode == 3, done.stderr
    found = "urllib3 1.26.4: PYSEC-2021-108, CVE-2021-33503; fixed in: 1.26.5\n"
    assert done.stdout.endswith(f"requirements.txt: {found}")


def test_audit_passes_without_vulnerability(tools: Path, osv: str, tmp_path: Path) -> None:
    done = audit(tools, osv, tmp_path, "six==1.17.0", "urllib3==1.26.5")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("2 packages, no known vulnerabilities.\n")


@pytest.mark.parametrize("options", [(), ("--allow-unreachable",)])
def test_audit_reports_unreachable_osv(
    tools: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    unreachable = "http://127.0.0.1:9/v1/query"
    done = audit(tools, unreachable, tmp_path, "six==1.17.0", options=options)
    assert done.returncode == (0 if options else 1), done.stderr
    assert done.stdout.startswith("NOT AUDITED: ")
    assert "no known" not in done.stdout


@pytest.mark.parametrize("pin", ["failing==1.0", "six>=1.0", "not a pin"])
def test_audit_fails_for_unresolvable_pin(tools: Path, osv: str, tmp_path: Path, pin: str) -> None:
    done = audit(tools, osv, tmp_path, "six==1.17.0", pin, options=("--allow-unreachable",))
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout.startswith("NOT AUDITED: ")
