#!/usr/bin/env bash
# Runs every check that does not need the product to run. It continues after a check that fails.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
bin=.venv/bin
export PATH=$PATH:/usr/local/go/bin
status=0
check() { echo "lint: $1" && shift && { "$@" || status=1; }; }

check "ruff" "$bin/ruff" check -q .
check "format" "$bin/ruff" format -q --check .
check "types" "$bin/mypy" services sagactl console operator/saga_operator dev bench tests
check "imports" "$bin/lint-imports"
check "shell" "$bin/shellcheck" -x --severity=warning bench/peers/*.sh dev/*.sh k8s/*.sh k8s/kubectl-sagashop dev/cluster/*.sh dev/clients/*.sh .ci/run
check "lock" "${uv:=$(command -v uv || echo .run/uv/bin/uv)}" lock --check --offline --quiet
check "secrets" "$bin/python" -m dev.supply_chain secrets
check "dockerfiles" "$bin/hadolint" Dockerfile dev/cluster/images/Dockerfile
check "workflows" go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12 -shellcheck "$bin/shellcheck"
check "security of workflows" "$bin/zizmor" --offline --quiet .github
exit $status
