#!/usr/bin/env bash
# usage: images.sh [SERVICE...]
# Builds the images of the named services (default: all services, operator, sagactl and console), prints the size of each and
# the time from `docker run` until its code is imported, and loads them into the cluster on this machine: the local one
# (dev/cluster), otherwise kind's. BASE_IMAGE=python:3.13-slim@sha256:... builds on another Python.
# PUSH=registry.example/team builds them for amd64 and arm64 (or for PLATFORMS) instead, and pushes them to that registry, each
# with an SBOM and its provenance, by buildx with docker-bake.hcl. The digests are then in .run/images.json.
# COMMIT=<commit> builds that version of the code instead of the working tree, and tags it with the short commit id.
# Runs on Linux and macOS: bash 3.2, no GNU date.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
case ${1:-} in -h | --help) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" && exit ;; esac
cd "$root"

version=$(awk -F'"' '/^version = / {print $2; exit}' pyproject.toml)
revision=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
if [ -n "${COMMIT:-}" ]; then
  revision=$(git rev-parse --short "$COMMIT^{commit}")
  version=$revision
  tree=$(mktemp -d)
  trap 'rm -rf "$tree"' EXIT
  git archive "$revision" | tar -x -C "$tree"
  cd "$tree"
fi
services=("$@")
if [ $# = 0 ]; then
  for main in services/*/main.py; do services+=("$(basename "$(dirname "$main")")"); done
  services+=(operator sagactl)
  if [ -d console ]; then services+=(console); fi
fi
network=()

if [ -n "${PUSH:-}" ]; then
  mkdir -p "$root/.run"
  REGISTRY=${PUSH%/} VERSION=$version REVISION=$revision docker buildx bake --file docker-bake.hcl --push \
    --metadata-file "$root/.run/images.json" "$@"
  exit
fi

# A docker that is there already is used, wherever it is; on a machine without one the local cluster's builds, which has no
# network of its own.
if command docker version >/dev/null 2>&1; then
  docker() { DOCKER_BUILDKIT=1 command docker "$@"; }
else
  . "$root/dev/cluster/environment.sh"
  "$root/dev/cluster/docker.sh" start
  export DOCKER_HOST=unix://$docker_socket
  network=(--network host)
  # That one makes its own base image, which no registry knows a digest of.
  BASE_IMAGE=${BASE_IMAGE:-$(sed -n 's/^ARG BASE_IMAGE=\([^@]*\).*/\1/p' Dockerfile)}
fi

build() {
  docker build --quiet ${network[@]+"${network[@]}"} --tag "sagashop/$1:$version" --build-arg "SERVICE=$1" \
    --build-arg "VERSION=$version" --build-arg "REVISION=$revision" ${BASE_IMAGE:+--build-arg "BASE_IMAGE=$BASE_IMAGE"} . >/dev/null
}

# What /app/start runs, as a module that can be imported without being run.
module() {
  case $1 in
  operator) echo saga_operator.main ;;
  sagactl) echo sagactl.cli ;;
  console) echo console.main ;;
  *) echo "services.$1.main" ;;
  esac
}

milliseconds_now() { perl -MTime::HiRes=time -e 'printf "%d", time * 1000'; }

# Milliseconds; with the second run's file cache, and the restrictions that a pod has.
start_time() {
  local begin
  for _ in 1 2; do
    begin=$(milliseconds_now)
    docker run --rm --network none --read-only --tmpfs /tmp --cap-drop ALL --entrypoint python "sagashop/$1:$version" \
      -c "import $(module "$1")"
  done
  echo $(($(milliseconds_now) - begin))
}

printf '%-14s %8s %12s\n' image MB 'start (ms)'
images=()
for service in "${services[@]}"; do
  build "$service"
  milliseconds=$(start_time "$service")
  image=sagashop/$service:$version
  images+=("$image")
  printf '%-14s %8d %12d\n' "$service" $(($(docker image inspect -f '{{.Size}}' "$image") / 1000000)) "$milliseconds"
done

if [ -S "${CONTAINERD_SOCKET:-/run/sagashop/containerd.sock}" ]; then
  DOCKER_HOST=${DOCKER_HOST:-$(docker context inspect --format '{{.Endpoints.docker.Host}}')} "$root/dev/cluster/load.sh" "${images[@]}"
elif command -v kind >/dev/null && kind get clusters 2>/dev/null | grep -qx sagashop; then
  kind load docker-image --name sagashop "${images[@]}"
fi
