"""Start and stop of the laptop cloud: emulator, PostgreSQL and Terraform module."""

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import filelock

from local import ministack, postgres, tap, terraform
from local.bundle import bundle
from local.errors import LocalError
from local.home import CHECKOUT
from local.processes import Processes
from local.stack import NAME, Aws, LaptopStack, secret_name

Report = Callable[[str], None]

_MODULE = CHECKOUT / "terraform"
_DATABASE = "pipeline"
_ROOT = "main.tf.json"


def up(
    home: Path, *, report: Report, contracts: Path | None = None, hard_testing: bool | None = None
) -> LaptopStack:
    """Start the laptop cloud, or apply the Terraform module again if it is running.

    Clouds with different state folders `home` are independent. `report` gets a short description of
    each step when it starts. `contracts` None keeps the last folder, at first the samples;
    `hard_testing` None keeps the last value, at first False. If a start fails, everything is
    stopped and removed. If only `migrate` fails, e.g. because of an invalid contract, the cloud
    keeps running.

    Raises:
        LocalError: a required program is missing, a step failed, or `migrate` failed. A running
            cloud keeps running.
    """
    given: dict[str, Any] = {}
    if contracts is not None:
        given["contracts_dir"] = str(contracts.resolve())
    if hard_testing is not None:
        given["hard_testing"] = hard_testing
    with _exclusive(home), _interruptible():
        if _is_up(home) and (running := LaptopStack.read(home)):
            stack, failure = _update(home, running, given, report)
            stack.write(home)
        else:
            _clear(home)
            try:
                stack, failure = _start(home, given, report)
                stack.write(home)
            except BaseException:
                with _uninterrupted():
                    _stop(home)
                raise
        if failure:
            raise LocalError(f"The laptop cloud is running, but `migrate` failed: {failure}")
        return stack


def down(home: Path) -> bool:
    """Stop the laptop cloud and delete its data; return whether it was running."""
    if not home.is_dir():
        return False
    with _exclusive(home), _uninterrupted():
        was_up = LaptopStack.exists(home) or bool(_processes(home).names())
        _clear(home)
        return was_up


def _start(home: Path, given: Mapping[str, Any], report: Report) -> tuple[LaptopStack, str | None]:
    """Start everything; return the stack and, if only `migrate` failed, its error."""
    processes = _processes(home)
    report("Starting the AWS emulator and PostgreSQL")
    folder = home / "terraform"
    tool = terraform.find(folder)
    aws = ministack.start(processes, home, report)
    database = postgres.new_server(_DATABASE)
    with ThreadPoolExecutor(1) as pool:
        # PostgreSQL takes longest to start, and Terraform needs it only for `migrate`, which waits.
        starting = pool.submit(postgres.start, processes, home, database)
        inputs: dict[str, Any] = {"source": _source(home)}
        _initialise(tool, processes, folder, inputs)
        ministack.wait_until_ready(processes, aws)
        inputs |= {**_inputs(aws, database, report), **given}
        report("Applying the Terraform module")
        try:
            outputs, failure = _apply(tool, processes, folder, aws, inputs)
        finally:
            starting.result()  # raises its error instead of that of `migrate`

    stack = LaptopStack(
        aws=aws,
        outputs=outputs,
        api_url=_api_url(aws, outputs),
        database=database,
        tap_url=tap.make(aws, outputs["topic_arn"]),
    )
    return stack, failure


def _inputs(aws: Aws, database: postgres.Server, report: Report) -> dict[str, Any]:
    """Upload the code and the secrets; return the module's variables."""
    report("Uploading the functions' code")
    return {
        "name": NAME,
        # The emulator expires nothing, but the provider waits a minute until S3 has applied rules:
        # https://github.com/hashicorp/terraform-provider-aws/pull/41764
        "manage_lifecycle_rules": False,
        # The tests of the Terraform examples cover the other value, "iam".
        "api_auth": "key",
        "api_key_value": secrets.token_urlsafe(30),
        "function_zip": _upload(aws),
        "database": {
            "host": database.host,
            "port": database.port,
            "name": database.database,
            "auth": "secret",
            "secret_arns": _make_secrets(aws, database),
        },
    }


def _update(
    home: Path, stack: LaptopStack, given: Mapping[str, Any], report: Report
) -> tuple[LaptopStack, str | None]:
    """Apply the module again; return the same as `_start`."""
    report("Uploading the functions' code")
    folder = home / "terraform"
    inputs = json.loads((folder / _ROOT).read_text())["module"]["pipeline"]
    inputs |= {"source": _source(home), "function_zip": _upload(stack.aws), **given}
    report("Applying the Terraform module again")
    tool, processes = terraform.find(folder), _processes(home)
    _initialise(tool, processes, folder, inputs)
    outputs, failure = _apply(tool, processes, folder, stack.aws, inputs)
    return replace(stack, outputs=outputs, api_url=_api_url(stack.aws, outputs)), failure


