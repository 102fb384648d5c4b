"""Contract sets in the config bucket: the deployed one, and former ones that runs still use.

Terraform writes the deployed set to `deployed/<SHA-256>.json` and replaces it when a contract
changes. A run keeps the set with which it began. For this, `migrate` copies each set to
`kept/<SHA-256>.json` when it is deployed, and again when it is replaced. S3 deletes a copy after
30 days (terraform/storage.tf), and an execution can be redriven for 14 days:
https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html
"""

import contextlib
import functools
import hashlib
from typing import TYPE_CHECKING

import boto3
import botocore.exceptions
from botocore.config import Config
from botocore.exceptions import ClientError

from shared.contract_set import Contracts
from shared.errors import ContractsMissing, ContractsUnavailable, PipelineError
from shared.ingestion import Run
from shared.s3 import unavailable
from shared.settings import ContractSettings, read
from shared.telemetry import logger

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_DEPLOYED, _KEPT = "deployed/", "kept/"
_NOT_THERE = {"403", "404", "AccessDenied", "NoSuchKey"}
_DENIED = {"403", "AccessDenied"}
"""Without s3:ListBucket, S3 also returns these for a missing key. IAM may need some seconds until
a new permission takes effect, and S3 returns these until then:
https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency"""


# Short timeouts, so that a function without access to S3 reports this before it times out.
_CONFIG = Config(connect_timeout=3, read_timeout=10, retries={"total_max_attempts": 3})


def prefetch(settings: type[ContractSettings]) -> None:
    """Read the deployed set during the import of a handler; ignore errors.

    The invocation reads it again after an error. Measurements show that a small function has more
    CPU during its initialization, although AWS does not document this.
    """
    with contextlib.suppress(PipelineError, botocore.exceptions.BotoCoreError, ClientError):
        deployed(read(settings))


def deployed(settings: ContractSettings) -> Contracts:
    """Return the deployed contracts, and add their hash to all following log lines.

    Raises:
        ContractsUnavailable: S3 did not answer, or denied access.
        ContractsMissing: the set is missing, or does not match the hash in its name.
    """
    return _contracts(settings.config_bucket, settings.contracts_hash)


def of_run(settings: ContractSettings, run: Run) -> Contracts:
    """Return the contracts with which a run began; the deployed ones if its input names none.

    Raises the same errors as `deployed`.
    """
    return _contracts(settings.config_bucket, run.contracts or settings.contracts_hash)


def fetch(s3: "S3Client", bucket: str, digest: str) -> Contracts:
    """Return the contract set with this SHA-256 from a config bucket.

    Raises the same errors as `deployed`.
    """
    refusals: list[str] = []
    error_type: type[PipelineError] = ContractsMissing
    for folder in (_DEPLOYED, _KEPT):
        key = f"{folder}{digest}.json"
        try:
            content = _read(s3, bucket, key)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _NOT_THERE:
                raise
            refusals.append(f"{key}: {error}")
            if error.response["Error"]["Code"] in _DENIED:
                error_type = ContractsUnavailable
            continue
        if hashlib.sha256(content).hexdigest() != digest:
            raise ContractsMissing(
                f"s3://{bucket}/{key} was overwritten: its SHA-256 does not match its name. Run "
                f"`aws s3 rm s3://{bucket}/{key}`, then `terraform apply`"
            )
        return Contracts.unpacked(content)
    raise error_type(
        f"cannot read the contracts {digest} from s3://{bucket}: {'; '.join(refusals)}. If they "
        "are the deployed ones, run `terraform apply`. Former contracts are kept for 30 days: "
        "`tm replay` runs the ingestion with the deployed ones"
    )


def keep(bucket: str) -> None:
    """Copy the deployed set of a config bucket, so that runs can read it for 30 more days.

    During a replacement, the former set still exists and is copied too.
    """
    s3 = _client()
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=_DEPLOYED)
    with unavailable(f"s3://{bucket}/{_DEPLOYED}", ContractsUnavailable):
        for each in [each for page in pages for each in page.get("Contents", ())]:
            # Not CopyObject, which also copies tags and so needs two more permissions.
            content = _read(s3, bucket, each["Key"])
            key = _KEPT + each["Key"].removeprefix(_DEPLOYED)
            s3.put_object(Bucket=bucket, Key=key, Body=content, ContentType="application/json")


@functools.cache
def _once(bucket: str, digest: str) -> Contracts:
    return fetch(_client(), bucket, digest)


def _client() -> "S3Client":
    return boto3.client("s3", config=_CONFIG)


def _contracts(bucket: str, digest: str) -> Contracts:
    logger.append_keys(contracts=digest)
    return _once(bucket, digest)


def _read(s3: "S3Client", bucket: str, key: str) -> bytes:
    with unavailable(f"s3://{bucket}/{key}", ContractsUnavailable):
        return s3.get_object(Bucket=bucket, Key=key)["Body"].read()
