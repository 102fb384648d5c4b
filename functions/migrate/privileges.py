"""What every role of the server may do because PostgreSQL grants it to PUBLIC by default.

https://www.postgresql.org/docs/current/ddl-priv.html
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

from pg8000.native import identifier

from functions.migrate.connection import Connection

_OPEN_AND_OURS = """
SELECT datname::text FROM pg_database
WHERE datdba = (SELECT oid FROM pg_roles WHERE rolname = current_user) AND datallowconn AND (
    has_database_privilege('public', oid, 'CONNECT')
    OR has_database_privilege('public', oid, 'TEMPORARY')
)
ORDER BY datname
"""

# RDS lets nobody but itself into the database rdsadmin, whatever PUBLIC has there.
_EXCESSES = """
SELECT format('connect to the database %I', datname) FROM pg_database
WHERE datallowconn AND datname <> 'rdsadmin' AND has_database_privilege('public', oid, 'CONNECT')
UNION ALL
SELECT format('create temporary tables in the database %I', current_database())
WHERE has_database_privilege('public', current_database(), 'TEMPORARY')
UNION ALL
SELECT format('create large objects in the database %I', current_database())
WHERE has_function_privilege('public', 'lo_create(oid)', 'EXECUTE')
"""


def close(connected: Callable[[], AbstractContextManager[Connection]]) -> None:
    """Let nobody but who is granted it into the databases that the administrator owns.

    Large objects stay: the functions that make them belong to PostgreSQL's superuser, which the
    administrator of RDS is not.

    Raises:
        PipelineError: what PostgreSQL answered.
    """
    with connected() as connection:
        for [name] in connection.run(_OPEN_AND_OURS):
            connection.run(f"REVOKE CONNECT, TEMPORARY ON DATABASE {identifier(name)} FROM PUBLIC")


def excesses(connection: Connection) -> list[str]:
    """Return what every role may do, in words.

    Raises:
        PipelineError: what PostgreSQL answered.
    """
    return [words for [words] in connection.run(_EXCESSES)]
