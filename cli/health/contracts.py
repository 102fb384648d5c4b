"""Check of the deployed contracts."""

from cli.health.finding import Finding, one_or_all, wrong
from cli.stack import Stack
from shared.classification import overlaps


def contracts(stack: Stack) -> list[Finding]:
    """Check the deployed contracts: files are rejected if one is invalid, or two patterns match."""
    found = stack.contracts
    invalid = [
        wrong(reason, f"correct the contract, then {stack.apply}")
        for reason in (*found.invalid.values(), *overlaps(found))
    ]
    valid = f"all {len(found)} are valid (contract set {stack.deployed.contracts_hash[:12]})"
    return one_or_all(invalid, valid)
