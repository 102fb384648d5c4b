"""Generates the tables of `terraform/README.md`: `python -m docs.module_readme`."""

import json
import re
from pathlib import Path
from typing import Any

import hcl2

MODULE = Path(__file__).parents[1] / "terraform"
README = MODULE / "README.md"
RDS_BUNDLE = MODULE.parent / "shared" / "rds_bundle.pem"
BEGIN = "<!-- Made by `make docs` from variables.tf, outputs.tf and ../shared/rds_bundle.pem. -->\n"
END = "<!-- The end of what is made. -->\n"

_OPTIONS = hcl2.SerializationOptions(preserve_heredocs=False, strip_string_quotes=True)


def main() -> None:
    """Replace the tables."""
    README.write_text(with_tables(README.read_text()))


def with_tables(text: str) -> str:
    """Return the README with current tables and regions.

    Raises:
        ValueError: a marker is missing.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{README} lacks the markers of the tables: add {BEGIN!r} and {END!r}.")
    return f"{before}{BEGIN}\n{regions()}\n{inputs()}\n{outputs()}\n{END}{after}"


def regions() -> str:
    """Return the regions whose RDS certificate authorities the functions trust."""
    names = re.findall(
        r"^# Amazon RDS (\S+) Root CA RSA2048 G1$", RDS_BUNDLE.read_text(), re.MULTILINE
    )
    listed = ", ".join(f"`{name}`" for name in sorted(names))
    return (
        "## Regions\n\n"
        "The functions trust the certificate authorities of Amazon RDS in these regions: "
        f"{listed}. In another one, set `database_ca_bundle`.\n"
    )


def inputs() -> str:
    """Return the variables as a table, in the order of the file."""
    rows = [
        [
            f"`{name}`",
            f"`{block['type'].removeprefix('${').removesuffix('}')}`",
            f"`{json.dumps(block['default'])}`",
            _prose(block["description"]),
        ]
        for name, block in _blocks("variables.tf", "variable")
    ]
    return _table("Inputs", ["Name", "Type", "Default", "What it is"], rows)


def outputs() -> str:
    """Return the outputs as a table, in the order of the file."""
    rows = [
        [f"`{name}`", _prose(block["description"]) + _secrecy(block)]
        for name, block in _blocks("outputs.tf", "output")
    ]
    return _table("Outputs", ["Name", "What it is"], rows)


def _blocks(file: str, kind: str) -> list[tuple[str, dict[str, Any]]]:
    parsed = hcl2.loads((MODULE / file).read_text(), serialization_options=_OPTIONS)
    return [(name, block) for each in parsed[kind] for name, block in each.items() if block]


def _secrecy(block: dict[str, Any]) -> str:
    return " Sensitive." if block.get("sensitive") else ""


def _prose(text: str) -> str:
    """Return a description as one table cell; a blank line becomes a line break."""
    text = text.replace("\\n", "\n").replace('\\"', '"')
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n")]
    return "<br>".join(paragraphs)


def _table(title: str, heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return f"## {title}\n\n" + "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    main()
