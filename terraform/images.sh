# What build_image.sh and copy_image.sh have in common. Both set `what`, the images that they are about, and `check`,
# which is empty unless they only check. Then they read this file.

# Says on one line what is wrong.
fail() {
  set -f
  printf '%s:' "$what" >&2
  # shellcheck disable=SC2048,SC2086 # the words, without line breaks
  printf ' %s' $* >&2
  echo >&2
  exit 1
}

elsewhere='or build the images elsewhere and give the module image_uris'

command -v aws >/dev/null || fail "the AWS CLI (command aws) is missing: install it, $elsewhere"

# Tells whether an image, <name of its repository>:<tag>, is in the registry of an account. Its digest is then in
# `answer`.
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
  fail "the AWS CLI cannot see what the repository ${2%:*} holds: does it act for Terraform's account? $answer"
}

# To another account's credentials, a repository that exists looks like one that does not exist yet.
check_account() {
  acting=$(aws sts get-caller-identity --region "$REGION" --query Account --output text 2>&1) \
    || fail "the AWS CLI has no valid credentials: give it those of Terraform. $acting"
  [ "$acting" = "$ACCOUNT" ] \
    || fail "the AWS CLI acts for account $acting, and Terraform for $ACCOUNT: give both the same credentials"
}
