"""`make security` finds what is planted: each of its tools can fail."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.fixtures.security import ROOT, Tools

pytestmark = pytest.mark.security

# Where it is planted; what stands there, and what takes its place; the check that must fail.
DEFECTS = {
    "a bucket that may become public": (
        ("terraform/storage.tf", "block_public_policy     = true", "block_public_policy = false"),
        "CKV_AWS_54",
    ),
    # Where a policy is written out. Those that the module computes are the tests' of permissions.
    "a policy that lets anybody in": (
        (
            "terraform/storage.tf",
            'resource "aws_s3_bucket_policy" "this" {',
            """resource "aws_s3_bucket_policy" "planted" {
  bucket = "planted"
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = "*", Action = "s3:GetObject", Resource = "*" }]
  })
}

resource "aws_s3_bucket_policy" "this" {""",
        ),
        "CKV_AWS_70",
    ),
    "a database on the internet": (
        ("terraform/database.tf", "publicly_accessible  = false", "publicly_accessible  = true"),
        "CKV_AWS_17",
    ),
    "a topic without the key": (
        ("terraform/alerts.tf", "kms_master_key_id = var.kms_key_arn", "kms_master_key_id = null"),
        "CKV_AWS_26",
    ),
    "an image that runs as root": (
        ("functions/Dockerfile", "USER 65534:65534", "USER root"),
        "CKV_DOCKER_8",
    ),
}


@pytest.fixture(scope="module")
def found(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What checkov says of a copy with all the defects in it."""
    folder = tmp_path_factory.mktemp("planted")
    for name in ("terraform", "functions", "tests/security"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / ".checkov.yaml", folder)
    for (name, stands, planted), _ in DEFECTS.values():
        text = (folder / name).read_text()
        assert stands in text, f"{name} has changed: plant another defect there."
        (folder / name).write_text(text.replace(stands, planted, 1))
    done = tools.run("checkov", folder=folder)
    assert done.returncode == 1, done.stderr
    return done.stdout


@pytest.mark.parametrize("defect", DEFECTS)
def test_checkov_finds(found: str, defect: str) -> None:
    assert f"Check: {DEFECTS[defect][1]}:" in found


# In two parts, or they would be found right here.
SECRETS = {
    "AWS Access Key": "key = 'AKIA" + "2OGYBAH6STMMNXNN'",
    "Private Key": "-----BEGIN RSA " + "PRIVATE KEY-----",
    "Base64 High Entropy String": "value = 'vK3dXq8Jm2LpTzR7" + "wYbN5cGhEaUfSi0o9QkMjVtZ'",
    "Secret Keyword": "pass" + "word = 'hunter2-but-longer'",
    "Basic Auth Credentials": "https://user:" + "s3cr3tw0rd@example.com/simple",
}


def scan(folder: Path, text: str) -> "subprocess.CompletedProcess[str]":
    """Let the secret scan look at a file."""
    path = folder / "planted.py"
    path.write_text(text + "\n")
    return subprocess.run(
        [*shlex.split(os.environ["TM_TEST_SCAN"]), path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("kind", SECRETS)
def test_the_secret_scan_finds(tmp_path: Path, kind: str) -> None:
    done = scan(tmp_path, SECRETS[kind])
    assert done.returncode == 1, done.stderr
    assert kind in done.stdout


def test_the_secret_scan_passes_what_holds_none(tmp_path: Path) -> None:
    done = scan(tmp_path, "greeting = 'hello'")
    assert done.returncode == 0, done.stdout
