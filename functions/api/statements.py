"""What is asked of PostgreSQL: SQL of names that a contract gives, and parameters for all else.

A name that begins with `_` is ours: no contract can give it.
"""

from collections.abc import Iterable

from pg8000.native import identifier

from functions.api.view import PERIODS, View
from shared import replacement
from shared.contract import Column


def rows(
    view: View, filters: Iterable[str] = (), *, after: bool = False, descending: bool = False
) -> str:
    """Return the statement of a page of the rows with `:key`, which is `:key_text` as a text.

    A row is the values of the view's fields and of its order, its source and line, and how often
    rows of the key were replaced.

    Args:
        view: what is shown of which table.
        filters: which of `:since`, `:until` and `:group` there are.
        after: whether the page begins after a row, of `:value`, `:source` and `:line`.
        descending: whether the order is the other way round.
    """
    # With the table's name before it: alone, a name is what is selected, the text of a number.
    table = identifier(view.relation)
    place = [_column(view, view.order), f"{table}.source_id", f"{table}.source_line"]
    shown = ", ".join(
        column.type.shown_as.format(identifier(column.physical_name))
        for column in (*view.fields, view.order)
    )
    direction = " DESC" if descending else ""
    conditions = _conditions(view, filters)
    if after:
        # The comparison of rows is one that the look-up's index serves, however far the page.
        value = f"CAST(:value AS {view.order.type.compared_as})"
        sign = "<" if descending else ">"
        conditions.append(f"({', '.join(place)}) {sign} ({value}, :source, :line)")
    return (
        f"SELECT {shown}, source_id, source_line, "  # noqa: S608 - names of a contract
        f"({replacement.total(view.relation)}) AS _total FROM {table} "
        f"WHERE {' AND '.join(conditions)} "
        f"ORDER BY {', '.join(column + direction for column in place)} LIMIT :limit"
    )


def keys(view: View, *, after: bool = False) -> str:
    """Return the statement of a page of all keys, each once, in the order of their bytes.

    Those of strings begin with `:prefix`. It hops through the index from one key to the next, so it
    takes as long as the page has keys, however many rows they have.
    """
    key, table = _column(view, view.key), identifier(view.relation)
    if view.key.type.is_text:
        # These compare bytes, whatever the collation, by the operators of the look-up's index.
        least, more, order = "~>=~", "~>~", f"{key} USING ~<~"
        first = f"{key} {more} :value" if after else f"{key} {least} :prefix"
        kept = "starts_with(_key, :prefix)"
    else:
        more, order, kept = ">", key, "_key IS NOT NULL"
        first = f"{key} > :value" if after else "true"
    return (
        f"WITH RECURSIVE _keys (_key) AS ((SELECT {key} FROM {table} "  # noqa: S608 - as above
        f"WHERE {first} ORDER BY {order} LIMIT 1) UNION ALL "
        f"SELECT (SELECT {key} FROM {table} WHERE {key} {more} _key ORDER BY {order} LIMIT 1) "
        f"FROM _keys WHERE {kept}) SELECT _key FROM _keys WHERE {kept} LIMIT :limit"
    )


def sums(
    view: View,
    by: str | Column,
    measure: Column,
    filters: Iterable[str] = (),
    *,
    after: bool = False,
) -> str:
    """Return the statement of a page of the sums of the rows with `:key`, `:key_text` as a text.

    A row is the group as it is shown, how many rows it has, their sum as a text, the group as
    `:value` takes it for the next page, and how often rows of the key were replaced.

    Args:
        view: what is shown of which table.
        by: a period, or a column of it.
        measure: the column that is summed.
        filters: as for `rows`.
        after: whether the page begins after a group, of `:value`.
    """
    conditions = _conditions(view, filters)
    if isinstance(by, str):
        time = _column(view, view.order)
        group = order = f"date_trunc('{by}', {time})"
        shown = f"to_char({group}, '{PERIODS[by]}')"
        position = f"to_char({group}, 'YYYY-MM-DD')"
        if after:
            conditions.append(f"{time} >= CAST(:value AS timestamptz) + INTERVAL '1 {by}'")
    else:
        group = shown = position = order = _column(view, by)
        if by.type.is_text:
            order = f'{group} COLLATE "C"'
        if after:
            # What has no group comes last.
            value = f"CAST(:value AS {by.type.compared_as})"
            conditions.append(f"({order} > {value} OR {group} IS NULL)")
    total = f"coalesce(sum({_column(view, measure)}), 0)::text"
    return (
        f"SELECT {shown}, count(*), {total}, {position}, "  # noqa: S608 - names of a contract
        f"({replacement.total(view.relation)}) AS _total "
        f"FROM {identifier(view.relation)} WHERE {' AND '.join(conditions)} "
        f"GROUP BY {group} ORDER BY {order} LIMIT :limit"
    )


def weighed(statement: str) -> str:
    """Return the statement of the first rows of another, as many as have `:bytes` in all.

    There is always one. Each row ends with how many the other has, and two values more.
    """
    return (
        "SELECT * FROM (SELECT _page.*, count(*) OVER () AS _rows, "  # noqa: S608 - as above
        "sum(octet_length(_page::text)) OVER (ROWS UNBOUNDED PRECEDING) AS _bytes, "
        f"row_number() OVER () AS _row FROM ({statement}) AS _page) AS weighed "
        "WHERE _bytes <= :bytes OR _row = 1"
    )


def _conditions(view: View, filters: Iterable[str]) -> list[str]:
    known = {
        "since": f"{_column(view, view.order)} >= CAST(:since AS timestamptz)",
        "until": f"{_column(view, view.order)} < CAST(:until AS timestamptz)",
    }
    if view.group is not None:
        known["group"] = f"{_column(view, view.group)} = :group"
    return [f"{_column(view, view.key)} = :key", *(known[name] for name in filters)]


def _column(view: View, column: Column) -> str:
    return f"{identifier(view.relation)}.{identifier(column.physical_name)}"
