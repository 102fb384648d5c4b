"""The list of tables, their descriptions, and the routes of each table."""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from functions.api import handler as api
from functions.api import tables
from shared.contract import Contract, Lookup
from shared.contract_set import Contracts
from shared.errors import DatabaseUnavailable
from shared.odcs import load_all
from shared.settings import read
from tests.fixtures.contracts import READINGS, column, contract_set
from tests.fixtures.database import Database, migrate_to
from tests.fixtures.lookup import ROWS, TABLE, add, ask, begin_load, found, pages, refused

BY_USER = {"key": "user", "order": "timestamp", "group": "project", "measure": "hours"}
BY_NUMBER = Lookup(
    key="Zähler-Nr.", order="Tag", fields=("Tag", "Stand"), group="Raum", measure="Stand"
)
NUMBERED = Contract.model_validate(
    READINGS.model_dump(exclude_unset=True) | {"lookup": BY_NUMBER.model_dump()}
)
SECRET = "broken.odcs.yaml: column 'salary': it is broken"
ROUTES = ("", "/rows", "/keys", "/summary", "/openapi.json", "/docs")


@pytest.fixture
def deployed(function: None, monkeypatch: pytest.MonkeyPatch) -> Contracts:
    """Two contracts with a lookup, one without, and an invalid one."""
    contracts = contract_set({**load_all(), "readings": NUMBERED}, {"broken": SECRET})
    monkeypatch.setattr("shared.contract_store._once", lambda *_: contracts)
    api.app.cache_clear()
    return contracts


