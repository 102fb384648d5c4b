"""Report of the mutants that mutmut killed; run by `make mutants`.

    python -m benchmarks.mutants FOLDER

FOLDER is the folder in which mutmut ran. It exits with 1 if fewer than 90 % were killed.
"""

import json
import subprocess
import sys
from pathlib import Path

LEAST = 0.9


def main() -> None:
    """Print the report; exit with 1 if too few mutants were killed."""
    folder = Path(sys.argv[1])
    mutmut = Path(sys.executable).with_name("mutmut")
    subprocess.run([mutmut, "export-cicd-stats"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    stats = json.loads((folder / "mutants" / "mutmut-cicd-stats.json").read_text())
    results = subprocess.run(
        [mutmut, "results"], cwd=folder, check=True, capture_output=True, text=True
    ).stdout
    for line in results.splitlines():
        print(line.strip())
    share = stats["killed"] / stats["total"]
    print(f"{stats['killed']} of {stats['total']} mutants killed: {share:.1%}")
    raise SystemExit(int(share < LEAST))


if __name__ == "__main__":
    main()
