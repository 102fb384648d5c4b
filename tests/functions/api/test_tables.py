"""The tables that the API tells of: which there are, what they hold, and that each has routes."""

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
from tests.fixtures.lookup import (
    ROWS,
    SOURCE,
    TABLE,
    add,
    ask,
    found,
    pages,
    refused,
)

BY_NUMBER = Lookup(
    key="Zähler-Nr.", order="Tag", fields=("Tag", "Stand"), group="Raum", measure="Stand"
)
NUMBERED = Contract.model_validate(READINGS.model_dump() | {"lookup": BY_NUMBER.model_dump()})
SECRET = "broken.odcs.yaml: column 'salary': it is broken"
ROUTES = ("", "/rows", "/keys", "/summary", "/openapi.json", "/docs")


@pytest.fixture
def deployed(function: None, monkeypatch: pytest.MonkeyPatch) -> Contracts:
    """Two contracts with a look-up, one without, and an invalid one."""
    contracts = contract_set({**load_all(), "readings": NUMBERED}, {"broken": SECRET})
    monkeypatch.setattr("shared.contract_store._once", lambda *_: contracts)
    api.app.cache_clear()
    return contracts


@pytest.fixture
def filled(
    deployed: Contracts, database: Database, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """A database with rows in both tables that can be looked up."""
    migrate_to(*deployed.values())
    monkeypatch.setenv("DATABASE_SECRET_ARN", database.reader.secret_arn)
    database.run(SOURCE)
    add(database, *(("7", None, str(n), f"2024-01-0{n} UTC") for n in (1, 2, 3)))
    database.run(
        'INSERT INTO "order" ("group", "table", date, time, value, rank, source_id, source_line) '
        "SELECT 7, 'a', date '2024-01-01' + n, now(), n, 1, source.id, n "
        "FROM source, generate_series(1, 3) n"
    )
    yield
    api.session.close()


def test_every_table_with_a_lookup_has_its_routes(filled: None) -> None:
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
def test_a_key_may_be_called_as_a_parameter(
    reader: Database, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    made = load_all()["dailycheckins"].model_dump() | {"sla": None}
    made["columns"][0]["name"] = name
    made["lookup"] = {"key": name, "order": "timestamp", "fields": [name]}
    _deploy(monkeypatch, Contract.model_validate(made))
    add(reader, ("ned", "p", "1", "2024-01-01 UTC"))

    assert found(ROWS, key="ned")["items"] == [{name: "ned"}]
    assert found("/get", **{name: "ned"})["response"] == [{name: "ned"}]
    assert "There is no parameter 'group' here" in refused(ask(ROWS, key="ned", group="p"), 400)


def test_a_cursor_of_one_table_is_none_of_another(
    function: None, reader: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here both are of one kind: nothing but the table tells them apart."""
    twin = load_all()["dailycheckins"].model_copy(update={"table": "twin"})
    monkeypatch.setattr("shared.contract_store._once", lambda *_: {**load_all(), "twin": twin})
    api.app.cache_clear()
    add(reader, *((user, "p", "1", f"2024-01-0{n} UTC") for user in "ab" for n in (1, 2)))

    for part, asked in (("rows", {"key": "a"}), ("keys", {}), ("summary", {"key": "a"})):
        given = found(f"{TABLE}/{part}", limit="1", **asked)["next"]
        assert found(f"{TABLE}/{part}", limit="1", cursor=given, **asked)["items"]
        other = ask(f"/tables/twin/{part}", limit="1", cursor=given, **asked)
        assert "'cursor' is none that" in refused(other, 400)


def get_table(name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if name is not None:
        monkeypatch.setenv("GET_TABLE", name)
    read.cache_clear()
    api.app.cache_clear()


def test_get_is_of_the_named_table(filled: None, monkeypatch: pytest.MonkeyPatch) -> None:
    get_table("readings", monkeypatch)
    page = found("/get", limit="1", **{"Zähler-Nr.": "7"})
    assert page["response"] == [{"Tag": "2024-01-02", "Stand": "1.000"}]

    get_table("dailycheckins", monkeypatch)
    assert len(found("/get", user="7")["response"]) == 3
    # And its cursors are those of that table.
    assert refused(ask("/get", user="7", cursor=page["next"]), 400)


@pytest.mark.parametrize(
    ("name", "left", "detail"),
    [
        (None, ["dailycheckins", "readings"], "by the module's variable api_get_table"),
        (None, ["projectbudgets"], "no valid contract has the custom property 'lookup'"),
        ("projectbudgets", ["dailycheckins", "projectbudgets"], "projectbudgets has no 'lookup'"),
        ("nothing", ["dailycheckins"], "There is no table 'nothing': /tables lists them."),
        ("broken", ["dailycheckins"], "The contract of broken is invalid"),
    ],
)
def test_get_says_what_to_do_where_no_table_is_meant(
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
def test_a_table_that_is_not_there_or_whose_contract_is_invalid(
    deployed: Contracts, part: str
) -> None:
    for asked in ({}, {"key": "a"}, {"what": "ever"}):
        unknown = refused(ask(f"/tables/nothing{part}", **asked), 404)
        assert unknown == "There is no table 'nothing': /tables lists them."
        invalid = ask(f"/tables/broken{part}", **asked)
        assert refused(invalid, 404).startswith("The contract of broken is invalid")
        # What is wrong quotes the contract, which not everybody may read.
        assert "salary" not in invalid.text


@pytest.mark.parametrize("part", ["rows", "keys", "summary"])
def test_a_table_without_a_lookup(deployed: Contracts, part: str) -> None:
    said = refused(ask(f"/tables/projectbudgets/{part}", key="a"), 404)

    assert said.startswith("The contract of projectbudgets has no 'lookup'")


def test_tables_are_listed(deployed: Contracts) -> None:
    listed = found("/tables")

    assert listed["next"] is None
    assert {each["table"]: each["lookup"] for each in listed["items"]} == {
        "dailycheckins": {
            "key": "user",
            "order": "timestamp",
            "group": "project",
            "measure": "hours",
        },
        "projectbudgets": None,
        "readings": {"key": "Zähler-Nr.", "order": "Tag", "group": "Raum", "measure": "Stand"},
    }
    assert listed["items"][0]["description"] == "One row per check-in."
    for limit in ("1", "2", "3"):
        by_pages = list(pages("/tables", limit=limit))
        assert [each for page in by_pages for each in page] == listed["items"]
        assert len(by_pages) == -(-3 // int(limit))


def test_a_table_is_described_by_its_contract(deployed: Contracts) -> None:
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
        "lookup": {"key": "user", "order": "timestamp", "group": "project", "measure": "hours"},
        "links": {part: f"{TABLE}/{part}" for part in ("rows", "keys", "summary")}
        | {"document": f"{TABLE}/openapi.json"},
    }
    assert found("/tables/projectbudgets")["links"].keys() == {"document"}


def test_what_a_table_links_is_there(filled: None, deployed: Contracts) -> None:
    for table in deployed:
        for part, path in found(f"/tables/{table}")["links"].items():
            # Rows and sums need a key.
            assert ask(path).status == (200 if part in {"document", "keys"} else 400)


# As long as a contract may be, and of characters that Lambda writes the widest.
WIDE = "\U0010ffff" * 1_000
SIX_MB = 6 * 1024 * 1024


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
        ).model_dump()
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


def test_no_answer_about_contracts_is_larger_than_lambda_takes(
    function: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = _wide(1_597)
    _deploy(monkeypatch, one, *(_wide(1, f"t{n:03}") for n in range(999)))

    for path in ("/tables/wide", "/tables/wide/openapi.json", "/tables/wide/docs", "/tables"):
        answer = ask(path, **({"limit": "1000"} if path == "/tables" else {}))
        assert answer.status == 200
        assert len(json.dumps({"statusCode": 200, "body": answer.text})) < SIX_MB, path
    by_pages = list(pages("/tables", limit="1000"))
    assert len(by_pages) > 1
    names = [each["table"] for page in by_pages for each in page]
    assert names == sorted(names)
    assert len(names) == 1_000


def test_one_table_is_told_even_if_it_is_larger_than_an_answer(
    function: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "LARGEST_ANSWER", 1)
    _deploy(monkeypatch, NUMBERED, load_all()["dailycheckins"])

    assert [len(page) for page in pages("/tables")] == [1, 1]


def test_only_what_is_asked_for_is_read_of_the_contracts(
    function: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A contract takes 12 ms, and a stack may have hundreds."""

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
def test_contracts_that_cannot_be_read_are_told_as_any_error(
    function: None, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    class Away(dict[str, Contract]):
        def __missing__(self, table: str) -> Contract:
            raise error

    monkeypatch.setattr("shared.contract_store._once", lambda *_: Away())
    get_table("orders", monkeypatch)

    for path in ("/get", "/tables/orders/rows"):
        assert "defect" not in refused(ask(path), status)


def test_an_etag_is_of_one_contract_and_one_version_of_the_code(
    filled: None, deployed: Contracts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tag(change: Callable[[Contract], Contract], code: str) -> Any:
        monkeypatch.setattr("functions.api.application._code", lambda: code)
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
