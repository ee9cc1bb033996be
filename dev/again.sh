#!/usr/bin/env bash
# usage: dev/again.sh CACHE...
# Retries the failed tests of these pytest caches once, while nothing else runs. It exits with 0 if all of them pass,
# and lists them as UNSTABLE: each is a fault of a test or of the shop, to be found, but no reason to refuse a change.
# More than five are not retried, as so many do not fail by accident. docs/adr/0077 says why the gate does this.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
most=5
mapfile -t failed < <(for cache in "$@"; do cat "$cache/v/cache/lastfailed" 2>/dev/null; done | .venv/bin/python -c '
import json, sys

text, place, decoder = sys.stdin.read(), 0, json.JSONDecoder()
while place < len(text):
    names, place = decoder.raw_decode(text, place)
    print(*names, sep="\n")
')
if [ ${#failed[@]} = 0 ]; then
    echo "no failed test is recorded: there is nothing to retry"
    exit 1
fi
if [ ${#failed[@]} -gt $most ]; then
    echo "${#failed[@]} tests failed, more than $most: they are not retried"
    exit 1
fi
printf '\n--- retried once: %s\n' "${failed[@]}"
.venv/bin/pytest -o cache_dir=.run/tests/cache.again "${failed[@]}" || exit
printf '\nUNSTABLE: failed, then passed when retried: %s\n' "${failed[@]}"
