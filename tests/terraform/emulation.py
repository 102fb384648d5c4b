"""Terraform root modules on the emulator, and differences between the emulator and AWS."""

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

# Changes in a plan right after an apply, because the emulator does not store these attributes.
DRIFTS: dict[str, set[str]] = {
    # The emulator adds empty settings to a stage without access logs.
    "aws_api_gateway_stage.prod": {"access_log_settings"},
    # In the provider's protocol, the emulator returns little more than the name.
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
    # The same; the provider replaces an alarm to enable its actions.
    "aws_cloudwatch_composite_alarm.health": {"create", "delete"},
    # The dashboard contains the ARN of the replaced alarm.
    "aws_cloudwatch_dashboard.this": set(),
}
"""Attributes or actions by address, without module and keys, for every stack."""

AURORA_DRIFTS: dict[str, set[str]] = {
    # The emulator does not store these.
    "aws_rds_cluster.this": {
        "enabled_cloudwatch_logs_exports",
        "serverlessv2_scaling_configuration",
    },
    "aws_vpc_endpoint.gateway": {"policy"},
    # The emulator changes the host of a cluster when it gets an instance.
    "aws_lambda_function.this": {"environment"},
    # The emulator loses a rule's prefix list. The provider then cannot plan, not even the rule's
    # destruction. So `forget_gateway_rules` runs before every plan, which then creates the rules.
    "aws_vpc_security_group_egress_rule.gateway": {"create"},
}
"""The same for stacks with a created database."""

FIRST_TAGS = {"aws_api_gateway_rest_api.lookup", "aws_api_gateway_stage.prod"}
"""Resources whose tags the emulator never updates."""

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
"""Prefixes of actions for which the emulator does not pass the resource to IAM."""


@dataclass(frozen=True)
class Root:
    """A root module on the emulator."""

    folder: Path
    tool: terraform.Terraform

    @classmethod
    def of(cls, folder: Path, aws: Aws, **environment: str) -> "Root":
        """Return the root module in a folder, which may still be empty."""
        tool = terraform.find(folder.parent / f"{folder.name}-configuration")
        every = {**tool.environment, **aws.environment(), **environment}
        return cls(folder, terraform.Terraform(tool.command, every))

    def try_to(self, *arguments: str) -> tuple[int, str]:
        """Run a command; return its exit status and output."""
        done = self.tool.run(*arguments, "-no-color", folder=self.folder)
        return done.returncode, done.stdout + done.stderr

    def run(self, *arguments: str) -> str:
        """Run a command that must succeed; return its output."""
        status, output = self.try_to(*arguments)
        assert status == 0, output
        return output

    def override(self, **arguments: Any) -> None:
        """Override arguments of the module `pipeline`, and initialise."""
        document = {"module": {"pipeline": arguments}}
        (self.folder / "emulator_override.tf.json").write_text(json.dumps(document))
        self.run("init", "-input=false")

    def apply(self, **inputs: Any) -> None:
        """Apply with these variables, in addition to earlier ones."""
        file = self.folder / "given.auto.tfvars.json"
        given = json.loads(file.read_text()) if file.exists() else {}
        file.write_text(json.dumps(given | inputs))
        self.forget_gateway_rules()
        self.run("apply", "-auto-approve", "-input=false")

    def destroy(self) -> None:
        status, output = self.try_to_destroy()
        assert status == 0, output

    def try_to_destroy(self) -> tuple[int, str]:
        """Destroy; return the exit status and output."""
        self.forget_gateway_rules()
        # A refresh would take a third of the time.
        return self.try_to("destroy", "-auto-approve", "-input=false", "-refresh=false")

    def forget_gateway_rules(self) -> None:
        """Remove the rules that the provider cannot plan from the state."""
        if rules := [each for each in self.addresses() if "egress_rule.gateway[" in each]:
            self.run("state", "rm", *rules)

    def addresses(self) -> list[str]:
        if not (self.folder / "terraform.tfstate").exists():
            return []
        return self.run("state", "list").splitlines()

    def outputs(self) -> dict[str, Any]:
        return {
            name: output["value"]
            for name, output in json.loads(self.run("output", "-json")).items()
        }

    def changes(self) -> list[dict[str, Any]]:
        self.forget_gateway_rules()
        self.run("plan", "-input=false", "-out=plan")
        shown = self.tool.run("show", "-json", "plan", folder=self.folder)
        return [
            change
            for change in json.loads(shown.stdout)["resource_changes"]
            if change["change"]["actions"] not in (["no-op"], ["read"])
        ]

    def drifts(self) -> dict[str, set[str]]:
        """Return the changes of a plan in the form of DRIFTS."""
        found: dict[str, set[str]] = {}
        for each in self.changes():
            change = each["change"]
            found.setdefault(without_key(each), set()).update(
                {
                    key
                    for key, after in change["after"].items()
                    if change["before"].get(key) != after
                }
                if change["actions"] == ["update"]
                else change["actions"]
            )
        return found


def without_key(change: Mapping[str, Any]) -> str:
    """Return the address of a changed resource within the module."""
    return re.sub(r"^module\.pipeline\.|\[[^]]*\]$", "", change["address"])


def checkout(folder: Path) -> Path:
    """Copy the module and its sources, so that Terraform writes no files into the checkout."""
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
"""Settings of the functions that use the database."""


def check_settings(
    variables: Mapping[str, Mapping[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check that these functions can parse their environment variables."""
    for name, settings_class in SETTINGS.items():
        with monkeypatch.context() as patch:
            for key, value in variables[name].items():
                patch.setenv(key, value)
            settings.read.cache_clear()
            settings.read(settings_class)
    settings.read.cache_clear()
