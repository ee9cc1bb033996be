#!/usr/bin/env bash
# usage: kind_up.sh
# Creates the kind cluster of k8s/kind.yaml if it does not exist, and prints its KUBECONFIG. `make images` then loads into it.
set -euo pipefail
cd "$(dirname "$0")"
case ${1:-} in -h | --help) sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$(basename "$0")" && exit ;; esac
kind get clusters 2>/dev/null | grep -qx sagashop || kind create cluster --config kind.yaml --wait 120s
kubeconfig=${SAGASHOP_CACHE:-$HOME/.cache/sagashop}/kind.conf
mkdir -p "$(dirname "$kubeconfig")"
kind get kubeconfig --name sagashop >"$kubeconfig"
echo "export KUBECONFIG=$kubeconfig"
