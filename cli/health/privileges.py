"""What other roles may do in a database that the pipeline may share with others."""

from collections.abc import Iterator

from cli import invocation
from cli.health.finding import Finding, ok, warning
from cli.stack import Stack


def privileges(stack: Stack) -> Iterator[Finding]:
    """Ask migrate what PUBLIC may do in a given database, of which migrate takes nothing away."""
    if stack.is_laptop or stack.outputs.get("database_cluster_arn"):
        yield ok("the database is the stack's own")
        return
    answer = invocation.ask(stack, "migrate", {"operation": "privileges"}, "look at privileges")
    if found := answer["public"]:
        yield warning(
            f"every role of the server may {', '.join(found)}, and so may the roles of the stack",
            "REVOKE it FROM PUBLIC once each role that needs it has a grant: terraform/README.md",
        )
    else:
        yield ok("PUBLIC may do nothing in the database")
