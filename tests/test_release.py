"""Tests of the workflows that write to the repository: their scripts and longer steps.

git and ssh-keygen are real. Stand-ins for GitHub's CLI, Docker and cosign return given answers and
record their calls.
"""

import os
import re
import sys
from pathlib import Path
from typing import Any

import hcl2
import pytest
import yaml

from shared.version import VERSION
from tests.checkout import CHECKOUT
from tests.programs import Done, run

pytestmark = pytest.mark.git

WORKFLOW = CHECKOUT / ".github" / "workflows" / "release.yml"
UPDATE = WORKFLOW.with_name("update-locks.yml")
UNQUOTED = hcl2.SerializationOptions(strip_string_quotes=True)
TEXT = """# Changelog

## 0.2.0 - 2026-12-01

### Added

- Something.

## 0.1.0 - 2026-11-01

### Added

- Everything.
"""
GH = """#!/bin/sh
echo "$*" >>"$CALLS"
case "$1 $2" in
  "release list") printf '%s\\n' $RELEASES ;;
  "run list") printf '%s\\n' $RUNS ;;
  "pr list") printf '%s\\n' $PULL_REQUESTS ;;
esac
"""
DOCKER = """#!/bin/sh
echo "$*" >>"$CALLS"
case "$1" in
  push) echo "$3" ;;
  buildx) printf '{"mediaType": "%s", "digest": "sha256:%s"}' "$MEDIA_TYPE" "${4##*/}" ;;
esac
"""
COSIGN = """#!/bin/sh
echo "cosign $*" >>"$CALLS"
[ "$1" != "$UNABLE_TO" ]
"""


