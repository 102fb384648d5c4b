"""The checkout's folder and its functions."""

from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
FUNCTIONS = tuple(sorted(path.parent.name for path in CHECKOUT.glob("functions/*/handler.py")))
"""Names of the functions, as in terraform/main.tf."""
