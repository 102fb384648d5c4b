#!/bin/sh
# Copies the published image of one function to its ECR repository, unless the repository contains it already. It uses
# the HTTP APIs of both registries, so it needs no Docker:
# https://github.com/opencontainers/distribution-spec/blob/main/spec.md
# https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html
#
# `terraform apply` runs it with these variables:
#   FUNCTION    the function's name
#   SOURCE      the published image, <registry>/<name>:<tag> or <registry>/<name>@sha256:…
#   REPOSITORY  the URL of the ECR repository, <account>.dkr.ecr.<region>.amazonaws.com/<name>
#   TAG         the tag of the copy
#   REGION      the repository's region
# The user sets this variable for private images:
#   TM_REGISTRY_LOGIN  <user>:<password> at the registry of SOURCE
#
# With the argument --check it copies nothing. It checks that the missing images are published and that this machine can
# copy them, before Terraform creates anything. Its variables are then:
#   ACCOUNT     the account of the repositories, which may not exist yet
#   IMAGES      all images, <name of its repository>:<tag>=<published image>, separated by spaces
#   REGION      the repositories' region
set -eu

check=${1:-}
if [ "$check" ]; then what=images; else what="image of $FUNCTION"; fi

# shellcheck source=terraform/images.sh
. "${0%/*}/images.sh"

for tool in awk cat cp curl cut mktemp mv rm sed tr; do
  command -v "$tool" >/dev/null || fail "the command $tool is missing: install it, $elsewhere"
done
if command -v sha256sum >/dev/null; then
  sha256() { sha256sum; }
elif command -v shasum >/dev/null; then
  sha256() { shasum -a 256; }
else
  fail "the command sha256sum or shasum is missing: install one, $elsewhere"
fi

# A registry may answer with bytes that are invalid in this machine's locale.
LC_ALL=C
export LC_ALL

# curl reads passwords and tokens from files here, because other users can see command lines.
umask 077
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
: >"$work/login"
if [ "${TM_REGISTRY_LOGIN:-}" ]; then
  sed 's/[\\"]/\\&/g; s/.*/user = "&"/' >"$work/login" <<END
$TM_REGISTRY_LOGIN
END
fi

# Sends a request with curl and sets `status`. $1 is the name of the file with credentials; the other arguments are
# curl's. The answer is in $work/headers and $work/body. curl retries after a timeout, 408, 429 and 5xx, and never sends
# credentials to the host of a redirect.
request() {
  credentials=$1
  shift
  : >"$work/body" # curl does not write it if the answer is empty
  status=$(curl -q --config "$work/$credentials" --proto =https --silent --show-error --retry 3 \
    --connect-timeout 20 --speed-limit 1 --speed-time 120 \
    --dump-header "$work/headers" --output "$work/body" --write-out '%{http_code}' "$@" 2>"$work/error") \
    || fail "no answer from a registry: $(cat "$work/error")"
}

# Prints the header $1 of the last answer.
header() {
  tr -d '\r' <"$work/headers" | awk -v name="$1:" '
    index(tolower($0), name) == 1 { value = substr($0, length(name) + 1); sub(/^ */, "", value) }
    END { print value }'
}

# Prints the beginning of the last answer, for messages.
excerpt() {
  tr '\n' ' ' <"$work/body" | cut -c 1-300
}

# Prints the digest of the file $1.
digest_of() {
  hash=$(sha256 <"$1")
  echo "sha256:${hash%% *}"
}

# Selects the published image $1, and deletes the token for the previous one.
publish() {
  source=$1
  registry=${source%%/*}
  name=${source#*/}
  case $name in
    *@*) reference=${name##*@} name=${name%@*} ;;
    *) reference=${name##*:} name=${name%:*} ;;
  esac
  : >"$work/source"
}

# Handles a 401 of the published image's registry: selects the login, or gets a token.
# https://distribution.github.io/distribution/spec/auth/token/
log_in() {
  challenge=$(header www-authenticate)
  case $challenge in
    [Bb]asic\ *)
      cp "$work/login" "$work/source"
      return
      ;;
  esac
  realm=$(printf %s "$challenge" | sed -n 's/^[Bb]earer .*realm="\(https:[^"]*\)".*/\1/p')
  service=$(printf %s "$challenge" | sed -n 's/.*service="\([^"]*\)".*/\1/p')
  [ "$realm" ] || fail "$registry requires an unsupported kind of login: $challenge"
  request login --get --data-urlencode "service=$service" --data-urlencode "scope=repository:$name:pull" "$realm"
  # If the registry refuses a token, the next request fails and reports why.
  [ "$status" = 200 ] || return 0
  tr -d '\n' <"$work/body" \
    | sed -n 's/.*"\(access_\)*token" *: *"\([^"]*\)".*/header = "Authorization: Bearer \2"/p' >"$work/source"
}

