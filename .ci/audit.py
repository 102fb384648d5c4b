"""Holds every package of requirements files against OSV's advisories, by pip-audit.

    python .ci/audit.py [--silence-is-no-error] FILE…

Exit status 0: OSV knows nothing of any of them. 1: OSV cannot be reached, so nothing is known; with
--silence-is-no-error that is 0 too, and said all the same. 2: something could not be looked up. 3:
something is known to be vulnerable. pip-audit itself takes what it could not look up for good.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

# The gravest of several files counts, and to be vulnerable is the gravest.
AWAY, BROKEN, VULNERABLE = 1, 2, 3


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--silence-is-no-error", action="store_true")
    parser.add_argument("files", nargs="+", type=Path)
    arguments = parser.parse_args()
    status = max(audit(file) for file in arguments.files)
    return 0 if status == AWAY and arguments.silence_is_no_error else status


def audit(file: Path) -> int:
    """Say what is known of the packages of one file; return the exit status that it comes to."""
    packages, said = look_up(file)
    for package in packages:
        for vuln in package.get("vulns", []):
            names = ", ".join([vuln["id"], *vuln["aliases"]])
            fixed = ", ".join(vuln["fix_versions"]) or "none yet"
            print(f"{file}: {package['name']} {package['version']}: {names}; fixed in: {fixed}")
    skipped = [
        f"{each['name']} ({each['skip_reason']})" for each in packages if "vulns" not in each
    ]
    if not packages or skipped:
        print(f"NOT AUDITED: {file}: {'; '.join(skipped) or said}")
    if any(each.get("vulns") for each in packages):
        return VULNERABLE
    if not packages and re.search(r"ConnectionError|Could not connect", said):
        return AWAY
    if not packages or skipped:
        return BROKEN
    print(f"{file}: {len(packages)} packages, none of them with a known vulnerability.")
    return 0


def look_up(file: Path) -> tuple[list[dict[str, Any]], str]:
    """Return what pip-audit found of each package, and the last that it said."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        done = subprocess.run(
            [
                Path(sys.executable).with_name("pip-audit"),
                *("--vulnerability-service", "osv", "--disable-pip", "--require-hashes"),
                *("--format", "json", "--output", report, "--progress-spinner", "off"),
                *("--requirement", file),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        said = (done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]
        if not report.exists() or not report.stat().st_size:
            return [], said
        return json.loads(report.read_text())["dependencies"], said


if __name__ == "__main__":
    sys.exit(main())
