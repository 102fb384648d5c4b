"""Import of the script .ci/leftovers.py, which lists the remains of a destroyed stack."""

import importlib.util
from typing import Any

from tests.stand_ins import CHECKOUT


def _load() -> Any:
    spec = importlib.util.spec_from_file_location("leftovers", CHECKOUT / ".ci" / "leftovers.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


leftovers = _load()
