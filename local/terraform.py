"""Terraform on this machine: where it is, and where it finds its provider without the registry."""

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

# What the tests need (`override_during` in `terraform test`): more than the module does.
MINIMUM = (1, 11)
_WANTED = ".".join(map(str, MINIMUM))
PROVIDER = "hashicorp/aws"
PROVIDER_VERSION = "5.100.0"

_REGISTRY = "registry.terraform.io"
# The folders of a system under which administrators put a mirror, one level down.
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
# As the provider's aws_lambda_invocation says it.
_FUNCTION_ERROR = re.compile(r'Error: invoking Lambda Function \(.*?\): (?P<answer>\{"error.*\})')
# What would make the user's own Terraform settings part of ours.
_FOREIGN = re.compile(r"AWS_.*|TF_(CLI_ARGS.*|VAR_.*|WORKSPACE|DATA_DIR|LOG.*)")


@dataclass(frozen=True)
class Terraform:
    """A Terraform to work with: the command, and the environment in which it finds its provider."""

    command: str
    environment: Mapping[str, str]

    def run(self, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run one of Terraform's commands in `folder`; the caller looks at the exit status."""
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
    """Let `terraform init` in `folder` choose PROVIDER_VERSION.

    The module allows a range of versions, and Terraform would choose the newest of them.
    """
    lock = f'provider "{_REGISTRY}/{PROVIDER}" {{\n  version = "{PROVIDER_VERSION}"\n}}\n'
    (folder / ".terraform.lock.hcl").write_text(lock)


def find(folder: Path, environment: Mapping[str, str] = os.environ) -> Terraform:
    """Find Terraform; a CLI configuration that names a provider mirror goes into `folder`.

    Where no mirror is found and the user has no CLI configuration, the provider is downloaded, once
    for all folders of this user.

    Raises:
        LocalError: there is no Terraform, or it is too old; or it cannot download the provider.
    """
    terraform = Terraform(_command(environment), _own(environment))
    found = _version(terraform)
    if tuple(int(part) for part in found.split(".")[:2]) < MINIMUM:
        raise LocalError(
            f"Terraform {found} ({terraform.command}) is too old: install {_WANTED} or newer."
        )
    own = terraform.environment
    if "TF_CLI_CONFIG_FILE" in own or os.access(_home(own) / ".terraformrc", os.R_OK):
        return terraform
    providers = mirror(candidates(own)) or _download(terraform)
    configuration = _configuration(folder, providers)
    return Terraform(terraform.command, {**own, "TF_CLI_CONFIG_FILE": str(configuration)})


def outputs(folder: Path) -> dict[str, Any]:
    """Return the outputs of what the user applied in `folder`, with the user's own settings.

    Raises:
        LocalError: there is no Terraform, or it cannot read the state there.
    """
    answer = Terraform(_command(os.environ), os.environ).run("output", "-json", folder=folder)
    if answer.returncode != 0:
        raise LocalError(f"`terraform output` failed in {folder}: {explain(answer.stderr)}")
    return {name: output["value"] for name, output in json.loads(answer.stdout).items()}


def mirror(candidates: Iterable[Path]) -> Path | None:
    """Return the first folder that holds the provider for this platform, laid out as a mirror."""
    return next((each for each in candidates if _holds_provider(each)), None)


def candidates(environment: Mapping[str, str], root: Path = Path("/")) -> list[Path]:
    """List where a provider mirror may be: the user's folders first, then the system's."""
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
    """Return this platform as Terraform names it, such as `linux_amd64`."""
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
    if _needs_registry(error):
        return (
            f"the provider {PROVIDER} {PROVIDER_VERSION} is nowhere to be had: the registry cannot "
            "be reached and no mirror of it was found. Name one in TF_PLUGIN_CACHE_DIR."
        )
    return error


def is_function_error(output: str) -> bool:
    """Tell whether nothing failed but a function that Terraform called."""
    errors = [line for line in _lines(output) if line.startswith("Error: ")]
    return len(errors) == 1 and _FUNCTION_ERROR.fullmatch(errors[0]) is not None


def _lines(output: str) -> list[str]:
    return [line.strip(" │╷╵\t") for line in re.sub(r"\x1b\[[0-9;]*m", "", output).splitlines()]


def _command(environment: Mapping[str, str]) -> str:
    command = shutil.which("terraform", path=environment.get("PATH"))
    if command is None:
        raise LocalError(
            f"Terraform is not installed: no `terraform` in PATH. Install {_WANTED} or newer."
        )
    return command


def _needs_registry(error: str) -> bool:
    return (
        PROVIDER in error
        and re.search(r"query available provider packages|Failed to install provider", error)
        is not None
    )


def _own(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what would make the user's own settings part of ours."""
    own = {name: value for name, value in environment.items() if not _FOREIGN.fullmatch(name)}
    if not os.access(own.get("TF_CLI_CONFIG_FILE", ""), os.R_OK):
        # Set but absent, or another user's, it makes Terraform warn in the middle of what we read.
        own.pop("TF_CLI_CONFIG_FILE", None)
    return own | {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", "TF_INPUT": "0"}


def _home(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("HOME") or Path.home())


def _configuration(folder: Path, providers: Path) -> Path:
    """Write a CLI configuration with that mirror; return its path."""
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
    """Download the provider, unless it is there already; return the folder as a mirror.

    Otherwise each `terraform init` would download it again, which is 150 MB. Terraform's own plugin
    cache does not help: it is not used for a provider without checksums in the lock file, and it is
    not safe for several processes at once:
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
            wanted = {"aws": {"source": PROVIDER, "version": PROVIDER_VERSION}}
            root = {"terraform": {"required_providers": wanted}}
            Path(folder, "main.tf.json").write_text(json.dumps(root))
            done = terraform.run("init", "-no-color", folder=Path(folder))
            if done.returncode != 0:
                raise LocalError(f"`terraform init` failed: {explain(done.stderr)}")
            # Where Terraform unpacks providers is laid out as a mirror.
            Path(folder, ".terraform", "providers").rename(providers)
    return providers


def _version(terraform: Terraform) -> str:
    answer = terraform.run("version", "-json", folder=Path("/"))
    try:
        return str(json.loads(answer.stdout)["terraform_version"])
    except (ValueError, KeyError) as error:
        reason = (answer.stderr or answer.stdout).strip().splitlines() or ["it said nothing"]
        raise LocalError(
            f"{terraform.command} does not tell its version ({reason[0]}): is it Terraform?"
        ) from error


def _holds_provider(folder: Path) -> bool:
    provider = folder / _REGISTRY / PROVIDER
    name = PROVIDER.rpartition("/")[2]
    packed = provider / f"terraform-provider-{name}_{PROVIDER_VERSION}_{target()}.zip"
    unpacked = (provider / PROVIDER_VERSION / target()).glob(
        f"terraform-provider-{name}_v{PROVIDER_VERSION}*"
    )
    return os.access(packed, os.R_OK) or any(os.access(each, os.X_OK) for each in unpacked)
