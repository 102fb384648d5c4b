#!/bin/sh
# Builds the image of one function and pushes it to its repository, unless it is there already.
#
# `terraform apply` runs it with these variables:
#   FUNCTION    the function's name, a folder under functions/
#   REPOSITORY  the URL of its ECR repository, <account>.dkr.ecr.<region>.amazonaws.com/<name>
#   TAG         the hash of everything that the image is made of
#   PLATFORM    linux/amd64 or linux/arm64
#   BASE        the image that it begins from
#   REGION      the repository's region
#   CONTEXT     the repository's root
#
# With the argument --check it builds nothing. It checks that this machine can build the images that are
# missing, before Terraform makes anything. Its variables are then:
#   ACCOUNT     the account of the repositories, which need not exist yet
#   IMAGES      every image, <name of its repository>:<tag>, separated by spaces
#   REGION      the repositories' region
set -eu

check=${1:-}
if [ "$check" ]; then what=images; else what="image of $FUNCTION"; fi

# shellcheck source=terraform/images.sh
. "${0%/*}/images.sh"

without='or give the module published_images, which needs no Docker'

check_docker() {
  command -v docker >/dev/null || fail "Docker (command docker) is missing: install it, $without"
  docker buildx version >/dev/null 2>&1 || fail "Docker has no buildx: install its plugin, $without"
  reason=$(docker info 2>&1 >/dev/null) || fail "the Docker daemon does not answer: start it, $without. $reason"
}

if [ "$check" ]; then
  check_account
  for image in $IMAGES; do
    if ! is_there "$ACCOUNT" "$image"; then
      check_docker
      echo "this machine can build $image"
      exit 0
    fi
  done
  echo "every image is there already"
  exit 0
fi

registry=${REPOSITORY%%/*}
image=$REPOSITORY:$TAG
if is_there "${registry%%.*}" "${image#*/}"; then
  echo "$image is there already"
  exit 0
fi
check_docker

# Terraform runs one of us for each function at once: they take turns, for a machine builds one image
# best at a time, and some stores of Docker's log-ins take no two at once.
lock=${TMPDIR:-/tmp}/tm-pipeline-build-image.lock
until mkdir "$lock" 2>/dev/null; do
  owner=$(cat "$lock/owner" 2>/dev/null || true)
  if [ -n "$owner" ] && ! kill -0 "$owner" 2>/dev/null; then
    rm -rf "$lock" # whoever made it was killed
  fi
  sleep 1
done
trap 'rm -rf "$lock"' EXIT
trap 'exit 130' INT TERM HUP
echo $$ >"$lock/owner"

password=$(aws ecr get-login-password --region "$REGION" 2>&1) || fail "the AWS CLI gets no password for $registry: $password"
reason=$(printf %s "$password" | docker login --username AWS --password-stdin "$registry" 2>&1) \
  || fail "Docker cannot log in to $registry: $reason"

# Lambda takes no image index, which is what an attestation beside the image would make of it.
docker buildx build --platform "$PLATFORM" --provenance=false --sbom=false --load \
  --build-arg "BASE=$BASE" --build-arg "FUNCTION=$FUNCTION" \
  --file "$CONTEXT/functions/Dockerfile" --tag "$image" "$CONTEXT" \
  || fail "docker buildx build failed, see above"

if ! docker push "$image"; then
  # Somebody else may have pushed the same in the meantime, and a tag never changes its image.
  is_there "${registry%%.*}" "${image#*/}" || fail "$registry refused the push, see above"
fi
