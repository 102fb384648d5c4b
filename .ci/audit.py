"""Audit every package of requirements files with pip-audit and OSV's advisories.

    python .ci/audit.py [--allow-unreachable] FILE…

Exit status:
    0: no package has a known vulnerability.
    1: OSV is unreachable. With --allow-unreachable the status is 0, and a line says so.
    2: a package could not be audited. pip-audit itself reports such a package as safe.
    3: a package has a known vulnerability.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

# The highest status of all files is the exit status.
UNREACHABLE, INCOMPLETE, VULNERABLE = 1, 2, 3


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--allow-unreachable", action="store_true")
    parser.add_argument("files", nargs="+", type=Path)
    arguments = parser.parse_args()
    status = max(audit(file) for file in arguments.files)
    return 0 if status == UNREACHABLE and arguments.allow_unreachable else status


def audit(file: Path) -> int:
    """Print the vulnerabilities of the packages in one file; return the exit status."""
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
        return UNREACHABLE
    if not packages or skipped:
        return INCOMPLETE
    print(f"{file}: {len(packages)} packages, no known vulnerabilities.")
    return 0


def look_up(file: Path) -> tuple[list[dict[str, Any]], str]:
    """Return pip-audit's finding for each package, and its last message."""
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
        said = (done.stderr.strip().splitlines() or ["pip-audit printed nothing"])[-1]
        if not report.exists() or not report.stat().st_size:
            return [], said
        return json.loads(report.read_text())["dependencies"], said


if __name__ == "__main__":
    sys.exit(main())
