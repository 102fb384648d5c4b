"""The running API does what its document says, by schemathesis with all of its checks."""

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

SECONDS = "30"
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")


def schemathesis(by_key: Api, folder: Path, seed: str, document: Path, configuration: Path) -> None:
    """Run all checks, print what was done, and fail with all that was said."""
    assert isinstance(by_key.auth, Key)
    done = subprocess.run(
        [
            tool_of("TM_TEST_SCHEMATHESIS"),
            *("--config-file", configuration),
            "run",
            document,
            *("--url", by_key.url),
            *("--tls-verify", by_key.ca_bundle),
            *("--header", f"x-api-key: {by_key.auth.value}"),
            *("--checks", "all"),
            *("--seed", seed),
            *("--max-time", SECONDS),
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
def a_document(by_key: Api, request: pytest.FixtureRequest) -> dict[str, Any]:
    """The one that is open to everybody, or that of a table."""
    found: dict[str, Any] = by_key.get(f"{request.param}/openapi.json").json()
    return found


def written(document: dict[str, Any], folder: Path) -> Path:
    path = folder / "openapi.json"
    path.write_text(json.dumps(document))
    return path


def test_everything_that_a_document_allows_is_taken(
    by_key: Api, a_document: dict[str, Any], filled: Pipeline, tmp_path: Path, seed: str
) -> None:
    """Without cursors, which are taken only where they were given, and of a run that there was.

    Of a table, the open document knows neither the names of the parameters nor which there is.
    """
    paths = a_document["paths"]
    for path in [path for path in paths if path == "/get" or "{table}" in path]:
        del paths[path]
    for operations in paths.values():
        parameters = operations["get"].get("parameters", [])
        parameters[:] = [each for each in parameters if each["name"] != "cursor"]

    [item, *_] = filled.log.with_status(Status.SUCCESS)
    its_own = tmp_path / "schemathesis.toml"
    its_own.write_text(
        '[[operations]]\ninclude-path = "/ingestions/{id}"\n'
        f"parameters = {{ id = {json.dumps(item['ingestedID'])} }}\n"
    )

    schemathesis(by_key, tmp_path, seed, written(a_document, tmp_path), its_own)


def test_every_answer_is_one_that_a_document_names(
    by_key: Api, a_document: dict[str, Any], tmp_path: Path, seed: str
) -> None:
    schemathesis(by_key, tmp_path, seed, written(a_document, tmp_path), CONFIGURATION)
