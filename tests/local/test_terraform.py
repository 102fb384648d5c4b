import json
import os
import re
import shutil
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from local import terraform
from local.errors import LocalError
from local.home import CHECKOUT

PROVIDER = Path("registry.terraform.io/hashicorp/aws")
TARGET = terraform.target()
UNPACKED = PROVIDER / "5.100.0" / TARGET / "terraform-provider-aws_v5.100.0_x5"
PACKED = PROVIDER / f"terraform-provider-aws_5.100.0_{TARGET}.zip"


def put(path: Path, mode: int = 0o755) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=mode)


def command(folder: Path, script: str) -> dict[str, str]:
    """Put a fake `terraform` and provider into `folder`; return an environment with both."""
    path = folder / "bin" / "terraform"
    put(path)
    path.write_text(f"#!/bin/sh\n{script}\n")
    put(folder / "home/.terraform.d/plugins" / UNPACKED)
    return {"PATH": f"{path.parent}:/usr/bin:/bin", "HOME": str(folder / "home")}


def version(number: str) -> str:
    return f"""echo '{{"terraform_version": "{number}"}}'"""


@pytest.mark.parametrize("layout", [UNPACKED, PACKED])
@pytest.mark.parametrize(
    "where",
    [
        *("opt/plugins", "usr/share/x", "usr/local/share/y", "var/lib/z"),
        *("usr/share/terraform/plugins", "usr/local/share/terraform/plugins"),
        *("home/.terraform.d/plugins", "home/.local/share/terraform/plugins"),
    ],
)
def test_mirror_is_found_in_known_folders(tmp_path: Path, where: str, layout: Path) -> None:
    """Mirrors may be one level below a system root, and in Terraform's own folders."""
    put(tmp_path / where / layout)
    environment = {"HOME": str(tmp_path / "home")}
    assert terraform.mirror(terraform.candidates(environment, tmp_path)) == tmp_path / where


def test_mirror_prefers_plugin_cache(tmp_path: Path) -> None:
    put(tmp_path / "opt/plugins" / UNPACKED)
    put(tmp_path / "cache" / UNPACKED)
    environment = {"TF_PLUGIN_CACHE_DIR": str(tmp_path / "cache")}
    assert terraform.mirror(terraform.candidates(environment, tmp_path)) == tmp_path / "cache"


@pytest.mark.parametrize(
    "other",
    [
        PROVIDER / "5.99.0" / TARGET / "terraform-provider-aws_v5.99.0_x5",
        PROVIDER / "5.100.0" / "plan9_386" / "terraform-provider-aws_v5.100.0_x5",
        PROVIDER / "5.100.0" / TARGET / "LICENSE.txt",
        PROVIDER.parent / "random" / "5.100.0" / TARGET / "terraform-provider-random_v5.100.0_x5",
    ],
)
def test_mirror_skips_folder_without_exact_provider(tmp_path: Path, other: Path) -> None:
    put(tmp_path / "opt/a" / other)
    assert terraform.mirror(terraform.candidates({}, tmp_path)) is None
    put(tmp_path / "opt/b" / UNPACKED)
    assert terraform.mirror(terraform.candidates({}, tmp_path)) == tmp_path / "opt/b"


def test_mirror_skips_provider_that_is_not_executable(tmp_path: Path) -> None:
    put(tmp_path / "opt/a" / UNPACKED, mode=0o644)
    assert terraform.mirror(terraform.candidates({}, tmp_path)) is None


def test_find_writes_configuration_for_mirror(tmp_path: Path) -> None:
    environment = command(tmp_path, version("1.11.4"))
    put(tmp_path / "cache" / UNPACKED)
    environment["TF_PLUGIN_CACHE_DIR"] = str(tmp_path / "cache")
    environment["TF_CLI_CONFIG_FILE"] = str(tmp_path / "set but absent")
    found = terraform.find(tmp_path / "state", environment)
    configuration = Path(found.environment["TF_CLI_CONFIG_FILE"])
    assert configuration.parent == tmp_path / "state"
    assert str(tmp_path / "cache") in configuration.read_text()


