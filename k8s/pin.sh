#!/usr/bin/env bash
# usage: pin.sh
# Writes the current digest of the base image's tag into the Dockerfile, so that later builds use the same base image. The digest
# comes from the image's registry, by docker buildx; without an answer, nothing is written. Run it again to update the digest.
set -euo pipefail
case ${1:-} in -h | --help) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" && exit ;; esac
cd "$(dirname "$0")/.."

tag=$(sed -n 's/^ARG BASE_IMAGE=\([^@]*\).*/\1/p' Dockerfile)
digest=$(docker buildx imagetools inspect "$tag" --format '{{.Manifest.Digest}}') || {
  echo "no registry answers for $tag, so the Dockerfile stays as it is" >&2
  exit 1
}
case $digest in
sha256:*) ;;
*) echo "the registry's answer for $tag is not a digest: $digest" >&2 && exit 1 ;;
esac
file=$(mktemp)
sed "s|^ARG BASE_IMAGE=.*|ARG BASE_IMAGE=$tag@$digest|" Dockerfile >"$file"
cat "$file" >Dockerfile
rm "$file"
echo "Dockerfile: $tag@$digest"
