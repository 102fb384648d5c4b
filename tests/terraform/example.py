"""Use of an example: apply it, load a file, destroy it."""

import dataclasses
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests

from cli.authorization import Signature
from docs.deploy_policies import TABLE, policies
from tests.fixtures.sandbox import EXAMPLES, Sandbox
from tests.programs import Done, run
from tests.stand_ins import StandIns
from tests.terraform.emulation import NAMELESS, Root, checkout
from tests.terraform.inventory import PARTS, inventory

AT = "2024-03-03 09:00:00 UTC"


class Example:
    """A copy of an example in a copy of the checkout.

    Terraform and `tm` run as users that have only the permissions in docs/policies.
    """

    def __init__(
        self, name: str, folder: Path, sandbox: Sandbox, outside: Path | None = None
    ) -> None:
        """Set up the example `name`; `outside` is a copy of it outside of a checkout."""
        self.name = name
        self.sandbox = sandbox
        self.folder = folder
        self.before = inventory(sandbox.aws)
        self.checkout = checkout(folder / "checkout") if outside is None else outside
        self.commands = StandIns(folder / "commands")
        self.commands.install("aws", "docker")
        self.operator = _user(sandbox, EXAMPLES[name], "operate")
        key = _user(sandbox, EXAMPLES[name], "leftovers")
        self.auditor = dataclasses.replace(
            sandbox.aws,
            access_key_id=key["AWS_ACCESS_KEY_ID"],
            secret_access_key=key["AWS_SECRET_ACCESS_KEY"],
        )
        self.root = Root.of(
            outside or self.checkout / "terraform" / "examples" / name,
            sandbox.aws,
            PATH=f"{self.commands.path}:{os.environ['PATH']}",
            TMPDIR=str(folder),
            **_user(sandbox, EXAMPLES[name], "deploy"),
        )

    def allow(self, *actions: str) -> None:
        """Let Terraform's user do more than docs/policies allow, for resources of the example."""
        statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        self.sandbox.aws.client("iam").put_user_policy(
            UserName=f"deploy-{EXAMPLES[self.name]}",
            PolicyName="more",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
        )

    def readme(self, language: str) -> str:
        """Return the code block of its README in `language`."""
        text = (self.root.folder / "README.md").read_text()
        [code] = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        return str(code)

    def apply(self, overrides: Mapping[str, Any], **inputs: Any) -> dict[str, Any]:
        """Apply the example without lifecycle rules; return the module's outputs."""
        # The provider waits a minute for them. Only test_complete_example.py does.
        self.root.override(**{"manage_lifecycle_rules": False, **overrides})
        self.root.apply(**inputs)
        return dict(self.root.outputs()["stack"])

    def drop(self, *rows: str) -> Done:
        """Upload a file with `tm drop`, and wait for its outcome."""
        file = self.folder / "f.csv"
        file.write_text("\n".join(["user,timestamp,hours,project", *rows]))
        return self.tm("drop", file, "--date", "2024-03-03", "--follow")

    def tm(self, *arguments: str | Path) -> Done:
        stack = {"TM_STACK": str(self.root.folder)}
        environment = {**self.root.tool.environment, **self.operator, **stack}
        return run(Path(sys.executable).with_name("tm"), *arguments, env=environment)

    def look_up(self, stack: Mapping[str, Any], user: str) -> list[dict[str, str]]:
        aws = self.sandbox.aws
        answer = requests.get(
            f"{aws.endpoint_url}/_aws/execute-api/{stack['api_id']}/Prod/get",
            params={"user": user},
            auth=Signature(aws.credentials, aws.region),
            verify=aws.ca_bundle,
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        return list(answer.json()["response"])

    def check_at_work(self, stack: Mapping[str, Any]) -> None:
        """Check that a file's rows are in the database and returned by the API."""
        done = self.drop(f"ned,{AT},1.5,wall", f"jon,{AT},2,wall")

        assert done.returncode == 0, done.stdout + done.stderr
        assert self.sandbox.query("SELECT count(*) FROM daily_checkins") == [[2]]
        assert [row["hours"] for row in self.look_up(stack, "ned")] == ["1.50"]

    def check_inventory(self) -> None:
        """Check that the inventory lists every type of created resource."""
        managed = [each for each in self.root.addresses() if not re.search(r"(^|\.)data\.", each)]
        types = {each.removeprefix("module.pipeline.").partition(".")[0] for each in managed}
        now = inventory(self.sandbox.aws)

        assert {kind for kind in types - PARTS if not now[kind] > self.before[kind]} == set()

    def take_down(self) -> None:
        """Destroy the example as in its README; check that nothing remains."""
        self.root.apply(protected=False)
        self.root.destroy()
        self.sandbox.images.forget()

        assert self.root.addresses() == []
        assert inventory(self.sandbox.aws) == self.before


def _user(sandbox: Sandbox, stack: str, kind: str) -> dict[str, str]:
    """Create a user with the policies of a kind in docs/policies; return its access key."""
    iam, name = sandbox.aws.client("iam"), f"{kind}-{stack}"
    iam.create_user(UserName=name)
    for file, policy in policies().items():
        if file.startswith(kind):
            iam.put_user_policy(
                UserName=name,
                PolicyName=file.removesuffix(".json"),
                PolicyDocument=_as_emulated(policy.replace(TABLE["name"], stack)),
            )
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
    }


def _as_emulated(policy: str) -> str:
    document = json.loads(policy)
    actions = [action for each in document["Statement"] for action in each["Action"]]
    nameless = [action for action in actions if action.startswith(NAMELESS)]
    if nameless:
        document["Statement"].append({"Effect": "Allow", "Action": nameless, "Resource": ["*"]})
    return json.dumps(document)
