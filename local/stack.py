"""The running laptop cloud, as recorded in `stack.json` in the state folder."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import Credentials

from local.errors import LocalError
from local.postgres import Server

NAME = "tm-pipeline"
"""The Terraform variable `name`."""


def secret_name(function: str) -> str:
    """Return the name of the secret with a function's database credentials."""
    return f"{NAME}/{function}"


@dataclass(frozen=True)
class Aws:
    """Address and root credentials of the emulator."""

    endpoint_url: str
    region: str
    access_key_id: str
    secret_access_key: str
    ca_bundle: str

    def client(self, service: str, config: Config | None = None) -> Any:
        """Return the boto3 client of a service, independent of the user's AWS settings."""
        return self._session().client(service, **self._arguments(config))

    def resource(self, service: str) -> Any:
        """Return the boto3 resource of a service, independent of the user's AWS settings."""
        return self._session().resource(service, **self._arguments())

    def credentials(self) -> Credentials:
        """Return the root credentials."""
        return Credentials(self.access_key_id, self.secret_access_key)

    def environment(self) -> dict[str, str]:
        """Return environment variables that make AWS SDKs of other programs use the emulator."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_CA_BUNDLE": self.ca_bundle,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def _session(self) -> Any:
        variables = {
            "profile": (None, None, None, None),
            "config_file": (None, None, os.devnull, None),
            "credentials_file": (None, None, os.devnull, None),
        }
        return boto3.Session(
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
            region_name=self.region,
            botocore_session=botocore.session.Session(session_vars=variables),
        )

    def _arguments(self, config: Config | None = None) -> dict[str, Any]:
        return {
            "endpoint_url": self.endpoint_url,
            "verify": self.ca_bundle,
            "config": Config(proxies={}).merge(config or Config()),
        }


@dataclass(frozen=True)
class LaptopStack:
    """A running laptop cloud."""

    aws: Aws
    outputs: dict[str, Any]
    api_url: str
    database: Server
    tap_url: str

    @classmethod
    def read(cls, home: Path) -> Self | None:
        """Return the laptop cloud of a state folder, None if none runs; or raise LocalError."""
        path = _path(home)
        try:
            document = json.loads(path.read_text())
            return cls(
                **document
                | {"aws": Aws(**document["aws"]), "database": Server(**document["database"])}
            )
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise LocalError(f"{path} cannot be read ({error}): run `tm down`.") from error

    @staticmethod
    def exists(home: Path) -> bool:
        """Return whether a state folder has a `stack.json`."""
        return _path(home).is_file()

    def write(self, home: Path) -> None:
        """Write `stack.json`, readable by its owner only because it has credentials."""
        partial = _path(home).with_suffix(".partial")
        partial.touch(mode=0o600)
        partial.write_text(json.dumps(asdict(self), indent=2))
        partial.replace(_path(home))

    @staticmethod
    def forget(home: Path) -> None:
        """Delete `stack.json` if it exists."""
        _path(home).unlink(missing_ok=True)


def _path(home: Path) -> Path:
    return home / "stack.json"
