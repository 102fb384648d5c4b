"""The command `tm`, also as `python -m tm_pipeline`.

The code imports `cli`, `functions`, `local` and `shared` as Lambda does, at the top. Such names are
too common for a place among other people's packages, so a wheel holds these folders inside this
package, and only a process of `tm` looks for them there. In a checkout, they are beside it.
"""

import sys
from pathlib import Path


def main() -> None:
    """Run the command."""
    package = Path(__file__).resolve().parent
    root = package if (package / "cli").is_dir() else package.parent
    sys.path.insert(0, str(root))

    from cli.main import app  # noqa: PLC0415 - only now is it found

    app()


if __name__ == "__main__":
    main()
