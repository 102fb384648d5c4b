"""What a view shows, a page at a time: every page takes as long as the first."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.event_handler.exceptions import NotFoundError

from functions.api import statements
from functions.api.cursor import Cursors, is_day, is_id, is_of
from functions.api.view import View, bytes_fitting, fitting
from shared.contract import Column
from shared.telemetry import logger

Run = Callable[..., list[list[Any]]]


@dataclass(frozen=True, slots=True)
class Page:
    """Some items, and the cursor of the page after them; None on the last."""

    items: list[Any]
    next: str | None


class Pages:
    """The pages of a view; `run` executes a statement in a session whose time zone is UTC.

    A page may hold fewer items than its limit although there are more: no answer gets too large.
    Every method raises BadRequestError for a cursor of another query, and what `run` raises.
    """

    def __init__(self, view: View, run: Run) -> None:
        self._view = view
        self._run = run

    def rows(
        self,
        route: str,
        key: str | int,
        limit: int,
        cursor: str | None,
        *,
        filters: Mapping[str, Any] | None = None,
        descending: bool = False,
    ) -> Page:
        """Return rows of a key, by the view's order.

        Args:
            route: whose cursors they are.
            key: whose rows.
            limit: how many at most.
            cursor: where the page begins.
            filters: `since`, `until` (ISO 8601) and `group`, as far as there are.
            descending: the last first.
        """
        view, filters = self._view, filters or {}
        cursors = Cursors((route, key, filters, descending), (is_of(view.order), is_id))
        after = cursors.decode(cursor)
        sql = statements.rows(view, filters, after=bool(after), descending=descending)
        names = [column.name for column in view.fields]
        told = (*view.fields, view.order)
        rows, following = self._page(sql, told, limit, cursors, after, key=key, **filters)
        return Page([dict(zip(names, row, strict=False)) for row in rows], following)

    def keys(self, prefix: str, limit: int, cursor: str | None) -> Page:
        """Return keys, each once; those of strings that begin with a prefix."""
        key = self._view.key
        cursors = Cursors(("users", prefix), (is_of(key),))
        after = cursors.decode(cursor)
        sql = statements.keys(self._view, after=bool(after))
        given = {"prefix": prefix} if key.logical_type == "string" else {}
        rows, following = self._page(sql, [key], limit, cursors, after, **given)
        return Page([value for [value] in rows], following)

    def sums(
        self, key: str | int, by: str, limit: int, cursor: str | None, filters: Mapping[str, Any]
    ) -> Page:
        """Return how many rows of a key there are, and the sum of their measure, by groups.

        Args:
            key: whose rows.
            by: a period, or the name of the view's group.
            limit: how many groups at most.
            cursor: where the page begins.
            filters: `since` and `until`, as far as there are.

        Raises:
            NotFoundError: the contract does not say what is summed.
        """
        view = self._view
        grouping = by if by in statements.PERIODS else view.group
        if view.measure is None or grouping is None:
            raise NotFoundError(
                "There is nothing to sum up: the contract's 'lookup' names no 'measure'."
            )
        check = is_day if isinstance(grouping, str) else is_of(grouping)
        cursors = Cursors(("summary", key, by, filters), (check,))
        after = cursors.decode(cursor)
        sql = statements.sums(view, grouping, view.measure, filters, after=bool(after))
        told = [view.measure] if isinstance(grouping, str) else [grouping, view.measure]
        rows, following = self._page(sql, told, limit, cursors, after, key=key, **filters)
        names = ("group", "rows", view.measure.name)
        return Page([dict(zip(names, row, strict=False)) for row in rows], following)

    def knows(self, key: str | int) -> bool:
        """Tell whether there is any row of a key."""
        return bool(self._run(statements.exists(self._view), key=key))

    def _page(
        self,
        statement: str,
        columns: Iterable[Column],
        limit: int,
        cursors: Cursors,
        after: list[Any] | None,
        **parameters: Any,
    ) -> tuple[list[list[Any]], str | None]:
        """Return the rows of a page, and the cursor of the page after it."""
        parameters |= dict(zip(("value", "id"), after or (), strict=False))
        columns = tuple(columns)
        # One more than is asked for tells whether there is a next page.
        if limit <= fitting(columns):
            found = self._run(statement, limit=limit + 1, **parameters)
            count = len(found)
        else:
            most = bytes_fitting(columns)
            weighed = statements.weighed(statement)
            found = self._run(weighed, limit=limit + 1, bytes=most, **parameters)
            count = found[0][-3] if found else 0
            found = [row[:-3] for row in found]
        shown = found[:limit]
        logger.info("looked up", extra={"rows": len(shown)})
        if count == len(shown):
            return shown, None
        return shown, cursors.encode(shown[-1][-len(cursors.checks) :])
