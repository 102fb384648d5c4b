"""Terraform provider that only has a schema, for validation and mocks.

`python -m tests.terraform.provider6.server SCHEMA` serves the provider in SCHEMA, a file with the
output of `terraform providers schema -json`, and prints a value for TF_REATTACH_PROVIDERS. It ends
when its standard input ends. It uses Terraform's plugin protocol 6:
https://developer.hashicorp.com/terraform/plugin/terraform-plugin-protocol
"""

import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import msgpack
from tf.gen import tfplugin_pb2 as protocol

FLAGS = ("required", "optional", "computed", "sensitive", "deprecated")


def block(schema: dict[str, Any]) -> Any:
    """Return a block as a message of the protocol."""
    return protocol.Schema.Block(
        deprecated=schema.get("deprecated", False),
        attributes=[
            protocol.Schema.Attribute(
                name=name,
                type=json.dumps(each["type"]).encode(),
                **{flag: each.get(flag, False) for flag in FLAGS},
            )
            for name, each in schema.get("attributes", {}).items()
        ],
        block_types=[
            protocol.Schema.NestedBlock(
                type_name=name,
                block=block(each["block"]),
                nesting=each["nesting_mode"].upper(),
                min_items=each.get("min_items", 0),
                max_items=each.get("max_items", 0),
            )
            for name, each in schema.get("block_types", {}).items()
        ],
    )


def objections(
    schema: dict[str, Any], given: dict[str, Any], path: str
) -> Iterator[tuple[str, str]]:
    """Yield the severity and message of each problem in the values of a block.

    Terraform itself checks a configuration against the schema and warns of references to deprecated
    attributes. The provider must report deprecated and read-only arguments.
    """
    if schema.get("deprecated"):
        yield "WARNING", f"{path} is deprecated."
    for name, each in schema.get("attributes", {}).items():
        if given[name] is not None:
            if each.get("deprecated"):
                yield "WARNING", f"{path}.{name} is deprecated."
            if not each.get("required") and not each.get("optional"):
                yield "ERROR", f"{path}.{name} is a result and takes no value."
    for name, each in schema.get("block_types", {}).items():
        items = given[name]
        # A single block is an object or null; an unknown number of blocks is an msgpack.ExtType.
        items = [items] if isinstance(items, dict) else items if isinstance(items, list) else []
        for item in items:
            yield from objections(each["block"], item, f"{path}.{name}")


class Provider:
    """Implementation of the protocol: each public method is a call."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self.schema = schema

    def GetProviderSchema(self, _: Any) -> Any:  # noqa: N802
        every = {
            kind: {
                name: protocol.Schema(version=each["version"], block=block(each["block"]))
                for name, each in self.schema[kind].items()
            }
            for kind in ("resource_schemas", "data_source_schemas")
        }
        provider = protocol.Schema(block=block(self.schema["provider"]["block"]))
        return protocol.GetProviderSchema.Response(provider=provider, **every)

    def ValidateProviderConfig(self, _: Any) -> Any:  # noqa: N802
        return protocol.ValidateProviderConfig.Response()

    def ValidateResourceConfig(self, request: Any) -> Any:  # noqa: N802
        found = self._validate("resource_schemas", request)
        return protocol.ValidateResourceConfig.Response(diagnostics=found)

    def ValidateDataResourceConfig(self, request: Any) -> Any:  # noqa: N802
        found = self._validate("data_source_schemas", request)
        return protocol.ValidateDataResourceConfig.Response(diagnostics=found)

    def _validate(self, kind: str, request: Any) -> list[Any]:
        given = msgpack.unpackb(request.config.msgpack)
        schema = self.schema[kind][request.type_name]["block"]
        return [
            protocol.Diagnostic(severity=severity, summary=summary)
            for severity, summary in objections(schema, given, request.type_name)
        ]


def serve(provider: Provider, address: str) -> Any:
    """Serve a provider on this machine, and print the value for TF_REATTACH_PROVIDERS."""
    handlers = {
        call: grpc.unary_unary_rpc_method_handler(
            lambda request, _, call=call: getattr(provider, call)(request),
            request_deserializer=getattr(protocol, call).Request.FromString,
            response_serializer=getattr(protocol, call).Response.SerializeToString,
        )
        for call in dir(Provider)
        if not call.startswith("_")
    }
    server = grpc.server(ThreadPoolExecutor())
    services = [grpc.method_handlers_generic_handler("tfplugin6.Provider", handlers)]
    server.add_generic_rpc_handlers(services)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    plugin = {
        "Protocol": "grpc",
        "ProtocolVersion": 6,
        "Pid": os.getpid(),
        "Test": True,  # Terraform must not stop the provider
        "Addr": {"Network": "tcp", "String": f"127.0.0.1:{port}"},
    }
    print(json.dumps({address: plugin}), flush=True)  # noqa: T201
    return server


if __name__ == "__main__":
    [(address, schema)] = json.loads(Path(sys.argv[1]).read_text())["provider_schemas"].items()
    server = serve(Provider(schema), address)  # the server stops when it is garbage-collected
    sys.stdin.read()
