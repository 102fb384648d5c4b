"""Whether each of the deployed contracts is valid."""

from cli.health.finding import Finding, one_or_all, wrong
from cli.stack import Stack


def contracts(stack: Stack) -> list[Finding]:
    """Name the invalid contracts; files of their tables are rejected."""
    found = stack.contracts
    invalid = [
        wrong(reason, f"correct the contract, then {stack.apply}")
        for reason in found.invalid.values()
    ]
    return one_or_all(invalid, f"{len(found)} are valid: {stack.deployed.contracts_hash[:12]}")
