#!/bin/sh
# Puts the real models that tests use into a folder under names of their own: the default model, which
# must come, and two of Whisper, which tests can do without. usage: fetch_model.sh HONE FOLDER
set -u
hone=$1 folder=$2
mkdir -p "$folder" || exit 1

fetch() { # model name
    [ -n "$(ls "$folder/$2" 2>/dev/null)" ] && return
    HONE_HOME="$folder/store" "$hone" pull "$1" >&2 || return 1
    path=$(HONE_HOME="$folder/store" "$hone" list --json | python3 -c 'import json, sys
data = json.load(sys.stdin)
rows = data if isinstance(data, list) else data["models"]
print(next(row["path"] for row in rows if row["name"] == sys.argv[1]))' "$1") || return 1
    ln -sfn "$path" "$folder/$2"
}

fetch whisper:tiny.en whisper-tiny.en || echo "whisper:tiny.en is not there: its tests are skipped" >&2
fetch whisper:base whisper-base || echo "whisper:base is not there: its tests are skipped" >&2
fetch smollm2:135m SmolLM2-135M-Instruct.Q4_1.gguf
