"""The consoles that all commands print to."""

import sys

from rich.console import Console

# What is piped away has no width to be cut to.
_WIDTH = None if sys.stdout.isatty() else 200

console = Console(highlight=False, soft_wrap=True, width=_WIDTH)
errors = Console(highlight=False, soft_wrap=True, stderr=True)
