"""Checks for the optional packages (extras) that some commands need."""

import importlib.metadata
import re

from cli.errors import CommandError

_PACKAGE = "tm-pipeline"


def need(extra: str, command: str) -> None:
    """Raise CommandError unless every package of an extra, which `command` needs, is installed."""
    for requirement in importlib.metadata.requires(_PACKAGE) or ():
        name, _, marker = requirement.partition(";")
        if f'extra == "{extra}"' in marker:
            package = re.split(r"[^\w.-]", name, maxsplit=1)[0]
            try:
                importlib.metadata.distribution(package)
            except importlib.metadata.PackageNotFoundError:
                raise CommandError(
                    f"`{command}` needs the package {package}, which is not installed: "
                    f'pip install "{_PACKAGE}[{extra}]"'
                ) from None
