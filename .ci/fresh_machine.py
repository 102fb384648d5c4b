"""Run a command of this checkout on a new Debian with only Python, make and Terraform.

    sudo PYTHONPATH=. .venv/bin/python .ci/fresh_machine.py [COMMAND…]

The default is `make run`. It runs as an ordinary user in a root that debootstrap creates. The root
shares the Terraform command, a provider mirror if one exists, and pip's configuration with this
machine. Everything is removed at the end. The exit status is the command's.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from local import terraform

CHECKOUT = Path(__file__).parents[1]
SUITE = "bookworm"
"""The Debian release with the oldest Python that pyproject.toml allows, 3.11."""
PACKAGES = ("make", "python3", "python3-venv")
USER = "newcomer"
HOME = f"/home/{USER}"
PROVIDERS = "/usr/local/share/terraform/plugins"
"""A folder in which Terraform itself looks for a mirror."""
PIP_CONFIGURATION = "/etc/pip.conf"


def main() -> int:
    if os.geteuid() != 0:
        raise SystemExit("fresh_machine.py: only root can create a new root: use sudo.")
    with tempfile.TemporaryDirectory(prefix="fresh-machine-", dir="/var/tmp") as folder:
        root = Path(folder, "root")
        install(root)
        return run(root, sys.argv[1:] or ["make", "run"])


def install(root: Path) -> None:
    """Create the root: Debian's packages, a user with this checkout, and the Terraform command."""
    if shutil.which("debootstrap") is None:
        check("apt-get", "update")
        check("apt-get", "install", "--yes", "debootstrap")
    packages = ",".join(PACKAGES)
    check("debootstrap", "--variant=minbase", f"--include={packages}", SUITE, str(root))
    check("chroot", str(root), "useradd", "--create-home", "--shell", "/bin/sh", USER)
    copy_checkout(root / HOME.lstrip("/") / CHECKOUT.name)
    check("chroot", str(root), "chown", "--recursive", f"{USER}:", HOME)
    shutil.copy(required("terraform"), root / "usr/local/bin/terraform")
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")


def copy_checkout(target: Path) -> None:
    """Copy the tracked files as they are in the work tree, without anything built from them."""
    git = ["git", "-c", f"safe.directory={CHECKOUT}", "ls-files", "-z"]
    listed = subprocess.run(git, cwd=CHECKOUT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(CHECKOUT / name, target / name)


def run(root: Path, command: list[str]) -> int:
    """Run the command as the user; its mounts and processes end with it."""
    mounts = [("/dev", "/dev"), ("/sys", "/sys"), *pip_files(root)]
    if providers := terraform.mirror(terraform.candidates(os.environ)):
        mounts.append((str(providers), PROVIDERS))
    script = [mount(root, source, target) for source, target in mounts]
    script.append(f"mount -t proc proc {shlex.quote(str(root / 'proc'))}")
    inside = f"cd {HOME}/{CHECKOUT.name} && exec {shlex.join(command)}"
    arguments = ["chroot", f"--userspec={USER}:{USER}", str(root), "/usr/bin/env", "-i"]
    arguments += [f"{name}={value}" for name, value in environment().items()]
    script.append(f"exec {shlex.join([*arguments, 'sh', '-c', inside])}")
    namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    return subprocess.run([*namespaces, "sh", "-euc", "\n".join(script)], check=False).returncode


def mount(root: Path, source: str, target: str) -> str:
    """Create the mount point; return the shell command that mounts it."""
    place = root / target.lstrip("/")
    if Path(source).is_dir():
        place.mkdir(parents=True, exist_ok=True)
    else:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    return f"mount --rbind {shlex.quote(source)} {shlex.quote(str(place))}"


def pip_files(root: Path) -> Iterator[tuple[str, str]]:
    """Copy pip's configuration into the root; yield the mounts of the files that it names."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True
    ).stdout
    settings = dict(re.findall(r"^(?:global|:env:)\.([\w-]+)='(.*)'$", listed, re.MULTILINE))
    lines = [f"{name} = {value}" for name, value in settings.items()]
    (root / PIP_CONFIGURATION.lstrip("/")).write_text("\n".join(["[global]", *lines, ""]))
    for word in {word for value in settings.values() for word in value.split()}:
        path = Path(urlsplit(word).path)
        if urlsplit(word).scheme in ("", "file") and path.is_absolute() and path.exists():
            # The pages of a local index link to files beside them.
            path = path.parent if path.name == "simple" else path
            yield str(path), str(path)


def environment() -> dict[str, str]:
    """Return the variables of a login, and this machine's proxies."""
    proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    path = "/usr/local/bin:/usr/bin:/bin"
    return {"HOME": HOME, "USER": USER, "LANG": "C.UTF-8", "PATH": path} | proxies


def required(command: str) -> str:
    if (found := shutil.which(command)) is None:
        raise SystemExit(f"fresh_machine.py: {command} is not installed: install it.")
    return found


def check(*command: str) -> None:
    """Run a command; if it fails, end with the last lines that it printed."""
    done = subprocess.run(
        [required(command[0]), *command[1:]], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        said = (done.stdout + done.stderr)[-2_000:]
        raise SystemExit(f"fresh_machine.py: `{shlex.join(command)}` failed:\n{said}")


if __name__ == "__main__":
    sys.exit(main())
