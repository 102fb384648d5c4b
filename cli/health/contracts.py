"""Check of the deployed contracts."""

from cli.health.finding import Finding, one_or_all, wrong
from cli.stack import Stack


def contracts(stack: Stack) -> list[Finding]:
    """Check that each deployed contract is valid; files of invalid ones are rejected."""
    found = stack.contracts
    invalid = [
        wrong(reason, f"correct the contract, then {stack.apply}")
        for reason in found.invalid.values()
    ]
    valid = f"all {len(found)} are valid (contract set {stack.deployed.contracts_hash[:12]})"
    return one_or_all(invalid, valid)
