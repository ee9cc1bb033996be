#!/usr/bin/env bash
# Generates the Python and the TypeScript client from docs/openapi.json, builds both, and checks the examples' types
# against them. All in .run/clients; generators and Node.js come from PyPI and npm, by hash, and stay there.
set -euo pipefail
cd "$(dirname "$0")/../.."
uv=$(command -v uv || echo "$PWD/.run/uv/bin/uv")
here=dev/clients out=$PWD/.run/clients
mkdir -p "$out"

[ -x "$out/venv/bin/python" ] || "$uv" venv --quiet --python "${PYTHON:-python3}" "$out/venv"
export PATH=$out/venv/bin:$PATH VIRTUAL_ENV=$out/venv
if ! cmp --quiet $here/requirements.txt "$out/requirements.txt"; then
    echo "clients: installing the generators from PyPI"
    "$uv" pip sync --quiet --require-hashes $here/requirements.txt
    cp $here/requirements.txt "$out"
fi
if ! cmp --quiet $here/package-lock.json "$out/package-lock.json"; then
    echo "clients: installing the generators from npm"
    cp $here/package.json $here/package-lock.json "$out"
    npm ci --prefix "$out" --ignore-scripts --no-audit --no-fund --silent || { rm "$out/package-lock.json"; exit 1; }
fi

echo "clients: Python"
openapi-python-client generate --path docs/openapi.json --config $here/python.yaml --meta uv \
    --output-path "$out/python" --overwrite --fail-on-warning
rm -rf "$out/dist"
"$uv" build --quiet --wheel --no-build-isolation --out-dir "$out/dist" "$out/python"
"$uv" pip install --quiet --no-deps --no-index --reinstall "$out"/dist/*.whl
mypy --strict --cache-dir "$out/mypy" examples/order.py

echo "clients: TypeScript"
rm -rf "$out/typescript" && cp -r $here/typescript "$out"
cp $here/openapi-ts.config.mjs "$out"
(cd "$out" && npx openapi-ts --silent && npx tsc --project typescript)
mkdir -p "$out/node_modules" && ln -sfn ../typescript "$out/node_modules/sagashop-client"
cp examples/order.ts "$out"
(cd "$out" && npx tsc --noEmit --strict --target es2023 --module nodenext --skipLibCheck order.ts)
