"""What the checkout holds."""

from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
FUNCTIONS = tuple(sorted(path.parent.name for path in CHECKOUT.glob("functions/*/handler.py")))
"""The functions' names; Terraform's are in `terraform/main.tf`."""
