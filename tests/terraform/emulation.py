"""Terraform on the emulator: a root module, and all that the emulator does in another way."""

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local import terraform
from local.stack import Aws
from shared import settings
from shared.settings import ApiSettings, LoadSettings, MigrateSettings
from tests.stand_ins import CHECKOUT

# What a plan finds right after an apply: what the emulator does not keep as it was told.
DRIFTS: dict[str, set[str]] = {
    # It gives a stage without access logs an empty one.
    "aws_api_gateway_stage.prod": {"access_log_settings"},
    # In the provider's protocol it tells of an alarm little more than the name.
    "aws_cloudwatch_metric_alarm.this": {
        "actions_enabled",
        "alarm_actions",
        "alarm_description",
        "dimensions",
        "insufficient_data_actions",
        "period",
        "statistic",
        "treat_missing_data",
    },
    # So it does here, and one whose actions are off is made anew to turn them on.
    "aws_cloudwatch_composite_alarm.health": {"create", "delete"},
    # The dashboard shows that new one, by an ARN that no plan knows.
    "aws_cloudwatch_dashboard.this": set(),
}
"""For every stack, attributes by address, without the module and without keys."""

AURORA_DRIFTS: dict[str, set[str]] = {
    # It keeps neither of these.
    "aws_rds_cluster.this": {
        "enabled_cloudwatch_logs_exports",
        "serverlessv2_scaling_configuration",
    },
    "aws_vpc_endpoint.gateway": {"policy"},
    # A cluster has another address as soon as it has an instance.
    "aws_lambda_function.this": {"environment"},
    # It loses a rule's prefix list. The provider cannot plan from that, not even the rule's
    # destruction, so `forget_gateway_rules` comes before every plan and they are always to be made.
    "aws_vpc_security_group_egress_rule.gateway": {"create"},
}
"""The same where the module creates the database."""

FIRST_TAGS = {"aws_api_gateway_rest_api.lookup", "aws_api_gateway_stage.prod"}
"""What keeps showing the tags that it was made with, however it is tagged later."""

NAMELESS = (
    "cloudwatch:DeleteAlarms",
    "cloudwatch:DeleteDashboards",
    "cloudwatch:GetDashboard",
    "cloudwatch:PutDashboard",
    "cloudwatch:TagResource",
    "cloudwatch:UntagResource",
    "dynamodb:TagResource",
    "dynamodb:UntagResource",
    "ecr:TagResource",
    "ecr:UntagResource",
    "events:",
    "lambda:CreateFunction",
    "rds:",
    "sns:GetSubscriptionAttributes",
    "sns:TagResource",
    "sns:UntagResource",
    "sns:Unsubscribe",
    "states:TagResource",
    "states:UntagResource",
)
"""Actions of which the emulator does not tell IAM what they are about, by what they begin with."""


@dataclass(frozen=True)
class Root:
    """A root module that is applied to the emulator."""

    folder: Path
    tool: terraform.Terraform

    @classmethod
    def of(cls, folder: Path, aws: Aws, **environment: str) -> "Root":
        """Make ready what is in a folder, or will be."""
        tool = terraform.find(folder.parent / f"{folder.name}-configuration")
        every = {**tool.environment, **aws.environment(), **environment}
        return cls(folder, terraform.Terraform(tool.command, every))

    def try_to(self, *arguments: str) -> tuple[int, str]:
        """Run a command; return its status and all that it said."""
        done = self.tool.run(*arguments, "-no-color", folder=self.folder)
        return done.returncode, done.stdout + done.stderr

    def run(self, *arguments: str) -> str:
        """Run a command that must succeed; return all that it said."""
        status, said = self.try_to(*arguments)
        assert status == 0, said
        return said

    def override(self, **arguments: Any) -> None:
        """Override arguments of the child `pipeline`, as a file beside it does, and initialise."""
        document = {"module": {"pipeline": arguments}}
        (self.folder / "emulator_override.tf.json").write_text(json.dumps(document))
        self.run("init", "-input=false")

    def apply(self, **inputs: Any) -> None:
        """Apply, with these values of its variables and the former ones."""
        status, said = self.try_to_apply(**inputs)
        assert status == 0, said

    def try_to_apply(self, **inputs: Any) -> tuple[int, str]:
        """Apply; return the status and all that it said."""
        file = self.folder / "given.auto.tfvars.json"
        given = json.loads(file.read_text()) if file.exists() else {}
        file.write_text(json.dumps(given | inputs))
        self.forget_gateway_rules()
        return self.try_to("apply", "-auto-approve", "-input=false")

    def destroy(self) -> None:
        """Destroy everything."""
        status, said = self.try_to_destroy()
        assert status == 0, said

    def try_to_destroy(self) -> tuple[int, str]:
        """Destroy what can be; return the status and all that it said."""
        self.forget_gateway_rules()
        return self.try_to("destroy", "-auto-approve", "-input=false")

    def forget_gateway_rules(self) -> None:
        """Let Terraform forget what the provider could not plan from."""
        if rules := [each for each in self.addresses() if "egress_rule.gateway[" in each]:
            self.run("state", "rm", *rules)

    def addresses(self) -> list[str]:
        """Return the address of everything that was applied."""
        if not (self.folder / "terraform.tfstate").exists():
            return []
        return self.run("state", "list").splitlines()

    def outputs(self) -> dict[str, Any]:
        """Return what it gives out."""
        return {
            name: output["value"]
            for name, output in json.loads(self.run("output", "-json")).items()
        }

    def changes(self) -> list[dict[str, Any]]:
        """Return what a plan would change."""
        self.forget_gateway_rules()
        self.run("plan", "-input=false", "-out=plan")
        shown = self.tool.run("show", "-json", "plan", folder=self.folder)
        return [
            change
            for change in json.loads(shown.stdout)["resource_changes"]
            if change["change"]["actions"] not in (["no-op"], ["read"])
        ]

    def drifts(self) -> dict[str, set[str]]:
        """Return what a plan would change, in the words of DRIFTS."""
        found: dict[str, set[str]] = {}
        for each in self.changes():
            change = each["change"]
            address = re.sub(r"^module\.pipeline\.|\[[^]]*\]$", "", each["address"])
            found.setdefault(address, set()).update(
                {
                    key
                    for key, after in change["after"].items()
                    if change["before"].get(key) != after
                }
                if change["actions"] == ["update"]
                else change["actions"]
            )
        return found


def checkout(folder: Path) -> Path:
    """Copy what the module is made of, so that nothing is written beside the original."""
    leftovers = shutil.ignore_patterns("__pycache__", ".terraform*", "*.tfstate*")
    for part in ("contracts", "functions", "shared", "terraform"):
        shutil.copytree(CHECKOUT / part, folder / part, ignore=leftovers)
    shutil.copy(CHECKOUT / ".dockerignore", folder)
    return folder


SETTINGS: dict[str, type[settings.Settings]] = {
    "api": ApiSettings,
    "load": LoadSettings,
    "migrate": MigrateSettings,
}
"""What the functions that use the database read of their environment."""


def check_settings(
    variables: Mapping[str, Mapping[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """See that these functions can read what Terraform told them."""
    for name, wanted in SETTINGS.items():
        with monkeypatch.context() as patch:
            for key, value in variables[name].items():
                patch.setenv(key, value)
            wanted()
