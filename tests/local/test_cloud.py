import contextlib
import dataclasses
import http.client
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import botocore.exceptions
import filelock
import psutil
import pytest
import requests
from botocore.config import Config

from local import cloud, terraform
from local.errors import LocalError
from local.home import CHECKOUT
from local.postgres import connected
from local.processes import Processes
from local.stack import Aws, LaptopStack
from local.tap import Alert
from shared.ingestion import Source, unmatched_id
from tests.fixtures.laptop import Laptop
from tests.fixtures.pipeline import eventually
from tests.local.test_processes import alive
from tests.programs import Done, run

pytestmark = pytest.mark.programs

TM = Path(sys.executable).with_name("tm")


def test_credentials_are_readable_by_owner_only(laptop: Laptop) -> None:
    secret = ("stack.json", "terraform/main.tf.json")
    for path in (laptop.home, *(laptop.home / each for each in secret)):
        assert path.stat().st_mode & 0o077 == 0, path


def test_tap_gives_every_reader_every_alert(laptop: Laptop) -> None:
    landing = laptop.stack.outputs["landing_bucket"]
    put = laptop.aws.client("s3").put_object(Bucket=landing, Key="of no contract", Body=b"x")
    ingested = unmatched_id(Source(landing, "of no contract", put["VersionId"], 1))

    def seen() -> list[Alert]:
        return [each for each in laptop.tap.alerts() if each.body.get("ingestedID") == ingested]

    eventually(seen)
    assert len(seen()) == 1


def test_topic_refuses_publisher_other_than_alert(laptop: Laptop) -> None:
    """The policy of the topic denies even the root user."""
    with pytest.raises(botocore.exceptions.ClientError, match=r"not authorized .* sns:Publish"):
        laptop.aws.client("sns").publish(
            TopicArn=laptop.stack.outputs["topic_arn"], Message="not from the pipeline"
        )


def test_emulator_answers_over_tls_only(laptop: Laptop) -> None:
    address = laptop.aws.endpoint_url.removeprefix("https://")
    with pytest.raises((OSError, http.client.HTTPException)):
        urllib.request.urlopen(f"http://{address}/_ministack/health", timeout=5)


def _refused(laptop: Laptop, path: str, **headers: str) -> bool:
    url = f"{laptop.aws.endpoint_url}{path}"
    answer = requests.get(url, headers=headers, verify=laptop.aws.ca_bundle, timeout=30)
    return answer.status_code == 403 and "accepts only its own keys" in answer.text


def _presigned(aws: Aws) -> str:
    s3 = aws.client("s3", Config(signature_version="s3v4"))
    return str(s3.generate_presigned_url("list_buckets"))


def test_emulator_refuses_foreign_root_keys(laptop: Laptop) -> None:
    """By itself, ministack accepts these keys as root, and verifies no signature of root."""
    own, session = laptop.aws, f"ASIA{secrets.token_hex(8).upper()}"
    for key in (own.access_key_id, "test", "000000000000", session, "NOBODYKNOWSTHISKEYID"):
        stranger = dataclasses.replace(own, access_key_id=key, secret_access_key="a guess")
        for service, operation in (("s3", "list_buckets"), ("iam", "list_users")):
            with pytest.raises(botocore.exceptions.ClientError, match="accepts only its own keys"):
                getattr(stranger.client(service), operation)()
        presigned = _presigned(stranger)
        assert _refused(laptop, presigned.removeprefix(own.endpoint_url))
        signature = f"AWS4-HMAC-SHA256 Credential={key}/20240101/us-east-1/s3/aws4_request"
        assert _refused(laptop, "/_ministack/sqs/messages", authorization=signature)


@pytest.mark.parametrize(
    "path", ["/", "/_ministack/sqs/messages", "/_localstack/health", "/v2/apis", "/v2/tags/arn"]
)
def test_emulator_refuses_unsigned_request(laptop: Laptop, path: str) -> None:
    assert _refused(laptop, path)


def test_emulator_accepts_presigned_url_of_own_key(laptop: Laptop) -> None:
    assert requests.get(_presigned(laptop.aws), verify=laptop.aws.ca_bundle, timeout=30).ok


