"""Keyset pagination: every page takes as long as the first."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools.event_handler.exceptions import ServiceError

from functions.api import statements
from functions.api.cursor import Cursors, is_number, is_total, is_value_of
from functions.api.problems import missing
from functions.api.view import PERIODS, View, max_bytes, max_rows
from shared.column import Column
from shared.column_types import is_day
from shared.telemetry import logger

RunStatement = Callable[..., list[list[Any]]]


@dataclass(frozen=True, slots=True)
class Page:
    """A page of items, and the cursor of the next page; None on the last page."""

    items: list[Any]
    next: str | None


class Pages:
    """Pages of a view; `run` executes a statement in a session with the time zone UTC.

    A page may have fewer items than its limit although more follow, because responses are limited
    to 6 MB.

    Every method raises BadRequestError for a cursor of another query, and the errors of `run`.
    Methods with a key raise ServiceError (410 Gone) if rows of the key were replaced or removed
    since the first page.
    """

    def __init__(self, view: View, run: RunStatement) -> None:
        self._view = view
        self._run = run
        optional = [each for each in (view.group, view.measure) if each]
        columns = (*view.fields, view.order, view.key, *optional)
        self._max_rows = max_rows({each.name: each for each in columns}.values())

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
        """Return a page of a key's rows, sorted by the view's order.

        A cursor is valid for one route; None means the first page. `filters` are any of `since`,
        `until` (ISO 8601) and `group`.
        """
        view, filters = self._view, filters or {}
        checks = (is_value_of(view.order), is_number, is_number, is_total)
        cursors = Cursors((view.table, route, key, filters, descending), checks)
        after = cursors.decode(cursor)
        sql = statements.rows(view, filters, after=bool(after), descending=descending)
        names = [column.name for column in view.fields]
        columns = (*view.fields, view.order)
        rows, following = self._page_of_key(sql, columns, limit, cursors, after, key, filters)
        return Page([dict(zip(names, row, strict=False)) for row in rows], following)

    def keys(self, prefix: str, limit: int, cursor: str | None) -> Page:
        """Return a page of distinct keys; string keys only if they begin with `prefix`."""
        key = self._view.key
        cursors = Cursors((self._view.table, "keys", prefix), (is_value_of(key),))
        after = cursors.decode(cursor)
        sql = statements.keys(self._view, after=bool(after))
        given = {"prefix": prefix} if key.type.is_text else {}
        rows, following = self._page(sql, [key], limit, cursors, after, **given)
        return Page([value for [value] in rows], following)

    def sums(
        self, key: str | int, by: str, limit: int, cursor: str | None, filters: Mapping[str, Any]
    ) -> Page:
        """Return a page of groups of a key's rows: their number and the sum of their measure.

        `by` is a period, or the name of the view's group. Cursor None means the first page.
        `filters` are any of `since` and `until` (ISO 8601).

        Raises:
            ServiceError: 404, the contract's lookup has no measure or nothing to group by.
        """
        view = self._view
        grouping = by if by in PERIODS else view.group
        if view.measure is None or grouping is None:
            raise missing(
                "The table has no sums. The contract's 'lookup' must name a 'measure', and a "
                "'group' or an 'order' of type date or timestamp."
            )
        check = is_day if isinstance(grouping, str) else is_value_of(grouping)
        cursors = Cursors((view.table, "summary", key, by, filters), (check, is_total))
        after = cursors.decode(cursor)
        sql = statements.sums(view, grouping, view.measure, filters, after=bool(after))
        columns = [view.measure] if isinstance(grouping, str) else [grouping, view.measure]
        rows, following = self._page_of_key(sql, columns, limit, cursors, after, key, filters)
        names = ("group", "rows", view.measure.name)
        return Page([dict(zip(names, row, strict=False)) for row in rows], following)

    def _page_of_key(
        self,
        statement: str,
        columns: Iterable[Column],
        limit: int,
        cursors: Cursors,
        after: list[Any] | None,
        key: str | int,
        filters: Mapping[str, Any],
    ) -> tuple[list[list[Any]], str | None]:
        """Return the same as `_page`; raise 410 if rows of the key were replaced meanwhile.

        The last value of each row is the number of replacements.
        """
        values = {"key": key, "key_text": str(key), **filters}
        rows, following = self._page(
            statement, columns, limit, cursors, after and after[:-1], **values
        )
        # A cursor implies more rows. If none are left, they were removed.
        if after is not None and (not rows or rows[0][-1] != after[-1]):
            raise ServiceError(
                HTTPStatus.GONE,
                f"A file with rows of this {self._view.key.name} was replaced or removed since the "
                "first page, so the next page would be inconsistent. Omit the parameter 'cursor' "
                "to start again with the first page.",
            )
        return rows, following

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
        parameters |= dict(zip(("value", "load", "line"), after or (), strict=False))
        columns = tuple(columns)
        # One row more than the limit shows whether there is a next page.
        if limit <= self._max_rows:
            found = self._run(statement, limit=limit + 1, **parameters)
            count = len(found)
        else:
            most = max_bytes(columns)
            weighed = statements.weighed(statement)
            found = self._run(weighed, limit=limit + 1, bytes=most, **parameters)
            count = found[0][-3] if found else 0
            found = [row[:-3] for row in found]
        shown = found[:limit]
        logger.info("looked up", extra={"table": self._view.table, "rows": len(shown)})
        if count == len(shown):
            return shown, None
        return shown, cursors.encode(shown[-1][-len(cursors.checks) :])