def test_find_keeps_users_configuration(tmp_path: Path) -> None:
    environment = command(tmp_path, version("2.0.0"))
    own = tmp_path / "own.rc"
    own.touch()
    found = terraform.find(tmp_path / "state", environment | {"TF_CLI_CONFIG_FILE": str(own)})
    assert found.environment["TF_CLI_CONFIG_FILE"] == str(own)
    assert not (tmp_path / "state").exists()

    put(tmp_path / "home" / ".terraformrc")
    absent = {"TF_CLI_CONFIG_FILE": str(tmp_path / "set but absent")}
    found = terraform.find(tmp_path / "state", environment | absent)
    assert "TF_CLI_CONFIG_FILE" not in found.environment


def test_find_drops_users_aws_and_workspace_settings(tmp_path: Path) -> None:
    environment = command(tmp_path, version("1.11.0"))
    kept = {"HTTPS_PROXY": "http://proxy", "TF_PLUGIN_CACHE_DIR": "/cache"}
    environment |= kept | {
        "AWS_PROFILE": "production",
        "TF_WORKSPACE": "production",
        "TF_VAR_name": "production",
        "TF_CLI_ARGS_apply": "-destroy",
    }
    found = terraform.find(tmp_path / "state", environment).environment
    assert kept.items() <= found.items()
    assert not re.search("production|-destroy", str(dict(found)))


def test_find_reports_missing_terraform(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match=r"not in PATH: install Terraform 1\.11 or newer"):
        terraform.find(tmp_path, {"PATH": str(tmp_path)})


@pytest.mark.parametrize(
    ("script", "line"),
    [
        (version("1.10.5"), r"Terraform 1\.10\.5 .*too old: install 1\.11"),
        (version("0.15.0"), r"Terraform 0\.15\.0 .*too old: install 1\.11"),
        ("echo unknown option >&2; exit 1", r"printed no version .*unknown option"),
    ],
)
def test_find_reports_unusable_terraform(tmp_path: Path, script: str, line: str) -> None:
    with pytest.raises(LocalError, match=line):
        terraform.find(tmp_path, command(tmp_path, script))


def test_init_uses_pinned_provider(tmp_path: Path) -> None:
    for number in ("5.100.0", "6.99.0"):
        name = f"terraform-provider-aws_v{number}_x5"
        put(tmp_path / "home/.terraform.d/plugins" / PROVIDER / number / TARGET / name)
    root = tmp_path / "root"
    root.mkdir()
    shutil.copy(CHECKOUT / "terraform" / "versions.tf", root)
    environment = {**os.environ, "HOME": str(tmp_path / "home")}
    found = terraform.find(tmp_path, environment | {"TF_CLI_CONFIG_FILE": "/set/but/absent"})

    def installed(*options: str) -> list[str]:
        done = found.run("init", "-no-color", *options, folder=root)
        assert done.returncode == 0, done.stderr
        return [each.name for each in (root / ".terraform/providers" / PROVIDER).iterdir()]

    assert installed() == ["5.100.0"]
    shutil.rmtree(root / ".terraform")
    assert installed("-upgrade") == ["6.99.0"]


def test_find_downloads_provider_once_without_mirror(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shutil.which("terraform")
    environment = command(tmp_path, f'echo "$*" >>{tmp_path}/calls; exec {real} "$@"')
    monkeypatch.setattr(terraform, "candidates", lambda _: [])
    # This folder replaces the registry: Terraform unpacks the provider from it.
    shutil.rmtree(tmp_path / "home")
    registry = tmp_path / "home/.terraform.d/plugins" / PACKED
    registry.parent.mkdir(parents=True)
    with zipfile.ZipFile(registry, "w") as package:
        entry = zipfile.ZipInfo(UNPACKED.name)
        entry.external_attr = 0o755 << 16
        package.writestr(entry, "#!/bin/sh\n")
    root = tmp_path / "root"
    root.mkdir()
    shutil.copy(CHECKOUT / "terraform" / "versions.tf", root)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: terraform.find(tmp_path / str(n), environment), range(4)))
    shutil.rmtree(tmp_path / "home/.terraform.d")
    found.append(terraform.find(tmp_path / "4", environment))

    assert (tmp_path / "calls").read_text().count(" init ") == 1
    cache = tmp_path / "home/.cache/tm-pipeline"
    assert {each.name for each in cache.iterdir()} == {"aws-5.100.0", "lock"}
    for each in found:
        done = each.run("init", "-no-color", folder=root)
        assert done.returncode == 0, done.stderr
        installed = root / ".terraform/providers" / PROVIDER / "5.100.0" / TARGET
        assert installed.resolve() == cache / "aws-5.100.0" / PROVIDER / "5.100.0" / TARGET
        shutil.rmtree(root / ".terraform")