@pytest.mark.usefixtures("laptop")
@pytest.mark.parametrize(
    "end",
    [
        signal.SIGINT,
        *(pytest.param(end, marks=pytest.mark.deep) for end in (signal.SIGTERM, signal.SIGKILL)),
    ],
)
def test_interrupted_up_leaves_no_processes(tmp_path: Path, end: signal.Signals) -> None:
    with _starting(tmp_path) as up:
        family = _until_terraform_runs(up)
        up.send_signal(end)
        up.wait()
        if end == signal.SIGKILL:
            # The killed command could not clean up; the next command does.
            assert alive(family)
            assert _tm(tmp_path, "down").stdout == "Down.\n"
        else:
            assert up.returncode == 130
        assert alive(family) == []
        assert not os.path.lexists(tmp_path / "postgres")
        assert "No laptop cloud is running" in _tm(tmp_path, "status").stderr


def test_failed_up_leaves_no_processes_and_names_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "module"
    module.mkdir()
    # The root module pins the provider to a version that this module does not allow.
    older = {"aws": {"source": terraform.PROVIDER, "version": "< 5.100"}}
    (module / "main.tf.json").write_text(json.dumps({"terraform": {"required_providers": older}}))
    (module / "outputs.tf").touch()
    monkeypatch.setattr(cloud, "_MODULE", module)
    home = tmp_path / "home"
    with pytest.raises(LocalError, match=r"`terraform init` failed: .*terraform\.log"):
        cloud.up(home, hard_testing=False, report=print)
    assert Processes(home / "processes").names() == []
    log = (home / "processes" / "terraform.log").read_text()
    assert "locked provider registry.terraform.io/hashicorp/aws 5.100.0 does not match" in log
    assert not os.path.lexists(home / "postgres")


@pytest.mark.deep
def test_up_with_invalid_contract_keeps_cloud_running(tmp_path: Path) -> None:
    contracts, home = tmp_path / "contracts", tmp_path / "home"
    shutil.copytree(CHECKOUT / "contracts", contracts)
    (contracts / "broken.odcs.yaml").write_text("kind: DataContract")
    try:
        with pytest.raises(
            LocalError, match=r"is running, but `migrate` failed: 1 of 3 .* broken\.odcs"
        ):
            cloud.up(home, contracts=contracts, report=print)

        stack = LaptopStack.read(home)
        assert stack is not None
        assert stack.outputs.keys() >= {"landing_bucket", "database_cluster_arn", "api_url"}
        with connected(stack.database) as connection:
            assert connection.run("SELECT * FROM daily_checkins") == []
        wired = stack.aws.client("s3").get_bucket_notification_configuration(
            Bucket=stack.outputs["landing_bucket"]
        )
        assert len(wired["LambdaFunctionConfigurations"]) == 1
        # Without the resource in the state, the next apply calls migrate again.
        state = json.loads((home / "terraform" / "terraform.tfstate").read_text())
        assert "aws_lambda_invocation" not in {each["type"] for each in state["resources"]}
    finally:
        cloud.down(home)


def test_second_command_is_refused_while_first_runs(tmp_path: Path) -> None:
    with filelock.FileLock(tmp_path / "lock"):
        for finished in (_tm(tmp_path, "up"), _tm(tmp_path, "down")):
            assert finished.returncode == 1
            assert finished.stderr.startswith("tm: Another `tm up` or `tm down` is running in")
            assert len(finished.stderr.splitlines()) == 1


def test_down_without_up_succeeds(tmp_path: Path) -> None:
    finished = _tm(tmp_path / "absent", "down")
    assert (finished.returncode, finished.stdout) == (0, "No laptop cloud was running.\n")
    assert not (tmp_path / "absent").exists()


def _tm(home: Path, *arguments: str) -> Done:
    return run(TM, *arguments, env={**os.environ, "TM_HOME": str(home)})


@contextlib.contextmanager
def _starting(home: Path) -> Iterator["subprocess.Popen[str]"]:
    # Background jobs of a shell ignore SIGINT, and child processes inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    environment = {**os.environ, "TM_HOME": str(home)}
    with subprocess.Popen([TM, "up"], env=environment, stdout=subprocess.PIPE, text=True) as up:
        try:
            yield up
        finally:
            up.kill()
            up.wait()
            cloud.down(home)  # a failed test may have left processes


def _until_terraform_runs(up: "subprocess.Popen[str]") -> list[psutil.Process]:
    """Wait until Terraform applies the module; return every process of the cloud."""
    deadline = time.monotonic() + 60
    while True:
        family = psutil.Process(up.pid).children(recursive=True)
        names = [name for process in family if (name := _name(process))]
        if any(name.startswith("terraform-provider") for name in names):
            assert "postgres" in names
            return family
        assert up.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _name(process: psutil.Process) -> str | None:
    try:
        return process.name()
    except psutil.NoSuchProcess:
        return None
