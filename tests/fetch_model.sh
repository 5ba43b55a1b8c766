#!/bin/sh
# Puts the default model's file into a folder under its own name. usage: fetch_model.sh HONE FOLDER
set -u
hone=$1 folder=$2
mkdir -p "$folder" || exit 1
[ -n "$(ls "$folder"/SmolLM2-135M-Instruct.Q4_1.gguf 2>/dev/null)" ] && exit 0
HONE_HOME="$folder/store" "$hone" pull smollm2:135m >&2 || exit 1
file=$(HONE_HOME="$folder/store" "$hone" list --json | python3 -c 'import json, sys
data = json.load(sys.stdin)
rows = data if isinstance(data, list) else data["models"]
print(rows[0]["path"])') || exit 1
ln -sf "$file" "$folder/SmolLM2-135M-Instruct.Q4_1.gguf"