def _api_url(aws: Aws, outputs: Mapping[str, Any]) -> str:
    return f"{aws.endpoint_url}/_aws/execute-api/{outputs['api_id']}/Prod"


def _source(home: Path) -> str:
    return os.path.relpath(_MODULE, home / "terraform")


def _upload(aws: Aws) -> dict[str, str]:
    code = bundle(CHECKOUT)
    place = {"Bucket": f"{NAME}-code", "Key": "functions.zip"}
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=place["Bucket"])
    s3.put_object(**place, Body=code.content)
    return {"bucket": place["Bucket"], "key": place["Key"], "hash": code.hash}


def _make_secrets(aws: Aws, database: postgres.Server) -> dict[str, str]:
    credentials = {
        "migrate": {"username": database.user, "password": database.password},
        "load": {"username": "loader", "password": secrets.token_urlsafe(24)},
        "api": {"username": "reader", "password": secrets.token_urlsafe(24)},
    }
    client = aws.client("secretsmanager")
    return {
        function: client.create_secret(
            Name=secret_name(function), SecretString=json.dumps(credential)
        )["ARN"]
        for function, credential in credentials.items()
    }


def _initialise(
    tool: terraform.Terraform, processes: Processes, folder: Path, inputs: dict[str, Any]
) -> None:
    """Make `folder` a root module with the module, and `inputs`, as its child."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_root(folder, inputs)
    terraform.pin(folder)
    _run(tool, processes, folder, ["init"])


def _write_root(folder: Path, inputs: dict[str, Any]) -> None:
    # Listed one by one, because `module.pipeline` has no value after an apply that failed.
    names = re.findall(r'^output "(\w+)"', (_MODULE / "outputs.tf").read_text(), re.MULTILINE)
    outputs = {name: f"${{module.pipeline.{name}}}" for name in names}
    root = {
        "module": {"pipeline": inputs},
        "output": {"stack": {"value": outputs, "sensitive": True}},
    }
    configuration = folder / _ROOT
    configuration.touch(mode=0o600)
    configuration.write_text(json.dumps(root, indent=2))


def _apply(
    tool: terraform.Terraform, processes: Processes, folder: Path, aws: Aws, inputs: dict[str, Any]
) -> tuple[dict[str, Any], str | None]:
    """Apply the module; return its outputs and, if only `migrate` failed, its error."""
    _write_root(folder, inputs)
    failure = _run(tool, processes, folder, ["apply", "-auto-approve"], aws.environment())
    state = json.loads((folder / "terraform.tfstate").read_text())
    return state["outputs"]["stack"]["value"], failure


def _run(
    tool: terraform.Terraform,
    processes: Processes,
    folder: Path,
    command: list[str],
    environment: Mapping[str, str] | None = None,
) -> str | None:
    """Run a Terraform command; if only `migrate` failed, return its error."""
    arguments = [tool.command, f"-chdir={folder}", *command, "-no-color", "-input=false"]
    every = {**tool.environment, **(environment or {})}
    if processes.run("terraform", arguments, env=every) == 0:
        return None
    log = processes.log("terraform")
    failure = terraform.explain(log.read_text())
    if not terraform.is_function_error(log.read_text()):
        raise LocalError(f"`terraform {command[0]}` failed: {failure} Full output: {log}")
    return failure


def _is_up(home: Path) -> bool:
    processes = _processes(home)
    return LaptopStack.exists(home) and all(map(processes.alive, ("ministack", "postgres")))


def _stop(home: Path) -> None:
    """Stop every process and remove everything except the logs, which explain failures."""
    processes = _processes(home)
    processes.stop_all()
    postgres.stop(processes, home)
    ministack.stop(processes, home)
    LaptopStack.forget(home)
    shutil.rmtree(home / "terraform", ignore_errors=True)
    (home / "alerts.jsonl").unlink(missing_ok=True)


def _clear(home: Path) -> None:
    _stop(home)
    shutil.rmtree(home / "processes", ignore_errors=True)


def _processes(home: Path) -> Processes:
    return Processes(home / "processes")


@contextlib.contextmanager
def _exclusive(home: Path) -> Iterator[None]:
    home.mkdir(parents=True, exist_ok=True)
    # Terraform's state and the logs contain secrets.
    home.chmod(0o700)
    try:
        with filelock.FileLock(home / "lock", timeout=0):
            yield
    except filelock.Timeout:
        raise LocalError(
            f"Another `tm up` or `tm down` is running in {home}: wait until it ends."
        ) from None


@contextlib.contextmanager
def _handling(handler: Any, *numbers: signal.Signals) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def _interruptible() -> contextlib.AbstractContextManager[None]:
    """Handle SIGTERM and SIGHUP like Ctrl-C, so that the clean-up runs."""
    return _handling(signal.default_int_handler, signal.SIGTERM, signal.SIGHUP)


def _uninterrupted() -> contextlib.AbstractContextManager[None]:
    """Ignore signals, including Ctrl-C, until the clean-up has finished."""
    return _handling(signal.SIG_IGN, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
