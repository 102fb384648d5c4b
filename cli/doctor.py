"""`tm doctor`: checks of every part of a stack, with instructions for each problem."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict

import botocore.exceptions

from cli.console import collapsed, console, line, styled
from cli.errors import CommandError
from cli.health import (
    access,
    alerting,
    contracts,
    functions,
    loads,
    privileges,
    schema,
    spellings,
    wiring,
)
from cli.health.finding import Check, Finding, Verdict, ok, unknown, wrong
from cli.stack import Stack
from local.errors import LocalError
from shared.errors import PipelineError

_NEEDED = ("name", "topic_arn")


def outputs(stack: Stack) -> Iterator[Finding]:
    """Check that Terraform has the outputs that the other checks need."""
    missing = [name for name in _NEEDED if name not in stack.outputs]
    if missing:
        yield wrong(
            f"outputs are missing because an older version deployed the stack: "
            f"{', '.join(missing)}",
            stack.apply,
        )
    else:
        yield ok(f"{stack.outputs['name']} in {stack.outputs['region']}")


CHECKS: dict[str, Check] = {
    "outputs": outputs,
    "clock": access.clock,
    "credentials": access.credentials,
    "subscriptions": alerting.subscriptions,
    "landing": wiring.landing,
    "spellings": spellings.spellings,
    "events": wiring.events,
    "state machine": wiring.state_machine,
    "functions": functions.functions,
    "contracts": contracts.contracts,
    "schema": schema.schema,
    "privileges": privileges.privileges,
    "last loads": loads.last_loads,
    "failures": loads.failures,
    "runs": loads.runs,
    "alarms": alerting.alarms,
}
"""The checks by name, causes before effects."""

PREREQUISITES = {"outputs", "credentials"}
"""If one of these checks fails, the later checks are skipped."""

_STYLES = {
    Verdict.OK: "green",
    Verdict.WARNING: "yellow",
    Verdict.UNKNOWN: "cyan",
    Verdict.WRONG: "red",
}


def examine(stack: Stack) -> Iterator[tuple[str, Finding]]:
    """Yield the findings of each check, with the name of the check."""
    failed = None
    for name, check in CHECKS.items():
        if failed is not None:
            yield name, unknown("not checked", f"fix {failed} first")
            continue
        for finding in _findings(check, stack):
            yield name, finding
            if name in PREREQUISITES and finding.verdict is Verdict.WRONG:
                failed = name


def is_well(found: Iterable[tuple[str, Finding]]) -> bool:
    """Return whether no finding is wrong."""
    return all(finding.verdict is not Verdict.WRONG for _, finding in found)


def _findings(check: Check, stack: Stack) -> Iterator[Finding]:
    try:
        yield from check(stack)
    except (CommandError, LocalError, PipelineError, botocore.exceptions.BotoCoreError) as error:
        yield wrong(f"the check failed: {error}", "fix the cause, then run `tm doctor` again")
    except botocore.exceptions.ClientError as error:
        denied = "Denied" in error.response["Error"]["Code"]
        todo = f"allow your identity {error.operation_name}" if denied else stack.apply
        yield wrong(f"the check failed: {error}", todo)


def show(check: str, finding: Finding) -> None:
    """Print one finding."""
    mark = styled(f"{finding.verdict:<7}", _STYLES[finding.verdict])
    console.print(line(mark, f"  {check:<13}  {collapsed(finding.what)}"))
    if finding.todo is not None:
        console.print(f"{'':<24}→ {collapsed(finding.todo)}")


def as_json(check: str, finding: Finding) -> dict[str, str | None]:
    """Return one finding as JSON fields."""
    return {"check": check, **asdict(finding)}
