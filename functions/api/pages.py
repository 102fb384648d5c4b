"""The rows of a view in PostgreSQL, a page at a time, in its order."""

from collections.abc import Callable
from typing import Any

from pg8000.native import identifier

from functions.api.query import Cursor, Query
from functions.api.view import View
from shared.contract import Column, LogicalType

Run = Callable[..., list[list[Any]]]

# PostgreSQL writes the texts itself, so that no digit is lost on the way.
_SHOWN: dict[LogicalType, str] = {
    "string": "{}",
    "integer": "{}",
    "number": "{}::text",
    "boolean": "{}",
    "date": "to_char({}, 'YYYY-MM-DD')",
    "timestamp": """to_char({}, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')""",
}

# Not the column's own type: a cast to that may cut or round, and so skip or repeat rows.
_COMPARED_AS: dict[LogicalType, str] = {
    "string": "text",
    "integer": "bigint",
    "number": "numeric",
    "date": "date",
    "timestamp": "timestamptz",
}


def page(run: Run, view: View, query: Query) -> dict[str, Any]:
    """Return one page of the rows with a key, and the cursor of the next page or None.

    Args:
        run: executes a statement in a session whose time zone is UTC.
        view: what is shown of which table.
        query: which page.

    Raises:
        PipelineError: what PostgreSQL answered.
    """
    after = {"value": query.after.value, "id": query.after.id} if query.after else {}
    rows = run(_statement(view, query), key=query.key, limit=query.limit + 1, **after)
    shown = rows[: query.limit]
    more = len(rows) > query.limit
    names = [column.name for column in view.fields]
    return {
        "response": [dict(zip(names, row, strict=False)) for row in shown],
        "next": Cursor(*shown[-1][-2:]).encode() if more else None,
    }


def _statement(view: View, query: Query) -> str:
    table = identifier(view.relation)
    # With the table's name before it: alone, a name is what is selected, the text of a number.
    order = f"{table}.{identifier(view.order.physical_name)}, {table}.id"
    shown = ", ".join(map(_shown, (*view.fields, view.order)))
    # The comparison of pairs is one that an index on (key, order) serves, however far the page.
    after = (
        f"AND ({order}) > (CAST(:value AS {_COMPARED_AS[view.order.logical_type]}), :id) "
        if query.after
        else ""
    )
    return (
        f"SELECT {shown}, id FROM {table} "  # noqa: S608 - names of a contract, checked
        f"WHERE {identifier(view.key.physical_name)} = :key {after}"
        f"ORDER BY {order} LIMIT :limit"
    )


def _shown(column: Column) -> str:
    return _SHOWN[column.logical_type].format(identifier(column.physical_name))
