"""Load test with fifty clients: no errors, and only the throttle refuses requests.

Latencies depend on the emulator and on this machine, so they are printed but not checked. The
emulator is one Python process that starts a sandbox for each concurrent request.
`benchmarks/lookup.py` measures the lookup itself.
"""

import itertools
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field

import pytest
import requests
from botocore.credentials import Credentials

from cli.authorization import Signature
from tests.api.conftest import KEYS, ROWS, SUMMARY, Signed

pytestmark = pytest.mark.api

CLOSED = [
    "/get?user=ned",
    f"{ROWS}?key=ned&order=desc",
    f"{SUMMARY}?key=ned&by=month",
    f"{KEYS}?prefix=a",
    "/ingestions",
]
ROUTES = [*CLOSED, "/health"]
CLIENTS = 50
SECONDS = 30.0
# Between a client's requests. Without a pause, the test would only measure the emulator.
PAUSE = 1.0


@dataclass
class Crowd:
    """Concurrent clients, each requesting all routes in turn."""

    url: str
    ca_bundle: str
    auth: Signature
    answers: dict[tuple[str, int], list[float]] = field(default_factory=lambda: defaultdict(list))
    refusals: list[requests.Response] = field(default_factory=list)

    def ask(self, clients: int, seconds: float, pause: float = 0) -> float:
        """Run the clients, each for at least one request; return the elapsed seconds."""
        begin = time.monotonic()
        threads = [
            threading.Thread(target=self._one, args=(number, begin + seconds, pause))
            for number in range(clients)
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        return time.monotonic() - begin

    def _one(self, number: int, end: float, pause: float) -> None:
        with requests.Session() as session:
            session.trust_env = False
            session.verify = self.ca_bundle
            for route in itertools.islice(itertools.cycle(ROUTES), number, None):
                asked = time.perf_counter()
                answer = session.get(self.url + route, auth=self.auth, timeout=120)
                took = time.perf_counter() - asked
                self.answers[route, answer.status_code].append(took)
                if answer.status_code != 200:
                    self.refusals.append(answer)
                if time.monotonic() + pause > end:
                    return
                time.sleep(pause)

    def report(self) -> None:
        print()
        for (route, status), times in sorted(self.answers.items()):
            times.sort()
            p50, p99 = (times[int(len(times) * part)] * 1000 for part in (0.5, 0.99))
            print(f"{len(times):5} × {status} {route:45} p50 {p50:5.0f} ms, p99 {p99:5.0f} ms")


@pytest.fixture(scope="module")
def crowd(signed: Signed) -> Crowd:
    made = signed.caller("crowd", "GET/*")
    credentials = Credentials(made.access_key, made.secret_key)
    signature = Signature(lambda: credentials, signed.laptop.aws.region)
    return Crowd(signed.url, signed.laptop.aws.ca_bundle, signature)


def test_fifty_clients_get_no_errors(crowd: Crowd) -> None:
    # The number of clients increases in steps, because sandboxes start slowly.
    for clients in range(5, CLIENTS + 1, 5):
        crowd.ask(clients, seconds=0)
    assert not crowd.refusals, crowd.refusals[0].text
    crowd.answers.clear()

    took = crowd.ask(CLIENTS, SECONDS, PAUSE)

    crowd.report()
    total = sum(map(len, crowd.answers.values()))
    print(f"{total} requests in {took:.0f} s by {CLIENTS} clients")
    # The clients do not reach the throttle.
    assert not crowd.refusals, crowd.refusals[0].text
    assert all((route, 200) in crowd.answers for route in ROUTES)
    assert total > 4 * CLIENTS


def test_throttle_limits_rate_and_burst(signed: Signed, crowd: Crowd) -> None:
    rate, burst = 2, 5
    signed.apply(rate=rate, burst=burst)
    crowd.answers.clear()
    crowd.refusals.clear()

    took = crowd.ask(10, 5.0)

    crowd.report()
    assert {answer.status_code for answer in crowd.refusals} == {429}
    for answer in crowd.refusals:
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.headers["Retry-After"] == "1"
        assert answer.json()["status"] == 429
    # The throttle applies per gateway route: one for all closed paths, one for each open path.
    for routes in (CLOSED, ["/health"]):
        answered = sum(len(crowd.answers[route, 200]) for route in routes)
        assert burst <= answered <= burst + rate * took + 1, (routes, answered)
        assert any(crowd.answers[route, 429] for route in routes)
