#!/usr/bin/env bash
# usage: up.sh [--bare]
# Starts a real single-node Kubernetes on this machine, as root: installs packages, builds what the cache lacks, starts
# the cluster, and loads the images of RabbitMQ, MongoDB, Redis, Jaeger and Python. A second run does what is missing.
#   --bare   only the cluster, no images
# The cache is $SAGASHOP_CACHE (default ~/.cache/sagashop).
set -euo pipefail
. "$(dirname "$0")/environment.sh"
help_if_asked "$@"
[ "$(id -u)" = 0 ] || fail "up.sh creates network links and cgroups: run it as root"

"$here/packages.sh"
"$here/build.sh" tools kubernetes

export KUBECONFIG=$kubeconfig
mkdir -p "$run"/{pki,logs,pids,etcd}
cd "$run"
. "$here/network.sh"
. "$here/certificates.sh"
. "$here/control_plane.sh"
. "$here/node.sh"

cat >"$settings" <<END
export KUBECONFIG=$kubeconfig PATH=$tools:\$PATH
END
if [ "${1:-}" != --bare ]; then
  "$here/build.sh" jaeger
  "$here/server_images.sh"
fi
say "cluster up in $SECONDS s; to use it: . $settings"
echo "export KUBECONFIG=$kubeconfig"
