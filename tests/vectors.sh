#!/bin/sh
# Tokenizer and template vectors. usage: tests/vectors.sh BUILD VECTORS VOCABULARIES
#
# VECTORS is a folder such as ../shared/data/vectors. Where the folder VOCABULARIES is missing, the
# vocabularies are fetched (tests/fetch_vocabularies.sh).
set -u
build=$1 vectors=$2 vocabularies=$3
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
[ -d "$vocabularies" ] || vocabularies=$(sh tests/fetch_vocabularies.sh) || vocabularies=
if [ -n "$vocabularies" ]; then
    suite tokenizers "$build/tests/tokenizer_vectors" "$vectors" "$vocabularies"
else
    echo "skipped tokenizers: the vocabulary files could not be fetched"
    skipped=$((skipped + 1))
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
