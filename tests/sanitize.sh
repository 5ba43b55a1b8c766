#!/bin/sh
# Runs a sanitized build: all unit tests, the tiny reference models, the command line.
# usage: tests/sanitize.sh BUILD
#
# Leaks, races and undefined behaviour end a program with an error code and a report, which is shown.
# Leaks count where the kernel lets the leak checker trace (some containers do not).
set -u
build=$1
shared=${HONE_SHARED:-../shared}
export HONE_SHARED="$shared"
export ASAN_OPTIONS="allocator_may_return_null=1:${ASAN_OPTIONS:-}"
export UBSAN_OPTIONS="print_stacktrace=1:${UBSAN_OPTIONS:-}"
export TSAN_OPTIONS="halt_on_error=1:${TSAN_OPTIONS:-}"
log=$build/tests/log
mkdir -p "$log"
passed=0 failed=0 skipped=0

suite() { # name command…
    name=$1
    shift
    "$@" >"$log/$name" 2>&1
    code=$?
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$log/$name" | tail -n 1)
    if [ "$code" -eq 0 ] && [ -n "$line" ]; then
        set -- $(echo "$line" | tr -cd '0-9 ')
        passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + ${3:-0}))
        echo "ok     $name: $line"
        return
    fi
    set -- $(echo "${line:-0 passed, 0 failed}" | tr -cd '0-9 ')
    passed=$((passed + $1)) failed=$((failed + ($2 > 0 ? $2 : 1))) skipped=$((skipped + ${3:-0}))
    echo "FAILED $name (code $code): $line"
    grep -vE '^(ok|---)' "$log/$name" | tail -n 60
}

for test in "$build"/tests/*_test; do suite "$(basename "$test")" "$test"; done
if [ -d "$shared/golden" ]; then
    tiny=
    for folder in "$shared"/golden/*/; do
        for weights in "$folder"model.safetensors "$folder"model.safetensors.index.json; do
            [ -f "$weights" ] && tiny="$tiny $folder"
        done
    done
    suite golden "$build/tests/golden" $tiny
else
    echo "skipped golden: $shared is not there"
    skipped=$((skipped + 1))
fi
suite cli python3 tests/cli/run.py "$build/hone"

echo "$passed passed, $failed failed$([ "$skipped" -eq 0 ] || echo ", $skipped skipped")"
[ "$failed" -eq 0 ]
