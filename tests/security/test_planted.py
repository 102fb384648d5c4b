"""`make security` finds what is planted: each of its tools can fail."""

import shutil

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
