"""Tests of tables that refuse rows which the contract allows: the rows are quarantined."""

import pytest

from shared import settings
from tests.faults.conftest import AT, HEADER, OLD_ROWS, Machine
from tests.fixtures.database import alter_rows

USERS = ("jon", "", "jon", "eva", "kim", "lea", "mia")
BODY = "\n".join([HEADER, *(f"{user},{AT},{n},x" for n, user in enumerate(USERS, 5))])
"""Line 3 is rejected: it has no user."""
GOOD = {n: f"{user} {n + 3}.00" for n, user in enumerate(USERS, 2) if user}
CHECK = "ALTER TABLE daily_checkins_rows ADD CONSTRAINT no_eva CHECK (username <> 'eva') NOT VALID"
REFUSING = {
    "a check constraint": (
        CHECK,
        {5: 'relation "daily_checkins_rows" violates check constraint "no_eva" (code 23514)'},
    ),
    "a unique index, which accepts the first row": (
        "CREATE UNIQUE INDEX one_each ON daily_checkins_rows (username) WHERE username <> 'ned'",
        {4: 'unique constraint "one_each" (code 23505)'},
    ),
    "a narrower column": (
        "ALTER hours TYPE numeric(3, 2)",
        dict.fromkeys((7, 8), "numeric field overflow (code 22003)"),
    ),
    "a trigger": (
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF new.username = 'jon' THEN RAISE 'no jon'; END IF; RETURN new; END $$; "
        "CREATE TRIGGER refuse BEFORE INSERT ON daily_checkins_rows "
        "FOR EACH ROW EXECUTE FUNCTION refuse()",
        {2: "no jon (code P0001)", 4: "no jon (code P0001)"},
    ),
}


@pytest.mark.parametrize("how", REFUSING)
def test_load_quarantines_refused_rows(machine: Machine, how: str) -> None:
    sql, refused = REFUSING[how]
    if sql.startswith("ALTER hours"):
        alter_rows(machine.database, sql)
    else:
        machine.database.run(sql)
    machine.land(BODY)

    assert machine.notify(machine.play())

    assert machine.rows() == [row for line, row in GOOD.items() if line not in refused]
    rejects = {each["line"]: each for each in machine.rejects()}
    assert rejects.keys() == refused.keys() | {3}
    for line, words in refused.items():
        assert rejects[line]["rule"] == "database"
        assert rejects[line]["raw"] == BODY.split("\n")[line - 1]
        assert words in rejects[line]["reason"]
    item = machine.item()
    assert (item["state"], item["status"]) == ("load", "success")
    counts = (item["rowsRead"], item["rowsLoaded"], item["rowsRejected"])
    assert counts == (7, 6 - len(refused), 1 + len(refused))
    [alert] = machine.alerts()
    assert {each["rule"] for each in alert["topRejects"]} == {"database", "required"}


@pytest.mark.parametrize(
    ("hard", "sql", "reason"),
    [
        ("true", CHECK, "1 of 7 rows failed: PostgreSQL refuses the row"),
        ("false", CHECK.replace("<> 'eva'", "= 'kim'"), "more than 50% of the rows"),
        ("false", CHECK.replace("<> 'eva'", "= 'nobody'"), "every row is rejected"),
    ],
)
def test_refused_rows_may_halt_run(
    machine: Machine, hard: str, sql: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARD_TESTING", hard)
    settings.read.cache_clear()
    machine.database.run(sql)
    machine.land(BODY.replace(f"\n,{AT}", f"\npia,{AT}"))

    assert machine.notify(machine.play())

    assert machine.rows() == OLD_ROWS
    assert reason in machine.item()["haltReason"]
    [alert] = machine.alerts()
    assert (alert["status"], alert["latestState"]) == ("Ingestion Fail", "test")
    assert alert["reason"] == machine.item()["haltReason"]


def test_replay_loads_rows_that_table_accepts_now(machine: Machine) -> None:
    machine.database.run(CHECK)
    machine.land(BODY)
    machine.play()
    assert len(machine.rows()) == 5

    machine.database.run("ALTER TABLE daily_checkins_rows DROP CONSTRAINT no_eva")
    machine.replay()

    assert machine.rows() == [*GOOD.values()]
    assert [each["line"] for each in machine.rejects()] == [3]
