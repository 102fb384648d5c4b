"""Every kind of skip counts as a failure (tests/conftest.py)."""

import re
import sys
from pathlib import Path

import pytest

from tests.programs import run

pytestmark = pytest.mark.programs

ROOT = Path(__file__).parents[1]
PLANTED = {
    "call": "def test() -> None:\n    pytest.skip('no Docker')",
    "mark": "@pytest.mark.skip(reason='no Docker')\ndef test() -> None:\n    pass",
    "condition": "@pytest.mark.skipif(True, reason='no Docker')\ndef test() -> None:\n    pass",
    "fixture": (
        "@pytest.fixture\ndef docker() -> None:\n    pytest.skip('no Docker')\n\n"
        "def test(docker: None) -> None:\n    pass"
    ),
    "module": "pytest.skip('no Docker', allow_module_level=True)",
    "import": "pytest.importorskip('no_such_module', reason='no Docker')",
    # These are not skipped.
    "xfail": "@pytest.mark.xfail(reason='a bug')\ndef test() -> None:\n    assert False",
    "xfail_not_run": "@pytest.mark.xfail(run=False, reason='a bug')\ndef test() -> None:\n    pass",
    "pass": "def test() -> None:\n    pass",
}


@pytest.mark.parametrize("options", [[], ["--numprocesses=1"]], ids=["alone", "worker"])
def test_skip_fails_with_its_reason(options: list[str], tmp_path: Path) -> None:
    for name, text in PLANTED.items():
        (tmp_path / f"test_{name}.py").write_text(f"import pytest\n\n{text}\n")
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-c", "pyproject.toml"]
    command += ["-o", f"cache_dir={tmp_path}", "--continue-on-collection-errors", *options]
    done = run(*command, tmp_path, cwd=ROOT)

    ended = {
        name: outcome
        for outcome, name in re.findall(r"^([A-Z]+) .*?test_(\w+)\.py", done.stdout, re.MULTILINE)
    }
    assert done.returncode == 1
    assert ended == {
        "call": "FAILED",
        **dict.fromkeys(("mark", "condition", "fixture", "module", "import"), "ERROR"),
        **dict.fromkeys(("xfail", "xfail_not_run"), "XFAIL"),
    }
    # With CI set, pytest prints each reason a second time in its summary.
    reasons = re.findall(r"no Docker\n.*test_(\w+)\.py:\d+: no test may be skipped: ", done.stdout)
    assert set(reasons) == {name for name, outcome in ended.items() if outcome != "XFAIL"}
    assert "1 failed, 1 passed, 2 xfailed, 5 errors" in done.stdout.splitlines()[-1]
