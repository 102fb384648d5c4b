"""Start every function's image and send it one real event.

    PYTHONPATH=. .venv/bin/python .ci/boot_images.py NAME.csv

The laptop cloud must be running, the images built, and the file loaded. The events come from the
run that loaded it, and the environment from the deployed function. Each answer is checked.
"""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engines import Engine, chosen
from runtime_api import Answer, invoke

from local.home import home
from local.stack import LaptopStack
from shared.endings import Status
from shared.ingestion_log import IngestionLog

CA = "/tmp/laptop-ca.pem"  # noqa: S108 - in the container
# The counters of watch that are not zero if an event was lost.
FOUND = ("stuck", "unannounced", "lost", "missing")


def main() -> None:
    engine = chosen()
    stack = LaptopStack.read(home())
    if stack is None:
        raise SystemExit("The laptop cloud is not running: start it with `tm up`.")
    run = finished_run(stack, key=sys.argv[1])
    given = json.loads(run["input"])
    results = json.loads(run["output"])
    task = given | {"execution": {"arn": run["executionArn"], "redrive": 0}}
    landed = {"bucket": {"name": given["source"]["bucket"]}, "object": given["source"]}
    transform, test = results["transform"], results["test"]
    events: dict[str, tuple[Any, Callable[[Any], bool]]] = {
        "trigger": ({"Records": [{"s3": landed}]}, lambda r: r == {"known": 1}),
        "transform": (task, lambda r: r == transform),
        "test": (task | {"transform": transform}, lambda r: r == test),
        "load": (task | {"transform": transform, "test": test}, lambda r: r == results["load"]),
        "alert": (
            {
                "detail-type": "Step Functions Execution Status Change",
                "detail": {**run, "status": "SUCCEEDED"},
            },
            lambda r: r == {"sent": False},
        ),
        "watch": ({}, lambda r: r["sweepFinished"] and not any(r[each] for each in FOUND)),
        "api": (get("/get", user="ned"), lambda r: r["statusCode"] == 200 and "ned" in r["body"]),
        "migrate": ({"contracts": "x"}, lambda r: r["created"] == [] and r["tables"]),
    }
    for function in stack.outputs["function_names"]:
        event, expected = events[function]
        answer = boot(engine, stack, function, event)
        size = engine.megabytes(f"tm-pipeline/{function}")
        print(f"{function:10} {size:4.0f} MB  boots in {answer.init_ms:5} ms")
        if not answer.ok or not expected(answer.body):
            raise SystemExit(f"The image of {function} gave a wrong answer: {answer}")


def finished_run(stack: LaptopStack, key: str) -> dict[str, Any]:
    log = IngestionLog(stack.aws.resource("dynamodb").Table(stack.outputs["log_table"]))
    items = [item for item in log.with_status(Status.SUCCESS) if item["sourceKey"].endswith(key)]
    run = stack.aws.client("stepfunctions").describe_execution(
        executionArn=items[-1]["executionArn"]
    )
    return {name: run[name] for name in ("executionArn", "input", "output")}


def get(path: str, **query: str) -> dict[str, Any]:
    return {
        "resource": path,
        "path": path,
        "httpMethod": "GET",
        "headers": {},
        "multiValueHeaders": {},
        "queryStringParameters": query,
        "multiValueQueryStringParameters": {name: [value] for name, value in query.items()},
        "requestContext": {"requestId": "r", "stage": "Prod", "resourcePath": path},
        "body": None,
        "isBase64Encoded": False,
    }


def boot(engine: Engine, stack: LaptopStack, function: str, event: Any) -> Answer:
    configuration = stack.aws.client("lambda").get_function_configuration(
        FunctionName=stack.outputs["function_names"][function]
    )
    # The image trusts public authorities only, not the emulator's own certificate.
    variables = stack.aws.environment() | {"AWS_CA_BUNDLE": CA}
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        del variables[name]
    variables |= configuration["Environment"]["Variables"]
    with tempfile.TemporaryDirectory() as folder:
        ca = Path(folder, "ca.pem")
        ca.write_bytes(Path(stack.aws.ca_bundle).read_bytes())
        ca.chmod(0o644)  # for the image's user
        return invoke(engine, f"tm-pipeline/{function}", event, variables, {CA: ca})


if __name__ == "__main__":
    main()
