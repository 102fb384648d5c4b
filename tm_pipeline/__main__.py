"""The command `tm`, also available as `python -m tm_pipeline`.

The code imports `cli`, `functions`, `local` and `shared` as top-level packages, as on Lambda. These
names are too common for site-packages. Therefore the wheel has these folders inside this package,
and `main` adds it to the path. In a checkout, the folders are next to this package.
"""

import sys
from pathlib import Path


def main() -> None:
    """Run `tm`."""
    package = Path(__file__).resolve().parent
    root = package if (package / "cli").is_dir() else package.parent
    sys.path.insert(0, str(root))

    from cli.main import app  # noqa: PLC0415 - requires the changed path

    app()


if __name__ == "__main__":
    main()
