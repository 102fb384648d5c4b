"""The stack that a command works on: the laptop cloud or a stack on AWS."""

import functools
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import boto3
from botocore.config import Config
from botocore.credentials import Credentials
from requests.auth import AuthBase

import local.stack
from cli.authorization import Key, Signature
from cli.errors import CommandError
from local import terraform
from local.home import home
from local.postgres import Server
from local.tap import Tap
from shared import contract_store
from shared.contract_set import Contracts
from shared.gate import Gate
from shared.ingestion_log import IngestionLog
from shared.intake import Intake
from shared.settings import ContractSettings

_OUTPUTS = (
    "region",
    "landing_bucket",
    "staging_bucket",
    "log_table",
    "state_machine_arn",
    "max_concurrency",
    "function_names",
    "api_url",
)
"""The outputs that every command needs; `tm doctor` checks for the others that it needs."""

_CALLS = Config(read_timeout=900, retries={"total_max_attempts": 1}, tcp_keepalive=True)
"""For synchronous Lambda calls. By default, boto3 times out after 60 s and then calls again while
the first call still runs. Keep-alive is for networks that drop idle connections:
https://aws.amazon.com/premiumsupport/knowledge-center/lambda-vpc-timeout/"""


@dataclass(frozen=True)
class Stack:
    """Addresses and clients of the parts of a stack."""

    client: Callable[..., Any]
    """Returns the boto3 client of a service."""
    outputs: Mapping[str, Any]
    apply: str
    """The command that applies the Terraform module again, in backticks."""
    table: Any
    """The boto3 resource of the log table."""
    landing_bucket: str
    staging_bucket: str
    state_machine_arn: str
    api_url: str
    api_auth: AuthBase
    ca_bundle: str | None = None
    tap: Tap | None = None
    database: Server | None = None
    """The laptop cloud's PostgreSQL; None on AWS, where only the stack's network reaches it."""

    @cached_property
    def s3(self) -> Any:
        """The boto3 client of S3."""
        return self.client("s3")

    @cached_property
    def stepfunctions(self) -> Any:
        """The boto3 client of Step Functions."""
        return self.client("stepfunctions")

    @cached_property
    def events(self) -> Any:
        """The boto3 client of EventBridge."""
        return self.client("events")

    @cached_property
    def functions(self) -> Any:
        """The boto3 client of Lambda for synchronous calls."""
        return self.client("lambda", config=_CALLS)

    @property
    def is_laptop(self) -> bool:
        """Whether this is the laptop cloud."""
        return self.tap is not None

    @property
    def migrate(self) -> str:
        """The command that migrates the tables to the deployed contracts, in backticks."""
        if self.is_laptop:
            return self.apply
        name = self.outputs["function_names"]["migrate"]
        return f"`aws lambda invoke --function-name {name} /dev/stdout`"

    @property
    def log(self) -> IngestionLog:
        """The log of ingestions."""
        return IngestionLog(self.table)

    @property
    def intake(self) -> Intake:
        """The component that starts and repeats runs."""
        gate = Gate(
            self.log,
            self.stepfunctions,
            self.state_machine_arn,
            int(self.outputs["max_concurrency"]),
            self.deployed.contracts_hash,
        )
        return Intake(self.contracts, gate, self.events, self.s3)

    @cached_property
    def deployed(self) -> ContractSettings:
        """The location of the deployed contracts, from the environment of the function trigger.

        Terraform's outputs would be outdated after an apply that failed in `migrate`.

        Raises:
            CommandError: the function has an older version, or its environment is encrypted.
        """
        name = self.outputs["function_names"]["trigger"]
        configuration = self.client("lambda").get_function(FunctionName=name)["Configuration"]
        variables = configuration.get("Environment", {}).get("Variables", {})
        try:
            return ContractSettings(
                config_bucket=variables["CONFIG_BUCKET"], contracts_hash=variables["CONTRACTS_HASH"]
            )
        except KeyError as error:
            raise CommandError(
                f"The environment of the function {name} has no {error}: an older version "
                "deployed it, or your identity may not decrypt it. Run "
                f"{self.apply}, or allow your identity kms:Decrypt."
            ) from error

    @cached_property
    def contracts(self) -> Contracts:
        """The deployed contracts."""
        deployed = self.deployed
        return contract_store.fetch(self.s3, deployed.config_bucket, deployed.contracts_hash)

    @classmethod
    def open(cls, folder: Path | None) -> Self:
        """Return the stack deployed from `folder`, or the laptop cloud if that is None.

        Raises:
            CommandError: there is no such stack.
        """
        return cls._on_laptop() if folder is None else cls._on_aws(folder)

    @classmethod
    def _on_laptop(cls) -> Self:
        stack = local.stack.LaptopStack.read(home())
        if stack is None:
            raise CommandError(
                "No laptop cloud is running: start one with `tm up`, or pass the folder of a "
                "deployed stack with --stack or TM_STACK."
            )
        return cls(
            client=functools.cache(stack.aws.client),
            table=stack.aws.resource("dynamodb").Table(stack.outputs["log_table"]),
            outputs=stack.outputs,
            apply="`tm up`",
            landing_bucket=stack.outputs["landing_bucket"],
            staging_bucket=stack.outputs["staging_bucket"],
            state_machine_arn=stack.outputs["state_machine_arn"],
            api_url=stack.api_url,
            api_auth=_auth(stack.outputs, stack.aws.credentials),
            ca_bundle=stack.aws.ca_bundle,
            tap=Tap(stack.aws, stack.tap_url, home()),
            database=stack.database,
        )

    @classmethod
    def _on_aws(cls, folder: Path) -> Self:
        outputs = _of_module(terraform.outputs(folder))
        if outputs is None:
            raise CommandError(
                f"Terraform has no outputs of a stack in {folder}: apply there first. If the "
                "module is a child module, pass its outputs on as one output of the root module."
            )
        session = boto3.Session(region_name=outputs["region"])
        client: Any = session.client
        return cls(
            client=functools.cache(client),
            table=session.resource("dynamodb").Table(outputs["log_table"]),
            outputs=outputs,
            apply=f"`terraform -chdir={shlex.quote(str(folder))} apply`",
            landing_bucket=outputs["landing_bucket"],
            staging_bucket=outputs["staging_bucket"],
            state_machine_arn=outputs["state_machine_arn"],
            api_url=outputs["api_url"],
            api_auth=_auth(outputs, session.get_credentials),
        )


def _auth(outputs: Mapping[str, Any], credentials: Callable[[], Credentials | None]) -> AuthBase:
    # Terraform omits outputs that are null.
    key = outputs.get("api_key")
    return Signature(credentials, outputs["region"]) if key is None else Key(key)


def _of_module(outputs: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the module's outputs: at the top level, or as one output of a root module."""
    for each in (outputs, *outputs.values()):
        if isinstance(each, Mapping) and all(name in each for name in _OUTPUTS):
            return each
    return None
