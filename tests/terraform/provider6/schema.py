"""Schema of the AWS provider in 5.100 and 6.x, for the types that the module uses.

The schema of 5.100 comes from the provider on this machine. That of 6.x is the same with the merge
patch (RFC 7396) in overlay.json, which `make provider-schema` writes.
"""

import json
import re
from pathlib import Path
from typing import Any, TypeAlias

from local.terraform import PROVIDER, PROVIDER_VERSION, Terraform
from tests.stand_ins import CHECKOUT

OVERLAY = Path(__file__).with_name("overlay.json")
ADDRESS = f"registry.terraform.io/{PROVIDER}"

Schema: TypeAlias = dict[str, Any]
Types: TypeAlias = dict[str, list[str]]
"""Names of types by part of the schema: resource_schemas or data_source_schemas."""


def used() -> Types:
    """Return the types that the module and its examples use."""
    text = "".join(path.read_text() for path in (CHECKOUT / "terraform").rglob("*.tf"))
    return {
        part: sorted(set(re.findall(rf'^{kind} "(aws_\w+)"', text, re.MULTILINE)))
        for part, kind in (("resource_schemas", "resource"), ("data_source_schemas", "data"))
    }


def of_this_machine(tool: Terraform, folder: Path) -> Schema:
    """Return the schema of the provider on this machine; `folder` must be empty."""
    required = {"aws": {"source": PROVIDER, "version": PROVIDER_VERSION}}
    root = {"terraform": {"required_providers": required}}
    (folder / "main.tf.json").write_text(json.dumps(root))
    for command in (("init", "-backend=false"), ("providers", "schema", "-json")):
        done = tool.run(*command, folder=folder)
        assert done.returncode == 0, done.stderr
    schema: Schema = json.loads(done.stdout)["provider_schemas"][ADDRESS]
    parts = {part: {name: schema[part][name] for name in names} for part, names in used().items()}
    return parts | {"provider": schema["provider"]}


def of_6(machine: Schema) -> Schema:
    """Return the schema of provider 6.x; types that are not in overlay.json are unchanged."""
    changes: Schema = json.loads(OVERLAY.read_text())["types"]
    known = {
        part: {name: change for name, change in changes[part].items() if name in machine[part]}
        for part in changes
    }
    return dict(merged(machine, known))


def merged(old: Any, patch: Any) -> Any:
    """Return a value with a merge patch applied."""
    if not isinstance(old, dict) or not isinstance(patch, dict):
        return patch
    changed = {name: merged(old.get(name), value) for name, value in patch.items()}
    return {name: value for name, value in (old | changed).items() if value is not None}
