"""Prefixes where a database sorts by a language; the wheel's PostgreSQL knows none."""

import pytest

from local.postgres import Server
from tests.fixtures.database import Database
from tests.fixtures.lookup import KEYS, add, found, pages
from tests.fixtures.tls_postgres import TlsPostgres

pytestmark = pytest.mark.tls

USERS = ["B", "a", "ab", "a-c", "b", "z", "Ä", "ä", "äz", "ß", "田"]


@pytest.fixture(scope="module")
def postgres(tls_postgres: TlsPostgres) -> Server:
    """In the place of the server that all other tests share."""
    return tls_postgres.server


def test_users_are_sorted_and_found_by_their_bytes_all_the_same(reader: Database) -> None:
    reader.run('ALTER TABLE daily_checkins ALTER username TYPE varchar(100) COLLATE "en-x-icu"')
    add(reader, *((user, None, "1", "2019-09-27 UTC") for user in USERS))
    by_bytes = sorted(USERS, key=str.encode)
    by_language = reader.run("SELECT username FROM daily_checkins ORDER BY username")
    assert [user for (user,) in by_language] != by_bytes

    assert [user for page in pages(KEYS, limit="2") for user in page] == by_bytes
    for prefix in ("a", "ä", "Ä", "b"):
        wanted = [user for user in by_bytes if user.startswith(prefix)]
        assert found(KEYS, prefix=prefix)["items"] == wanted
    assert len(found("/get", user="ä")["response"]) == 1
