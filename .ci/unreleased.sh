#!/usr/bin/env bash
# Fail if $VERSION is already released, or if its tag names another commit than $GITHUB_SHA. The release workflow runs
# this in each job that writes, because re-running one job does not repeat the checks of the others.
set -euo pipefail

# An interrupted run may have left a tag on this commit.
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