@pytest.fixture
def filled(
    deployed: Contracts, database: Database, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """A database with rows in both tables with a lookup."""
    migrate_to(*deployed.values())
    monkeypatch.setenv("DATABASE_SECRET_ARN", database.reader.secret_arn)
    begin_load(database)
    add(database, *(("7", None, str(n), f"2024-01-0{n} UTC") for n in (1, 2, 3)))
    begin_load(database, "order")
    database.run(
        'INSERT INTO order_rows ("group", "table", date, time, value, rank, source_line) '
        "SELECT 7, 'a', date '2024-01-01' + n, now(), n, 1, n FROM generate_series(1, 3) n"
    )
    yield
    api.session.close()


def test_every_table_with_lookup_has_routes(filled: None) -> None:
    readings = "/tables/readings"

    assert [row["hours"] for row in found(ROWS, key="7")["items"]] == ["1.00", "2.00", "3.00"]
    assert found(f"{TABLE}/keys")["items"] == ["7"]
    assert found(f"{readings}/rows", key="7", order="desc", limit="1")["items"] == [
        {"Tag": "2024-01-04", "Stand": "3.000"}
    ]
    assert found(f"{readings}/keys")["items"] == [7]
    assert found(f"{readings}/summary", key="7", by="Raum")["items"] == [
        {"group": "a", "rows": 3, "Stand": "6.000"}
    ]
    assert len(list(pages(f"{readings}/rows", key="7", limit="1", Raum="a"))) == 3


@pytest.mark.parametrize("name", ["key", "group", "rows"])
def test_key_column_may_have_name_of_parameter(
    reader: Database, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    made = load_all()["dailycheckins"].model_dump(exclude_unset=True) | {"sla": None}
    made["columns"][0]["name"] = name
    made["lookup"] = {"key": name, "order": "timestamp", "fields": [name]}
    _deploy(monkeypatch, Contract.model_validate(made))
    add(reader, ("ned", "p", "1", "2024-01-01 UTC"))

    assert found(ROWS, key="ned")["items"] == [{name: "ned"}]
    assert found("/get", **{name: "ned"})["response"] == [{name: "ned"}]
    assert "Unknown parameter 'group'" in refused(ask(ROWS, key="ned", group="p"), 400)


def test_cursor_of_another_table_is_refused(
    reader: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both tables have equal contracts, so the cursors differ only in the table."""
    twin = load_all()["dailycheckins"].model_copy(update={"table": "twin"})
    monkeypatch.setattr("shared.contract_store._once", lambda *_: {**load_all(), "twin": twin})
    api.app.cache_clear()
    add(reader, *((user, "p", "1", f"2024-01-0{n} UTC") for user in "ab" for n in (1, 2)))

    for part, asked in (("rows", {"key": "a"}), ("keys", {}), ("summary", {"key": "a"})):
        given = found(f"{TABLE}/{part}", limit="1", **asked)["next"]
        assert found(f"{TABLE}/{part}", limit="1", cursor=given, **asked)["items"]
        other = ask(f"/tables/twin/{part}", limit="1", cursor=given, **asked)
        assert "'cursor' is not a 'next'" in refused(other, 400)


def get_table(name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if name is not None:
        monkeypatch.setenv("GET_TABLE", name)
    read.cache_clear()
    api.app.cache_clear()


def test_get_uses_configured_table(filled: None, monkeypatch: pytest.MonkeyPatch) -> None:
    get_table("readings", monkeypatch)
    page = found("/get", limit="1", **{"Zähler-Nr.": "7"})
    assert page["response"] == [{"Tag": "2024-01-02", "Stand": "1.000"}]

    get_table("dailycheckins", monkeypatch)
    assert len(found("/get", user="7")["response"]) == 3
    assert refused(ask("/get", user="7", cursor=page["next"]), 400)


@pytest.mark.parametrize(
    ("name", "left", "detail"),
    [
        (None, ["dailycheckins", "readings"], "set the Terraform variable api_get_table"),
        (None, ["projectbudgets"], "no valid contract has the custom property 'lookup'"),
        ("projectbudgets", ["dailycheckins", "projectbudgets"], "projectbudgets has no 'lookup'"),
        ("nothing", ["dailycheckins"], "No table 'nothing'. See /tables for all tables."),
        ("broken", ["dailycheckins"], "The contract of broken is invalid"),
    ],
)
def test_get_without_unambiguous_table_explains_what_to_do(
    deployed: Contracts,
    monkeypatch: pytest.MonkeyPatch,
    name: str | None,
    left: list[str],
    detail: str,
) -> None:
    contracts = contract_set({table: deployed[table] for table in left}, deployed.invalid)
    monkeypatch.setattr("shared.contract_store._once", lambda *_: contracts)
    get_table(name, monkeypatch)

    for asked in ({}, {"user": "ned"}):
        assert detail in refused(ask("/get", **asked), 404)


@pytest.mark.parametrize("part", ROUTES)
def test_unknown_or_invalid_table_answers_404(deployed: Contracts, part: str) -> None:
    for asked in ({}, {"key": "a"}, {"what": "ever"}):
        unknown = refused(ask(f"/tables/nothing{part}", **asked), 404)
        assert unknown == "No table 'nothing'. See /tables for all tables."
        invalid = ask(f"/tables/broken{part}", **asked)
        assert refused(invalid, 404).startswith("The contract of broken is invalid")
        # The reason quotes the contract, which callers may not be allowed to read.
        assert "salary" not in invalid.text


@pytest.mark.parametrize("part", ["rows", "keys", "summary"])
def test_table_without_lookup_answers_404(deployed: Contracts, part: str) -> None:
    said = refused(ask(f"/tables/projectbudgets/{part}", key="a"), 404)

    assert said.startswith("The contract of projectbudgets has no 'lookup'")


def test_tables_lists_valid_contracts(deployed: Contracts) -> None:
    listed = found("/tables")

    assert listed["next"] is None
    assert {each["table"]: each["lookup"] for each in listed["items"]} == {
        "dailycheckins": BY_USER,
        "projectbudgets": None,
        "readings": {"key": "Zähler-Nr.", "order": "Tag", "group": "Raum", "measure": "Stand"},
    }
    assert listed["items"][0]["description"] == "One row per check-in."
    for limit in ("1", "2", "3"):
        by_pages = list(pages("/tables", limit=limit))
        assert [each for page in by_pages for each in page] == listed["items"]
        assert len(by_pages) == -(-3 // int(limit))


def test_table_describes_contract(deployed: Contracts) -> None:
    described = found(TABLE)

    columns = {each.pop("name"): each for each in described.pop("columns")}
    assert columns["project"] == {
        "type": "string",
        "required": False,
        "description": "Project that the hours were worked for.",
        "examples": ["bizdev"],
    }
    assert [*columns] == ["user", "timestamp", "hours", "project"]
    assert described == {
        "table": "dailycheckins",
        "version": "1.0.0",
        "description": "One row per check-in.",
        "lookup": BY_USER,
        "links": {part: f"{TABLE}/{part}" for part in ("rows", "keys", "summary")}
        | {"document": f"{TABLE}/openapi.json"},
    }
    assert found("/tables/projectbudgets")["links"].keys() == {"document"}


def test_links_of_table_exist(filled: None, deployed: Contracts) -> None:
    for table in deployed:
        for part, path in found(f"/tables/{table}")["links"].items():
            # Rows and sums answer 400 without a key.
            assert ask(path).status == (200 if part in {"document", "keys"} else 400)


# The longest description that a contract may have, of characters with the longest encoding.
WIDE = "\U0010ffff" * 1_000


def _wide(columns: int, name: str = "wide") -> Contract:
    lookup = {"key": "c0", "order": "c0", "fields": [f"c{n}" for n in range(columns)]}
    made = [
        column(
            f"c{n}",
            "string",
            "varchar(9)",
            required=n == 0,
            description=WIDE[: 90_000 // columns],
            rules=({"name": "maxLength", "kind": "length", "maximum": 9},),
            examples=(WIDE[:50],) * 9,
        ).model_dump(exclude_unset=True)
        for n in range(columns)
    ]
    return Contract.model_validate(
        {"table": name, "relation": name, "version": "1", "description": WIDE}
        | {"columns": made, "lookup": lookup}
    )


def _deploy(monkeypatch: pytest.MonkeyPatch, *contracts: Contract) -> None:
    found = {contract.table: contract for contract in contracts}
    monkeypatch.setattr("shared.contract_store._once", lambda *_: found)
    api.app.cache_clear()


def test_responses_about_contracts_stay_below_lambda_limit(
    function: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = _wide(1_597)
    _deploy(monkeypatch, one, *(_wide(1, f"t{n:03}") for n in range(999)))

    for path in ("/tables/wide", "/tables/wide/openapi.json", "/tables/wide/docs", "/tables"):
        answer = ask(path, **({"limit": "1000"} if path == "/tables" else {}))
        assert answer.status == 200
        assert len(json.dumps({"statusCode": 200, "body": answer.text})) < 6 * 1024**2, path
    by_pages = list(pages("/tables", limit="1000"))
    assert len(by_pages) > 1
    names = [each["table"] for page in by_pages for each in page]
    assert names == sorted(names)
    assert len(names) == 1_000


def test_tables_returns_at_least_one_table(function: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_RESPONSE_BYTES", 1)
    _deploy(monkeypatch, NUMBERED, load_all()["dailycheckins"])

    assert [len(page) for page in pages("/tables")] == [1, 1]


def test_request_reads_only_its_contract(function: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a contract takes 3 ms, and a stack may have hundreds."""

    class Lazy(Mapping[str, Contract]):
        def __init__(self) -> None:
            self.read: list[str] = []

        def __getitem__(self, table: str) -> Contract:
            self.read.append(table)
            return NUMBERED.model_copy(update={"table": table})

        def __iter__(self) -> Iterator[str]:
            pytest.fail("every contract was read")

        def __len__(self) -> int:
            raise AssertionError("every contract was read")

    contracts = Lazy()
    monkeypatch.setattr("shared.contract_store._once", lambda *_: contracts)
    get_table("t1", monkeypatch)

    for path in ("/health", "/openapi.json", "/docs", "/tables/t2/openapi.json", "/get"):
        ask(path)
    assert contracts.read == ["t2", "t1"]
    ask("/tables/t2/keys")
    assert contracts.read == ["t2", "t1"], "a table's routes are made once"


@pytest.mark.parametrize(
    ("error", "status"), [(DatabaseUnavailable("away"), 503), (ValueError("a defect"), 500)]
)
def test_unreadable_contracts_answer_error(
    function: None, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    class Away(dict[str, Contract]):
        def __missing__(self, table: str) -> Contract:
            raise error

    monkeypatch.setattr("shared.contract_store._once", lambda *_: Away())
    get_table("orders", monkeypatch)

    for path in ("/get", "/tables/orders/rows"):
        assert "defect" not in refused(ask(path), status)


def test_etag_depends_on_contract_and_code(
    filled: None, deployed: Contracts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tag(change: Callable[[Contract], Contract], code: str) -> Any:
        monkeypatch.setattr("functions.api.application._code_hash", lambda: code)
        _deploy(monkeypatch, change(NUMBERED))
        return ask("/tables/readings/keys").headers["ETag"]

    def same(contract: Contract) -> Contract:
        return contract

    def another(contract: Contract) -> Contract:
        return contract.model_copy(
            update={"lookup": BY_NUMBER.model_copy(update={"order": "Rang"})}
        )

    tags = [tag(*each) for each in itertools.product((same, another), ("1", "2"))]

    assert len(set(tags)) == 4
    assert tag(same, "1") == tags[0]
