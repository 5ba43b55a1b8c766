#!/bin/sh
# `make demo`: from a fresh clone to an answer. Installs missing libraries, builds, fetches the
# default model, asks it a question, and closes with what the machine measured while it answered.
# What is done already is not done again; with the model in the store no network is needed.
set -u
cd "$(dirname "$0")/.." || exit 1
build=${BUILD:-build}
model=smollm2:135m
question="What is the capital of France, and what is it known for?"

sh scripts/install-deps.sh || exit 1

cores=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
if ! make -q --no-print-directory BUILD="$build" all 2>/dev/null; then
    echo "Building …" >&2
    make -s --no-print-directory -j"$cores" BUILD="$build" all || exit 1
fi

"$build/hone" pull "$model" || exit 1

printf '\n$ hone run %s "%s"\n\n' "$model" "$question"
exec "$build/hone" run "$model" "$question" --temperature 0 --max-tokens 200 --stats
