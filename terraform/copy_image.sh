#!/bin/sh
# Copies the image of one function from where it is published to its repository, unless it is there already. It speaks
# HTTP with both registries, so it needs no Docker:
# https://github.com/opencontainers/distribution-spec/blob/main/spec.md
# https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html
#
# `terraform apply` runs it with these variables:
#   FUNCTION    the function's name
#   SOURCE      the published image, <registry>/<name>:<tag> or <registry>/<name>@sha256:…
#   REPOSITORY  the URL of the ECR repository, <account>.dkr.ecr.<region>.amazonaws.com/<name>
#   TAG         the tag that the copy gets
#   REGION      the repository's region
# and, from whoever runs it, for images that are not public:
#   TM_REGISTRY_LOGIN  <user>:<password> at the registry of SOURCE
#
# With the argument --check it copies nothing. It checks that this machine can copy the images that are missing, and
# that they are published, before Terraform makes anything. Its variables are then:
#   ACCOUNT     the account of the repositories, which need not exist yet
#   IMAGES      every image, <name of its repository>:<tag>=<published image>, separated by spaces
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

# A registry may answer with bytes that are no text in this machine's language.
LC_ALL=C
export LC_ALL

# Passwords and tokens are in files here, which curl reads: everybody can see a command line.
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

# Sends a request by curl, with the file of that name for its credentials, and sets `status`. The answer is in
# $work/headers and $work/body. curl tries again after a timeout, 408, 429 and 5xx, and never sends credentials to the
# host of a redirect.
request() {
  credentials=$1
  shift
  : >"$work/body" # curl leaves it alone if the answer is empty
  status=$(curl -q --config "$work/$credentials" --proto =https --silent --show-error --retry 3 \
    --connect-timeout 20 --speed-limit 1 --speed-time 120 \
    --dump-header "$work/headers" --output "$work/body" --write-out '%{http_code}' "$@" 2>"$work/error") \
    || fail "a registry does not answer: $(cat "$work/error")"
}

# Prints a header of the last answer.
header() {
  tr -d '\r' <"$work/headers" | awk -v name="$1:" '
    index(tolower($0), name) == 1 { value = substr($0, length(name) + 1); sub(/^ */, "", value) }
    END { print value }'
}

# Prints what a registry says that refuses.
said() {
  tr '\n' ' ' <"$work/body" | cut -c 1-300
}

# Prints the digest of a file.
digest_of() {
  hash=$(sha256 <"$1")
  echo "sha256:${hash%% *}"
}

# Names the published image, and forgets the token for the one before.
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

# Does what the published image's registry asks for with a 401.
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
  [ "$realm" ] || fail "$registry asks for a log-in that this script does not know: $challenge"
  request login --get --data-urlencode "service=$service" --data-urlencode "scope=repository:$name:pull" "$realm"
  # A registry that refuses it refuses the next request too, and is asked why there.
  [ "$status" = 200 ] || return 0
  tr -d '\n' <"$work/body" \
    | sed -n 's/.*"\(access_\)*token" *: *"\([^"]*\)".*/header = "Authorization: Bearer \2"/p' >"$work/source"
}

# Gets something of the published image. A token may have expired meanwhile.
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
    401 | 403) fail "$registry does not let everybody read $source: set TM_REGISTRY_LOGIN=<user>:<password>. $(said)" ;;
    404) fail "$registry has no $source: is this version released, and published there? $(said)" ;;
    *) fail "$registry answers $status when asked for $source: $(said)" ;;
  esac
}

oci=application/vnd.oci.image
docker=application/vnd.docker.distribution.manifest

