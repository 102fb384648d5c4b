"""How a command fails: one line, exit status 1."""

import contextlib
from collections.abc import Iterator

import botocore.exceptions
import requests
import typer

from cli.console import errors
from local.errors import LocalError
from shared.errors import PipelineError

AWS_ERRORS = (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError)


class CommandError(Exception):
    """A command cannot do what was asked; the message says what was wrong, where, what to do."""


@contextlib.contextmanager
def one_line() -> Iterator[None]:
    """Turn what may go wrong in a command into one line; what may not stays a traceback."""
    try:
        yield
    except (CommandError, LocalError, PipelineError) as error:
        _fail(str(error))
    except AWS_ERRORS as error:
        _fail(f"AWS: {error}")
    except requests.RequestException as error:
        _fail(f"The look-up API cannot be reached: {error}")


def _fail(message: str) -> None:
    errors.print(f"tm: {' '.join(message.split())}", style="red")
    raise typer.Exit(1)
