"""The table `replacement`: how often the rows of a look-up's key were replaced, source by source.

Load adds to it in the transaction that replaces or removes a source's rows. The API reads it in the
statement that reads a page. So both see the same moment, and a sum that differs from that of the
first page means that pages from before and after would not fit together.

Each source has a row of its own for each key. Only who holds the source's lock in the ledger writes
it, so two loads never wait for each other here. The table holds a hash of the key and not the key
itself, because `tm remove` must leave no value of a row behind.
"""

from pg8000.native import literal

TABLE = "replacement"


def add(relation: str, keys: str) -> str:
    """Return the statement that counts one replacement of source `:id` for each of some keys.

    Args:
        relation: the table that holds the rows.
        keys: a query of one column, `key`; a key may come more than once.
    """
    # In the order of the index: for a million keys it takes half the time of any other order.
    return (
        f"INSERT INTO {TABLE} (relation, key_hash, source_id, times) "  # noqa: S608 - no values
        f"SELECT {literal(relation)}, {_hash('key')}, CAST(:id AS integer), 1 "
        f"FROM (SELECT DISTINCT key FROM ({keys}) AS seen) AS keys WHERE key IS NOT NULL "
        "ORDER BY 2 ON CONFLICT (relation, key_hash, source_id) "
        f"DO UPDATE SET times = {TABLE}.times + 1"
    )


def total(relation: str) -> str:
    """Return the query of how often the rows of the key `:key_text` were replaced, in all sources.

    It never gets smaller. The key is a text, whatever its column's type.
    """
    return (
        f"SELECT coalesce(sum(times), 0) FROM {TABLE} "  # noqa: S608 - no values
        f"WHERE relation = {literal(relation)} AND key_hash = {_hash(':key_text')}"
    )


def _hash(key: str) -> str:
    return f"sha256(convert_to(CAST({key} AS text), 'UTF8'))"
