#!/usr/bin/env bash
# `make bench-peers`: compares DBOS, Temporal and sagashop. Needs PostgreSQL (apt-get install postgresql).
# Installs the peers' packages in a separate environment, and builds Temporal's server into the cache the first time
# (minutes, needs Go).
set -euo pipefail
cd "$(dirname "$0")/../.."
temporal=1.32.1
programs=${SAGASHOP_CACHE:-$HOME/.cache/sagashop}/temporal-$temporal
export PATH=$PATH:/usr/local/go/bin

compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || { echo 'PostgreSQL is missing: apt-get install postgresql' >&2; exit 1; }
uv=$(command -v uv || echo .run/uv/bin/uv)
UV_PROJECT_ENVIRONMENT=.run/peers/venv "$uv" sync --quiet --frozen --group peers --python .venv/bin/python
[ -x "$programs/sql" ] || {
    command -v go >/dev/null || { echo "building Temporal's server needs Go: https://go.dev/dl" >&2; exit 1; }
    echo "building Temporal's server $temporal from Go modules (minutes, only the first time)"
    GOBIN=$programs CGO_ENABLED=0 go install -trimpath -ldflags='-s -w' \
        "go.temporal.io/server/cmd/server@v$temporal" "go.temporal.io/server/cmd/tools/sql@v$temporal"
}
exec .run/peers/venv/bin/python -m bench.peers "$programs" "$@"
