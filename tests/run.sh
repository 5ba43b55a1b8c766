#!/bin/sh
# Runs every suite and adds up. usage: tests/run.sh BUILD
#
# A suite is a command whose last line is `N passed, N failed[, N skipped]`. Its output is shown when
# something failed or was skipped. Environment: HONE_SHARED (default ../shared), HONE_TEST_CACHE (what
# tests fetch; default ~/.cache/hone-tests).
set -u
build=$1
shared=${HONE_SHARED:-../shared}
cache=${HONE_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hone-tests}
export HONE_SHARED="$shared" HONE_TEST_CACHE="$cache" HONE_TEST_MODELS="$cache/models"
log=$build/tests/log
mkdir -p "$log" "$cache"
passed=0 failed=0 skipped=0

suite() { # name command…
    name=$1
    shift
    "$@" >"$log/$name" 2>&1
    code=$?
    line=$(tail -n 1 "$log/$name" | grep -E '^[0-9]+ passed, [0-9]+ failed')
    if [ -z "$line" ]; then
        line="0 passed, 1 failed"
        echo "$name ended with code $code and no count" >>"$log/$name"
    fi
    set -- $(echo "$line" | tr -cd '0-9 ')
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + ${3:-0}))
    [ "$2" -gt 0 ] || [ "$code" -eq 0 ] || failed=$((failed + 1))
    if [ "$2" -gt 0 ] || [ "$code" -ne 0 ]; then
        echo "FAILED $name (code $code): $line"
        grep -vE '^(ok|---)' "$log/$name" | tail -n 60
    else
        echo "ok     $name: $line"
        grep -E '^skipped' "$log/$name"
    fi
}
missing() { # what the reason
    echo "skipped $1: $2"
    skipped=$((skipped + 1))
}

for test in "$build"/tests/*_test; do suite "$(basename "$test")" "$test"; done
for isa in scalar avx2 avx512 neon; do
    HONE_CPU=$isa "$build/hone" version --verbose >/dev/null 2>&1 || continue
    HONE_CPU=$isa suite "kernels_test-$isa" "$build/tests/kernels_test"
done

suite include_order sh tests/house/include_order.sh
suite public_headers sh tests/house/public_headers.sh "$build"
suite cli python3 tests/cli/run.py "$build/hone"
suite fidelity python3 tests/fidelity.py "$build/hone" "$build/tests/model_logits"
suite pull python3 tests/pull/run.py "$build/hone"
suite serve python3 tests/serve/run.py "$build/hone"
suite serve_openai python3 tests/serve/openai_api.py "$build/hone"
suite serve_auto python3 tests/serve/auto.py "$build/hone"
suite serve_ollama python3 tests/serve/ollama_api.py "$build/hone"
suite serve_pressure python3 tests/serve/pressure.py "$build/hone" "$build/tests/make_gguf"
suite serve_safety python3 tests/serve/safety.py "$build/hone"
suite serve_load python3 tests/serve/load.py "$build/hone"
suite load python3 tests/load/run.py "$build/hone"
suite report python3 tests/report/run.py "$build/hone"

if [ -d "$shared/golden" ]; then
    sh tests/fetch_model.sh "$build/hone" "$HONE_TEST_MODELS" 2>"$log/fetch_model" || {
        echo "the real model could not be fetched:"
        cat "$log/fetch_model"
    }
    suite golden "$build/tests/golden" "$shared/golden"
    # the other instruction sets, plain C without the real model, which would take minutes
    tiny=$(for name in qwen2-untied qwen2-tied llama3-rope llama-spm llama-smol quant; do echo "$shared/golden/$name"; done)
    HONE_CPU=scalar suite golden-scalar "$build/tests/golden" $tiny
    if HONE_CPU=avx512 "$build/hone" version --verbose >/dev/null 2>&1; then
        HONE_CPU=avx2 suite golden-avx2 "$build/tests/golden" $tiny "$shared/golden/smollm2"
    fi
    suite schema_texts python3 tests/schema/run.py "$build/tests/schema_texts"
    suite template_vectors "$build/tests/template_vectors" "$shared/data/vectors"
    vocabularies=$(sh tests/fetch_vocabularies.sh)
    suite tokenizer_vectors "$build/tests/tokenizer_vectors" "$shared/data/vectors" "${vocabularies:-none}"
    # a reference that could have been compared and was not is a failure
    absent=$(grep -c '^skipped.*not found' "$log/tokenizer_vectors")
    failed=$((failed + absent)) skipped=$((skipped - absent))
else
    missing references "$shared is not there: no golden comparison, no vectors"
fi

sh tests/arm.sh "$build" "$shared" >"$log/arm.txt" 2>&1
case $? in
0) suite arm cat "$log/arm.txt" ;;
77) missing arm "$(tail -n 1 "$log/arm.txt")" ;;
*) suite arm sh -c "cat '$log/arm.txt'; exit 1" ;;
esac

[ "$skipped" -eq 0 ] && echo "$passed passed, $failed failed" ||
    echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