# Gets the manifest, which names all that an image consists of, and sets `type` and `digest`.
get_manifest() {
  get "manifests/$reference" --header "Accept: $oci.manifest.v1+json, $docker.v2+json, $oci.index.v1+json, $docker.list.v2+json"
  mv "$work/body" "$work/manifest"
  type=$(header content-type)
  type=${type%%;*}
  case $type in
    "$oci.manifest.v1+json" | "$docker.v2+json") ;;
    # https://docs.aws.amazon.com/lambda/latest/dg/images-create.html
    "$oci.index.v1+json" | "$docker.list.v2+json") fail "$source is an image index, which Lambda does not take: name one image of it by its digest" ;;
    *) fail "$source is no image, but $type" ;;
  esac
  digest=$(digest_of "$work/manifest")
  case $reference in
    sha256:*) [ "$digest" = "$reference" ] || fail "$registry sent another image than $source, with the digest $digest" ;;
  esac
}

# Says whether the digest that was found, `answer`, is that of the published image, if it is known.
expect() {
  case $reference in
    sha256:*) [ "$answer" = "$reference" ] || fail "$1 is another image than $source: delete it, with the digest $answer" ;;
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
  if [ "$missing" ]; then echo "this machine can copy the images"; else echo "every image is there already"; fi
  exit 0
fi

# shellcheck disable=SC2153 # from Terraform
publish "$SOURCE"
target=${REPOSITORY%%/*}
image=${REPOSITORY#*/}
if is_there "${target%%.*}" "$image:$TAG"; then
  expect "$REPOSITORY:$TAG"
  echo "$REPOSITORY:$TAG is there already"
  exit 0
fi

password=$(aws ecr get-login-password --region "$REGION" 2>"$work/error") \
  || fail "the AWS CLI gets no password for $target: $(cat "$work/error")"
cat >"$work/target" <<END
user = "AWS:$password"
END

# Puts a file where a registry wants it. curl would wait for a server that does not know Expect.
put() {
  request target --upload-file "$1" --header "Content-Type: $2" --header 'Expect:' "$3"
}

# Copies the configuration or a layer, unless an earlier attempt has.
copy_blob() {
  request target --head "https://$target/v2/$image/blobs/$1"
  case $status in
    200 | 307) return ;;
    404) ;;
    *) fail "$target answers $status when asked for $1" ;;
  esac
  get "blobs/$1"
  mv "$work/body" "$work/blob"
  [ "$(digest_of "$work/blob")" = "$1" ] || fail "$registry sent something else than $1 of $source"
  request target --request POST --data '' --header 'Content-Type:' "https://$target/v2/$image/blobs/uploads/"
  [ "$status" = 202 ] || fail "$target answers $status to the beginning of an upload: $(said)"
  location=$(header location)
  case $location in
    "https://$target/"* | "https://$target:443/"*) ;;
    /*) location=https://$target$location ;;
    *) fail "$target wants an upload at another host: $location" ;;
  esac
  case $location in *\?*) location="$location&" ;; *) location="$location?" ;; esac
  # In one piece: ECR loses the second of several, https://github.com/aws/containers-roadmap/issues/2831.
  put "$work/blob" application/octet-stream "${location}digest=$1"
  [ "$status" = 201 ] || fail "$target answers $status to the upload of $1: $(said)"
}

get_manifest
# shellcheck disable=SC2020 # three characters, each into a line break
for blob in $(tr -d '\n' <"$work/manifest" | tr '{},' '\n\n\n' \
  | sed -n 's/^[[:space:]]*"digest"[[:space:]]*:[[:space:]]*"\(sha256:[0-9a-f]\{64\}\)"[[:space:]]*$/\1/p'); do
  copy_blob "$blob"
done

put "$work/manifest" "$type" "https://$target/v2/$image/manifests/$TAG"
if [ "$status" != 201 ]; then
  refusal="$target answers $status to the manifest: $(said)"
  # Somebody else may have copied the same meanwhile, and a tag never changes its image.
  is_there "${target%%.*}" "$image:$TAG" && [ "$answer" = "$digest" ] || fail "$refusal"
fi
echo "$REPOSITORY:$TAG is a copy of $source, with the digest $digest"
