# shellcheck shell=bash
# shellcheck disable=SC2034 # the scripts that source this file use the variables
# Paths, versions and addresses of the local cluster, and the few functions that all its scripts use. Sourced, never run.

shopt -s inherit_errexit

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)

kubernetes_version=$(awk '$1 == "k8s.io/kubernetes" && $2 ~ /^v/ {print $2; exit}' "$here/go.mod")
jaeger_version=$(awk '$1 == "github.com/jaegertracing/jaeger" && $2 ~ /^v/ {print $2; exit}' "$here/jaeger/go.mod")
digest() { cat "$@" | sha256sum | cut -c1-12; }

# What is slow to make is kept outside the repository under a name that says what it was made from.
cache=${SAGASHOP_CACHE:-$HOME/.cache/sagashop}
kubernetes_bin=$cache/kubernetes-$kubernetes_version-$(digest "$here"/go.{mod,sum} "$here"/{hyperkube,pause,policies}/*.go "$here/build.sh")
jaeger_bin=$cache/jaeger-$jaeger_version-$(digest "$here"/jaeger/go.{mod,sum})
tools=$cache/tools # helm and kubectl
run=$cache/run     # state of the running cluster: certificates, etcd, logs, pids, volumes, kubeconfig
runtime=/run/sagashop
containerd_socket=$runtime/containerd.sock
docker_socket=$runtime/docker.sock
kubeconfig=$run/admin.conf
settings=$cache/cluster.env

node=sagashop-local
node_ip=10.89.0.1 # an address of our own bridge: nothing leaves the machine
pod_cidr=10.244.0.0/24
service_cidr=10.96.0.0/16
api_service_ip=10.96.0.1
dns_ip=10.96.0.10
domain=cluster.local
export cache run runtime node node_ip pod_cidr dns_ip domain # for the files in config/

export PATH=$tools:$kubernetes_bin:/usr/local/go/bin:$PATH:/usr/sbin:/sbin

say() { printf '%s %s\n' "$(date +%T)" "$*"; }
fail() {
  printf '%s\n' "$*" >&2
  exit 1
}

# Prints the comment at the head of the script that was started, when it was asked for.
help_if_asked() {
  case ${1:-} in -h | --help)
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
    exit
    ;;
  esac
}

# alive PIDFILE: a zombie counts as ended, for not every init reaps quickly.
alive() { [ -f "$1" ] && grep -qs '^State:.[^Z]' "/proc/$(cat "$1")/status"; }

# start NAME COMMAND...: in the background, once, with its log and pid under $run.
start() {
  local name=$1
  shift
  alive "$run/pids/$name" && return
  # What goes on does not keep open what its caller has open, such as the lock of `flock FILE make cluster-up`.
  (
    for open in /proc/self/fd/*; do
      open=${open##*/}
      [ "$open" -le 2 ] || eval "exec $open>&-"
    done
    exec setsid "$@"
  ) >"$run/logs/$name.log" 2>&1 </dev/null &
  echo $! >"$run/pids/$name"
}

# stop NAME SIGNAL: waits up to 10 s, then kills.
stop() {
  local file=$run/pids/$1
  [ -f "$file" ] || return 0
  if alive "$file"; then
    kill -"$2" "$(cat "$file")"
    for _ in $(seq 100); do
      alive "$file" || break
      sleep 0.1
    done
    alive "$file" && kill -KILL "$(cat "$file")"
  fi
  rm -f "$file"
}

# wait_for WHAT SECONDS COMMAND...: until the command succeeds.
wait_for() {
  local what=$1 end=$((SECONDS + $2)) error
  shift 2
  until error=$("$@" 2>&1); do
    [ $SECONDS -lt $end ] || fail "timed out waiting for: $what ($error); logs are in $run/logs"
    sleep 0.3
  done
  say "$what"
}

containers() { ctr -a "$containerd_socket" -n k8s.io "$@"; }

# Debian's client has BuildKit built in; a newer one in another place would want the buildx plugin.
docker() { DOCKER_HOST=${DOCKER_HOST:-unix://$docker_socket} DOCKER_BUILDKIT=1 /usr/bin/docker "$@"; }
