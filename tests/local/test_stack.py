from pathlib import Path

import pytest

from local.errors import LocalError
from local.postgres import Server
from local.stack import Aws, LaptopStack

AWS = Aws("https://127.0.0.1:4566", "us-east-1", "TMKEY", "secret", "/ca.pem")
STACK = LaptopStack(
    aws=AWS,
    outputs={"landing_bucket": "landing", "function_names": {"api": "tm-api"}},
    api_url="https://127.0.0.1:4566/_aws/execute-api/abc/Prod",
    database=Server("127.0.0.1", 5432, "postgres", "secret", "pipeline"),
    tap_url="https://127.0.0.1:4566/0/tap",
)


def test_stack_round_trips(tmp_path: Path) -> None:
    assert (LaptopStack.read(tmp_path), LaptopStack.exists(tmp_path)) == (None, False)
    STACK.write(tmp_path)
    assert (LaptopStack.read(tmp_path), LaptopStack.exists(tmp_path)) == (STACK, True)
    LaptopStack.forget(tmp_path)
    assert LaptopStack.read(tmp_path) is None


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"aws": {}}'])
def test_unreadable_stack_is_reported(tmp_path: Path, content: str) -> None:
    (tmp_path / "stack.json").write_text(content)
    with pytest.raises(LocalError, match=r"stack\.json cannot be read .*: run `tm down`"):
        LaptopStack.read(tmp_path)


def test_client_ignores_users_aws_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config"
    config.write_text("[profile production]\nregion = eu-west-1\nca_bundle = /other.pem\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    for profile in ("production", "absent"):
        monkeypatch.setenv("AWS_PROFILE", profile)
        monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
        client = AWS.client("s3")
        assert client.meta.endpoint_url == AWS.endpoint_url
        assert client.meta.region_name == AWS.region
        assert client.meta.config.proxies == {}
        assert client._request_signer._credentials.access_key == AWS.access_key_id