def test_find_reports_failed_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = command(tmp_path, f'case "$*" in *init*) exit 1 ;; esac; {version("1.11.4")}')
    monkeypatch.setattr(terraform, "candidates", lambda _: [])

    with pytest.raises(LocalError, match="`terraform init` failed: no error message"):
        terraform.find(tmp_path / "state", environment)
    assert [each.name for each in (tmp_path / "home/.cache/tm-pipeline").iterdir()] == ["lock"]


@pytest.mark.parametrize("config", ["set/but/absent", "a-file/in-the-way", ""])
def test_find_ignores_unreadable_configuration_file(tmp_path: Path, config: str) -> None:
    environment = command(tmp_path, version("1.11.4"))
    (tmp_path / "a-file").touch()
    environment["TF_CLI_CONFIG_FILE"] = config and str(tmp_path / config)
    found = terraform.find(tmp_path / "state", environment).environment
    assert found.get("TF_CLI_CONFIG_FILE") in (None, str(tmp_path / "state" / "terraform.rc"))


# Printed by Terraform with version 5.100.0 of the provider.
FUNCTION_ERROR = (
    "\n│ Error: invoking Lambda Function (tm-pipeline-migrate): "
    + json.dumps(
        {
            "errorMessage": '1 of 2 tables\nMigrated: a.\n- b.odcs.yaml: it\'s "broken"',
            "errorType": "TablesNotMigrated",
            "stackTrace": ["a line\n"],
        }
    )
    + "\n│ \n│   with module.pipeline.aws_lambda_invocation.migrate,\n"
    '│   on database.tf line 195, in resource "aws_lambda_invocation" "migrate":\n'
    '│  195: resource "aws_lambda_invocation" "migrate" {\n│ \n'
)


@pytest.mark.parametrize(
    ("output", "line"),
    [
        (
            "\nError: Failed to query available provider packages\n\nCould not retrieve the list of"
            " available versions for provider\nhashicorp/aws: no such host\n",
            "the provider hashicorp/aws 5.100.0 was not found: the registry cannot be reached and "
            "there is no mirror. Set TF_PLUGIN_CACHE_DIR to a mirror.",
        ),
        (
            "╷\n│ Error: creating S3 Bucket (x): no\n│ \n│   with aws_s3_bucket.x,\n"
            '│   on main.tf line 3, in resource "aws_s3_bucket" "x":\n'
            '│    3: resource "aws_s3_bucket" "x" {\n│ \n╵\n',
            "creating S3 Bucket (x): no",
        ),
        ("\x1b[31mError: \x1b[0mit broke\n\nBecause.\n", "it broke Because."),
        (FUNCTION_ERROR, '1 of 2 tables Migrated: a. - b.odcs.yaml: it\'s "broken"'),
        ("all is well", "no error message"),
    ],
)
def test_explain_returns_error_in_one_line(output: str, line: str) -> None:
    assert terraform.explain(output) == line


def test_is_function_error_requires_single_error() -> None:
    assert terraform.is_function_error(FUNCTION_ERROR)
    assert not terraform.is_function_error(f"{FUNCTION_ERROR}\nError: another\n")
    assert not terraform.is_function_error("Error: another")
    assert not terraform.is_function_error("all is well")
