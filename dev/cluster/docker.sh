#!/usr/bin/env bash
# usage: docker.sh start | stop
# Starts or stops a docker daemon that only builds images. It has no bridge and no firewall rules (docker's own FORWARD
# policy would cut the pods off), so builds use the machine's network. Its images stay in the cache.
set -euo pipefail
. "$(dirname "$0")/environment.sh"
help_if_asked "$@"

case ${1:-} in
start)
  mkdir -p "$runtime" "$run"/{logs,pids}
  start dockerd dockerd --data-root "$cache/docker" --exec-root "$runtime/docker" --pidfile "$runtime/docker.pid" \
    -H "unix://$docker_socket" --iptables=false --bridge=none
  wait_for "docker ready" 60 docker version
  ;;
stop) stop dockerd TERM ;;
*) fail "docker.sh: give start or stop" ;;
esac
