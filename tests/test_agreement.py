"""The repository agrees with itself: what is said in one place holds in the others."""

import json
import re
import tomllib
from pathlib import Path, PurePath
from typing import Any

import boto3
import pytest
from packaging.requirements import Requirement
from typer.main import get_command

from cli.main import app
from shared import odcs, settings
from shared.columns import TYPES
from shared.contract import Format, HeaderPolicy, Lookup
from tests.checkout import CHECKOUT, FUNCTIONS
from tests.fixtures.aws import REGION
from tests.fixtures.laptop import Laptop

SETTINGS: dict[str, type[settings.Settings]] = {
    "trigger": settings.TriggerSettings,
    "transform": settings.TransformSettings,
    "test": settings.TestSettings,
    "load": settings.LoadSettings,
    "alert": settings.AlertSettings,
    "watch": settings.WatchSettings,
    "api": settings.ApiSettings,
    "migrate": settings.MigrateSettings,
}
COMMON = {"POWERTOOLS_SERVICE_NAME", "POWERTOOLS_METRICS_NAMESPACE", "POWERTOOLS_LOG_LEVEL"}


def lock(function: str) -> Path:
    """Return the lock that a function's requirements.txt names."""
    path = CHECKOUT / "functions" / function / "requirements.txt"
    return path.parent / path.read_text().removeprefix("--requirement ").removesuffix("\n")


def pins(path: Path) -> dict[str, set[str]]:
    """Return the versions of each package of a lock; a marker may choose among several."""
    found: dict[str, set[str]] = {}
    for line in path.read_text().splitlines():
        if "==" in line:
            requirement = Requirement(line.rstrip("\\ "))
            found.setdefault(requirement.name, set()).add(str(requirement.specifier))
    return found


def test_a_function_is_a_folder_with_a_handler_and_a_lock() -> None:
    folders = {path.name for path in CHECKOUT.glob("functions/*/") if path.name != "__pycache__"}

    assert folders == set(FUNCTIONS) == set(SETTINGS)
    locks = {lock(function).resolve() for function in FUNCTIONS}
    assert locks == set(CHECKOUT.glob("functions/requirements-*.txt"))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_handler_is_a_table_of_contents(function: str) -> None:
    source = (CHECKOUT / "functions" / function / "handler.py").read_text("utf-8")

    assert len(source.splitlines()) <= 60
    assert len(re.match(r'"""(.*?)"""', source, re.DOTALL)[1].strip().splitlines()) == 2  # type: ignore[index]
    for forbidden in ("os.environ", "getenv", "except Exception", "except BaseException", "SELECT"):
        assert forbidden not in source


def test_only_settings_read_the_environment() -> None:
    readers = {
        str(path.relative_to(CHECKOUT))
        for folder in ("functions", "shared")
        for path in (CHECKOUT / folder).rglob("*.py")
        if re.search(r"os\.environ|getenv|BaseSettings", path.read_text("utf-8"))
    }
    assert readers == {"shared/settings.py"}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_installs_what_the_laptop_tests(function: str) -> None:
    everything = pins(CHECKOUT / "requirements.txt")

    for name, versions in pins(lock(function)).items():
        assert versions <= everything[name], name


def test_the_package_lists_every_folder_with_code() -> None:
    listed = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {
        path.parent.relative_to(CHECKOUT)
        for folder in ("cli", "functions", "local", "shared")
        for path in (CHECKOUT / folder).rglob("*.py")
    }
    of_data = {"tm_pipeline.contracts", "tm_pipeline.terraform"}

    code = {".".join(("tm_pipeline", *folder.parts)) for folder in folders}
    assert set(listed["packages"]) == code | of_data | {"tm_pipeline"}
    assert {f"tm_pipeline.{folder}" for folder in listed["package-dir"].values()} == set(
        listed["package-dir"]
    )


@pytest.mark.parametrize("path", [*CHECKOUT.glob("functions/*.txt")], ids=lambda path: path.stem)
def test_a_lock_holds_what_the_lists_in_its_name_ask_for(path: Path) -> None:
    _, *lists = path.stem.split("-")
    asked = {
        Requirement(line.partition("#")[0]).name
        for name in {"shared", *lists}
        for line in (CHECKOUT / "requirements" / f"{name}.in").read_text().splitlines()
        if line.partition("#")[0]
    }

    assert asked <= pins(path).keys(), "run `make lock`"
    assert "boto3" in asked


