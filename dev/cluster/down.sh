#!/usr/bin/env bash
# usage: down.sh [--keep | --purge]
# Stops what up.sh started, by the pids that it wrote, and removes its mounts, links and firewall rules.
#   --keep    keep the cluster's state (objects and volumes) for the next up.sh
#   --purge   also delete the images of containerd and docker, so that the next up.sh builds and loads them again
set -euo pipefail
. "$(dirname "$0")/environment.sh"
help_if_asked "$@"
mode=${1:-}
signal=KILL # the state goes anyway
[ "$mode" = --keep ] && signal=TERM

for name in network-policies provisioner coredns kube-proxy kubelet kube-scheduler kube-controller-manager kube-apiserver etcd; do
  stop "$name" $signal
done

# Pods outlive their kubelet: end them while containerd is there to do it.
if alive "$run/pids/containerd"; then
  for task in $(containers tasks ls -q); do containers tasks kill -s KILL "$task" || true; done
  for container in $(containers containers ls -q); do
    containers tasks rm -f "$container" || true
    containers containers rm "$container" || true
  done
fi >/dev/null 2>&1
stop containerd TERM
stop dockerd TERM

awk -v a="$run/" -v b="$runtime/" 'index($2, a) == 1 || index($2, b) == 1 {print $2}' /proc/mounts | sort -r | xargs -r umount -l
ip netns list | awk '/^cni-/ {print $1}' | xargs -r -n1 ip netns del
for link in cni0 kube0; do
  ip link show $link >/dev/null 2>&1 && ip link del $link
done
for v in '' 6; do
  ip${v}tables-save 2>/dev/null | grep -vE 'KUBE-|CNI-|SAGASHOP' | ip${v}tables-restore || true
done
nft delete table ip sagashop_policies 2>/dev/null || true
for folder in /sys/fs/cgroup/*/kubepods /sys/fs/cgroup/kubepods; do
  [ ! -d "$folder" ] || find "$folder" -depth -type d -exec rmdir {} + 2>/dev/null || true
done

rm -rf "$runtime"
[ "$mode" = --keep ] || rm -rf "$run" "$settings"
[ "$mode" != --purge ] || rm -rf "$cache/containerd" "$cache/docker"
say "cluster down"