def changelog(version: str, folder: Path = CHECKOUT) -> Done:
    return run(sys.executable, folder / ".ci" / "changelog.py", version, cwd=folder)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout that can be released as 0.2.0, with the files that the scripts read."""
    folder = tmp_path / "checkout"
    for name in (".ci/changelog.py", ".ci/unreleased.sh", "shared/version.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        text = (CHECKOUT / name).read_text()
        (folder / name).touch((CHECKOUT / name).stat().st_mode)
        (folder / name).write_text(text.replace(f'VERSION = "{VERSION}"', 'VERSION = "0.2.0"'))
    (folder / "CHANGELOG.md").write_text(TEXT)
    return folder


def test_changelog_prints_the_section_of_the_version(checkout: Path) -> None:
    done = changelog("0.2.0", checkout)

    assert (done.returncode, done.stdout) == (0, "### Added\n\n- Something.\n"), done.stderr
    message = "changelog: shared/version.py says 0.2.0, not 0.1.0."
    assert refused("0.1.0", checkout).startswith(message)


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("0.2.0", "0.3.0", "CHANGELOG.md: the newest section is for 0.3.0, not 0.2.0."),
        (
            "0.2.0 - 2026-12-01",
            "Unreleased",
            'CHANGELOG.md: the first section is "## Unreleased": write "## VERSION - DATE".',
        ),
        (TEXT, "# Changelog\n", 'CHANGELOG.md: the first section is "## "'),
        *(
            (
                "2026-12-01",
                date,
                f'CHANGELOG.md: the date of 0.2.0 is "{date}": write it as YYYY-MM-DD.',
            )
            for date in ("unreleased", "2026-13-01", "01.12.2026", "20261201")
        ),
        *(
            ("### Added\n\n- Something.\n", left, "CHANGELOG.md: the section of 0.2.0 is empty.")
            for left in ("", "### Added\n")
        ),
    ],
)
def test_changelog_reports_invalid_section(
    right: str, wrong: str, message: str, checkout: Path
) -> None:
    (checkout / "CHANGELOG.md").write_text(TEXT.replace(right, wrong))

    assert refused("0.2.0", checkout).startswith(f"changelog: {message}")


def refused(version: str, checkout: Path) -> str:
    """Run the script, which must fail; return its error message."""
    done = changelog(version, checkout)
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    return line


class Release:
    """A clone of a repository, in which steps of a workflow run with `bash -e`, as on GitHub."""

    def __init__(self, folder: Path, checkout: Path) -> None:
        self.checkout = checkout
        self.origin = folder / "origin"
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        self.calls = folder / "calls"
        self.key = self.make_key(folder / "key")
        commands = folder / "commands"
        commands.mkdir()
        for name, script in (("gh", GH), ("docker", DOCKER), ("cosign", COSIGN)):
            (commands / name).write_text(script)
            (commands / name).chmod(0o755)
        self.environment = {
            "CALLS": str(self.calls),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "HOME": str(folder),
            "PATH": f"{commands}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "RUNNER_TEMP": str(self.temporary),
            "SIGNER_EMAIL": "maintainer@example.com",
            "SIGNER_NAME": "A maintainer",
            "SIGNING_KEY": self.key.read_text().rstrip(),
            "TMPDIR": str(self.temporary),
            "VERSION": "0.2.0",
        }
        self.allow(self.key)
        self.git("init", "--quiet", "--initial-branch=main", "--bare", str(self.origin))
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("remote", "add", "origin", str(self.origin))
        self.commit = self.make_commit()

    def make_key(self, path: Path) -> Path:
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path, cwd=path.parent)
        return path

    def allow(self, key: Path) -> None:
        """Publish a public key as in docs/release.md."""
        public = " ".join(key.with_suffix(".pub").read_text().split()[:2])
        (self.checkout / ".github").mkdir(exist_ok=True)
        file = self.checkout / ".github" / "allowed_signers"
        file.write_text(f'maintainer@example.com namespaces="git" {public}\n')

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.com")
        done = run("git", *identity, *arguments, cwd=self.checkout, env=self.environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def make_commit(self) -> str:
        self.git("add", ".")
        self.git("commit", "--quiet", "--allow-empty", "--message", "A change")
        return self.git("rev-parse", "HEAD")

    def step(self, name: str, workflow: Path = WORKFLOW, **environment: str) -> Done:
        jobs = load(workflow)["jobs"].values()
        [script] = {
            step["run"] for job in jobs for step in job["steps"] if step.get("name") == name
        }
        every = self.environment | {"GITHUB_SHA": self.commit} | environment
        return run("bash", "-e", "-c", script, cwd=self.checkout, env=every)

    def tags(self) -> str:
        """Return the tags of the origin with their objects and commits."""
        return self.git("ls-remote", "--tags", "origin")


def load(workflow: Path = WORKFLOW) -> Any:
    return yaml.safe_load(workflow.read_text("utf-8"))


@pytest.fixture
def release(tmp_path: Path, checkout: Path) -> Release:
    return Release(tmp_path, checkout)


@pytest.mark.parametrize(
    ("ref", "status"), [("refs/heads/main", 0), ("refs/heads/main-2", 1), ("refs/tags/main", 1)]
)
def test_release_requires_branch_main(ref: str, status: int, release: Release) -> None:
    done = release.step("Check the branch", GITHUB_REF=ref)

    assert done.returncode == status
    assert ("start it on the branch main" in done.stdout) == bool(status)


@pytest.mark.parametrize("kind", ["--annotate", "--no-sign"])
def test_release_refuses_tag_of_another_commit(kind: str, release: Release) -> None:
    name = "Check that the version is not released"
    assert release.step(name).returncode == 0

    release.git("tag", kind, "--message=x", "v0.2.0")
    assert release.step(name).returncode == 0, "a failed run must be repeatable"

    former, release.commit = release.commit, release.make_commit()
    done = release.step(name)
    assert done.returncode == 1
    assert f"::error::The tag v0.2.0 is of another commit, {former}: " in done.stdout


@pytest.mark.parametrize(
    ("releases", "status"), [("", 0), ("v0.1.0", 0), ("v0.2.01 vv0.2.0", 0), ("v0.1.0 v0.2.0", 1)]
)
def test_release_refuses_released_version(releases: str, status: int, release: Release) -> None:
    done = release.step("Check that the version is not released", RELEASES=releases)

    assert done.returncode == status
    assert ("v0.2.0 is released already: raise the version." in done.stdout) == bool(status)


def test_release_requires_passed_ci(release: Release) -> None:
    name = "Check that CI has passed"

    assert release.step(name, RUNS="https://github.com/o/r/actions/runs/1").returncode == 0
    done = release.step(name, RUNS="")

    assert done.returncode == 1
    assert f"No run of ci.yml has passed on {release.commit}" in done.stdout
    assert f"--workflow ci.yml --commit {release.commit} --status success" in (
        release.calls.read_text()
    )


def test_release_is_idempotent(release: Release) -> None:
    for _ in range(2):
        signed = release.step("Sign the tag")
        assert signed.returncode == 0, signed.stderr
        assert 'Good "git" signature for maintainer@example.com' in signed.stderr
        assert list(release.temporary.iterdir()) == [], "the key must be deleted"
        pushed = release.step("Push the tag")
        assert pushed.returncode == 0, pushed.stderr
        tags = release.tags()
        assert tags.endswith(f"{release.commit}\trefs/tags/v0.2.0^{{}}")
    assert release.tags() == tags

    shown = release.git("cat-file", "tag", "v0.2.0")
    assert f"object {release.commit}\n" in shown
    assert "tagger A maintainer <maintainer@example.com>" in shown
    assert "-----BEGIN SSH SIGNATURE-----" in shown

    images = "ghcr.io/o/r/load@sha256:0\nghcr.io/o/r/test@sha256:1"
    assert release.step("Publish the release", IMAGES=images).returncode == 0
    notes = release.temporary / "notes.md"
    section, module = notes.read_text().split("```hcl\n")
    assert section == "### Added\n\n- Something.\n\n### Images\n\n"
    assert hcl2.loads(module.removesuffix("```\n"), serialization_options=UNQUOTED) == {
        "published_images": {
            "registry": "ghcr.io/o/r",
            "version": "0.2.0",
            "digests": {"load": "sha256:0", "test": "sha256:1"},
        }
    }
    assert release.calls.read_text().splitlines()[-1] == (
        f"release create v0.2.0 --verify-tag --title tm-pipeline 0.2.0 --notes-file {notes}"
    )


def test_signing_requires_the_published_key(release: Release, tmp_path: Path) -> None:
    done = release.step("Sign the tag", SIGNING_KEY="")

    assert done.returncode != 0
    assert "the environment release lacks this secret, see docs/release.md" in done.stderr
    assert release.git("tag") == ""

    release.git("tag", "--annotate", "--message=unsigned", "v0.2.0")
    assert release.step("Sign the tag").returncode != 0

    release.git("tag", "--delete", "v0.2.0")
    release.allow(release.make_key(tmp_path / "other"))
    assert release.step("Sign the tag").returncode != 0


def test_publishing_refuses_undated_section(release: Release) -> None:
    file = release.checkout / "CHANGELOG.md"
    file.write_text(file.read_text().replace("2026-12-01", "unreleased"))

    assert release.step("Publish the release", IMAGES="x").returncode != 0
    assert not release.calls.exists()


def push_images(release: Release, media_type: str) -> Done:
    script = CHECKOUT / ".ci" / "push_images.py"
    every = release.environment | {"MEDIA_TYPE": media_type}
    return run(sys.executable, script, "ghcr.io/Owner/R", "0.2.0", cwd=release.checkout, env=every)


def test_push_prints_images_with_digests(release: Release) -> None:
    functions = sorted(path.parent.name for path in CHECKOUT.glob("functions/*/handler.py"))

    done = push_images(release, "application/vnd.oci.image.manifest.v1+json")

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"ghcr.io/owner/r/{name}@sha256:{name}:0.2.0" for name in functions
    ]
    assert release.calls.read_text().splitlines()[:3] == [
        "tag tm-pipeline/alert ghcr.io/owner/r/alert:0.2.0",
        "push --quiet ghcr.io/owner/r/alert:0.2.0",
        "buildx imagetools inspect ghcr.io/owner/r/alert:0.2.0 --format {{json .Manifest}}",
    ]

    done = push_images(release, "application/vnd.oci.image.index.v1+json")

    assert (done.returncode, done.stdout) == (1, "")
    assert "which Lambda does not accept: build it with --provenance=false" in done.stderr


@pytest.mark.parametrize("unable_to", ["", "sign", "verify"])
def test_images_are_signed_by_digest_and_verified(unable_to: str, release: Release) -> None:
    images = ["ghcr.io/o/r/load@sha256:0", "ghcr.io/o/r/test@sha256:1"]
    workflow = "o/r/.github/workflows/release.yml@refs/heads/main"

    done = release.step(
        "Sign the images",
        IMAGES="\n".join(images),
        GITHUB_SERVER_URL="https://github.com",
        GITHUB_WORKFLOW_REF=workflow,
        UNABLE_TO=unable_to,
    )

    assert (done.returncode == 0) == (unable_to == "")
    called = [
        call
        for image in images
        for call in (
            f"cosign sign --yes {image}",
            "cosign verify --certificate-oidc-issuer https://token.actions.githubusercontent.com "
            f"--certificate-identity https://github.com/{workflow} {image}",
        )
    ]
    calls = release.calls.read_text().splitlines()
    assert calls == called[: {"": 4, "sign": 1, "verify": 2}[unable_to]]


def test_images_have_labels(release: Release) -> None:
    (release.checkout / "Makefile").write_text("images: ; @echo '$(BUILD_FLAGS)'\n")

    done = release.step(
        "Build the images", GITHUB_SERVER_URL="https://github.com", GITHUB_REPOSITORY="o/r"
    )

    assert done.stdout.split() == [
        *("--pull", "--platform=linux/amd64", "--provenance=false", "--sbom=false"),
        "--label=org.opencontainers.image.source=https://github.com/o/r",
        f"--label=org.opencontainers.image.revision={release.commit}",
        "--label=org.opencontainers.image.version=0.2.0",
    ]


def test_jobs_have_minimal_permissions_and_order() -> None:
    jobs = load()["jobs"]

    assert {name: job["permissions"] for name, job in jobs.items()} == {
        "check": {"actions": "read", "contents": "read"},
        "images": {"contents": "read", "id-token": "write", "packages": "write"},
        "release": {"contents": "write"},
    }
    assert [job.get("needs") for job in jobs.values()] == [None, "check", "images"]
    assert jobs["release"]["steps"][-1]["name"] == "Publish the release"
    for job in ("images", "release"):  # which may be re-run later without the job `check`
        named = [step["name"] for step in jobs[job]["steps"] if "name" in step]
        assert named[0] == "Check that the version is not released"
    for job in jobs.values():
        assert sum(step["timeout-minutes"] for step in job["steps"]) <= job["timeout-minutes"]


def test_documentation_lists_secrets_and_variables() -> None:
    text, document = WORKFLOW.read_text(), (CHECKOUT / "docs" / "release.md").read_text("utf-8")
    needed = re.findall(r"(?:secrets|vars)\.(\w+)", text)

    assert len(needed) == 3
    assert [name for name in needed if f" set {name} --env release " not in document] == []
    assert load()["jobs"]["release"]["environment"] == "release"
    assert all(f"| `{job}` |" in document for job in load()["jobs"])


def test_upgraded_locks_reuse_the_pull_request(release: Release) -> None:
    name = "Open or update the pull request"
    assert release.step(name, UPDATE).stdout == "All locked packages are up to date.\n"
    assert not release.calls.exists()

    for pull_requests, created in (("", True), ("https://github.com/o/r/pull/1", False)):
        release.calls.unlink(missing_ok=True)
        file = release.checkout / "CHANGELOG.md"
        file.write_text(file.read_text() + "upgraded\n")
        done = release.step(name, UPDATE, PULL_REQUESTS=pull_requests)
        assert done.returncode == 0, done.stderr
        calls = release.calls.read_text()
        assert ("pr create --head update-locks" in calls) == created
        assert calls.endswith("\nworkflow run ci.yml --ref update-locks\n")
        [branch] = release.git("ls-remote", "--heads", "origin").splitlines()
        assert branch == f"{release.git('rev-parse', 'HEAD')}\trefs/heads/update-locks"
        assert release.git("log", "-1", "--format=%s %an") == (
            "Upgrade the locked packages github-actions[bot]"
        )
        # The next run starts on main again.
        release.git("switch", "--quiet", "main")
        release.git("branch", "--quiet", "--delete", "--force", "update-locks")
