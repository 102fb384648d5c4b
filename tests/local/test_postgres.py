import os
import shutil
import tempfile
from pathlib import Path

import pg8000.exceptions
import pg8000.native
import pytest

from local import postgres as local_postgres
from local.errors import LocalError
from local.postgres import Server, connected, new_server, running
from local.processes import Processes

pytestmark = pytest.mark.programs


def test_postgres_stores_scram_password(postgres: Server) -> None:
    with connected(postgres) as connection:
        [[stored]] = connection.run("SELECT rolpassword FROM pg_authid WHERE rolname = 'postgres'")
    assert stored.startswith("SCRAM-SHA-256$")


def test_postgres_has_settings(postgres: Server) -> None:
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "TimeZone": "UTC",
        "server_encoding": "UTF8",
    }
    with connected(postgres) as connection:
        found = connection.run("SELECT name, setting FROM pg_settings")
    assert settings.items() <= dict(found).items()


def test_postgres_leaves_no_data(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        home = (tmp_path / "postgres").resolve()
        assert (home / "data" / "PG_VERSION").exists()
        assert not (home / "password").exists()
    assert not home.exists()
    assert not os.path.lexists(tmp_path / "postgres")
    with pytest.raises(pg8000.exceptions.InterfaceError), connected(server):
        pass


def test_start_as_root_requires_accessible_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "chown", lambda *_: None)
    monkeypatch.setattr(tempfile, "tempdir", str(closed))
    with pytest.raises(LocalError, match=r"cannot enter .*: set TMPDIR"):
        local_postgres.start(Processes(tmp_path / "processes"), tmp_path, new_server())


def test_start_names_log_when_server_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_postgres, "_settings", lambda _: ["-c", "no_such_setting=1"])
    processes = Processes(tmp_path / "processes")
    with pytest.raises(LocalError, match=r"ended during its start: see .*postgres\.log"):
        local_postgres.start(processes, tmp_path, new_server())
    assert "no_such_setting" in processes.log("postgres").read_text()
    local_postgres.stop(processes, tmp_path)
