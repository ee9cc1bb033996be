#!/usr/bin/env bash
# usage: dev/again.sh CACHE...
# What failed in the runs that kept these caches of pytest, tried once more, now that nothing else runs. It ends with 0
# if all of it passes, and lists it as UNSTABLE: a fault of a test or of the shop, to be found, but no reason to
# refuse a change. More than five are not tried: that is no accident. docs/adr/0077 says why the gate does this.
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
    echo "no test is known to have failed: nothing to try again"
    exit 1
fi
if [ ${#failed[@]} -gt $most ]; then
    echo "${#failed[@]} tests failed, more than $most: they are not tried again"
    exit 1
fi
printf '\n--- tried again, once: %s\n' "${failed[@]}"
.venv/bin/pytest -o cache_dir=.run/tests/cache.again "${failed[@]}" || exit
printf '\nUNSTABLE: failed, and passed when tried again: %s\n' "${failed[@]}"
