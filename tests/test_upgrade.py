"""Tests of the upgrade of a stack with data from an older version.

An older commit of this repository starts a laptop cloud and loads data. Then this version is
applied to the same cloud.
"""

import json
import os
import subprocess
import sysconfig
import tarfile
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local import cloud
from local.stack import LaptopStack
from tests.checkout import CHECKOUT
from tests.fixtures.laptop import Laptop
from tests.fixtures.pipeline import Pipeline
from tests.programs import Done, run

pytestmark = [pytest.mark.git, pytest.mark.timeout(900)]

BEFORE = "33afb1ea8cc4890abf94e4499690052f56e9fe54"  # pragma: allowlist secret
"""The last commit before contracts became an input of the module."""
ROWS = [f"ned,2024-03-03 1{n}:00:00 UTC,{n},wall" for n in range(3)]


class Former:
    """The older version: a checkout and its laptop cloud."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.home = folder, folder / "home"
        self._checkout = folder / "checkout"
        archive = folder / "checkout.tar"
        subprocess.run(["git", "archive", "--output", archive, BEFORE], cwd=CHECKOUT, check=True)
        with tarfile.open(archive) as tar:
            tar.extractall(self._checkout, filter="data")
        # An environment with that checkout and the packages of this environment.
        venv.create(folder / "venv", symlinks=True)
        self._python = folder / "venv" / "bin" / "python"
        [packages] = (folder / "venv" / "lib").glob("python*/site-packages")
        paths = [str(self._checkout), sysconfig.get_path("purelib")]
        (packages / "former.pth").write_text("\n".join(paths))

    def tm(self, *arguments: str | Path) -> Done:
        program = "from cli.main import app; app()"
        environment = {**os.environ, "TM_HOME": str(self.home)}
        return run(self._python, "-c", program, *arguments, cwd=self._checkout, env=environment)

    def drop(self, name: str, *rows: str) -> Done:
        """Upload a file and follow it until its run ends."""
        file = self._folder / name
        file.write_text("\n".join(["user,timestamp,hours,project", *rows]))
        return self.tm("drop", file, "--date", "2024-03-03", "--follow")


class Upgraded:
    """The cloud after the upgrade."""

    def __init__(self, former: Former) -> None:
        done = former.tm("up")
        assert done.returncode == 0, done.stdout + done.stderr
        assert former.drop("loaded.csv", *ROWS).returncode == 0
        stack = LaptopStack.read(former.home)
        assert stack is not None
        # This run fails in Load and leaves its staged parts. migrate grants INSERT again.
        before = Pipeline(Laptop(former.home, stack))
        before.query("REVOKE INSERT ON daily_checkins FROM loader")
        assert former.drop("broken.csv", "jon,2024-03-03 10:00:00 UTC,1,wall").returncode == 1

        self.pipeline = Pipeline(Laptop(former.home, cloud.up(former.home, report=print)))

    def items(self) -> dict[str, dict[str, Any]]:
        """Return the log items in `tm status --json` by file name."""
        shown = self.pipeline.laptop.tm("status", "--json")
        return {each["sourceKey"].rpartition("/")[2]: each for each in json.loads(shown.stdout)}


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgraded]:
    former = Former(tmp_path_factory.mktemp("former"))
    try:
        yield Upgraded(former)
    finally:
        cloud.down(former.home)


def test_upgrade_keeps_loaded_rows(upgraded: Upgraded) -> None:
    answer = upgraded.pipeline.get("/get", user="ned")
    assert [row["hours"] for row in answer.json()["response"]] == ["0.00", "1.00", "2.00"]
    doctor = upgraded.pipeline.laptop.tm("doctor", "--json")
    wrong = {each["check"] for each in json.loads(doctor.stdout) if each["verdict"] == "wrong"}
    assert wrong <= {"failures"}, doctor.stdout


def test_upgrade_keeps_log_readable(upgraded: Upgraded) -> None:
    items = upgraded.items()
    assert {name: item["status"] for name, item in items.items()} == {
        "loaded.csv": "success",
        "broken.csv": "fail",
    }
    for item in items.values():
        assert "contracts" not in item
        assert upgraded.pipeline.laptop.tm("status", item["ingestedID"]).returncode == 0


def test_staged_parts_of_old_version_are_loaded(upgraded: Upgraded) -> None:
    """Load is called like in a redrive, which the emulator does not support."""
    item = upgraded.items()["broken.csv"]
    client = upgraded.pipeline.laptop.aws.client("stepfunctions")
    history = client.get_execution_history(executionArn=item["executionArn"], reverseOrder=True)
    [entered, *_] = [
        event["stateEnteredEventDetails"]
        for event in history["events"]
        if event["type"] == "TaskStateEntered"
    ]
    assert entered["name"] == "Load"
    execution = {"arn": item["executionArn"], "redrive": 1}

    verdict = upgraded.pipeline.invoke(
        "load", json.loads(entered["input"]) | {"execution": execution}
    )

    assert (verdict["outcome"], verdict["rowsLoaded"]) == ("ok", 1)


def test_ingestion_of_old_version_can_be_replayed(upgraded: Upgraded) -> None:
    item = upgraded.items()["loaded.csv"]
    done = upgraded.pipeline.laptop.tm("replay", item["ingestedID"], "--follow")
    assert done.returncode == 0, done.stdout + done.stderr
    now = upgraded.items()["loaded.csv"]
    assert (now["attempt"], now["contracts"]) == (2, upgraded.pipeline.outputs["contracts_hash"])
