"""An API with IAM authorization: signed and permitted requests succeed, all others are refused.

The emulator checks signatures, their age and the policies of users as AWS does. If a policy denies
a request, the emulator's response is not the one configured in the gateway. It stores the web ACL
but does not apply it.
"""

import datetime as dt
import json
import os
import re
import subprocess
from typing import Any

import pytest
import requests
from botocore.credentials import Credentials

from cli.authorization import Signature
from cli.stack import Stack
from cli.user import ask
from tests.api.conftest import KEYS, ORIGIN, PEOPLE, ROWS, SUMMARY, TABLE, Api, Signed
from tests.stand_ins import CHECKOUT
from tests.terraform.emulation import DRIFTS

pytestmark = pytest.mark.api

CLOSED = [
    "/get?user=ned",
    "/tables",
    TABLE,
    f"{TABLE}/docs",
    f"{TABLE}/openapi.json",
    f"{ROWS}?key=ned",
    KEYS,
    f"{SUMMARY}?key=ned",
    "/ingestions",
    "/ingestions/20240301-0123456789",
]
OPEN = ["/health", "/docs", "/openapi.json"]


@pytest.fixture(scope="module")
def caller(signed: Signed) -> Credentials:
    return signed.caller("caller", "GET/*")


def refused(answer: requests.Response, reason: str) -> bool:
    """Check that a response is the gateway's 403; return whether its detail has the reason."""
    problem = answer.json()
    assert (answer.status_code, problem["status"]) == (403, 403), answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert problem["requestId"] == answer.headers["x-amzn-requestid"]
    return reason in problem["detail"]


def test_closed_and_open_routes_are_all_routes(document: dict[str, Any]) -> None:
    assert {re.sub(r"\{.*?\}", "X", path) for path in document["paths"]} == {
        re.sub(r"(?<=tables/)\w+|(?<=ingestions/).*", "X", path.partition("?")[0])
        for path in [*CLOSED, *OPEN]
    }


@pytest.mark.parametrize("path", CLOSED)
def test_closed_route_requires_signature(signed: Signed, caller: Credentials, path: str) -> None:
    unsigned = signed.api(None)
    assert refused(unsigned.get(path), "not signed")
    with_a_key = unsigned.session.get(unsigned.url + path, headers={"x-api-key": "k" * 30})
    assert refused(with_a_key, "not signed")

    # The second stack has no ingestions.
    expected = 404 if path.startswith("/ingestions/") else 200
    assert signed.api(caller).get(path).status_code == expected


@pytest.mark.parametrize("path", OPEN)
def test_open_route_requires_no_signature(signed: Signed, path: str) -> None:
    assert signed.api(None).get(path).status_code == 200


def test_caller_without_permission_is_refused(signed: Signed) -> None:
    stranger = signed.api(signed.caller("stranger"))
    of_one_table = signed.api(signed.caller("guest", f"GET{TABLE}", f"GET{TABLE}/*"))

    for path in (TABLE, KEYS, f"{ROWS}?key=ned", f"{TABLE}/openapi.json"):
        assert of_one_table.get(path).status_code == 200
    for answer in (
        stranger.get(KEYS),
        of_one_table.get("/tables"),
        of_one_table.get("/tables/projectbudgets"),
        of_one_table.get("/get?user=ned"),
        of_one_table.get("/ingestions"),
        of_one_table.get(KEYS, verb="POST"),
    ):
        assert answer.status_code == 403
        assert "not authorized to perform: execute-api:Invoke" in answer.text


def test_invalid_signature_is_refused(signed: Signed, caller: Credentials) -> None:
    forged = signed.api(Credentials(caller.access_key, "not the secret"))
    unknown = signed.api(Credentials("nobody", "nothing"))

    assert refused(forged.get("/tables"), "signature")
    assert unknown.get("/tables").status_code == 403


