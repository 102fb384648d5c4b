"""Says how many of the mutants that mutmut made were killed; run by `make mutants`.

    python -m benchmarks.mutants FOLDER

FOLDER is where mutmut has just run. Exit status 1 if fewer than nine in ten were killed.
"""

import json
import subprocess
import sys
from pathlib import Path

LEAST = 0.9


def main() -> None:
    """Run the command."""
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
