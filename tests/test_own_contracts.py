"""A user's own folder of contracts on a running stack: a new table is one file and one apply.

An invalid contract affects only its own table, and every command reports it.
"""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local import cloud, terraform
from local.errors import LocalError
from shared import contract_store
from shared.ingestion import Ingestion, Run, unmatched_id
from tests.checkout import CHECKOUT
from tests.fixtures.aws import ingestion_of, task_event
from tests.fixtures.laptop import Laptop
from tests.fixtures.pipeline import Pipeline, eventually

pytestmark = [pytest.mark.deep, pytest.mark.timeout(900)]

EXAMPLE = CHECKOUT / "terraform" / "examples" / "your-own-tables" / "contracts"
ORDERS = "order_id,customer,ordered_at,amount\n1,ada,2024-03-03 10:00:00,2.50\n"
CUSTOMERS = "customer,email,country,since\nada,ada@example.com,GB,2020-01-02\n"


class Team:
    def __init__(self, home: Path, contracts: Path) -> None:
        self.home, self.contracts = home, contracts
        self.pipeline = Pipeline(Laptop(home, cloud.up(home, contracts=contracts, report=print)))

    def apply(self) -> None:
        """Apply the changes in the folder, as `tm up` does."""
        self.pipeline = Pipeline(Laptop(self.home, cloud.up(self.home, report=print)))

    def write(self, table: str, of: str, *changes: tuple[str, str]) -> Path:
        """Write the contract of a table: a changed copy of that of the table `of`."""
        text = (EXAMPLE / f"{of}.odcs.yaml").read_text().replace(f"name: {of}", f"name: {table}")
        for before, after in changes:
            assert before in text
            text = text.replace(before, after)
        path = self.contracts / f"{table}.odcs.yaml"
        path.write_text(text)
        return path

    def load(self, table: str, body: str, name: str = "f.csv") -> dict[str, Any]:
        """Land a file, wait for its outcome, and return its log item."""
        source = self.pipeline.put(body, f"table={table}/year=2024/month=3/day=3/{name}")
        return self.pipeline.ended(ingestion_of(source).id, table)

    def deployed(self) -> list[str]:
        """Return the keys of the deployed contract sets."""
        s3, bucket = self.pipeline.laptop.aws.client("s3"), self.pipeline.outputs["config_bucket"]
        listed = s3.list_objects_v2(Bucket=bucket, Prefix="deployed/")
        return [each["Key"] for each in listed["Contents"]]

    def changes(self) -> dict[str, dict[str, Any]]:
        """Return the changes of a plan, by address without the module."""
        folder = self.home / "terraform"
        tool = terraform.find(folder)
        environment = {**tool.environment, **self.pipeline.laptop.aws.environment()}
        tool = terraform.Terraform(tool.command, environment)
        planned = tool.run("plan", "-input=false", "-out=plan", folder=folder)
        assert planned.returncode == 0, planned.stderr
        shown = json.loads(tool.run("show", "-json", "plan", folder=folder).stdout)
        return {
            each["address"].removeprefix("module.pipeline."): each["change"]
            for each in shown["resource_changes"]
            if each["change"]["actions"] not in (["no-op"], ["read"])
        }


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """A stack with a copy of the example's contracts."""
    folder = tmp_path_factory.mktemp("team")
    contracts = Path(shutil.copytree(EXAMPLE, folder / "contracts"))
    try:
        yield Team(folder / "home", contracts)
    finally:
        cloud.down(folder / "home")


def test_new_table_needs_one_file_and_one_apply(team: Team) -> None:
    assert team.load("orders", ORDERS)["status"] == "success"
    before = team.pipeline.outputs
    team.write("invoices", "orders", ("urn:shop:orders", "urn:shop:invoices"))

    # The emulator always reports a drift of alarms and the stage.
    changed = {
        address: change
        for address, change in team.changes().items()
        if not re.match(r"aws_(cloudwatch|api_gateway_stage)", address)
    }
    functions = {a: c for a, c in changed.items() if a.startswith("aws_lambda_function.")}
    with_contracts = before["function_names"].keys() - {"alert"}
    assert functions.keys() == {f'aws_lambda_function.this["{name}"]' for name in with_contracts}
    for change in functions.values():
        assert change["actions"] == ["update"]
        differing = {
            name
            for name, after in change["after"].items()
            if after != change["before"].get(name) and name not in change["after_unknown"]
        }
        assert differing == {"environment"}, "no code changes"
    sets = {a: c["actions"] for a, c in changed.items() if a.startswith("aws_s3_object.config[")}
    former = f'aws_s3_object.config["deployed/{before["contracts_hash"]}.json"]'
    assert sets.pop(former) == ["delete"]
    assert [*sets.values()] == [["create"]]
    assert changed.keys() - functions.keys() - sets.keys() - {former} == {
        "aws_lambda_invocation.migrate"
    }

    team.apply()

    assert team.load("invoices", ORDERS)["status"] == "success"
    assert team.pipeline.query("SELECT customer, amount FROM invoices")[0][0] == "ada"
    assert team.load("customers", CUSTOMERS)["status"] == "success"