def test_signature_is_bound_to_request_and_expires(
    signed: Signed, caller: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = signed.api(caller)
    signer = Signature(lambda: caller, signed.laptop.aws.region)
    request = requests.Request("GET", f"{api.url}/get?user=ned", auth=signer).prepare()
    assert api.session.send(request).status_code == 200

    request.url = f"{api.url}/get?user=arya"
    assert refused(api.session.send(request), "signature")

    an_hour_ago = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda **_: an_hour_ago)
    late = requests.Request("GET", f"{api.url}/tables", auth=signer).prepare()
    assert refused(api.session.send(late), "expired")


def test_documented_curl_command_is_accepted(signed: Signed, caller: Credentials) -> None:
    document = (CHECKOUT / "docs" / "api.md").read_text("utf-8")
    [command] = re.findall(r"^```sh\n(curl .*?)^```$", document, re.MULTILINE | re.DOTALL)
    environment = {
        "PATH": os.environ["PATH"],
        "CURL_CA_BUNDLE": signed.laptop.aws.ca_bundle,
        "AWS_REGION": signed.laptop.aws.region,
        "AWS_ACCESS_KEY_ID": caller.access_key,
        "AWS_SECRET_ACCESS_KEY": caller.secret_key,
        "AWS_SESSION_TOKEN": "",
        "API_URL": signed.url,
    }

    done = subprocess.run(
        ["/bin/sh", "-euc", command], env=environment, capture_output=True, text=True, check=True
    )

    assert json.loads(done.stdout) == signed.api(caller).get(f"{ROWS}?key=ned").json()


@pytest.mark.parametrize("name", PEOPLE)
def test_tm_user_signs_any_name(signed: Signed, caller: Credentials, name: str) -> None:
    aws = signed.laptop.aws
    stack = Stack(
        client=aws.client,
        outputs={},
        apply="",
        table=None,
        landing_bucket="",
        staging_bucket="",
        state_machine_arn="",
        api_url=signed.url,
        api_auth=Signature(lambda: caller, aws.region),
        ca_bundle=aws.ca_bundle,
    )

    [row] = ask(stack, name)

    assert (row["user"], row["hours"]) == (name, "1.50")
    assert signed.api(caller).get(ROWS, key=name).json()["items"] == [row]


def test_cors_allows_configured_origins(signed: Signed, caller: Credentials) -> None:
    api = signed.api(None)

    def preflight(origin: str) -> requests.Response:
        headers = {
            "Origin": origin,
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "authorization,x-amz-date",
        }
        return api.session.options(f"{api.url}{KEYS}", headers=headers)

    allowed = preflight(ORIGIN)
    assert allowed.status_code in {200, 204}
    assert allowed.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "GET" in allowed.headers["Access-Control-Allow-Methods"]
    assert "authorization" in allowed.headers["Access-Control-Allow-Headers"].lower()
    assert "Access-Control-Allow-Origin" not in preflight("https://evil.example.com").headers

    signer = Signature(lambda: caller, signed.laptop.aws.region)
    for origin, allowed_origin in ((ORIGIN, ORIGIN), ("https://evil.example.com", None)):
        answer = api.session.get(f"{api.url}{KEYS}", auth=signer, headers={"Origin": origin})
        assert answer.status_code == 200
        assert answer.headers.get("Access-Control-Allow-Origin") == allowed_origin
    assert api.get(KEYS).headers["Access-Control-Allow-Origin"] == "*"


def test_cors_is_off_by_default(by_key: Api) -> None:
    url = f"{by_key.url}{KEYS}"
    headers = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}

    preflight = by_key.session.options(url, headers=headers)
    answer = by_key.session.get(url, headers=headers, auth=by_key.auth)

    assert preflight.status_code == 403
    assert answer.status_code == 200
    for each in (preflight, answer):
        assert not [name for name in each.headers if name.lower().startswith("access-control")]


def test_second_plan_finds_only_known_drifts(signed: Signed) -> None:
    # This stage has access logs, so the emulator reports no drift of it.
    expected = {at: what for at, what in DRIFTS.items() if at != "aws_api_gateway_stage.prod"}
    assert signed.root.drifts() == expected
