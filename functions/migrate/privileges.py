"""Privileges that PostgreSQL grants to PUBLIC, i.e. to every role, by default.

https://www.postgresql.org/docs/current/ddl-priv.html
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

from pg8000.native import identifier

from functions.migrate.connection import Connection

_OWN_OPEN_DATABASES = """
SELECT datname::text FROM pg_database
WHERE datdba = (SELECT oid FROM pg_roles WHERE rolname = current_user) AND datallowconn AND (
    has_database_privilege('public', oid, 'CONNECT')
    OR has_database_privilege('public', oid, 'TEMPORARY')
)
ORDER BY datname
"""

# RDS itself protects the database rdsadmin, whatever the privileges of PUBLIC.
_PUBLIC_PRIVILEGES = """
SELECT format('connect to the database %I', datname) FROM pg_database
WHERE datallowconn AND datname <> 'rdsadmin' AND has_database_privilege('public', oid, 'CONNECT')
UNION ALL
SELECT format('create temporary tables in the database %I', current_database())
WHERE has_database_privilege('public', current_database(), 'TEMPORARY')
UNION ALL
SELECT format('create large objects in the database %I', current_database())
WHERE has_function_privilege('public', 'lo_create(oid)', 'EXECUTE')
"""


def revoke_from_public(connected: Callable[[], AbstractContextManager[Connection]]) -> None:
    """Revoke CONNECT and TEMPORARY from PUBLIC on all databases of the administrator.

    PUBLIC may still create large objects. Only PostgreSQL's superuser can revoke that, which the
    administrator of RDS is not.
    """
    with connected() as connection:
        for [name] in connection.run(_OWN_OPEN_DATABASES):
            connection.run(f"REVOKE CONNECT, TEMPORARY ON DATABASE {identifier(name)} FROM PUBLIC")


def public_privileges(connection: Connection) -> list[str]:
    """Return descriptions of the privileges of PUBLIC."""
    return [description for [description] in connection.run(_PUBLIC_PRIVILEGES)]
