"""Benchmark of cold starts, up to the contract, before and after decision 20.

    python -m benchmarks.cold_starts

Before, contracts were files of the image, and a function read all of them. Now it fetches the
contract set from S3 and reads only the contract that it needs. The earlier code is a commit of this
repository, so git is required. The benchmark starts both versions of each function in turn, as new
processes with compiled modules, and prints the median of seven starts, for 2 and for 100 tables. S3
is a local server.
"""

import contextlib
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
BEFORE = "33afb1ea8cc4890abf94e4499690052f56e9fe54"  # pragma: allowlist secret
STARTS = 7
TABLES = (2, 100)
FUNCTIONS = ("trigger", "transform", "test", "load", "watch", "api")
CODE = {
    "before": "from shared.odcs import load_all; load_all()['dailycheckins']",
    "after": (
        "from shared import contract_store; from shared.settings import ContractSettings, read; "
        "contract_store.deployed(read(ContractSettings))['dailycheckins']"
    ),
}
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "nobody",
    "AWS_SECRET_ACCESS_KEY": "nothing",  # pragma: allowlist secret
    "AWS_DEFAULT_REGION": "eu-west-1",
    "CONFIG_BUCKET": "config",
    "POWERTOOLS_METRICS_NAMESPACE": "tm",
}
"""An incomplete environment, so that a function fetches the contract set at the first use."""


def main() -> None:
    """Run the benchmark."""
    with tempfile.TemporaryDirectory() as folder:
        former = Path(folder, "former")
        archive = Path(folder, "former.tar")
        subprocess.run(["git", "archive", "-o", archive, BEFORE], cwd=CHECKOUT, check=True)
        with tarfile.open(archive) as tar:
            tar.extractall(former, filter="data")
        print(f"{'function':<10} {'tables':>6} {'before':>8} {'after':>8} {'ratio':>6}")
        for tables in TABLES:
            content = _contracts(former, tables)
            digest = hashlib.sha256(content).hexdigest()
            with _serving(content) as url:
                for function in FUNCTIONS:
                    _measure(function, tables, former, digest, url)


def _contracts(former: Path, tables: int) -> bytes:
    """Write contracts of that many tables to the earlier checkout; return the contract set."""
    whole = (CHECKOUT / "contracts" / "dailycheckins.odcs.yaml").read_text("utf-8")
    texts = {"dailycheckins.odcs.yaml": whole}
    # Without lookup, because the earlier code allows only one.
    start = whole.index("      - property: lookup")
    plain = whole[:start] + whole[whole.index("    quality:", start) :]
    for n in range(1, tables):
        renamed = plain.replace("name: dailycheckins", f"name: t{n}")
        texts[f"t{n}.odcs.yaml"] = renamed.replace("daily_checkins", f"r{n}")
    for path in (former / "contracts").iterdir():
        path.unlink()
    for name, text in texts.items():
        (former / "contracts" / name).write_text(text, "utf-8")
    return json.dumps(texts).encode()


@contextlib.contextmanager
def _serving(content: bytes) -> Iterator[str]:
    """Answer every request with the same content; yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def _measure(function: str, tables: int, former: Path, digest: str, url: str) -> None:
    environment = os.environ | ENVIRONMENT | {"CONTRACTS_HASH": digest, "AWS_ENDPOINT_URL": url}
    environment |= {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(former.parent)}
    taken: dict[str, list[float]] = {"before": [], "after": []}
    for run in range(STARTS + 1):
        for which, checkout in (("before", former), ("after", CHECKOUT)):
            program = f"import functions.{function}.handler; {CODE[which]}"
            begun = time.perf_counter()
            subprocess.run(
                [sys.executable, "-c", program], cwd=checkout, env=environment, check=True
            )
            if run:  # the first one compiles
                taken[which].append(time.perf_counter() - begun)
    before, after = (statistics.median(taken[which]) for which in ("before", "after"))
    print(f"{function:<10} {tables:>6} {before:>6.2f} s {after:>6.2f} s {after / before:>6.2f}")


if __name__ == "__main__":
    main()
