#!/usr/bin/env bash
# usage: packages.sh
# Installs the packages of Debian or Ubuntu that the local cluster needs (as root). Does nothing if all are installed.
set -euo pipefail
. "$(dirname "$0")/environment.sh"
help_if_asked "$@"

packages=(
  containerd runc docker.io mmdebstrap debian-archive-keyring # containers, and images to run in them
  containernetworking-plugins iptables ipset nftables conntrack socat ethtool iproute2 kmod # the node's network
  ca-certificates curl gettext-base jq openssl python3 python3-pip tar
)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -Wf '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
say "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get -qq -o DPkg::Lock::Timeout=600 update
apt-get -qq -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "${missing[@]}" >/dev/null
