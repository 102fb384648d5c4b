"""Table `replacement`: counts replacements of rows, by lookup key and source.

Load increments a count in the transaction that replaces or removes a source's rows. The API reads
the sum in the statement that reads a page. If the sum differs from that of the first page, the
cursor is stale.

Each source has its own row per key. Only the holder of the source's lock in the ledger writes it,
so that loads never wait for each other here. The table stores a hash of the key, because
`tm remove` must not leave any value of a row behind.
"""

from pg8000.native import literal

TABLE = "replacement"


def add(relation: str, keys: str) -> str:
    """Return the statement that counts one replacement by source `:id` for each key.

    `keys` is a query with one column, `key`, which may contain duplicates.
    """
    # ORDER BY the columns of the index takes half the time for a million keys.
    return (
        f"INSERT INTO {TABLE} (relation, key_hash, source_id, times) "  # noqa: S608 - no values
        f"SELECT {literal(relation)}, {_hash('key')}, CAST(:id AS integer), 1 "
        f"FROM (SELECT DISTINCT key FROM ({keys}) AS seen) AS keys WHERE key IS NOT NULL "
        "ORDER BY 2 ON CONFLICT (relation, key_hash, source_id) "
        f"DO UPDATE SET times = {TABLE}.times + 1"
    )


def total(relation: str) -> str:
    """Return the query for the number of replacements of the key `:key_text` in all sources.

    The number never decreases. `:key_text` is a text for every column type.
    """
    return (
        f"SELECT coalesce(sum(times), 0) FROM {TABLE} "  # noqa: S608 - no values
        f"WHERE relation = {literal(relation)} AND key_hash = {_hash(':key_text')}"
    )


def _hash(key: str) -> str:
    return f"sha256(convert_to(CAST({key} AS text), 'UTF8'))"
