"""Imported by the server that forks the children: what it has read, none of them need read."""

import os
from typing import Any

import boto3

import functions.load.handler
import functions.test.handler
import functions.transform.handler  # noqa: F401

# The descriptions of the services take boto3 longest. Nothing of the user's must come into it.
for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
    os.environ.pop(name, None)
os.environ |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
_NOBODY: Any = {
    "region_name": "eu-west-1",
    "aws_access_key_id": "nobody",
    "aws_secret_access_key": "nothing",  # pragma: allowlist secret
}
boto3.resource("dynamodb", **_NOBODY)
boto3.client("s3", **_NOBODY)
boto3.client("secretsmanager", **_NOBODY)
