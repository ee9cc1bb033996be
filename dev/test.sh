#!/usr/bin/env bash
# Runs every test except the cluster's and those of `make test-long`, in six parallel lanes: most of the time, tests wait
# for servers. Each lane has its own servers, except charts and unit tests, which need none and run at low priority.
# The output of a lane is shown when it ends, with its duration and the CPU time of its processes. COVERAGE=true also
# measures code coverage.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
lanes=.run/tests
rm -rf "$lanes" && mkdir -p "$lanes"
TIMEFORMAT='%0R s, CPU %0U s and %0S s in the system'

lane() {
    local name=$1 coverage=()
    shift
    [ "${COVERAGE:-}" != true ] || coverage=(--cov --cov-report=)
    { time COVERAGE_FILE=$lanes/.coverage.$name .venv/bin/pytest -o cache_dir="$lanes/cache.$name" --durations=10 \
        "${coverage[@]}" "$@" >"$lanes/$name.log" 2>&1; } 2>"$lanes/$name.time"
    local status=$?
    printf '\n--- %s: %s\n' "$name" "$(<"$lanes/$name.time")"
    # Of a lane that passed: what was slow, and how many there were.
    if [ $status = 0 ]; then tail -13 "$lanes/$name.log"; else cat "$lanes/$name.log"; fi
    return $status
}

# One after the other: the worst of their exit codes (pytest's: 1 where tests failed, more where it broke off).
lane_by_lane() {
    local worst=0 status
    for name in "$@"; do
        "$name"
        status=$?
        [ $status -le $worst ] || worst=$status
    done
    return $worst
}

saga=tests/integration/saga
# A second shop, for what explains and judges books; what tries all routes comes last, as it leaves much behind in them.
books=("$saga"/test_{saga_{checker,explain,fulfilment,growth,live_check,on_call,repair,replayed,openapi},owasp_api_top_ten}.py)
shop() { lane shop "$saga" "${books[@]/#/--ignore=}"; }
books() { lane books "${books[@]}"; }
engine() { lane engine tests/engine; }
servers() { lane servers tests/integration --ignore="$saga" -m "not long"; }
charts() { gives_way lane charts tests/charts; }
operator() { lane operator tests/operator tests/monitoring; }
unit() { gives_way lane unit tests/unit; }
# The last in line for the cores, with all that it starts.
gives_way() { (renice -n 10 "$BASHPID" >/dev/null && "$@"); }

echo "six parallel lanes, twelve minutes on two cores; to follow one: tail -f $lanes/shop.log (books, servers, ...)"
pids=()
# Of those with servers the engine's waits most; with one more that works, tests fail that hold the shop to a second.
for names in shop books servers "engine operator" charts unit; do
    # shellcheck disable=SC2086  # names of lanes
    lane_by_lane $names &
    pids+=($!)
done
trap 'kill "${pids[@]}" 2>/dev/null' INT TERM
worst=0
for pid in "${pids[@]}"; do
    wait "$pid"
    status=$?
    [ $status -le $worst ] || worst=$status
done
# A lane that broke off has tests of which nothing is known: what failed in the others is not to be tried again alone.
[ $worst -le 1 ] || rm -rf "$lanes"/cache.*
if [ "${COVERAGE:-}" = true ]; then
    .venv/bin/coverage combine -q "$lanes"/.coverage.* && .venv/bin/coverage report --skip-covered | tail -25
fi
exit $worst
