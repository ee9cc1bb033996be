#!/usr/bin/env bash
# usage: load.sh IMAGE...
# Loads docker's images into the cluster, except those that it has, in one call, so that shared layers are copied once.
set -euo pipefail
. "$(dirname "$0")/environment.sh"
help_if_asked "$@"

# The id (the configuration's digest) of an image in the cluster; empty where there is none.
id_in_cluster() {
  local name=$1 manifest
  case $name in
  docker.io/*) ;;
  */*) name=docker.io/$name ;;
  *) name=docker.io/library/$name ;;
  esac
  manifest=$(containers images ls "name==$name" | awk 'NR == 2 {print $3}')
  [ -z "$manifest" ] || containers content get "$manifest" | jq -r .config.digest
}

new=()
for image in "$@"; do
  [ "$(docker image inspect -f '{{.Id}}' "$image")" = "$(id_in_cluster "$image")" ] || new+=("$image")
done
[ ${#new[@]} -gt 0 ] || exit 0
docker save "${new[@]}" | containers images import - >/dev/null
say "loaded into the cluster: ${new[*]}"
