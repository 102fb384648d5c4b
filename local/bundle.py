"""The zip with the functions' code, for the Terraform variable `function_zip`."""

import base64
import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

PARTS = ("functions", "shared")
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Bundle:
    """The bytes of the zip and their SHA-256 in base64; the same code gives the same zip."""

    content: bytes
    hash: str


def bundle(checkout: Path) -> Bundle:
    """Zip the functions' code of a checkout, without dependencies, which the emulator has."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(each for part in PARTS for each in (checkout / part).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                entry = zipfile.ZipInfo(path.relative_to(checkout).as_posix(), _EPOCH)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, path.read_bytes())
    content = buffer.getvalue()
    digest = hashlib.sha256(content).digest()
    return Bundle(content, base64.b64encode(digest).decode())
