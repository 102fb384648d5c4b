"""The document as a page for people: one file, that asks for nothing else."""
import json
from typing import Any
POLICY = "default-src 'none'"
def render(document: dict[str, Any]) -> str:
    return json.dumps(document)
