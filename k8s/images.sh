#!/usr/bin/env bash
# usage: images.sh [SERVICE...]
# Builds the images of the named services (default: all seven, operator and sagactl), prints the size of each and how long
# it takes from `docker run` until its code is imported, and loads them into the cluster that runs here: the local one
# (dev/cluster), else kind's. BASE_IMAGE=python:3.13-slim@sha256:... builds on another Python.
set -euo pipefail
. "$(dirname "$0")/../dev/cluster/environment.sh"
help_if_asked "$@"
cd "$root"

version=$(awk -F'"' '/^version = / {print $2; exit}' pyproject.toml)
revision=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
services=("$@")
[ $# -gt 0 ] || services=(gateway auth order product inventory payment notification operator sagactl)

# A docker that is there already is used; on a machine without one the local cluster's builds.
if ! command docker version >/dev/null 2>&1; then
  "$here/docker.sh" start
  export DOCKER_HOST=unix://$docker_socket
fi

build() {
  docker build --quiet --network host --tag "sagashop/$1:$version" --build-arg "SERVICE=$1" --build-arg "VERSION=$version" \
    --build-arg "REVISION=$revision" ${BASE_IMAGE:+--build-arg "BASE_IMAGE=$BASE_IMAGE"} . >/dev/null
}

# What /app/start runs, as a module that can be imported without being run.
module() {
  case $1 in
  operator) echo saga_operator.main ;;
  sagactl) echo sagactl.cli ;;
  *) echo "services.$1.main" ;;
  esac
}

# Milliseconds; with the second run's file cache, and the restrictions that a pod has.
start_time() {
  local begin
  for _ in 1 2; do
    begin=$(date +%s%N)
    docker run --rm --network none --read-only --tmpfs /tmp --cap-drop ALL --entrypoint python "sagashop/$1:$version" \
      -c "import $(module "$1")"
  done
  echo $((($(date +%s%N) - begin) / 1000000))
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

if [ -S "$containerd_socket" ]; then
  "$here/load.sh" "${images[@]}"
elif command -v kind >/dev/null && kind get clusters 2>/dev/null | grep -qx sagashop; then
  kind load docker-image --name sagashop "${images[@]}"
fi
