"""Terraform on this machine, with a local mirror of its provider if there is one."""

import json
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock

from local.errors import LocalError

# The tests need `override_during` of `terraform test`. The module itself needs less.
MINIMUM = (1, 11)
_MINIMUM = ".".join(map(str, MINIMUM))
PROVIDER = "hashicorp/aws"
PROVIDER_VERSION = "5.100.0"

_REGISTRY = "registry.terraform.io"
# System folders that may have a mirror in a subfolder.
_SYSTEM_ROOTS = (
    "opt",
    "srv",
    "usr/lib",
    "usr/local",
    "usr/local/share",
    "usr/share",
    "var/cache",
    "var/lib",
)
# The error of the provider's aws_lambda_invocation.
_FUNCTION_ERROR = re.compile(r'Error: invoking Lambda Function \(.*?\): (?P<answer>\{"error.*\})')
_NEEDS_REGISTRY = re.compile(r"query available provider packages|Failed to install provider")
# Settings of the user that would affect the laptop cloud.
_FOREIGN = re.compile(r"AWS_.*|TF_(CLI_ARGS.*|VAR_.*|WORKSPACE|DATA_DIR|LOG.*)")


@dataclass(frozen=True)
class Terraform:
    """The Terraform command, and an environment in which it finds its provider."""

    command: str
    environment: Mapping[str, str]

    def run(self, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run a Terraform command in `folder`; a failure does not raise an error."""
        if arguments[0] == "init":
            pin(folder)
        return subprocess.run(  # noqa: S603
            [self.command, f"-chdir={folder}", *arguments],
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


def pin(folder: Path) -> None:
    """Make `terraform init` in `folder` use PROVIDER_VERSION.

    The module allows a range of versions, and Terraform would use the newest one.
    """
    lock = f'provider "{_REGISTRY}/{PROVIDER}" {{\n  version = "{PROVIDER_VERSION}"\n}}\n'
    (folder / ".terraform.lock.hcl").write_text(lock)


def find(folder: Path, environment: Mapping[str, str] = os.environ) -> Terraform:
    """Find Terraform and its provider.

    If the user has a CLI configuration, use it. Otherwise use a provider mirror or, if none is
    found, download the provider once per user. `folder` is for a CLI configuration that names the
    mirror.

    Raises:
        LocalError: Terraform is missing or too old, or the provider cannot be downloaded.
    """
    terraform = Terraform(_command(environment), _own(environment))
    found = _version(terraform)
    if tuple(int(part) for part in found.split(".")[:2]) < MINIMUM:
        raise LocalError(
            f"Terraform {found} ({terraform.command}) is too old: install {_MINIMUM} or newer."
        )
    own = terraform.environment
    if "TF_CLI_CONFIG_FILE" in own or os.access(_home(own) / ".terraformrc", os.R_OK):
        return terraform
    providers = mirror(candidates(own)) or _download(terraform)
    configuration = _configuration(folder, providers)
    return Terraform(terraform.command, {**own, "TF_CLI_CONFIG_FILE": str(configuration)})


def outputs(folder: Path) -> dict[str, Any]:
    """Return the Terraform outputs of `folder`, read with the user's own settings.

    Raises:
        LocalError: Terraform is missing or cannot read the state.
    """
    answer = Terraform(_command(os.environ), os.environ).run("output", "-json", folder=folder)
    if answer.returncode != 0:
        raise LocalError(f"`terraform output` failed in {folder}: {explain(answer.stderr)}")
    return {name: output["value"] for name, output in json.loads(answer.stdout).items()}


def mirror(candidates: Iterable[Path]) -> Path | None:
    """Return the first folder that is a mirror with the provider for this platform."""
    return next((each for each in candidates if _holds_provider(each)), None)


def candidates(environment: Mapping[str, str], root: Path = Path("/")) -> list[Path]:
    """Return the folders that may be a provider mirror, the user's before the system's."""
    found = []
    if cache := environment.get("TF_PLUGIN_CACHE_DIR"):
        found.append(Path(cache))
    if user := environment.get("HOME"):
        data = environment.get("XDG_DATA_HOME") or str(Path(user, ".local/share"))
        found += [
            Path(user, ".terraform.d/plugins"),
            Path(user, "Library/Application Support/io.terraform/plugins"),
            Path(data, "terraform/plugins"),
        ]
    shared = environment.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    found += [root / each.lstrip("/") / "terraform/plugins" for each in shared.split(":") if each]
    found.append(root / "Library/Application Support/io.terraform/plugins")
    for each in _SYSTEM_ROOTS:
        found += sorted(path.parent for path in (root / each).glob(f"*/{_REGISTRY}"))
    return found


def target() -> str:
    """Return Terraform's name of this platform, e.g. `linux_amd64`."""
    machine = platform.machine().lower()
    architecture = {"x86_64": "amd64", "aarch64": "arm64", "i686": "386"}.get(machine, machine)
    return f"{platform.system().lower()}_{architecture}"


def explain(output: str) -> str:
    """Return the first error in Terraform's output as one line."""
    lines = _lines(output)
    starts = (number for number, line in enumerate(lines) if line.startswith("Error: "))
    start = next(starts, None)
    if start is None:
        return "no error message"
    block = lines[start : start + 12]
    details = [line for line in block[1:] if line and not re.match(r"(with|on) .*[,:]$|\d+:", line)]
    if found := _FUNCTION_ERROR.fullmatch(block[0]):
        return " ".join(json.loads(found["answer"])["errorMessage"].split())
    error = " ".join([block[0].removeprefix("Error: "), *details[:3]])
    if PROVIDER in error and _NEEDS_REGISTRY.search(error):
        return (
            f"the provider {PROVIDER} {PROVIDER_VERSION} was not found: the registry cannot be "
            "reached and there is no mirror. Set TF_PLUGIN_CACHE_DIR to a mirror."
        )
    return error


def is_function_error(output: str) -> bool:
    """Return whether the only error is that of a function that Terraform called."""
    errors = [line for line in _lines(output) if line.startswith("Error: ")]
    return len(errors) == 1 and _FUNCTION_ERROR.fullmatch(errors[0]) is not None


def _lines(output: str) -> list[str]:
    return [line.strip(" │╷╵\t") for line in re.sub(r"\x1b\[[0-9;]*m", "", output).splitlines()]


def _command(environment: Mapping[str, str]) -> str:
    command = shutil.which("terraform", path=environment.get("PATH"))
    if command is None:
        raise LocalError(f"`terraform` is not in PATH: install Terraform {_MINIMUM} or newer.")
    return command


def _own(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without the user's AWS and Terraform settings."""
    own = {name: value for name, value in environment.items() if not _FOREIGN.fullmatch(name)}
    if not os.access(own.get("TF_CLI_CONFIG_FILE", ""), os.R_OK):
        # An unreadable file would make Terraform mix warnings into its output.
        own.pop("TF_CLI_CONFIG_FILE", None)
    # With Go's default of 100, collecting garbage takes a third of the CPU time of a plan, because
    # the provider's schema is large. With 400, Terraform needs 0.5 instead of 0.3 GB.
    own.setdefault("GOGC", "400")
    return own | {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", "TF_INPUT": "0"}


def _home(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("HOME") or Path.home())


def _configuration(folder: Path, providers: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "terraform.rc"
    path.write_text(
        "provider_installation {\n"
        "  filesystem_mirror {\n"
        f"    path    = {json.dumps(str(providers))}\n"
        f'    include = ["{PROVIDER}"]\n'
        "  }\n"
        f'  direct {{\n    exclude = ["{PROVIDER}"]\n  }}\n'
        "}\n"
    )
    return path


def _download(terraform: Terraform) -> Path:
    """Download the provider (150 MB) unless it is cached; return the cache as a mirror.

    Terraform's own plugin cache is not enough. Terraform does not use it for a provider without
    checksums in the lock file, and it is not safe for concurrent processes:
    https://developer.hashicorp.com/terraform/cli/config/config-file#provider-plugin-cache
    """
    own = terraform.environment
    cache = Path(own.get("XDG_CACHE_HOME") or _home(own) / ".cache", "tm-pipeline")
    cache.mkdir(parents=True, exist_ok=True)
    providers = cache / f"aws-{PROVIDER_VERSION}"
    with filelock.FileLock(cache / "lock"):
        if _holds_provider(providers):
            return providers
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            required = {"aws": {"source": PROVIDER, "version": PROVIDER_VERSION}}
            root = {"terraform": {"required_providers": required}}
            Path(folder, "main.tf.json").write_text(json.dumps(root))
            done = terraform.run("init", "-no-color", folder=Path(folder))
            if done.returncode != 0:
                raise LocalError(f"`terraform init` failed: {explain(done.stderr)}")
            # Terraform unpacks providers in the layout of a mirror.
            Path(folder, ".terraform", "providers").rename(providers)
    return providers


def _version(terraform: Terraform) -> str:
    answer = terraform.run("version", "-json", folder=Path("/"))
    try:
        return str(json.loads(answer.stdout)["terraform_version"])
    except (ValueError, KeyError) as error:
        reason = (answer.stderr or answer.stdout).strip().splitlines() or ["no output"]
        raise LocalError(
            f"{terraform.command} printed no version ({reason[0]}): check that it is Terraform."
        ) from error


def _holds_provider(folder: Path) -> bool:
    provider = folder / _REGISTRY / PROVIDER
    name = PROVIDER.rpartition("/")[2]
    packed = provider / f"terraform-provider-{name}_{PROVIDER_VERSION}_{target()}.zip"
    unpacked = (provider / PROVIDER_VERSION / target()).glob(
        f"terraform-provider-{name}_v{PROVIDER_VERSION}*"
    )
    return os.access(packed, os.R_OK) or any(os.access(each, os.X_OK) for each in unpacked)
