"""Imports and clients that the fork server loads once for all children."""

import os
from typing import Any

import boto3

import functions.load.handler
import functions.test.handler
import functions.transform.handler  # noqa: F401

# boto3 spends most of the time on its service models. No configuration of the user may be read.
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
