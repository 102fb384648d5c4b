"""SQL of the lookups. Names come from a contract; all values are parameters.

Names that begin with `_` cannot collide, because no contract may use them.
"""

from collections.abc import Iterable

from pg8000.native import identifier

from functions.api.view import PERIODS, View
from shared import replacement
from shared.column import Column


def rows(
    view: View, filters: Iterable[str] = (), *, after: bool = False, descending: bool = False
) -> str:
    """Return the statement that selects a page of the rows of a key.

    Its parameters are `:key`, `:key_text` (the key as text) and `:limit`, for each of `filters`
    (`since`, `until`, `group`) one of that name, and `:value`, `:load` and `:line` of the row
    before the page, if `after`. A result row has the view's fields, its order, load ID, line
    number, and the number of replacements of the key's rows.
    """
    # Qualified names, because ORDER BY resolves a bare name to the selected text of a number.
    table = identifier(view.relation)
    place = [_column(view, view.order), f"{table}.load_id", f"{table}.source_line"]
    shown = ", ".join(
        column.type.shown_as.format(identifier(column.physical_name))
        for column in (*view.fields, view.order)
    )
    direction = " DESC" if descending else ""
    conditions = _conditions(view, filters)
    if after:
        # PostgreSQL evaluates a row comparison by the lookup's index, at any depth.
        value = f"CAST(:value AS {view.order.type.compared_as})"
        sign = "<" if descending else ">"
        conditions.append(f"({', '.join(place)}) {sign} ({value}, :load, :line)")
    return (
        f"SELECT {shown}, load_id, source_line, "  # noqa: S608 - names of a contract
        f"({replacement.total(view.relation)}) AS _total FROM {table} "
        f"WHERE {' AND '.join(conditions)} "
        f"ORDER BY {', '.join(column + direction for column in place)} LIMIT :limit"
    )


def keys(view: View, *, after: bool = False) -> str:
    """Return the statement that selects a page of distinct keys, strings by their bytes.

    String keys begin with `:prefix`. The statement skips in the index from key to key (loose index
    scan), so its time depends on the number of keys in the page, not on the number of rows.
    """
    key, table = _column(view, view.key), identifier(view.relation)
    if view.key.type.is_text:
        # The operators of the lookup's index, which compare bytes in any collation.
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
        f"FROM _keys WHERE {kept}) "
        f"SELECT {view.key.type.shown_as.format('_key')} FROM _keys WHERE {kept} LIMIT :limit"
    )


def sums(
    view: View,
    by: str | Column,
    measure: Column,
    filters: Iterable[str] = (),
    *,
    after: bool = False,
) -> str:
    """Return the statement that selects a page of sums of a key's rows, by a period or a column.

    Its parameters are those of `rows`, but only `:value` of the group before the page. A result row
    has the group as shown, the number of rows, the sum as text, the group as `:value` of the next
    page, and the number of replacements of the key's rows.
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
        group = order = _column(view, by)
        shown = position = by.type.shown_as.format(group)
        if by.type.is_text:
            order = f'{group} COLLATE "C"'
        if after:
            # Rows without a group come last.
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
    """Return the statement that limits the rows of another to `:bytes` in total.

    The first row is always returned. Each row ends with three values: the number of rows before the
    limit, the total bytes up to this row, and its row number.
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
