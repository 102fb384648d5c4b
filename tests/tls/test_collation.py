"""Tests of lookups in a database with a linguistic collation, which needs a server with ICU."""

import pytest

from local.postgres import Server
from tests.fixtures.database import Database, alter_rows
from tests.fixtures.lookup import KEYS, add, found, pages
from tests.fixtures.tls_postgres import TlsPostgres

pytestmark = pytest.mark.tls

USERS = ["B", "a", "ab", "a-c", "b", "z", "Ä", "ä", "äz", "ß", "田"]


@pytest.fixture(scope="module")
def postgres(tls_postgres: TlsPostgres) -> Server:
    """Return the server with TLS and ICU, in place of the shared one."""
    return tls_postgres.server


def test_lookup_sorts_and_finds_users_by_bytes(reader: Database) -> None:
    alter_rows(reader, 'ALTER username TYPE varchar(100) COLLATE "en-x-icu"')
    add(reader, *((user, None, "1", "2019-09-27 UTC") for user in USERS))
    by_bytes = sorted(USERS, key=str.encode)
    by_language = reader.run("SELECT username FROM daily_checkins ORDER BY username")
    assert [user for (user,) in by_language] != by_bytes

    assert [user for page in pages(KEYS, limit="2") for user in page] == by_bytes
    for prefix in ("a", "ä", "Ä", "b"):
        wanted = [user for user in by_bytes if user.startswith(prefix)]
        assert found(KEYS, prefix=prefix)["items"] == wanted
    assert len(found("/get", user="ä")["response"]) == 1
