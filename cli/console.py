"""The consoles that all commands print to."""

from rich.console import Console

console = Console(highlight=False, soft_wrap=True)
errors = Console(highlight=False, soft_wrap=True, stderr=True)
