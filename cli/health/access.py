"""Checks of access to AWS: this machine's clock and the caller's credentials."""

import datetime as dt
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import botocore.exceptions

from cli.errors import AWS_ERRORS
from cli.health.finding import Finding, ok, unknown, warning, wrong
from cli.stack import Stack

_REFUSED = dt.timedelta(minutes=5)  # from this skew on, AWS refuses signed requests
_SUSPICIOUS = dt.timedelta(minutes=1)


def clock(stack: Stack) -> Iterator[Finding]:
    """Compare this machine's clock with the `Date` header of an AWS response."""
    before = now()
    try:
        answer: Any = stack.client("sts").get_caller_identity()
    except botocore.exceptions.ClientError as error:
        answer = error.response
    except botocore.exceptions.NoCredentialsError:
        yield unknown("without credentials, the time of AWS is unknown", "fix credentials first")
        return
    header = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    if header is None:
        yield unknown("the response of AWS has no Date header", "nothing, if all else is ok")
        return
    skew = before + (now() - before) / 2 - parsedate_to_datetime(header)
    offset = f"{abs(skew).total_seconds():,.0f} s {'fast' if skew > dt.timedelta() else 'slow'}"
    if abs(skew) >= _REFUSED:
        yield wrong(
            f"this machine's clock is {offset}: AWS refuses requests from 5 minutes on",
            "synchronize the clock: `sudo timedatectl set-ntp true`",
        )
    elif abs(skew) >= _SUSPICIOUS:
        yield warning(f"this machine's clock is {offset}", "`sudo timedatectl set-ntp true`")
    else:
        yield ok("this machine's clock agrees with AWS")


def credentials(stack: Stack) -> Iterator[Finding]:
    """Check that the credentials are valid and belong to the stack's account."""
    log_in = (
        "run `tm down`, then `tm up`"
        if stack.is_laptop
        else "log in, e.g. with `aws sso login`, and set AWS_PROFILE"
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
            f"use credentials of account {account}, e.g. set AWS_PROFILE",
        )
    else:
        yield ok(str(caller["Arn"]))


def now() -> dt.datetime:
    """Return the time of this machine."""
    return dt.datetime.now(dt.UTC)
