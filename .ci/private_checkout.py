"""Builds and boots one image from a checkout that only its owner may read, as umask 077 makes it.

    .venv/bin/python .ci/private_checkout.py

Needs the base image, and the image tm-pipeline/api that `make images` built. Lambda's user must be
able to read every file of an image, and COPY keeps the modes of the checkout:
https://docs.aws.amazon.com/lambda/latest/dg/images-create.html#images-reqs
"""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from boot_images import BUILDAH, CHECKOUT, TOOLS, get, megabytes

FUNCTION = "api"  # it reads the contracts when it starts, and answers this without any cloud
EVENT = get("/openapi.json")
VARIABLES = {
    "LOG_TABLE": "log",
    "DATABASE_HOST": "127.0.0.1",
    "DATABASE_PORT": "5432",
    "DATABASE_NAME": "pipeline",
    "DATABASE_USER": "reader",
}
IMAGE = f"tm-pipeline-private/{FUNCTION}"
# More would mean that a chmod copied the libraries into a second layer.
SPARE_MB = 5

# Runs in the image, as the image's user.
READ_EVERYTHING = """
import os, pathlib
assert os.getuid() != 0, "the image runs as root, who may read everything"
def stop(error):
    raise error
paths = [
    pathlib.Path(folder, file)
    for folder, _, files in os.walk(os.environ["LAMBDA_TASK_ROOT"], onerror=stop)
    for file in files
]
for path in paths:
    path.read_bytes()
print(f"user {os.getuid()} can read all {len(paths)} files")
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        checkout, event = Path(folder, "checkout"), Path(folder, "event.json")
        copy(checkout)
        buildah(
            *(
                "build",
                "--quiet",
                "--pull=never",
                "--layers",
                "--build-arg",
                f"FUNCTION={FUNCTION}",
            ),
            *("--file", str(checkout / "functions" / "Dockerfile"), "--tag", IMAGE, str(checkout)),
        )
        check_modes()
        event.write_text(json.dumps(EVENT))
        check_boot(event)
    check_size()


def copy(checkout: Path) -> None:
    """Copy what an image is made of, and let nobody but the owner read it."""
    for name in ("contracts", "functions", "shared"):
        shutil.copytree(CHECKOUT / name, checkout / name)
    shutil.copy(CHECKOUT / ".dockerignore", checkout)
    for path in [checkout, *checkout.rglob("*")]:
        path.chmod(path.stat().st_mode & 0o700)


def check_modes() -> None:
    container = buildah("from", "--pull=never", IMAGE)
    try:
        print(buildah("run", container, "--", "python3", "-c", READ_EVERYTHING))
    finally:
        buildah("rm", container)


def check_boot(event: Path) -> None:
    variables = [f"--env={name}={value}" for name, value in VARIABLES.items()]
    command = [TOOLS / "lambda-invoke", IMAGE, event, *variables]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    answer = json.loads(done.stdout)
    if not answer["ok"] or answer["result"]["statusCode"] != 200:
        raise SystemExit(f"the image of a private checkout answered {answer}")
    print(f"it boots in {answer['init_ms']} ms and answers")


def check_size() -> None:
    size, usual = megabytes(IMAGE), megabytes(f"tm-pipeline/{FUNCTION}")
    if size > usual + SPARE_MB:
        raise SystemExit(f"the image of a private checkout has {size} MB, the usual one {usual} MB")
    print(f"it has {size} MB, the usual image {usual} MB")


def buildah(*arguments: str) -> str:
    return subprocess.check_output(["buildah", *arguments], env=BUILDAH, text=True).strip()


if __name__ == "__main__":
    main()
