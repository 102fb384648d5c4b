#!/bin/sh
# Builds the image of one function and pushes it to its ECR repository, unless the repository contains it already.
#
# `terraform apply` runs it with these variables:
#   FUNCTION    the function's name, a folder under functions/
#   REPOSITORY  the URL of its ECR repository, <account>.dkr.ecr.<region>.amazonaws.com/<name>
#   TAG         the hash of the image's sources
#   PLATFORM    linux/amd64 or linux/arm64
#   BASE        the base image
#   REGION      the repository's region
#   CONTEXT     the root folder of this repository
#
# With the argument --check it builds nothing. It checks that this machine can build the missing images, before
# Terraform creates anything. Its variables are then:
#   ACCOUNT     the account of the repositories, which may not exist yet
#   IMAGES      all images, <name of its repository>:<tag>, separated by spaces
#   REGION      the repositories' region
set -eu

check=${1:-}
if [ "$check" ]; then what=images; else what="image of $FUNCTION"; fi

# shellcheck source=terraform/images.sh
. "${0%/*}/images.sh"

without='or set published_images, which needs no Docker'

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
  echo "all images exist already"
  exit 0
fi

registry=${REPOSITORY%%/*}
image=$REPOSITORY:$TAG
if is_there "${registry%%.*}" "${image#*/}"; then
  echo "$image exists already"
  exit 0
fi
check_docker

# Terraform runs this script for all functions concurrently. The lock serializes them, because one build uses the whole
# machine and some credential stores of Docker do not support concurrent logins.
lock=${TMPDIR:-/tmp}/tm-pipeline-build-image.lock
until mkdir "$lock" 2>/dev/null; do
  owner=$(cat "$lock/owner" 2>/dev/null || true)
  if [ -n "$owner" ] && ! kill -0 "$owner" 2>/dev/null; then
    rm -rf "$lock" # its owner was killed
  fi
  sleep 1
done
trap 'rm -rf "$lock"' EXIT
trap 'exit 130' INT TERM HUP
echo $$ >"$lock/owner"

password=$(aws ecr get-login-password --region "$REGION" 2>&1) || fail "the AWS CLI cannot get a password for $registry: $password"
reason=$(printf %s "$password" | docker login --username AWS --password-stdin "$registry" 2>&1) \
  || fail "Docker cannot log in to $registry: $reason"

# Lambda does not accept an image index, which an attestation would turn the image into.
docker buildx build --platform "$PLATFORM" --provenance=false --sbom=false --load \
  --build-arg "BASE=$BASE" --build-arg "FUNCTION=$FUNCTION" \
  --file "$CONTEXT/functions/Dockerfile" --tag "$image" "$CONTEXT" \
  || fail "docker buildx build failed: see its output above"

if ! docker push "$image"; then
  # Another apply may have pushed the same image meanwhile; tags are immutable.
  is_there "${registry%%.*}" "${image#*/}" || fail "$registry rejected the push: see the output above"
fi
