"""Write the changes of AWS provider 6.x to the types that the module uses: `make provider-schema`.

Two packages on PyPI are generated from the provider's schema. This script parses them, without
running their code:

- The JavaScript in cdktn-provider-aws contains every attribute and block, with its type and whether
  it is required, optional or computed. (Its Python code lacks computed, and does not distinguish
  sets from lists.) It lacks sensitive and deprecated, and the limits of blocks other than 1.
- The Python code in pulumi-aws contains the deprecated attributes and blocks, but not types.
"""

import ast
import json
import re
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from local import terraform
from tests.terraform.provider6 import schema
from tests.terraform.provider6.schema import Schema, Types

CLASS = re.compile(r"^class (\w+) extends [\w.]+ \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
ATTRIBUTE = re.compile(
    r"^    // (\w+) - computed: (\w+), optional: (\w+), required: (\w+)\n(.*?)^    \}",
    re.MULTILINE | re.DOTALL,
)
SIMPLE = re.compile(r"(?:this\.get|new cdktn\.)(String|Number|Boolean)?(List|Map)?(?:Attribute)?\(")
NESTED = re.compile(r"new (\w+?)(OutputReference|List)\(this, \"\w+\"(?:, (true|false))?\)")
TYPES = {None: "string", "String": "string", "Number": "number", "Boolean": "bool"}

# Files of pulumi-aws whose names differ from Terraform's types.
PULUMI = {
    "aws_api_gateway_gateway_response": "apigateway/response",
    "aws_db_instance": "rds/instance",
    "aws_db_subnet_group": "rds/subnet_group",
    "aws_s3_object": "s3/bucket_objectv2",
}


def read_bindings(wheel: Path, types: Types) -> Schema:
    """Return the schema of some types from cdktn-provider-aws."""
    files = {
        f"package/lib/{prefix}{name.removeprefix('aws_').replace('_', '-')}/index.js": (part, name)
        for part, prefix in (("resource_schemas", ""), ("data_source_schemas", "data-aws-"))
        for name in types[part]
    }
    found: Schema = {part: {} for part in types}
    with zipfile.ZipFile(wheel) as packed:
        [inner] = [each for each in packed.namelist() if each.endswith(".jsii.tgz")]
        with packed.open(inner) as file, tarfile.open(fileobj=file, mode="r|gz") as unpacked:
            for member in unpacked:
                if member.name in files and (opened := unpacked.extractfile(member)):
                    part, name = files.pop(member.name)
                    code = opened.read().decode()
                    classes = dict(CLASS.findall(code))
                    [main] = [each for each in classes if f'"{name}";' in classes[each]]
                    found[part][name] = {"block": read_block(main, classes, code)}
    assert not files, f"{wheel.name} lacks {sorted(files)}"
    return found


def read_block(name: str, classes: dict[str, str], code: str) -> Schema:
    """Return the block of a class, in the form of `terraform providers schema -json`."""
    block: Schema = {"attributes": {}, "block_types": {}}
    for key, computed, optional, required, body in ATTRIBUTE.findall(classes[name]):
        declared = {"computed": computed, "optional": optional, "required": required}
        flags = {flag: True for flag, value in declared.items() if value == "true"}
        if nested := NESTED.search(body):
            inner, kind, is_set = nested.groups()
            below = read_block(f"{inner}OutputReference", classes, code)
            mode = "set" if is_set == "true" else "list"
            if "computed" in flags:
                block["attributes"][key] = {"type": [mode, object_type(below)], **flags}
            else:
                single = f'storageClassType: "{inner}",' in code
                block["block_types"][key] = {
                    "nesting_mode": "single" if single else mode,
                    "block": below,
                    **({"min_items": 1} if "required" in flags else {}),
                    **({"max_items": 1} if kind == "OutputReference" and not single else {}),
                }
        else:
            simple = SIMPLE.search(body)
            assert simple, f"{name} has an attribute of an unknown type:\n{body}"
            element, collection = TYPES[simple[1]], (simple[2] or "").lower()
            mode = "set" if "Fn.tolist" in body else collection
            block["attributes"][key] = {"type": [mode, element] if mode else element, **flags}
    return block


def object_type(block: Schema) -> list[Any]:
    """Return the type of an attribute whose class is that of a block."""
    fields = {name: each["type"] for name, each in block["attributes"].items()}
    return [
        "object",
        fields
        | {
            name: [each["nesting_mode"], object_type(each["block"])]
            for name, each in block["block_types"].items()
        },
    ]


def comparable(block: Schema) -> Schema:
    """Return a block of a provider's schema, reduced to the information in the bindings."""
    return {
        "attributes": {
            name: {
                key: each[key]
                for key in ("type", "computed", "optional", "required")
                if key in each
            }
            for name, each in block.get("attributes", {}).items()
        },
        "block_types": {
            name: {
                "nesting_mode": each["nesting_mode"],
                "block": comparable(each["block"]),
                **({"min_items": 1} if each.get("min_items") else {}),
                **({"max_items": 1} if each.get("max_items") == 1 else {}),
            }
            for name, each in block.get("block_types", {}).items()
        },
    }


def mark_deprecated(found: Schema, wheel: Path) -> None:
    """Mark attributes and blocks as deprecated that are deprecated in pulumi-aws."""
    with zipfile.ZipFile(wheel) as packed:
        names = packed.namelist()

        def classes(file: str) -> dict[str, ast.ClassDef]:
            tree = ast.parse(packed.read(file))
            return {each.name: each for each in tree.body if isinstance(each, ast.ClassDef)}

        for part, types in found.items():
            for name, each in types.items():
                file = pulumi_file(name, part, names)
                outputs = f"{file.rpartition('/')[0]}/outputs.py"
                [main] = [
                    code
                    for title, code in classes(file).items()
                    if re.fullmatch(r"Get\w+Result", title)
                    or "pulumi.CustomResource" in map(ast.unparse, code.bases)
                ]
                mark_block(each["block"], main, classes(outputs) if outputs in names else {})


def pulumi_file(name: str, part: str, names: list[str]) -> str:
    """Return the file of a type; its name may differ in underscores and `ec2`."""
    expected = {squeezed(name.removeprefix("aws_")), squeezed(PULUMI.get(name, name))}
    found = []
    for each in names:
        path = each.removeprefix("pulumi_aws/").removesuffix(".py")
        path, is_data = re.subn(r"(^|/)get_", r"\1", path)
        if is_data == (part == "data_source_schemas") and squeezed(path) in expected:
            found.append(each)
    assert len(found) == 1, f"{name} may be {found}: add it to PULUMI in {__file__}"
    return found[0]


def squeezed(name: str) -> str:
    return re.sub(r"^ec2|[_/]", "", name)


def mark_block(block: Schema, code: ast.ClassDef, outputs: dict[str, ast.ClassDef]) -> None:
    """Mark the deprecated properties of a class; properties of lists have plural names."""
    for each in code.body:
        if isinstance(each, ast.FunctionDef):
            name = each.name
            ways = (name, name[:-1], name[:-2], f"{name[:-3]}y")
            nested = {key: below["block"] for key, below in block["block_types"].items()}
            every = block["attributes"] | nested
            target = next((every[way] for way in ways if way in every), None)
            decorators = " ".join(map(ast.unparse, each.decorator_list))
            if "_utilities.deprecated(" in decorators:
                assert target is not None, f"{code.name}.{name} has no counterpart in Terraform"
                target["deprecated"] = True
            below = re.search(r"outputs\.(\w+)", ast.unparse(each.returns or ast.Constant(None)))
            if below and target is not None and "block_types" in target:
                mark_block(target, outputs[below[1]], outputs)


def difference(old: Any, new: Any) -> Any:
    """Return the merge patch from `old` to `new`."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    changed = {key: difference(old.get(key), new[key]) for key in new if new[key] != old.get(key)}
    return changed | {key: None for key in old if key not in new}


def main(cdktn: Path, pulumi: Path) -> None:
    """Write overlay.json from the two wheels and the provider on this machine."""
    types = schema.used()
    with tempfile.TemporaryDirectory() as folder:
        tool = terraform.find(Path(folder, "configuration"))
        machine = schema.of_this_machine(tool, Path(folder))
    old = {
        part: {name: {"block": comparable(machine[part][name]["block"])} for name in names}
        for part, names in types.items()
    }
    new = read_bindings(cdktn, types)
    mark_deprecated(new, pulumi)
    changes = {
        part: {name: difference(old[part][name], new[part][name]) for name in names}
        for part, names in types.items()
    }
    assert schema.merged(old, changes) == new
    document = {
        "changes": terraform.PROVIDER_VERSION,
        "made_from": [cdktn.name, pulumi.name],
        "types": changes,
    }
    schema.OVERLAY.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
