#!/usr/bin/env bash
# Fails if $VERSION is released already, or its tag is of another commit than $GITHUB_SHA. The release workflow runs it in
# each job that writes something: a job that is re-run later repeats no other job.
set -euo pipefail

# An interrupted run may have left a tag of this commit.
tagged="$(git rev-parse --quiet --verify "refs/tags/v$VERSION^{commit}" || true)"
if [ -n "$tagged" ] && [ "$tagged" != "$GITHUB_SHA" ]; then
  echo "::error::The tag v$VERSION is of another commit, $tagged: raise the version, or re-run the run of that commit."
  exit 1
fi

releases="$(gh release list --limit 1000 --json tagName --jq '.[].tagName')"
if grep --fixed-strings --line-regexp --quiet "v$VERSION" <<<"$releases"; then
  echo "::error::v$VERSION is released already: raise the version."
  exit 1
fi
