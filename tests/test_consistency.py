"""Facts that appear in several places of the repository are the same in all of them."""

import json
import re
import tomllib
from pathlib import Path, PurePath
from typing import Any, get_args

import boto3
import pytest
from packaging.requirements import Requirement

from shared import odcs, settings
from shared.column import NumberStyle
from shared.column_types import TYPES
from shared.compression import Compression
from shared.contract import HeaderPolicy, Lookup
from shared.dialect import Dialect
from shared.file_types import FileFormat
from shared.formats import Format
from shared.key_pattern import KeyPattern
from shared.manifest import Manifest
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
COMMON = {
    "MALLOC_ARENA_MAX",
    *(f"POWERTOOLS_{name}" for name in ("SERVICE_NAME", "METRICS_NAMESPACE", "LOG_LEVEL")),
}


def lock(function: str) -> Path:
    """Return the lock file that a function's requirements.txt names."""
    path = CHECKOUT / "functions" / function / "requirements.txt"
    return path.parent / path.read_text().removeprefix("--requirement ").removesuffix("\n")


def pins(path: Path) -> dict[str, set[str]]:
    """Return the pinned versions of each package; markers can select among several."""
    found: dict[str, set[str]] = {}
    for line in path.read_text().splitlines():
        if "==" in line:
            requirement = Requirement(line.rstrip("\\ "))
            found.setdefault(requirement.name, set()).add(str(requirement.specifier))
    return found


def test_every_function_has_handler_lock_and_settings() -> None:
    folders = {path.name for path in CHECKOUT.glob("functions/*/") if path.name != "__pycache__"}

    assert folders == set(FUNCTIONS) == set(SETTINGS)
    locks = {lock(function).resolve() for function in FUNCTIONS}
    assert locks == set(CHECKOUT.glob("functions/requirements-*.txt"))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_handler_is_short_and_delegates(function: str) -> None:
    source = (CHECKOUT / "functions" / function / "handler.py").read_text("utf-8")

    assert len(source.splitlines()) <= 60
    assert len(re.match(r'"""(.*?)"""', source, re.DOTALL)[1].strip().splitlines()) == 2  # type: ignore[index]
    for forbidden in ("os.environ", "getenv", "except Exception", "except BaseException", "SELECT"):
        assert forbidden not in source


def test_only_settings_module_reads_environment() -> None:
    readers = {
        str(path.relative_to(CHECKOUT))
        for folder in ("functions", "shared")
        for path in (CHECKOUT / folder).rglob("*.py")
        if re.search(r"os\.environ|getenv|BaseSettings", path.read_text("utf-8"))
    }
    assert readers == {"shared/settings.py"}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_function_lock_pins_tested_versions(function: str) -> None:
    everything = pins(CHECKOUT / "requirements.txt")

    for name, versions in pins(lock(function)).items():
        assert versions <= everything[name], name


def test_package_lists_every_folder_with_code() -> None:
    listed = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {
        path.parent.relative_to(CHECKOUT)
        for folder in ("cli", "functions", "local", "shared")
        for path in (CHECKOUT / folder).rglob("*.py")
    }
    data_packages = {"tm_pipeline.contracts", "tm_pipeline.terraform"}

    code = {".".join(("tm_pipeline", *folder.parts)) for folder in folders}
    assert set(listed["packages"]) == code | data_packages | {"tm_pipeline"}
    assert {f"tm_pipeline.{folder}" for folder in listed["package-dir"].values()} == set(
        listed["package-dir"]
    )


