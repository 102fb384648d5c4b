"""`tm replay`: another run of an ingestion from its beginning."""

from cli import status as log
from cli.console import console
from cli.errors import CommandError
from cli.stack import Stack
from shared.endings import Status
from shared.ingestion import Ingestion
from shared.intake import Unvouched


def replay(stack: Stack, ingested_id: str, *, without_manifest: bool = False) -> Ingestion:
    """Start the next run of an ingestion on the same log item, or queue it if the gate is full.

    Raises:
        CommandError: the log has no such ID, the ingestion has no run, a run is in progress, the
            file was removed, no manifest vouches for it, or none is needed `without_manifest`.
    """
    found = log.find_run(stack, ingested_id)
    table = found["ingestedTable"]
    intake = stack.intake
    if table not in intake.contracts:
        raise CommandError(
            f"The stack no longer has a contract for {table}: deploy one, then try again."
        )
    if without_manifest and intake.manifest_within(table) is None:
        raise CommandError(
            f"The contract of {table} requires no manifest: leave out --without-manifest."
        )
    # The index that `find_run` reads may be outdated, and only the current item can start a run.
    item = stack.log.get(ingested_id, table) or found
    if "removedAt" in item:
        raise CommandError(
            f"The file of {ingested_id} was removed at {item['removedAt']}: to load it, upload it "
            "again with `tm drop`."
        )
    run = intake.replay(item, without_manifest=without_manifest)
    if isinstance(run, Unvouched):
        raise CommandError(
            f"No manifest vouches for {ingested_id}: {run.reason}. Upload its manifest, or load "
            f"the file without it: `tm replay {ingested_id} --without-manifest`."
        )
    if run is None:
        raise CommandError(
            f"{ingested_id} is already queued or running: `tm status {ingested_id}` shows its "
            "progress."
        )
    now = stack.log.get(ingested_id, table) or item
    if now["status"] == Status.QUEUED:
        console.print(f"{run.execution_name} is queued. {log.backlog(stack) or ''}".rstrip())
    else:
        console.print(f"Started {run.execution_name}")
    return Ingestion.from_item(item)
