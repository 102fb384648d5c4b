"""`tm status`: what the log says."""

from boto3.dynamodb.conditions import Key
from rich.table import Table

from cli.console import console
from cli.errors import CommandError
from cli.items import Item, counts, plain, style
from cli.stack import Stack
from shared.progress import Status


def find(stack: Stack, ingested_id: str | None) -> list[Item]:
    """Return the items of an ID, or every item of the log, the newest first.

    Raises:
        CommandError: the log knows no such ID.
    """
    if ingested_id is None:
        # By key: an item may change its status, and so appear twice, while we ask.
        found = {
            (item["ingestedID"], item["ingestedTable"]): plain(item)
            for status in Status
            for item in stack.log.with_status(status)
        }
        return sorted(found.values(), key=lambda item: str(item["updatedAt"]), reverse=True)
    condition = Key("ingestedID").eq(ingested_id)
    answer = stack.table.query(KeyConditionExpression=condition, ConsistentRead=True)
    if not answer["Items"]:
        raise CommandError(f"The log has no ingestion {ingested_id}: `tm status` lists them all.")
    return [plain(item) for item in answer["Items"]]


def show(items: list[Item], *, with_history: bool) -> None:
    """Print items for people, with their steps if asked."""
    table = Table(box=None)
    table.add_column("id", no_wrap=True)
    for name in ("table", "state", "status", "rows", "updated"):
        table.add_column(name)
    for item in items:
        table.add_row(
            item["ingestedID"],
            item["ingestedTable"],
            item["state"],
            f"[{style(item['status'])}]{item['status']}[/]",
            counts(item),
            item["updatedAt"],
        )
    console.print(table)
    if not with_history:
        return
    for item in items:
        console.print(f"\n{item['sourceKey']}, version {item['versionId']}", markup=False)
        for entry in item["history"]:
            line = f"{entry['at']}  {entry['state']:<9}  {entry['status']:<10}  {counts(entry)}"
            console.print(line.rstrip(), markup=False)
        if reason := item.get("haltReason"):
            console.print(f"Reason: {reason}", markup=False)
