"""Tests that checkov finds planted defects."""

import shutil
from pathlib import Path

import pytest

from tests.checkout import CHECKOUT
from tests.programs import run

pytestmark = pytest.mark.security

# A file, its text and the replacement; the check that must fail.
DEFECTS = {
    "public bucket": (
        ("terraform/storage.tf", "block_public_policy     = true", "block_public_policy = false"),
        "CKV_AWS_54",
    ),
    # checkov checks literal policies only. test_permissions.py checks computed ones.
    "policy that allows everybody": (
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
    "public database": (
        ("terraform/database.tf", "publicly_accessible  = false", "publicly_accessible  = true"),
        "CKV_AWS_17",
    ),
    "topic without the key": (
        ("terraform/alerts.tf", "kms_master_key_id = var.kms_key_arn", "kms_master_key_id = null"),
        "CKV_AWS_26",
    ),
    "image that runs as root": (
        ("functions/Dockerfile", "USER 65534:65534", "USER root"),
        "CKV_DOCKER_8",
    ),
}


@pytest.fixture(scope="module")
def found(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return checkov's output for a copy with all defects."""
    folder = tmp_path_factory.mktemp("planted")
    for name in ("terraform", "functions", "tests/security"):
        shutil.copytree(CHECKOUT / name, folder / name)
    shutil.copy(CHECKOUT / ".checkov.yaml", folder)
    for (name, original, planted), _ in DEFECTS.values():
        text = (folder / name).read_text()
        assert original in text, f"{name} has changed: plant another defect there."
        (folder / name).write_text(text.replace(original, planted, 1))
    done = run(tools / "checkov", cwd=folder)
    assert done.returncode == 1, done.stderr
    return done.stdout


@pytest.mark.parametrize("defect", DEFECTS)
def test_checkov_finds_defect(found: str, defect: str) -> None:
    assert f"Check: {DEFECTS[defect][1]}:" in found
