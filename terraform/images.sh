# Functions that build_image.sh and copy_image.sh share. Both set `what`, the prefix of messages, and `check`, which is
# empty unless they run with --check, before they source this file.

# Prints an error message on one line and exits.
fail() {
  set -f
  printf '%s:' "$what" >&2
  # shellcheck disable=SC2048,SC2086 # splits into words to remove line breaks
  printf ' %s' $* >&2
  echo >&2
  exit 1
}

elsewhere='or build the images elsewhere and set image_uris'

command -v aws >/dev/null || fail "the AWS CLI (command aws) is missing: install it, $elsewhere"

# Succeeds if the image $2, <name of its repository>:<tag>, is in the registry of account $1. Sets `answer` to its
# digest.
is_there() {
  answer=$(aws ecr describe-images --region "$REGION" --registry-id "$1" \
    --repository-name "${2%:*}" --image-ids "imageTag=${2##*:}" \
    --query 'imageDetails[0].imageDigest' --output text 2>&1) && case $answer in
    sha256:*) return 0 ;;
  esac
  case $answer in
    None | *ImageNotFoundException*) return 1 ;;
    *RepositoryNotFoundException*) if [ "$check" ]; then return 1; fi ;;
  esac
  fail "the AWS CLI cannot read the repository ${2%:*}: check that it uses Terraform's credentials. $answer"
}

# With credentials of another account, an existing repository appears not to exist yet.
check_account() {
  acting=$(aws sts get-caller-identity --region "$REGION" --query Account --output text 2>&1) \
    || fail "the AWS CLI has no valid credentials: configure Terraform's credentials. $acting"
  [ "$acting" = "$ACCOUNT" ] \
    || fail "the AWS CLI uses account $acting, but Terraform uses $ACCOUNT: configure the same credentials for both"
}
