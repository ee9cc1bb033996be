#!/usr/bin/env bash
# usage: pin.sh
# Has the Dockerfile name its base image by the digest that the image's registry gives for its tag today, so that a build next month
# is built on the same. It asks with docker buildx; where nobody can be asked, nothing is written. Run it again to move on.
set -euo pipefail
case ${1:-} in -h | --help) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" && exit ;; esac
cd "$(dirname "$0")/.."

tag=$(sed -n 's/^ARG BASE_IMAGE=\([^@]*\).*/\1/p' Dockerfile)
digest=$(docker buildx imagetools inspect "$tag" --format '{{.Manifest.Digest}}') || {
  echo "no registry could be asked for $tag, so the Dockerfile stays as it is" >&2
  exit 1
}
case $digest in
sha256:*) ;;
*) echo "the registry's answer for $tag is no digest: $digest" >&2 && exit 1 ;;
esac
file=$(mktemp)
sed "s|^ARG BASE_IMAGE=.*|ARG BASE_IMAGE=$tag@$digest|" Dockerfile >"$file"
cat "$file" >Dockerfile
rm "$file"
echo "Dockerfile: $tag@$digest"
