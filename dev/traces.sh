#!/usr/bin/env bash
# `make up` with Jaeger: builds it into the cache, once (minutes, needs Go), unless JAEGER names a program of version 2.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR/cluster source=environment.sh
. "$(dirname "$0")/cluster/environment.sh"
if [ -z "${JAEGER:-}" ]; then
  [ -x "$jaeger_bin/jaeger" ] || "$here/build.sh" jaeger
  JAEGER=$jaeger_bin/jaeger
fi
cd "$root"
exec .venv/bin/python -m dev traces "$JAEGER"
