#!/usr/bin/env python3
"""What `hone route` loses: auto against always one model and against an oracle, on items held out.

    python3 bench/route_regret.py build/hone NAME=MODEL.gguf NAME=MODEL.gguf … [--tasks T,T] [--priority P]

Each task's items are halved. The models are evaluated on the one half, so that `hone route` has rows to
choose by, and on the other, where every question goes to the model that route names for its words
alone. "Always" is the one model that did best on the first halves; the oracle takes, for each item, the
fastest model that is right, else the fastest. Seconds are each model's mean for an item of the task;
choosing itself is not in them. Differences have paired bootstrap intervals of 95 %."""
import json
import os
import random
import subprocess
import sys
import tempfile

DRAWS = 10000


def run(hone, *words):
    done = subprocess.run([hone, *words], capture_output=True, text=True)
    if done.returncode:
        sys.exit("hone %s: %s" % (" ".join(words), done.stderr))
    return done.stdout


def halve(path, folder, task):
    items = [line for line in open(path, encoding="utf-8") if line.strip()]
    random.Random(1).shuffle(items)
    names = []
    for half, lines in (("train", items[::2]), ("held_out", items[1::2])):
        names.append(os.path.join(folder, task + "." + half + ".jsonl"))
        open(names[-1], "w", encoding="utf-8").writelines(lines)
    return names


def evaluate(hone, model, task, items, folder):
    """{id: right}, seconds for an item."""
    samples = os.path.join(folder, "samples")
    told = json.loads(run(hone, "eval", model, "--tasks", task, "--items", items, "--samples", samples,
                          "--json"))["tasks"][0]
    right = {s["id"]: bool(s["right"]) for s in map(json.loads, open(samples, encoding="utf-8"))}
    return right, told["seconds"] / len(right)


def interval(differences):
    r = random.Random(1)
    n = len(differences)
    means = sorted(sum(r.choices(differences, k=n)) / n for _ in range(DRAWS))
    return means[int(0.025 * DRAWS)], means[int(0.975 * DRAWS)]


def main():
    words = [w for w in sys.argv[1:] if not w.startswith("--")]
    options = dict(w[2:].split("=") for w in sys.argv[1:] if w.startswith("--"))
    hone, models = words[0], dict(w.split("=") for w in words[1:])
    tasks = options.get("tasks", "arithmetic,knowledge,logic,multilingual").split(",")
    priority = options.get("priority", "quality")
    folder = tempfile.mkdtemp()
    os.environ.update(HONE_HOME=os.path.join(folder, "home"), HF_HUB_CACHE=folder, OLLAMA_MODELS=folder)
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tasks")
    for name, path in models.items():
        run(hone, "pull", "--name", name, os.path.abspath(path))
    train = {m: 0 for m in models}
    held = []  # (task, question, {model: right}, {model: seconds})
    for task in tasks:
        first, _ = halve(os.path.join(root, task + ".jsonl"), folder, task)
        for m in models:
            right, _ = evaluate(hone, m, task, first, folder)
            train[m] += sum(right.values())
    homes = os.environ["HONE_HOME"]
    for task in tasks:
        second = os.path.join(folder, task + ".held_out.jsonl")
        os.environ["HONE_HOME"] = os.path.join(folder, "home-held-out")
        for name, path in models.items():
            run(hone, "pull", "--name", name, os.path.abspath(path))
        did = {m: evaluate(hone, m, task, second, folder) for m in models}
        os.environ["HONE_HOME"] = homes
        for item in map(json.loads, open(second, encoding="utf-8")):
            held.append((task, item["question"], {m: did[m][0][item["id"]] for m in models},
                         {m: did[m][1] for m in models}))
    always = max(models, key=lambda m: train[m])
    full = {m: m if ":" in m else m + ":latest" for m in models}
    back = {full[m]: m for m in models}
    rows = []
    for task, question, right, seconds in held:
        auto = back[json.loads(run(hone, "route", question, "--priority", priority, "--json"))["model"]]
        able = [m for m in models if right[m]] or list(models)
        oracle = min(able, key=lambda m: seconds[m])
        rows.append((task, [(right[m], seconds[m]) for m in (auto, always, oracle)], auto))
    n = len(rows)
    print("%d items held out of %s; priority %s; always = %s" % (n, ", ".join(tasks), priority, always))
    for i, who in enumerate(("auto", "always", "oracle")):
        print("%-7s right %.3f, %.4f s for an item" % (who, sum(r[1][i][0] for r in rows) / n,
                                                     sum(r[1][i][1] for r in rows) / n))
    for i, who in ((1, "always"), (2, "oracle")):
        gain = [r[1][0][0] - r[1][i][0] for r in rows]
        time = [r[1][0][1] - r[1][i][1] for r in rows]
        print("auto - %s: right %+.3f (%+.3f to %+.3f), seconds %+.4f (%+.4f to %+.4f)" % (
            who, sum(gain) / n, *interval(gain), sum(time) / n, *interval(time)))
    for m in models:
        print("  %s answered %d" % (m, sum(r[2] == m for r in rows)))


if __name__ == "__main__":
    main()
