#!/bin/sh
# The published benchmark of strategies, repeated: writes docs/experiments/strategies.md from what
# `hone compare --strategies` printed. usage: scripts/experiments_strategies.sh BUILD MODEL [LIMIT [INSTEAD]]
#
# BUILD has `hone`; MODEL answers; LIMIT items of the larger tasks (20: with SmolLM2 135M on two cores
# some four minutes, and as many for the two functions, which get twenty answers of each strategy);
# INSTEAD is a larger model or a finer quantisation that the cost of strategies could buy. ARC-easy and BoolQ are asked where $HONE_SHARED (../shared) has them. Let nothing else run.
set -eu
build=$1 model=$2 limit=${3:-20} instead=${4:-}
. "${0%/*}/experiments_page.sh"
shared=${HONE_SHARED:-../shared}/data/eval
cp "${0%/*}"/../tasks/*.json* "$work"
for pair in arc_easy:arc-easy-200 boolq:boolq-200; do
    [ ! -e "$shared/${pair#*:}.jsonl" ] || cp "$shared/${pair#*:}.jsonl" "$work/${pair%%:*}.jsonl"
done
export HONE_TASKS="$work"

part() { # divisor of the limit, task, options…: one comparison
    n=$((limit / $1)) task=$2
    shift 2
    [ "$n" -ge 1 ] || n=1
    table "$hone" compare "$model" ${instead:+--instead "$instead"} --tasks "$task" -n "$n" --no-speed --markdown "$@"
}

page strategies "Inference-time strategies"
say "Published: four strategies with a model of 1.1B on two tasks, one run each, judged by eye; three of the four returned
one sample with default settings, so that mostly a model was compared with itself. From it came a rule: below 2B only a
single pass. Here: ${model##*/} on tasks with checkers, every row paired with one answer of the same model, with what it really
cost, and an A/A row that shows how far chance alone goes."
say "What this can show: whether a strategy that picks among answers, or asks twice, changes what this one model gets
right on these easy sets, and at what price. What it cannot: anything about larger models, or about hard questions; small
differences (of two strategies that disagree on a fifth of the items, a difference of 0.1 takes about 155 items to be
seen); and what a model that cannot do a task at all would gain, since a vote among wrong answers is wrong: there the column
\`oracle\` stays near the accuracy, and no selector helps.${instead:+ The rows \`instead\` are one answer of ${instead##*/}.}"
[ -n "$instead" ] || say "No larger model and no finer quantisation was at hand: what the cost could buy instead is not in
these tables. With one, it is the script's fourth operand."

say "## Numbers, choices, one-liners"
part 1 arithmetic --strategies none,re2,diverse3,bon3,sc8 --max-tokens 80
[ ! -e "$work/arc_easy.jsonl" ] ||
    part 1 arc_easy --strategies none,re2,diverse3,bon3,sc8 --max-tokens 24
[ ! -e "$work/boolq.jsonl" ] ||
    part 2 boolq --strategies none,re2,diverse3,bon3,sc8 --max-tokens 24
part 3 code --strategies none,re2,diverse3,bon3 --max-tokens 96

say "## The two published functions"
say "Prime check and Fibonacci, as functions under unit tests, at least 20 answers for every strategy at the published
temperature of 0.3 (draws that must differ are made at 0.7). The tests are unseen; \`bon3\` tries its draws with the two
examples of the prompt. In Python; \`prime_fibonacci_rs\`, \`_c\`, \`_cpp\` and \`_js\` ask the same."
table "$hone" compare "$model" ${instead:+--instead "$instead"} --tasks prime_fibonacci -r 10 -T 0.3 \
    --no-speed --markdown --strategies none,re2,diverse3,bon3 --max-tokens 160
