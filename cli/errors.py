"""Errors of commands: one line on standard error, exit status 1."""

import contextlib
from collections.abc import Iterator

import botocore.exceptions
import requests
import typer

from cli.console import collapsed, errors
from local.errors import LocalError
from shared.errors import PipelineError

AWS_ERRORS = (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError)


class CommandError(Exception):
    """A command failed. The message says what is wrong, where, and what to do."""


@contextlib.contextmanager
def one_line() -> Iterator[None]:
    """Report expected errors as one line; let unexpected errors raise a traceback."""
    try:
        yield
    except (CommandError, LocalError, PipelineError) as error:
        _fail(str(error))
    except AWS_ERRORS as error:
        _fail(f"AWS: {error}")
    except requests.RequestException as error:
        _fail(f"The lookup API cannot be reached: {error}. Run `tm doctor` to check the stack.")


def _fail(message: str) -> None:
    errors.print(f"tm: {collapsed(message)}", style="red")
    raise typer.Exit(1)
