"""Push the images that `make images` built to a registry, and print what was pushed, by digest.

    python .ci/push_images.py ghcr.io/<owner>/tm-pipeline 0.1.0

Each is pushed as <registry>/<function>:<version>, and printed as <registry>/<function>@sha256:….
Docker must be logged in. An image that is an index is refused, for Lambda takes none: build without
attestations. It needs Docker with buildx and nothing but Python.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
FUNCTIONS = sorted(path.parent.name for path in ROOT.glob("functions/*/requirements.txt"))
# What manifests of one image say of themselves. Indexes have other types:
# https://github.com/opencontainers/image-spec/blob/main/media-types.md
MANIFESTS = {
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
}


def docker(*arguments: str) -> str:
    """Run a command of Docker; what it writes to standard error is shown."""
    done = subprocess.run(["docker", *arguments], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def push(function: str, registry: str, version: str) -> str:
    """Push a function's image; return its name by digest, as the registry has it."""
    image = f"{registry}/{function}"
    docker("tag", f"tm-pipeline/{function}", f"{image}:{version}")
    docker("push", "--quiet", f"{image}:{version}")
    manifest = json.loads(
        docker(
            *("buildx", "imagetools", "inspect", f"{image}:{version}"),
            *("--format", "{{json .Manifest}}"),
        )
    )
    if manifest["mediaType"] not in MANIFESTS:
        raise SystemExit(
            f"{image}:{version} is a {manifest['mediaType']}, which Lambda does not take: build it "
            "with --provenance=false --sbom=false."
        )
    return f"{image}@{manifest['digest']}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("registry", metavar="REGISTRY")
    parser.add_argument("version", metavar="VERSION")
    arguments = parser.parse_args()
    for function in FUNCTIONS:
        # GitHub's owners may have capitals, names of images not.
        print(push(function, arguments.registry.lower(), arguments.version), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