@pytest.mark.parametrize(
    "path", [*CHECKOUT.glob("functions/*.txt"), *CHECKOUT.glob("requirements*.txt")]
)
def test_locks_are_hashed_and_name_no_index(path: Path) -> None:
    text = path.read_text()

    assert "://" not in text
    assert "--index" not in text
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert all("--hash=sha256:" in block for block in blocks)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_gets_exactly_the_environment_it_reads(function: str, laptop: Laptop) -> None:
    configuration = laptop.aws.client("lambda").get_function_configuration(
        FunctionName=laptop.stack.outputs["function_names"][function]
    )

    variables = configuration["Environment"]["Variables"]
    fields = SETTINGS[function].model_fields
    required = {name.upper() for name, field in fields.items() if field.is_required()}
    assert required | COMMON <= set(variables) <= {name.upper() for name in fields} | COMMON
    given = {name.lower(): value for name, value in variables.items() if name not in COMMON}
    assert SETTINGS[function](**given), "of what is not required, nothing is missing"


def test_an_image_holds_what_counts_into_its_tag() -> None:
    """What .dockerignore lets in is what terraform/images.tf hashes, and nothing is forgotten."""
    ignored, *admitted = [
        line.removeprefix("!")
        for line in (CHECKOUT / ".dockerignore").read_text().splitlines()
        if not line.startswith("#")
    ]
    files = {
        path.relative_to(CHECKOUT).as_posix()
        for folder in ("functions", "shared")
        for path in (CHECKOUT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    seen = {file for file in files for pattern in admitted if PurePath(file).match(pattern)}
    module = (CHECKOUT / "terraform" / "images.tf").read_text()
    block = re.search(r"image_sources = \{(.*?)\n  \}\n", module, re.DOTALL)
    assert block is not None
    hashed = [
        each.replace("${name}", "*").replace("${local.image_locks[name]}", "requirements-*.txt")
        for each in re.findall(r'"([^"]+/[^"]+)"', block[1])
    ]

    assert ignored == "*"
    assert files - seen == {"functions/Dockerfile"}
    assert set(hashed) == {*admitted, "functions/Dockerfile", "terraform/build_image.sh"}


@pytest.mark.parametrize("function", ["alert", "api", "migrate", "trigger", "watch"])
def test_a_function_that_reads_no_file_carries_no_pandas(function: str) -> None:
    carried = pins(lock(function))

    assert not {"awswrangler", "numpy", "pandas", "pyarrow"} & carried.keys()


def test_every_function_has_one_kind_of_invoker_beside_the_rule_that_keeps_it_active(
    laptop: Laptop,
) -> None:
    outputs, client = laptop.stack.outputs, laptop.aws.client("lambda")
    statements = {
        function: json.loads(client.get_policy(FunctionName=name)["Policy"])["Statement"]
        for function, name in outputs["function_names"].items()
    }
    definition = laptop.aws.client("stepfunctions").describe_state_machine(
        stateMachineArn=outputs["state_machine_arn"]
    )["definition"]
    invocation = re.search(
        r'resource "aws_lambda_invocation" "\w+" \{\s+function_name\s+= \S+\["(\w+)"\]',
        (CHECKOUT / "terraform" / "database.tf").read_text(),
    )
    assert invocation is not None
    invokers = {
        function: [
            *{
                each["Principal"]["Service"]
                for each in statements[function]
                if each["Sid"] != "keep-active"
            },
            *(["states"] if f":function:{name}" in definition else []),
            *(["terraform"] if function == invocation[1] else []),
        ]
        for function, name in outputs["function_names"].items()
    }

    assert all("keep-active" in {each["Sid"] for each in found} for found in statements.values())
    assert invokers == {
        "trigger": ["s3.amazonaws.com"],
        "transform": ["states"],
        "test": ["states"],
        "load": ["states"],
        "alert": ["events.amazonaws.com"],
        "watch": ["events.amazonaws.com"],
        "api": ["apigateway.amazonaws.com"],
        "migrate": ["terraform"],
    }


def test_the_log_table_of_the_tests_is_terraforms(laptop: Laptop, log_table: str) -> None:
    def shape(client: Any, name: str) -> tuple[Any, Any]:
        table = client.describe_table(TableName=name)["Table"]
        indexes = sorted(
            (each["IndexName"], str(each["KeySchema"]), each["Projection"]["ProjectionType"])
            for each in table["GlobalSecondaryIndexes"]
        )
        return table["KeySchema"], indexes

    real = shape(laptop.aws.client("dynamodb"), laptop.stack.outputs["log_table"])
    assert shape(boto3.client("dynamodb", region_name=REGION), log_table) == real


README = (CHECKOUT / "README.md").read_text("utf-8")
DOCUMENTS = [*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/**/*.md")]


def test_the_readme_names_commands_that_there_are() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
    commands = set(get_command(app).commands)  # type: ignore[attr-defined]

    assert set(re.findall(r"\bmake ([a-z-]+)", README)) <= targets
    assert set(re.findall(r"\btm ([a-z]+)", README)) <= commands
    assert targets >= {"run", "test"}
    assert {"make run", "make test"} <= set(re.findall(r"^\$ (make \w+)$", README, re.MULTILINE))


def test_a_loop_over_the_functions_in_a_document_names_them_all() -> None:
    documents = [*DOCUMENTS, *CHECKOUT.glob("terraform/examples/*/README.md")]
    texts = [document.read_text("utf-8") for document in documents]
    loops = [loop for text in texts for loop in re.findall(r"for function in (.*?);", text)]

    assert loops == [" ".join(FUNCTIONS)]


def test_the_readme_maps_every_folder() -> None:
    folders = {
        path.name for path in CHECKOUT.iterdir() if path.is_dir() and not path.name.startswith(".")
    }
    made = {"__pycache__", "build"}
    ignored = {name for name in folders if name.endswith(".egg-info") or name in made}

    assert set(re.findall(r"^\| `([a-z_]+)/` ", README, re.MULTILINE)) == folders - ignored


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text("utf-8")):
        assert (document.parent / target).exists(), target


def test_decisions_are_numbered_without_a_gap() -> None:
    numbers = sorted(int(path.name[:4]) for path in CHECKOUT.glob("docs/decisions/*.md"))

    assert numbers == list(range(1, len(numbers) + 1))
    assert numbers


CONTRACTS = (CHECKOUT / "docs" / "contracts.md").read_text("utf-8")


@pytest.mark.parametrize(
    "term",
    [
        *sorted(
            odcs._TABLE_PROPERTIES
            | odcs._COLUMN_PROPERTIES
            | odcs._ARGUMENTS
            | odcs._SEVERITIES
            | odcs._SLA_PROPERTIES.keys()
            | odcs._AVAILABILITY_PROPERTIES
        ),
        *(field for model in (HeaderPolicy, Lookup, Format) for field in model.model_fields),
        *TYPES,
        *("smallint", "integer", "bigint", "numeric(precision,scale)", "varchar(n)", "text"),
        *("nullValues", "missingValues", "duplicateValues", "invalidValues", "rowCount"),
        *("mustBe", "mustBeBetween", "mustBeGreaterThan", "mustBeGreaterOrEqualTo"),
        *("mustBeLessThan", "mustBeLessOrEqualTo", "unit", "rows", "percent"),
        *("required", "unique", "logicalTypeOptions.pattern", "physicalName"),
        *("columnCount", "quoting"),
    ],
)
def test_the_documentation_of_contracts_names_what_the_code_knows(term: str) -> None:
    assert re.search(rf"`(\S+ )?{re.escape(term)}(: \S+)?`", CONTRACTS), term


def test_the_documentation_of_contracts_names_nothing_else() -> None:
    properties = re.findall(r"^\| custom property `(\w+)`", CONTRACTS, re.MULTILINE)

    assert sorted(properties) == sorted(odcs._TABLE_PROPERTIES)


def test_the_example_of_a_contract_is_one(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```yaml\n(.*?)^```$", CONTRACTS, re.MULTILINE | re.DOTALL)
    path = tmp_path / "absences.odcs.yaml"
    path.write_text(example, "utf-8")

    contract = odcs.load(path)

    assert contract.header == ("Person", "Day", "Hours", "Reason", "Approved")
    assert [rule.name for rule in contract.column("Day").rules] == [
        "required",
        "day_of_this_century",
    ]
