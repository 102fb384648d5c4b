import shutil
import subprocess
import sys
from pathlib import Path

from tests.checkout import CHECKOUT

HANDLER = """
import gc
collects = gc.isenabled()
def handler(event, context):
    return collects, gc.isenabled(), gc.get_freeze_count() > 0
"""


def test_main_imports_only_function_without_collecting_garbage(tmp_path: Path) -> None:
    folder = tmp_path / "functions" / "one"
    folder.mkdir(parents=True)
    (folder / "handler.py").write_text(HANDLER)
    shutil.copy(CHECKOUT / "functions" / "main.py", folder.parent)

    done = subprocess.run(
        [sys.executable, "-c", "from functions.main import handler; print(handler({}, None))"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "(False, True, True)\n"
