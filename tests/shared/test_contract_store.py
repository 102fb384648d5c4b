"""Contract sets in the config bucket, as Terraform and `migrate` write them."""

import functools
from typing import TYPE_CHECKING, Any
from unittest import mock

import boto3
import botocore.exceptions
import pytest

from shared import contract_store
from shared.contract_store import fetch, keep
from shared.errors import ContractsMissing, ContractsUnavailable
from shared.ingestion import Run
from shared.odcs import CONTRACTS
from shared.settings import ContractSettings
from tests.fixtures.aws import CONFIG, CONTRACTS_HASH, DEPLOYED, REGION, deploy_contracts, packed

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FORMER = packed(CONTRACTS).replace(b"version: 1.0.0", b"version: 0.9.0")


@pytest.fixture
def config(aws: None) -> "S3Client":
    deploy_contracts(DEPLOYED)
    return boto3.client("s3", region_name=REGION)


def refuse_get_object(config: "S3Client", monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    answer: Any = {"Error": {"Code": code, "Message": "not authorized"}}
    refusal = botocore.exceptions.ClientError(answer, "GetObject")
    monkeypatch.setattr(config, "get_object", mock.Mock(side_effect=refusal))


def test_keep_makes_replaced_set_readable(config: "S3Client") -> None:
    former = deploy_contracts(FORMER)
    keep(CONFIG)
    config.delete_object(Bucket=CONFIG, Key=f"deployed/{former}.json")

    assert fetch(config, CONFIG, former)["dailycheckins"].version == "0.9.0"
    assert fetch(config, CONFIG, CONTRACTS_HASH)["dailycheckins"].version == "1.0.0"


def test_keep_renews_existing_copy(config: "S3Client") -> None:
    """S3 counts the 30 days from the last write."""
    keep(CONFIG)
    key = f"kept/{CONTRACTS_HASH}.json"
    before = config.head_object(Bucket=CONFIG, Key=key)["LastModified"]
    config.put_object(Bucket=CONFIG, Key=key, Body=b"", Metadata={"old": "yes"})
    keep(CONFIG)
    after = config.head_object(Bucket=CONFIG, Key=key)
    assert after["Metadata"] == {}
    assert after["LastModified"] >= before


def test_run_uses_contracts_with_which_it_began(
    config: "S3Client", monkeypatch: pytest.MonkeyPatch
) -> None:
    former = deploy_contracts(FORMER)
    settings = ContractSettings(config_bucket=CONFIG, contracts_hash=CONTRACTS_HASH)

    def version(contracts: str | None) -> str:
        run = Run("arn", contracts=contracts)
        return contract_store.of_run(settings, run)["dailycheckins"].version

    fresh = functools.cache(contract_store._once.__wrapped__)
    monkeypatch.setattr(contract_store, "_once", fresh)
    assert version(former) == "0.9.0"
    assert version(CONTRACTS_HASH) == version(None) == "1.0.0"
    monkeypatch.setattr(contract_store, "fetch", None)
    assert version(former) == "0.9.0", "a process reads a set once"


def test_fetch_reports_missing_set(config: "S3Client") -> None:
    with pytest.raises(
        ContractsMissing, match=r"cannot read the contracts 0{64} from s3://tm-config"
    ):
        fetch(config, CONFIG, 64 * "0")


def test_fetch_refuses_overwritten_set(config: "S3Client") -> None:
    config.put_object(Bucket=CONFIG, Key=f"deployed/{CONTRACTS_HASH}.json", Body=FORMER)
    with pytest.raises(
        ContractsMissing, match="was overwritten: its SHA-256 does not match its name"
    ):
        fetch(config, CONFIG, CONTRACTS_HASH)


@pytest.mark.parametrize(
    ("code", "error"),
    [("SlowDown", ContractsUnavailable), ("NoSuchBucket", botocore.exceptions.ClientError)],
)
def test_only_temporary_errors_of_s3_become_contracts_unavailable(
    config: "S3Client", monkeypatch: pytest.MonkeyPatch, code: str, error: type[Exception]
) -> None:
    refuse_get_object(config, monkeypatch, code)
    with pytest.raises(error):
        fetch(config, CONFIG, CONTRACTS_HASH)
    monkeypatch.setattr(contract_store, "_client", lambda: config)
    with pytest.raises(error):
        keep(CONFIG)


def test_denied_access_becomes_contracts_unavailable(
    config: "S3Client", monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new permission in IAM takes some seconds to have an effect."""
    refuse_get_object(config, monkeypatch, "AccessDenied")
    with pytest.raises(ContractsUnavailable, match=r"s3://tm-config.*: deployed/.*not authorized"):
        fetch(config, CONFIG, CONTRACTS_HASH)
