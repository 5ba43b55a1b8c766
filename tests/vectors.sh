#!/bin/sh
# Tokenizer and template vectors. usage: tests/vectors.sh BUILD VECTORS
#
# VECTORS is a folder such as ../shared/data/vectors. The vocabularies are fetched once
# (tests/fetch_vocabularies.sh).
set -u
build=$1 vectors=$2
passed=0 failed=0 skipped=0

suite() { # name command…
    echo "--- $1"
    shift
    output=$("$@" 2>&1)
    code=$?
    line=$(echo "$output" | tail -n 1 | grep -E '^[0-9]+ passed, [0-9]+ failed')
    echo "$output"
    set -- $(echo "${line:-0 passed, 1 failed}" | tr -cd '0-9 ')
    [ "$code" -eq 0 ] || [ "$2" -gt 0 ] || set -- "$1" 1 "${3:-0}"
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + ${3:-0}))
}

suite templates "$build/tests/template_vectors" "$vectors"
if vocabularies=$(sh tests/fetch_vocabularies.sh); then
    suite tokenizers "$build/tests/tokenizer_vectors" "$vectors" "$vocabularies"
else
    echo "skipped tokenizers: the vocabulary files could not be fetched"
    skipped=$((skipped + 1))
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
