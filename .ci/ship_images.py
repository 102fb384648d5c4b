"""Let `terraform apply` build and push every image, then pull the deployed images by digest.

    PYTHONPATH=. .venv/bin/python .ci/ship_images.py

Needs a running laptop cloud. The emulator's registry replaces ECR, and with the engine buildah,
buildah replaces Docker. Afterwards tm-pipeline/<function> is the image that Lambda is configured to
run.
"""

import json
import os
import shutil
import tempfile
from pathlib import Path

from engines import chosen

from local import terraform
from local.home import CHECKOUT, home
from local.stack import LaptopStack
from tests.stand_ins import StandIns

NAME = "tm-shipped"
# The emulator cannot run images, so the migration at the end of an apply is left out.
TARGET = "-target=module.pipeline.aws_lambda_function.this"


def main() -> None:
    stack = LaptopStack.read(home())
    if stack is None:
        raise SystemExit("The laptop cloud is not running: start it with `tm up`.")
    registry = stack.aws.endpoint_url.removeprefix("https://")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        certificates = work / "certificates"
        certificates.mkdir()
        shutil.copy(stack.aws.ca_bundle, certificates / "ca.crt")
        commands = StandIns(work / "commands")
        commands.install("aws")
        shutil.copy(CHECKOUT / ".ci" / "stand_ins" / "docker", commands.path)
        apply(
            work,
            stack,
            {
                "PATH": f"{commands.path}:{os.environ['PATH']}",
                "TMPDIR": folder,
                "REGISTRY": registry,
                "CERTS": str(certificates),
                # The real command, which the stand-in of the same name calls.
                "DOCKER": shutil.which("docker") or "",
            },
        )
        fetch(stack, registry, certificates)


def apply(work: Path, stack: LaptopStack, environment: dict[str, str]) -> None:
    root = work / "root"
    root.mkdir()
    arn = "arn:aws:secretsmanager:us-east-1:000000000000:secret:x"
    pipeline = {
        "source": os.path.relpath(CHECKOUT / "terraform", root),
        "name": NAME,
        "database": {
            "host": stack.database.host,
            "name": stack.database.database,
            "auth": "secret",
            "secret_arns": {"migrate": arn, "load": arn, "api": arn},
        },
    }
    (root / "main.tf.json").write_text(json.dumps({"module": {"pipeline": pipeline}}))
    found = terraform.find(work / "configuration")
    tool = terraform.Terraform(
        found.command, {**found.environment, **stack.aws.environment(), **environment}
    )
    for command in (["init"], ["apply", "-auto-approve", TARGET]):
        done = tool.run(*command, "-no-color", "-input=false", folder=root)
        if done.returncode != 0:
            raise SystemExit(done.stdout + done.stderr)


def fetch(stack: LaptopStack, registry: str, certificates: Path) -> None:
    engine, client = chosen(), stack.aws.client("lambda")
    for function in stack.outputs["function_names"]:
        uri = client.get_function(FunctionName=f"{NAME}-{function}")["Code"]["ImageUri"]
        place = uri.partition("/")[2]
        engine.fetch(f"{registry}/{place}", f"tm-pipeline/{function}", certificates)
        print(f"{function:10} {place}")


if __name__ == "__main__":
    main()
