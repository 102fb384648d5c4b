"""migrate: roles that log in by IAM, with a local role `rds_iam`."""

import pg8000.exceptions
import pytest

from functions.migrate.handler import handler
from shared.errors import InvalidSettings
from shared.settings import read
from tests.fixtures.aws import lambda_context
from tests.fixtures.database import Database
from tests.fixtures.rds_data_api import log_in_by_iam

EVENT = {"contracts": "a hash"}


def _members(database: Database) -> int:
    [[members]] = database.run(
        "SELECT count(*) FROM pg_auth_members WHERE roleid = 'rds_iam'::regrole "
        "AND member::regrole::text IN (:loader, :reader)",
        loader=database.loader.name,
        reader=database.reader.name,
    )
    return int(members)


def test_roles_switch_between_password_and_iam(
    migrated: Database, rds_iam: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _members(migrated) == 0

    with monkeypatch.context() as patch:
        log_in_by_iam(migrated, patch)
        for _ in range(2):
            assert handler(EVENT, lambda_context())["created"] == []
            assert _members(migrated) == 2
            for role in (migrated.loader, migrated.reader):
                with pytest.raises(pg8000.exceptions.DatabaseError, match="28P01"):
                    migrated.run("SELECT 1", role)

    read.cache_clear()
    handler(EVENT, lambda_context())
    assert _members(migrated) == 0
    for role in (migrated.loader, migrated.reader):
        assert migrated.run("SELECT current_user::text", role) == [[role.name]]


def test_iam_roles_are_refused_outside_rds(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in_by_iam(database, monkeypatch)

    with pytest.raises(InvalidSettings, match=r"no role 'rds_iam', .* Configure a secret"):
        handler(EVENT, lambda_context())

    assert database.run("SELECT to_regclass('source')") == [[None]]
    assert not database.run("SELECT 1 FROM pg_roles WHERE rolname = :n", n=database.loader.name)
