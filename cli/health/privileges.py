"""Check of the privileges of PUBLIC in a database that is not the stack's own."""

from collections.abc import Iterator

from cli import invocation
from cli.health.finding import Finding, ok, warning
from cli.stack import Stack


def privileges(stack: Stack) -> Iterator[Finding]:
    """Check which privileges PUBLIC has in a given database; migrate never revokes them."""
    if stack.is_laptop or stack.outputs.get("database_cluster_arn"):
        yield ok("the database belongs to the stack")
        return
    answer = invocation.invoke(stack, "migrate", {"operation": "privileges"}, "read privileges")
    if found := answer["public"]:
        yield warning(
            f"every role on the server, including the stack's roles, may {', '.join(found)}",
            "grant these privileges to the roles that need them, then REVOKE them FROM PUBLIC: "
            "terraform/README.md",
        )
    else:
        yield ok("PUBLIC has no privileges in the database")
