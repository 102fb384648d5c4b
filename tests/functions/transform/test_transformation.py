from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from functions.transform.transformation import transform
from shared import parquet
from shared.contract import Contract, HeaderPolicy
from shared.endings import Outcome
from shared.ingestion import Ingestion
from shared.odcs import load_all
from shared.staging import Staging
from shared.verdict import Verdict
from tests.fixtures.aws import STAGING, land

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONTRACT = load_all()["dailycheckins"]
AT = "2019-09-27 00:00:00 UTC"
HEADER = b"user,timestamp,hours,project\r\n"


@pytest.fixture
def staging(s3: "S3Client") -> Staging:
    ingestion: Ingestion = land(s3, b"")
    return Staging(STAGING, ingestion)


def chunks(body: bytes, size: int) -> Iterator[bytes]:
    return (body[i : i + size] for i in range(0, len(body), size))


@pytest.mark.parametrize("size", [150, 1000])
def test_every_row_is_clean_or_suspect(size: int, staging: Staging) -> None:
    body = HEADER + "\r\n".join(f"ned,{AT},{n % 7 or 'x'},p" for n in range(100)).encode()

    verdict = transform(chunks(body, size), CONTRACT, staging)

    assert verdict.outcome == Outcome.OK
    assert verdict.counts["rowsRead"] == 100
    assert verdict.counts["rowsClean"] == 85
    assert verdict.counts["rowsSuspect"] == 15
    clean = [parquet.read(uri) for uri in parquet.parts(staging.clean_prefix)]
    suspect = [parquet.read(uri) for uri in parquet.parts(staging.suspect_prefix)]
    assert len(clean) == verdict.counts["parts"]
    assert len(suspect) == verdict.counts["suspectParts"]
    lines = [line for part in clean + suspect for line in part["line"].to_pylist()]
    assert sorted(lines) == list(range(2, 102))
    assert [line for part in clean for line in part["line"].to_pylist()] == sorted(
        line for part in clean for line in part["line"].to_pylist()
    )


def test_a_second_try_leaves_nothing_of_the_first(staging: Staging) -> None:
    rows = b"".join(f"ned,{AT},1,p\r\n".encode() for _ in range(50))
    transform(chunks(HEADER + rows, 100), CONTRACT, staging)

    verdict = transform(chunks(HEADER + rows, 100_000), CONTRACT, staging)

    assert verdict.counts["parts"] == 1
    assert len(parquet.parts(staging.clean_prefix)) == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the file is empty"),
        (HEADER, "the file holds a header and no row"),
        (HEADER + b"\r\n\r\n", "the file holds a header and no row"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "line 1 is not utf-8 text: byte 0x89"),
        (HEADER + f"ned,{AT},1,p\r\n".encode() + b"n\xe9d,", "line 3 is not utf-8 text: byte 0xe9"),
        (b"name,when\n1,2\n", "missing: 'hours', 'project', 'timestamp', 'user'; unknown: 'name'"),
        (b"user,timestamp,hours\nx,y,z\n", "line 1 is not the header of dailycheckins"),
        (b"user,timestamp,hours,project,user\n", "repeated: 'user'"),
        (b"user;timestamp;hours;project\n", "unknown: 'user;timestamp;hours;project'"),
    ],
)
def test_a_file_that_is_not_the_contracts_is_refused(
    body: bytes, reason: str, staging: Staging
) -> None:
    verdict = transform(chunks(body, 64), CONTRACT, staging)

    assert verdict.outcome == Outcome.REFUSED
    assert reason in str(verdict.reason)
    assert verdict == Verdict(Outcome.REFUSED, verdict.reason)


def policy(**changes: str) -> Contract:
    return CONTRACT.model_copy(update={"header_policy": HeaderPolicy.model_validate(changes)})


def test_columns_that_are_ignored_when_the_contract_says_so(staging: Staging) -> None:
    body = f"extra,user,timestamp,hours,project,extra\nx,ned,{AT},1,p,y\n".encode()

    assert transform([body], policy(), staging).outcome == Outcome.REFUSED
    verdict = transform([body], policy(unknown="ignore"), staging)

    assert verdict.outcome == Outcome.OK
    (uri,) = parquet.parts(staging.clean_prefix)
    assert parquet.read(uri).column_names == [*CONTRACT.physical_names, "line"]
    assert parquet.read(uri)["username"].to_pylist() == ["ned"]


def test_an_order_that_the_contract_asks_for(staging: Staging) -> None:
    body = f"timestamp,user,hours,project\n{AT},ned,1,p\n".encode()

    assert transform([body], policy(order="any"), staging).outcome == Outcome.OK
    verdict = transform([body], policy(order="contract"), staging)

    assert verdict.outcome == Outcome.REFUSED
    assert "in another order" in str(verdict.reason)


def test_a_header_of_many_columns_is_refused_in_few_words(staging: Staging) -> None:
    """What is said of one column leaves room for what is said of the others."""
    names = ["user", *(f"колонка {number}" for number in range(9_990)), "\x1b[31m", "user"]
    body = ",".join(names).encode()

    verdict = transform([body], CONTRACT, staging)

    assert verdict.outcome == Outcome.REFUSED
    assert verdict.reason == (
        "line 1 is not the header of dailycheckins (user,timestamp,hours,project): "
        "missing: 'hours', 'project', 'timestamp'; unknown: '\\x1b[31m', 'колонка 0', 'колонка 1', "
        "'колонка 10', 'колонка 100', 'колонка 1000', 'колонка 1001', 'колонка 1002', "
        "'колонка 1003', 'колонка 1004', … (9,981 more); repeated: 'user'"
    )


def test_a_name_of_many_characters_is_cut(staging: Staging) -> None:
    header = b"user,timestamp,hours,project," + b"x" * 100_000

    assert transform([header], CONTRACT, staging).reason == (
        "line 1 is not the header of dailycheckins (user,timestamp,hours,project): "
        "unknown: 'xxxxxxxxxxxxxxxxxxxxxx… (99,979 more characters)"
    )
