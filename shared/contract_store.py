"""The contract sets of a stack: the deployed one, and former ones that runs still use.

Terraform writes the deployed set to `deployed/<SHA-256>.json` in the stack's bucket `config`, and
replaces it when a contract changes. A run that began before goes on with the set that it began
with: `migrate` copies each set to `kept/<SHA-256>.json`, both when it is deployed and again when
it is replaced, and S3 deletes a copy after 30 days (terraform/storage.tf). That is longer than an
execution can be redriven, which is 14 days:
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
"""S3 answers so to those who may not list the bucket, also of a key that is not there. And so it
does for some seconds after a role was given its permission:
https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency"""


# A function that cannot reach S3 must say so before it is stopped for taking too long.
_CONFIG = Config(connect_timeout=3, read_timeout=10, retries={"total_max_attempts": 3})


def prefetch(settings: type[ContractSettings]) -> None:
    """Read the deployed set when the module is imported; the call tries again if that fails.

    While Lambda initialises a function, a small one has more of a processor than later: people have
    measured that, AWS does not document it.
    """
    with contextlib.suppress(PipelineError, botocore.exceptions.BotoCoreError, ClientError):
        deployed(read(settings))


def deployed(settings: ContractSettings) -> Contracts:
    """Return the deployed contracts, and name their version in each line of the log from here on.

    Raises:
        ContractsUnavailable: S3 did not answer, or does not let us read.
        ContractsMissing: the set is not there, or is not the one that its name says.
    """
    return _contracts(settings.config_bucket, settings.contracts_hash)


def of_run(settings: ContractSettings, run: Run) -> Contracts:
    """Return the contracts that a run began with; the deployed ones if its input names none.

    Raises: as `deployed` does.
    """
    return _contracts(settings.config_bucket, run.contracts or settings.contracts_hash)


def fetch(s3: "S3Client", bucket: str, digest: str) -> Contracts:
    """Return a set of contracts by its SHA-256.

    Raises: as `deployed` does.
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
                f"s3://{bucket}/{key} does not hold the contracts that its name says: somebody "
                f"has overwritten it. `aws s3 rm s3://{bucket}/{key}`, then `terraform apply`"
            )
        return Contracts.unpacked(content)
    raise error_type(
        f"the contracts {digest} are neither deployed nor kept in s3://{bucket}, or may not be "
        f"read: {'; '.join(refusals)}. If they are the deployed ones, run `terraform apply`. A "
        "former set is kept for 30 days: `tm replay` runs the ingestion with the deployed one"
    )


def keep(bucket: str) -> None:
    """Copy what is deployed in a bucket, so that runs may read it for 30 days more.

    While a set is being replaced, Terraform's former object is still there: it is copied too.

    Raises:
        ContractsUnavailable: S3 did not answer.
    """
    s3 = _client()
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=_DEPLOYED)
    with unavailable(f"s3://{bucket}/{_DEPLOYED}", ContractsUnavailable):
        for each in [each for page in pages for each in page.get("Contents", ())]:
            # Not CopyObject: it copies the tags too, for which it needs two more permissions.
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
