"""Build and start one image from a checkout that only its owner can read (umask 077).

    PYTHONPATH=. .venv/bin/python .ci/private_checkout.py

Needs the base image, and the image tm-pipeline/api from `make images`. Lambda's user must be able
to read every file of an image, and COPY keeps the file modes of the checkout:
https://docs.aws.amazon.com/lambda/latest/dg/images-create.html#images-reqs
"""

import shutil
import tempfile
from pathlib import Path

from boot_images import get
from engines import Engine, chosen
from runtime_api import invoke

from local.home import CHECKOUT

FUNCTION = "api"
EVENT = get("/health")  # the function answers it without any cloud
VARIABLES = {
    "CONFIG_BUCKET": "config",
    "CONTRACTS_HASH": 64 * "0",
    "LOG_TABLE": "log",
    "DATABASE_HOST": "127.0.0.1",
    "DATABASE_PORT": "5432",
    "DATABASE_NAME": "pipeline",
    "DATABASE_USER": "reader",
}
IMAGE = f"tm-pipeline-private/{FUNCTION}"
# A larger difference would mean that a chmod copied the libraries into a second layer.
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
    engine = chosen()
    with tempfile.TemporaryDirectory() as folder:
        checkout = Path(folder, "checkout")
        copy(checkout)
        engine.build(IMAGE, FUNCTION, checkout)
    check_modes(engine)
    check_boot(engine)
    check_size(engine)


def copy(checkout: Path) -> None:
    """Copy the image's sources, readable by the owner only."""
    for name in ("functions", "shared"):
        shutil.copytree(CHECKOUT / name, checkout / name)
    shutil.copy(CHECKOUT / ".dockerignore", checkout)
    for path in [checkout, *checkout.rglob("*")]:
        path.chmod(path.stat().st_mode & 0o700)


def check_modes(engine: Engine) -> None:
    with engine.running(IMAGE, ["python", "-c", READ_EVERYTHING]) as process:
        if process.wait() != 0:
            raise SystemExit("The image's user cannot read every file.")


def check_boot(engine: Engine) -> None:
    answer = invoke(engine, IMAGE, EVENT, VARIABLES)
    if not answer.ok or answer.body["statusCode"] != 200:
        raise SystemExit(f"The image of a private checkout gave a wrong answer: {answer}")
    print(f"starts in {answer.init_ms} ms and answers")


def check_size(engine: Engine) -> None:
    size, usual = engine.megabytes(IMAGE), engine.megabytes(f"tm-pipeline/{FUNCTION}")
    if size > usual + SPARE_MB:
        raise SystemExit(
            f"The image of a private checkout has {size} MB, the usual one {usual} MB."
        )
    print(f"size {size} MB, usual image {usual} MB")


if __name__ == "__main__":
    main()