# Gets $1 of the published image, and renews an expired token.
get() {
  path=$1
  shift
  request source --location "$@" "https://$registry/v2/$name/$path"
  if [ "$status" = 401 ]; then
    log_in
    request source --location "$@" "https://$registry/v2/$name/$path"
  fi
  case $status in
    200) ;;
    401 | 403) fail "$source is not public: set TM_REGISTRY_LOGIN=<user>:<password>. $(excerpt)" ;;
    404) fail "$source does not exist: check that this version is released and published there. $(excerpt)" ;;
    *) fail "$registry answers $status to a request for $source: $(excerpt)" ;;
  esac
}

oci=application/vnd.oci.image
docker=application/vnd.docker.distribution.manifest

# Gets the manifest, which lists all blobs of an image, and sets `type` and `digest`.
get_manifest() {
  get "manifests/$reference" --header "Accept: $oci.manifest.v1+json, $docker.v2+json, $oci.index.v1+json, $docker.list.v2+json"
  mv "$work/body" "$work/manifest"
  type=$(header content-type)
  type=${type%%;*}
  case $type in
    "$oci.manifest.v1+json" | "$docker.v2+json") ;;
    # https://docs.aws.amazon.com/lambda/latest/dg/images-create.html
    "$oci.index.v1+json" | "$docker.list.v2+json") fail "$source is an image index, which Lambda does not support: set the digest of one of its images" ;;
    *) fail "$source is not an image, but $type" ;;
  esac
  digest=$(digest_of "$work/manifest")
  case $reference in
    sha256:*) [ "$digest" = "$reference" ] || fail "$registry sent an image with the digest $digest instead of $source" ;;
  esac
}

# Fails if the existing image $1, with the digest `answer`, is not the published one. Checks nothing without a digest.
expect() {
  case $reference in
    sha256:*) [ "$answer" = "$reference" ] || fail "$1 exists, but is not $source: delete it, with the digest $answer" ;;
  esac
}

if [ "$check" ]; then
  check_account
  missing=
  for image in $IMAGES; do
    publish "${image#*=}"
    image=${image%%=*}
    if is_there "$ACCOUNT" "$image"; then
      expect "$image"
    else
      get_manifest
      missing=$missing$image
    fi
  done
  if [ "$missing" ]; then echo "this machine can copy the images"; else echo "all images exist already"; fi
  exit 0
fi

# shellcheck disable=SC2153 # from Terraform
publish "$SOURCE"
target=${REPOSITORY%%/*}
image=${REPOSITORY#*/}
if is_there "${target%%.*}" "$image:$TAG"; then
  expect "$REPOSITORY:$TAG"
  echo "$REPOSITORY:$TAG exists already"
  exit 0
fi

password=$(aws ecr get-login-password --region "$REGION" 2>"$work/error") \
  || fail "the AWS CLI cannot get a password for $target: $(cat "$work/error")"
cat >"$work/target" <<END
user = "AWS:$password"
END

# Uploads the file $1 with the content type $2 to the URL $3. Without an empty Expect header curl would wait for servers
# that do not support it.
put() {
  request target --upload-file "$1" --header "Content-Type: $2" --header 'Expect:' "$3"
}

# Copies the blob with the digest $1, unless an earlier attempt copied it.
copy_blob() {
  request target --head "https://$target/v2/$image/blobs/$1"
  case $status in
    200 | 307) return ;;
    404) ;;
    *) fail "$target answers $status to a request for $1" ;;
  esac
  get "blobs/$1"
  mv "$work/body" "$work/blob"
  [ "$(digest_of "$work/blob")" = "$1" ] || fail "$registry sent a blob of $source whose digest is not $1"
  request target --request POST --data '' --header 'Content-Type:' "https://$target/v2/$image/blobs/uploads/"
  [ "$status" = 202 ] || fail "$target answers $status to the start of an upload: $(excerpt)"
  location=$(header location)
  case $location in
    "https://$target/"* | "https://$target:443/"*) ;;
    /*) location=https://$target$location ;;
    *) fail "$target redirects an upload to another host: $location" ;;
  esac
  case $location in *\?*) location="$location&" ;; *) location="$location?" ;; esac
  # In one request, because ECR loses the second chunk: https://github.com/aws/containers-roadmap/issues/2831.
  put "$work/blob" application/octet-stream "${location}digest=$1"
  [ "$status" = 201 ] || fail "$target answers $status to the upload of $1: $(excerpt)"
}

get_manifest
# shellcheck disable=SC2020 # replaces each of three characters with a line break
for blob in $(tr -d '\n' <"$work/manifest" | tr '{},' '\n\n\n' \
  | sed -n 's/^[[:space:]]*"digest"[[:space:]]*:[[:space:]]*"\(sha256:[0-9a-f]\{64\}\)"[[:space:]]*$/\1/p'); do
  copy_blob "$blob"
done

put "$work/manifest" "$type" "https://$target/v2/$image/manifests/$TAG"
if [ "$status" != 201 ]; then
  refusal="$target answers $status to the manifest: $(excerpt)"
  # Another apply may have copied the same image meanwhile; tags are immutable.
  is_there "${target%%.*}" "$image:$TAG" && [ "$answer" = "$digest" ] || fail "$refusal"
fi
echo "$REPOSITORY:$TAG is a copy of $source, with the digest $digest"
