"""Whether AWS answers us, and takes us for whom we should be."""

import datetime as dt
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import botocore.exceptions

from cli.errors import AWS_ERRORS
from cli.health.finding import Finding, ok, unknown, warning, wrong
from cli.stack import Stack

_REFUSED = dt.timedelta(minutes=5)
"""From this skew on AWS refuses what we sign."""
_ODD = dt.timedelta(minutes=1)


def clock(stack: Stack) -> Iterator[Finding]:
    """Compare this machine's clock with that of AWS, as an answer's header has it."""
    before = now()
    try:
        answer: Any = stack.client("sts").get_caller_identity()
    except botocore.exceptions.ClientError as error:
        answer = error.response
    except botocore.exceptions.NoCredentialsError:
        yield unknown("without credentials AWS is not asked for the time", "see credentials")
        return
    header = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    if header is None:
        yield unknown("the answer of AWS bears no time", "nothing, if all else works")
        return
    skew = before + (now() - before) / 2 - parsedate_to_datetime(header)
    told = f"{abs(skew).total_seconds():,.0f} s {'fast' if skew > dt.timedelta() else 'slow'}"
    if abs(skew) >= _REFUSED:
        yield wrong(
            f"this machine's clock is {told}: AWS refuses what is signed more than 5 minutes off",
            "let it be set from the network: `sudo timedatectl set-ntp true`",
        )
    elif abs(skew) >= _ODD:
        yield warning(f"this machine's clock is {told}", "`sudo timedatectl set-ntp true`")
    else:
        yield ok("this machine's clock is AWS's")


def credentials(stack: Stack) -> Iterator[Finding]:
    """See who we are, and whether the stack is in our account."""
    log_in = (
        "run `tm down`, then `tm up`"
        if stack.is_laptop
        else "log in, e.g. `aws sso login`, and name the profile in AWS_PROFILE"
    )
    try:
        caller = stack.client("sts").get_caller_identity()
    except AWS_ERRORS as error:
        yield wrong(str(error), log_in)
        return
    account = stack.state_machine_arn.split(":")[4]
    if caller["Account"] != account:
        yield wrong(
            f"you are {caller['Arn']}, but the stack is in account {account}",
            f"use credentials of account {account}, e.g. by AWS_PROFILE",
        )
    else:
        yield ok(str(caller["Arn"]))


def now() -> dt.datetime:
    """Return the time, as this machine has it."""
    return dt.datetime.now(dt.UTC)
