#!/usr/bin/env bash
# Every test but the cluster's, in lanes side by side: most of the time tests wait for servers, and each lane has
# servers of its own. What a lane prints is shown when it ends.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
lanes=.run/tests
rm -rf "$lanes" && mkdir -p "$lanes"

lane() {
    local name=$1
    shift
    COVERAGE_FILE=$lanes/.coverage.$name .venv/bin/pytest -o cache_dir="$lanes/cache.$name" --durations=10 \
        --cov --cov-report= "$@" >"$lanes/$name.log" 2>&1
    local status=$?
    printf '\n--- %s (%s s)\n' "$name" "$SECONDS"
    # Of a lane that passed: what was slow, and how many there were.
    if [ $status = 0 ]; then tail -13 "$lanes/$name.log"; else cat "$lanes/$name.log"; fi
    return $status
}

# The tests of the whole shop are two lanes, by the alphabet: each of them builds a shop of its own. Three lanes
# at a time are what two cores bear: with more, tests fail that hold the shop to a second.
shop=(tests/integration/saga/test_*.py)
half=$((${#shop[@]} / 2))

first() { lane saga-1 "${shop[@]:0:half}"; }
second() {
    local status=0
    lane engine tests/engine || status=1
    lane saga-2 "${shop[@]:half}" || status=1
    return $status
}
third() {
    local status=0
    lane servers tests/integration --ignore=tests/integration/saga || status=1
    lane rest tests/unit tests/operator tests/charts || status=1
    return $status
}

echo "three lanes side by side, a quarter of an hour; to watch one: tail -f $lanes/saga-1.log (engine, servers)"
pids=()
for side in first second third; do
    $side &
    pids+=($!)
done
trap 'kill "${pids[@]}" 2>/dev/null' INT TERM
failed=0
for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
.venv/bin/coverage combine -q "$lanes"/.coverage.* && .venv/bin/coverage report --skip-covered | tail -25
exit $failed
