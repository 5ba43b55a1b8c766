#!/bin/sh
# Runs every fuzz target for some seconds. usage: tests/fuzz.sh BUILD SECONDS
#
# What a target found interesting stays in the test cache ($HONE_TEST_CACHE, by default
# ~/.cache/hone-tests), fuzz/TARGET, and is where the next run begins; the reference data beside the
# checkout are further seeds. An input that breaks a target is kept in BUILD/fuzz.
set -u
build=$1 seconds=$2
shared=${HONE_SHARED:-../shared}
cache=${HONE_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hone-tests}/fuzz
passed=0 failed=0

seeds() { # target: folders that exist
    case $1 in
    gguf_fuzz) set -- "$shared/data/gguf-malformed" ;;
    safetensors_fuzz) set -- "$shared/data/vectors/safetensors" ;;
    template_fuzz) set -- "$shared/data/vectors/templates" ;;
    task_fuzz) set -- tasks ;;
    tokenizer_json_fuzz) set -- "$shared/golden/qwen2-tied" "$shared/golden/llama-spm" ;;
    *) set -- ;;
    esac
    for folder; do [ -d "$folder" ] && echo "$folder"; done
}

for target in "$build"/fuzz/*_fuzz; do
    name=$(basename "$target")
    corpus=$cache/$name log=$build/fuzz/$name.log
    mkdir -p "$corpus"
    "$target" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 -print_final_stats=1 \
        -artifact_prefix="$build/fuzz/$name-" "$corpus" $(seeds "$name") >"$log" 2>&1
    code=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    if [ "$code" -eq 0 ]; then
        passed=$((passed + 1))
        echo "ok     $name: ${runs:-0} executions, $(ls "$corpus" | wc -l) inputs kept"
    else
        failed=$((failed + 1))
        echo "FAILED $name (code $code) after ${runs:-?} executions"
        tail -n 40 "$log"
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
