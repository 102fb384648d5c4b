"""A user's check-ins in PostgreSQL, a page at a time, the earliest first."""

from collections.abc import Callable
from typing import Any

from functions.api.query import Cursor, Query

Run = Callable[..., list[list[Any]]]

# PostgreSQL writes the texts itself, so that no digit is lost on the way. The comparison of pairs
# is one that the index on (username, timestamp) serves, however far the page.
_PAGE = """
SELECT
    username,
    project,
    hours::text,
    to_char(timestamp, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    id
FROM daily_checkins
WHERE username = :user AND (timestamp, id) > (CAST(:timestamp AS timestamptz), :id)
ORDER BY timestamp, id
LIMIT :limit
"""

_BEFORE_ALL = Cursor("-infinity", 0)


def page(run: Run, query: Query) -> dict[str, Any]:
    """Return one page of a user's check-ins, and the cursor of the next page or None.

    Args:
        run: executes a statement in a session whose time zone is UTC.
        query: which page.

    Raises:
        PipelineError: what PostgreSQL answered.
    """
    after = query.after or _BEFORE_ALL
    rows = run(
        _PAGE, user=query.user, timestamp=after.timestamp, id=after.id, limit=query.limit + 1
    )
    shown = rows[: query.limit]
    more = len(rows) > query.limit
    return {
        "response": [
            {"user": user, "project": project, "hours": hours, "timestamp": timestamp}
            for user, project, hours, timestamp, _ in shown
        ],
        "next": Cursor(*shown[-1][-2:]).encode() if more else None,
    }
