"""The running API conforms to its OpenAPI documents, tested by schemathesis with all checks."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cli.authorization import Key
from shared.endings import Status
from tests.api.conftest import TABLE, Api, tool_of
from tests.fixtures.pipeline import Pipeline

pytestmark = [pytest.mark.api, pytest.mark.usefixtures("untouched")]

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")


def schemathesis(
    by_key: Api, folder: Path, seed: str, document: dict[str, Any], configuration: Path
) -> None:
    """Run all checks and print the summary; fail with the whole output."""
    assert isinstance(by_key.auth, Key)
    (folder / "openapi.json").write_text(json.dumps(document))
    done = subprocess.run(
        [
            tool_of("TM_TEST_SCHEMATHESIS"),
            *("--config-file", configuration),
            *("run", "openapi.json"),
            *("--url", by_key.url),
            *("--tls-verify", by_key.ca_bundle),
            *("--header", f"x-api-key: {by_key.auth.value}"),
            *("--checks", "all"),
            *("--seed", seed),
            *("--max-time", "30"),
        ],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if "proxy" not in name.lower()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    print("\nschemathesis" + done.stdout.partition("= SUMMARY =")[2])


@pytest.fixture
def seed(pytestconfig: pytest.Config) -> str:
    return str(pytestconfig.option.hypothesis_seed)


@pytest.fixture(params=["", TABLE])
def a_document(by_key: Api, request: pytest.FixtureRequest) -> Any:
    """The public document, or the document of a table."""
    return by_key.get(f"{request.param}/openapi.json").json()


def test_api_accepts_all_documented_requests(
    by_key: Api, a_document: dict[str, Any], filled: Pipeline, tmp_path: Path, seed: str
) -> None:
    """Cursors are left out, and the ID of an ingestion is given, because neither can be generated.

    Table routes of the public document are left out because it does not name their parameters.
    """
    paths = a_document["paths"]
    for path in [path for path in paths if path == "/get" or "{table}" in path]:
        del paths[path]
    for operations in paths.values():
        parameters = operations["get"].get("parameters", [])
        parameters[:] = [each for each in parameters if each["name"] != "cursor"]

    [item, *_] = filled.log.with_status(Status.SUCCESS)
    configuration = tmp_path / "schemathesis.toml"
    configuration.write_text(
        '[[operations]]\ninclude-path = "/ingestions/{id}"\n'
        f"parameters = {{ id = {json.dumps(item['ingestedID'])} }}\n"
    )

    schemathesis(by_key, tmp_path, seed, a_document, configuration)


def test_api_returns_only_documented_responses(
    by_key: Api, a_document: dict[str, Any], tmp_path: Path, seed: str
) -> None:
    schemathesis(by_key, tmp_path, seed, a_document, CONFIGURATION)
