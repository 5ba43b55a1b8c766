#!/bin/sh
# `make demo`: from a fresh clone to an answer, and to the lab's first words about the model. Installs
# missing libraries, builds, fetches the default model, asks it a question, looks for the settings
# that are best on this machine and puts two quantisations beside the model. What is done already is
# not done again; with the model in the store no network is needed. Ctrl-C ends it with what there is.
set -u
cd "$(dirname "$0")/.." || exit 1
build=${BUILD:-build}
model=smollm2:135m
question="What is the capital of France, and what is it known for?"
report=$build/demo.html

say() { printf '\n$ hone %s\n\n' "$*"; }

# Ctrl-C: the program tells what there is and ends with 130; then the demo ends, too.
trap : INT
run() {
    "$build/hone" "$@"
    code=$?
    [ "$code" -ne 130 ] || { echo "Ended early; \`make demo\` goes on from here." >&2; exit 130; }
    return "$code"
}

sh scripts/install-deps.sh || exit 1

cores=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
if ! make -q --no-print-directory BUILD="$build" all 2>/dev/null; then
    echo "Building …" >&2
    make -s --no-print-directory -j"$cores" BUILD="$build" all || exit 1
fi

run pull "$model" || exit 1

printf '\n$ hone run %s "%s"\n\n' "$model" "$question"
run run "$model" "$question" --temperature 0 --max-tokens 200 --stats --no-profile || exit

say tune "$model" --budget 60s
run tune "$model" --budget 60s || exit

say compare "$model" --quant Q8_0,Q4_0 -n 40 --html "$report"
run compare "$model" --quant Q8_0,Q4_0 -n 40 --html "$report" || exit

printf '\nThe comparison as a page with plots: %s\n' "$PWD/$report"
