"""Tests of the signatures of `tm user`; `make test-api` verifies them against the API."""

import json
import re
from pathlib import Path

import pytest
import requests
import responses
from botocore.credentials import Credentials

from cli.authorization import Signature
from tests.fixtures.aws import REGION
from tests.fixtures.operator import API, OUTPUTS, deploy, one_line, tm


@pytest.fixture
def with_iam(stack: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stack whose `api_key` is null, which Terraform omits from the outputs."""
    deploy(tmp_path, {k: v for k, v in OUTPUTS.items() if k != "api_key"}, monkeypatch)


@responses.activate
@pytest.mark.usefixtures("with_iam")
def test_request_without_key_is_signed() -> None:
    sent = responses.get(f"{API}/get", json={"response": [], "next": None})

    assert json.loads(tm("user", "ned stark", "--json").stdout) == []

    request = sent.calls[0].request
    assert "x-api-key" not in request.headers
    assert re.fullmatch(
        rf"AWS4-HMAC-SHA256 Credential=\w+/\d{{8}}/{REGION}/execute-api/aws4_request, "
        r"SignedHeaders=host;x-amz-date(;x-amz-security-token)?, Signature=[0-9a-f]{64}",
        request.headers["Authorization"],
    )


@responses.activate
@pytest.mark.usefixtures("with_iam")
def test_missing_credentials_are_reported_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("boto3.Session.get_credentials", lambda _: None)

    assert "credentials" in one_line(tm("user", "ned"))


def test_signature_covers_space_as_sent() -> None:
    signature = Signature(lambda: Credentials("AKIA", "secret", "token"), "eu-west-1")
    request = requests.Request("GET", f"{API}/get", params={"user": "a b+c", "limit": "1"})

    signed = signature(request.prepare())

    assert signed.url == f"{API}/get?user=a%20b%2Bc&limit=1"
    assert signed.headers["X-Amz-Security-Token"] == "token"
