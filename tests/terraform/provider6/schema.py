"""The AWS provider's schema, of the types that the module uses, in 5.100 and in 6.x.

5.100's is what the provider on this machine says. 6.x's is the same with the changes that stand in
overlay.json, a merge patch (RFC 7396) which `make provider-schema` writes.
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
"""Names of types by the schema's part that has them: resource_schemas, data_source_schemas."""


def used() -> Types:
    """List the types that the module and its examples use."""
    text = "".join(path.read_text() for path in (CHECKOUT / "terraform").rglob("*.tf"))
    return {
        part: sorted(set(re.findall(rf'^{kind} "(aws_\w+)"', text, re.MULTILINE)))
        for part, kind in (("resource_schemas", "resource"), ("data_source_schemas", "data"))
    }


def of_this_machine(tool: Terraform, folder: Path) -> Schema:
    """Return what the provider on this machine says; Terraform works in an empty folder."""
    wanted = {"aws": {"source": PROVIDER, "version": PROVIDER_VERSION}}
    root = {"terraform": {"required_providers": wanted}}
    (folder / "main.tf.json").write_text(json.dumps(root))
    for command in (("init", "-backend=false"), ("providers", "schema", "-json")):
        done = tool.run(*command, folder=folder)
        assert done.returncode == 0, done.stderr
    schema: Schema = json.loads(done.stdout)["provider_schemas"][ADDRESS]
    parts = {part: {name: schema[part][name] for name in names} for part, names in used().items()}
    return parts | {"provider": schema["provider"]}


def of_6(machine: Schema) -> Schema:
    """Return what provider 6.x would say; a type that overlay.json lacks stays as it is."""
    changes: Schema = json.loads(OVERLAY.read_text())["types"]
    known = {
        part: {name: change for name, change in changes[part].items() if name in machine[part]}
        for part in changes
    }
    schema: Schema = merged(machine, known)
    return schema


def merged(old: Any, patch: Any) -> Any:
    """Return what a merge patch makes of a value."""
    if not isinstance(old, dict) or not isinstance(patch, dict):
        return patch
    changed = {name: merged(old.get(name), value) for name, value in patch.items()}
    return {name: value for name, value in (old | changed).items() if value is not None}
