import base64
import hashlib
import io
import zipfile
from pathlib import Path

import pytest

from local.bundle import bundle


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in (
        "contracts/dailycheckins.odcs.yaml",
        "functions/__init__.py",
        "functions/api/handler.py",
        "functions/api/__pycache__/handler.cpython-311.pyc",
        "shared/errors.py",
        "terraform/main.tf",
        ".tm/stack.json",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


def test_bundle_contains_only_functions_code(checkout: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(bundle(checkout).content)) as archive:
        assert {name: archive.read(name).decode() for name in archive.namelist()} == {
            name: name
            for name in ("functions/__init__.py", "functions/api/handler.py", "shared/errors.py")
        }


def test_bundle_is_reproducible(checkout: Path) -> None:
    before = bundle(checkout)
    assert base64.b64decode(before.hash) == hashlib.sha256(before.content).digest()
    (checkout / "shared" / "errors.py").touch()
    assert bundle(checkout) == before
    (checkout / "shared" / "errors.py").write_text("changed")
    assert bundle(checkout).hash != before.hash