def test_run_keeps_contracts_with_which_it_began(team: Team) -> None:
    """A redrive and a retry have the execution's input; a replay is another execution."""
    item = team.load("orders", ORDERS, "kept.csv")
    former = item["contracts"]
    assert former == team.pipeline.outputs["contracts_hash"]
    team.write("orders", "orders", ("minimum: 0", "minimum: 3"))
    team.apply()
    deployed = team.pipeline.outputs["contracts_hash"]
    s3 = team.pipeline.laptop.aws.client("s3")
    bucket = team.pipeline.outputs["config_bucket"]

    listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
    keys = {each["Key"] for each in listed}
    assert f"deployed/{former}.json" not in keys
    assert {f"deployed/{deployed}.json", f"kept/{former}.json", f"kept/{deployed}.json"} <= keys
    rule = contract_store.fetch(s3, bucket, former)["orders"].column("amount").rules[-1]
    assert "minimum=Decimal('0')" in repr(rule)

    event = task_event(Ingestion.from_item(item), Run.from_item(item))

    def rejected(**contracts: str) -> int:
        transformed = team.pipeline.invoke("transform", event | contracts)
        tested = team.pipeline.invoke("test", event | contracts | {"transform": transformed})
        return int(tested["rowsRejected"])

    assert rejected(contracts=former) == 0
    assert rejected(contracts=deployed) == rejected() == 1

    team.write("orders", "orders")
    team.apply()
    assert team.pipeline.laptop.tm("replay", item["ingestedID"], "--follow").returncode == 0
    now = team.pipeline.log.get(item["ingestedID"], "orders") or {}
    assert now["contracts"] == team.pipeline.outputs["contracts_hash"]


def test_invalid_contract_affects_only_its_own_table(team: Team) -> None:
    bad = team.write(
        "refunds", "orders", ("Type: bigint", "Type: bigintt"), ("minimum: 0", "minimun: 0")
    )
    vip = (
        "- name: vip\n        logicalType: string\n        physicalType: text\n      - name: since"
    )
    team.write("customers", "customers", ("- name: since", vip))

    with pytest.raises(LocalError) as failed:
        team.apply()

    # migrate reports all problems of the invalid contract.
    reported = str(failed.value)
    assert "refunds.odcs.yaml: column 'order_id'" in reported
    assert "refunds.odcs.yaml: column 'amount'" in reported
    assert "Migrated: customers, invoices, orders." in reported
    # The other tables work, including the one that changed in the same apply.
    assert team.load("orders", ORDERS, "after.csv")["status"] == "success"
    body = "customer,email,country,since,vip\nbob,bob@example.com,FR,2020-01-02,yes\n"
    assert team.load("customers", body, "vip.csv")["status"] == "success"
    assert team.pipeline.query("SELECT vip FROM customers WHERE customer = 'bob'") == [["yes"]]
    # An alert and `tm doctor` report the invalid contract.
    key = "table=refunds/year=2024/month=3/day=3/f.csv"
    source = team.pipeline.put(ORDERS, key)
    [alert] = eventually(lambda: team.pipeline.alerts(unmatched_id(source)))
    assert "the contract of table 'refunds' is invalid: refunds.odcs.yaml: " in alert["reason"]
    doctor = team.pipeline.laptop.tm("doctor", "--json")
    wrong = [each for each in json.loads(doctor.stdout) if each["verdict"] == "wrong"]
    assert any(
        each["check"] == "contracts" and "refunds.odcs.yaml" in each["what"] for each in wrong
    )

    # Every apply fails until the contract is corrected.
    with pytest.raises(LocalError, match=r"refunds\.odcs\.yaml"):
        team.apply()
    bad.unlink()
    team.apply()
    deployed = team.deployed()
    # Return to a set that a failed apply has left in the state.
    bad.write_text("kind: DataContract")
    with pytest.raises(LocalError, match=r"refunds\.odcs\.yaml"):
        team.apply()
    bad.unlink()
    team.apply()
    assert (
        team.deployed() == deployed == [f"deployed/{team.pipeline.outputs['contracts_hash']}.json"]
    )
