"""Push the images that `make images` built to a registry, and print their digests.

    python .ci/push_images.py ghcr.io/<owner>/tm-pipeline 0.1.0

Each is pushed as <registry>/<function>:<version>, and printed as <registry>/<function>@sha256:….
Docker must be logged in. An image index is refused because Lambda does not accept one: build
without attestations. Needs Docker with buildx, and only Python's standard library.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
FUNCTIONS = sorted(path.parent.name for path in ROOT.glob("functions/*/requirements.txt"))
# The media types of a single image's manifest. An index has another type:
# https://github.com/opencontainers/image-spec/blob/main/media-types.md
MANIFESTS = {
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
}


def docker(*arguments: str) -> str:
    """Run a Docker command; its standard error goes to ours."""
    done = subprocess.run(["docker", *arguments], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def push(function: str, registry: str, version: str) -> str:
    """Push a function's image; return its name with the registry's digest."""
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
            f"{image}:{version} is a {manifest['mediaType']}, which Lambda does not accept: "
            "build it with --provenance=false --sbom=false."
        )
    return f"{image}@{manifest['digest']}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("registry", metavar="REGISTRY")
    parser.add_argument("version", metavar="VERSION")
    arguments = parser.parse_args()
    for function in FUNCTIONS:
        # GitHub allows capitals in owners' names, but image names must be lower case.
        print(push(function, arguments.registry.lower(), arguments.version), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
