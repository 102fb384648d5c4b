"""`tm replay`: an ingestion once more from its beginning."""

from cli import status as log
from cli.console import console
from cli.errors import CommandError
from cli.stack import Stack
from shared.endings import Status
from shared.ingestion import Ingestion


def replay(stack: Stack, ingested_id: str) -> Ingestion:
    """Start the next run of an ingestion, on the same log item, or let it wait for its turn.

    Raises:
        CommandError: the log knows no such ID, it has no run, one of its runs is under way, or its
            file was removed.
    """
    found = log.find_run(stack, ingested_id)
    table = found["ingestedTable"]
    intake = stack.intake
    if table not in intake.contracts:
        raise CommandError(f"There is no contract for {table} any more.")
    # What `find` got need not be the latest, and a run is started by the latest alone.
    item = stack.log.get(ingested_id, table) or found
    if "removedAt" in item:
        raise CommandError(
            f"The file of {ingested_id} was removed at {item['removedAt']}: to load it, drop it "
            "again."
        )
    run = intake.replay(item)
    if run is None:
        raise CommandError(
            f"A run of {ingested_id} is under way, so none was started: `tm status {ingested_id}` "
            "shows how far it is."
        )
    now = stack.log.get(ingested_id, table) or item
    if now["status"] == Status.WAITING:
        console.print(f"{run.execution_name} waits. {log.backlog(stack) or ''}".rstrip())
    else:
        console.print(f"Started {run.execution_name}")
    return Ingestion.from_item(item)
