#!/bin/sh
# The published experiments, repeated: writes docs/experiments/*.md, whose tables are what the commands
# printed. usage: scripts/experiments.sh BUILD MODEL [LIMIT]
#
# BUILD has `hone` and `tests/make_gguf`; MODEL answers the questions (the default model where no other
# is at hand); LIMIT items of each task (60). Speed of the published sizes is that of random weights in
# their shapes. Takes a while; let nothing else run.
set -eu
build=$1 model=$2 limit=${3:-60}
. "${0%/*}/experiments_page.sh"
shapes=$work

last_results() { # the numbers of the last two
    "$hone" results --json -n 2 | python3 -c 'import json, sys; print(*(r["id"] for r in json.load(sys.stdin)))'
}
# Arithmetic with three of its items as examples: few.json, and few-items.jsonl without those three.
few_shot() {
    python3 - "$(dirname "$0")/../tasks/arithmetic" "$shapes" <<'END'
import json, sys
task, folder = sys.argv[1:]
m = json.load(open(task + ".json"))
items = open(task + ".jsonl").readlines()
open(folder + "/examples.jsonl", "w").writelines(items[::len(items) // 3][:3])
open(folder + "/few-items.jsonl", "w").writelines(i for i in items if i not in items[::len(items) // 3][:3])
m.update(items="few-items.jsonl", shots={"items": "examples.jsonl", "n": 3, "form": m["prompt"] + " {answer}\n\n"})
json.dump(m, open(folder + "/few.json", "w"))
END
}
synth() { # shape type: a file of random weights, once
    [ -e "$shapes/$1-$2.gguf" ] || "$build/tests/make_gguf" synth "$1" "$2" "$shapes/$1-$2.gguf" >/dev/null
}

page models "Models side by side"
say "Published: three text models of 1.5B to 3B on a Mac mini, by speed, memory and quality, without a count
of items or an interval. Here the quality is that of ${model##*/}, the only real text model at hand, on hone's own tasks (what
it says about other models: nothing); speed and memory are those of random weights in the published shapes. Creative
writing has no checker that could be trusted here and is left out; \`instruction\` tells whether demands on an answer's form are met."
run "$hone" eval "$model" --tasks logic,knowledge,reading,arithmetic,instruction,multilingual,code,translation -n "$limit"
for shape in qwen2.5-0.5b qwen2.5-1.5b llama3.2-3b; do
    synth $shape Q4_K_M
    run "$hone" bench "$shapes/$shape-Q4_K_M.gguf" --prompt 256 --decode 32 --repeat 3
done

page path "The path to a faster setting"
say "Published: a 7B model as Q4_K_M, Q5_K_M and Q6_K and its 3B sister, context 4096 to 2048, batch 512 to 2048, on a
laptop's GPU; a Q5 that was faster than the Q4 on the same machine was not explained. Here: random weights in the 1.5B and 0.5B
shapes on the CPU; one change a step."
for type in Q4_K_M Q5_K_M Q6_K; do
    synth qwen2.5-1.5b $type
    run "$hone" bench "$shapes/qwen2.5-1.5b-$type.gguf" --prompt 256 --decode 32 --repeat 3 -c 4096
done
run "$hone" bench "$shapes/qwen2.5-1.5b-Q5_K_M.gguf" --prompt 256 --decode 32 --repeat 3 -c 2048
run "$hone" bench "$shapes/qwen2.5-1.5b-Q5_K_M.gguf" --prompt 256 --decode 32 --repeat 3 -c 2048 --batch 512,2048
run "$hone" bench "$shapes/qwen2.5-1.5b-Q5_K_M.gguf" --prompt 256 --decode 32 --repeat 3 -c 2048 --threads 1
run "$hone" bench "$shapes/qwen2.5-1.5b-Q5_K_M.gguf" --prompt 256 --decode 32 --repeat 3 -c 2048 --no-map
synth qwen2.5-0.5b Q5_K_M
run "$hone" bench "$shapes/qwen2.5-0.5b-Q5_K_M.gguf" --prompt 256 --decode 32 --repeat 3 -c 2048

page prompts "Prompt strategies"
say "Published: chain of thought +25 % on mathematics, role +20 %, structure +15 %, without items or intervals. Here
each is one change to the same greedy answers, paired item by item; a model of 135 M parameters can show that a claim does
not carry over to it, not that it is wrong of larger ones."
for task in arithmetic knowledge logic; do
    run "$hone" compare "$model" --strategies none,cot,role,structured,re2 --tasks $task -n "$limit" --max-tokens 160 --no-speed
done

say "Few-shot: claimed +30 % consistency. The same items without examples and with three others before each."
few_shot
run "$hone" eval "$model" --tasks arithmetic --items "$shapes/few-items.jsonl" -n "$limit" --max-tokens 160
run "$hone" eval "$model" --tasks "$shapes/few.json" -n "$limit" --max-tokens 160
run "$hone" results diff $(last_results)

"${0%/*}/experiments_strategies.sh" "$build" "$model" $((limit / 3))

page plan "What to run on 16, 24 and 32 GB"
say "Published: lists of models that fit, from sizes on paper. Here: the forecast of memory, and speeds measured or
estimated, as marked. Models that are not in the store are described by files of random weights in their shapes."
for memory in 16G 24G 32G; do
    run "$hone" plan --memory $memory "$shapes/qwen2.5-1.5b-Q4_K_M.gguf" "$shapes/llama3.2-3b-Q4_K_M.gguf" "$shapes/qwen2.5-1.5b-Q6_K.gguf"
done