@pytest.mark.parametrize("path", [*CHECKOUT.glob("functions/*.txt")], ids=lambda path: path.stem)
def test_lock_contains_requirements_named_in_its_file_name(path: Path) -> None:
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
def test_locks_have_hashes_and_no_index_address(path: Path) -> None:
    text = path.read_text()

    assert "://" not in text
    assert "--index" not in text
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert all("--hash=sha256:" in block for block in blocks)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_function_environment_matches_its_settings(function: str, laptop: Laptop) -> None:
    configuration = laptop.aws.client("lambda").get_function_configuration(
        FunctionName=laptop.stack.outputs["function_names"][function]
    )

    variables = configuration["Environment"]["Variables"]
    fields = SETTINGS[function].model_fields
    required = {name.upper() for name, field in fields.items() if field.is_required()}
    assert required | COMMON <= set(variables) <= {name.upper() for name in fields} | COMMON
    given = {name.lower(): value for name, value in variables.items() if name not in COMMON}
    SETTINGS[function](**given)


def test_image_tag_hashes_every_file_in_the_image() -> None:
    """.dockerignore admits the files that terraform/images.tf hashes, and no others."""
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
def test_function_without_file_input_has_no_pandas(function: str) -> None:
    carried = pins(lock(function))

    assert not {"awswrangler", "numpy", "pandas", "pyarrow"} & carried.keys()


def test_each_function_has_one_invoker_and_the_keep_active_rule(laptop: Laptop) -> None:
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


def test_test_log_table_matches_terraform(laptop: Laptop, log_table: str) -> None:
    def shape(client: Any, name: str) -> tuple[Any, Any]:
        table = client.describe_table(TableName=name)["Table"]
        indexes = sorted(
            (each["IndexName"], str(each["KeySchema"]), each["Projection"]["ProjectionType"])
            for each in table["GlobalSecondaryIndexes"]
        )
        return table["KeySchema"], indexes

    real = shape(laptop.aws.client("dynamodb"), laptop.stack.outputs["log_table"])
    assert shape(boto3.client("dynamodb", region_name=REGION), log_table) == real


def test_documented_loops_name_every_function() -> None:
    folders = ("*.md", "docs/**/*.md", "terraform/examples/*/README.md")
    texts = [path.read_text("utf-8") for folder in folders for path in CHECKOUT.glob(folder)]
    loops = [loop for text in texts for loop in re.findall(r"for function in (.*?);", text)]

    assert loops == [" ".join(FUNCTIONS)]


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
        *(
            str(field.alias)
            for each in (Compression, Dialect, HeaderPolicy, KeyPattern, Lookup, Format, Manifest)
            for field in each.model_fields.values()
        ),
        *TYPES,
        *get_args(NumberStyle),
        *("smallint", "integer", "bigint", "numeric(precision,scale)", "varchar(n)", "text"),
        *("double precision", "real", "jsonb", "primaryKey", "primaryKeyPosition", "properties"),
        *("nullValues", "missingValues", "duplicateValues", "invalidValues", "rowCount"),
        *("mustBe", "mustBeBetween", "mustBeGreaterThan", "mustBeGreaterOrEqualTo"),
        *("mustBeLessThan", "mustBeLessOrEqualTo", "unit", "rows", "percent"),
        *("required", "unique", "logicalTypeOptions.pattern", "physicalName"),
        *("columnCount", "encoding", "quoting", "json", "unknownColumn", "repeatedColumn"),
        *get_args(FileFormat),
    ],
)
def test_contract_documentation_names_every_property(term: str) -> None:
    assert re.search(rf"`(\S+ )?{re.escape(term)}(: \S+)?`", CONTRACTS), term


def test_contract_documentation_names_no_unknown_property() -> None:
    properties = re.findall(r"^\| custom property `(\w+)`", CONTRACTS, re.MULTILINE)

    assert sorted(properties) == sorted(odcs._TABLE_PROPERTIES)


def test_documented_contract_is_valid(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```yaml\n(.*?)^```$", CONTRACTS, re.MULTILINE | re.DOTALL)
    path = tmp_path / "absences.odcs.yaml"
    path.write_text(example, "utf-8")

    contract = odcs.load(path)

    assert contract.header == ("Person", "Day", "Hours", "Reason", "Approved")
    assert [rule.name for rule in contract.column("Day").rules] == [
        "required",
        "day_of_this_century",
    ]
