"""Benchmark of `tm contract`: how many files load under their drafts without manual edit.

    python -m benchmarks.drafts FILE...

Prints for each file the lines of the draft without comments, which somebody would otherwise write,
and how many rows `tm check` rejects under the draft.
"""

import argparse
import time
from pathlib import Path

from cli.drafting.draft import draft, table_of
from cli.errors import CommandError


def main() -> None:
    """Print a table of the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    files = parser.parse_args().files
    loaded = lines = 0
    print(f"{'file':40}{'rows':>10}{'lines':>7}{'checks':>8}{'seconds':>9}  result")
    for file in files:
        begin = time.perf_counter()
        try:
            found = draft([file], table_of([file], None))
        except CommandError as error:
            print(f"{file.name:40}{error}")
            continue
        written = [each for each in found.text.splitlines() if not each.lstrip().startswith("#")]
        loaded += not found.failed
        lines += len(written)
        print(
            f"{file.name:40}{found.rows:10,}{len(written):7,}{found.checks:8,}"
            f"{time.perf_counter() - begin:9.1f}  {found.failed[0] if found.failed else 'loads'}"
        )
    print(f"{loaded} of {len(files)} files load without edit; {lines:,} lines were drafted.")


if __name__ == "__main__":
    main()
