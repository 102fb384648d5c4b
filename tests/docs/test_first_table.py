"""Follow the tutorial: write every file that it shows and run every command."""

import re
from pathlib import Path

import pytest

from local import terraform
from tests.checkout import CHECKOUT
from tests.fixtures.repository import Repository
from tests.programs import run

pytestmark = [pytest.mark.git, pytest.mark.timeout(1500)]

TUTORIAL = CHECKOUT / "docs" / "first-table.md"
BLOCK = re.compile(
    r"(?P<before>[^\n]*(?:\n[^\n`#][^\n]*)*)\n\n```(?P<kind>\w+)\n(?P<text>.*?)```", re.DOTALL
)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return an environment without this project, with pinned package versions."""
    locked = (CHECKOUT / "requirements.txt").read_text()
    constraints = tmp_path / "constraints.txt"
    constraints.write_text(
        "\n".join(re.findall(r"^[\w.-]+==[^ ;\\]+(?: ;[^\\\n]*)?", locked, re.MULTILINE))
    )
    found = terraform.find(tmp_path / "terraform-configuration").environment
    given = {name: value for name, value in found.items() if not name.startswith(("TM_", "PYTHON"))}
    home = tmp_path / "state"
    return given | {"PIP_CONSTRAINT": str(constraints), "TM_HOME": str(home), "COLUMNS": "200"}


def test_tutorial_works(
    repository: Repository, tmp_path: Path, environment: dict[str, str]
) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    text = TUTORIAL.read_text("utf-8")
    address = "https://<host>/<owner>/tm-pipeline.git"
    # pip requires a host in a file address.
    text = text.replace(f"git+{address}", f"git+file://localhost{repository.folder}")
    text = text.replace(address, repository.url)
    text = text.replace("<tag>", repository.tag)
    output, written = "", set()
    try:
        for block in BLOCK.finditer(text):
            match block["kind"]:
                case "sh":
                    done = run("sh", "-euc", block["text"], cwd=folder, env=environment)
                    assert done.returncode == 0, f"{block['text']}\n{done.stdout}\n{done.stderr}"
                    output = done.stdout
                case "text":
                    for line in block["text"].splitlines():
                        assert line in output, output
                case "console":
                    pass  # needs an AWS account
                case _:
                    [name] = re.findall(
                        r"`([\w./-]+\.\w+)`", block["before"].rpartition("\n\n")[2]
                    )[-1:]
                    path = folder / name
                    path.parent.mkdir(exist_ok=True)
                    path.write_text(block["text"])
                    written.add(name)
    finally:
        run("sh", "-c", ".venv/bin/tm down", cwd=folder, env=environment)
    assert written == {
        "contracts/orders.odcs.yaml",
        "orders.csv",
        "contracts/customers.odcs.yaml",
        "customers.csv",
        "main.tf",
    }
