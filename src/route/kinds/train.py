#!/usr/bin/env python3
"""Learns which n-grams speak for which kind of prompt: python3 src/route/kinds/train.py [--write]

Multinomial logistic regression over the presence of words, pairs of neighbouring words, 3- and
4-grams of characters within a word, punctuation, and three marks (<number>, <accented>, <script>).
It learns from train.txt and from some of hone's own tasks, says how it does in five-fold cross
validation, and counts the prompts of held_out.txt that it puts into their kind. With --write it
writes ../kind_table.inc, which src/route/kind.c includes; that file and `features` below must agree
(tests/unit/route_test.c compares the counts). Needs numpy."""
import json
import math
import os
import sys

import numpy

KINDS = ["reasoning", "mathematics", "code", "multilingual", "knowledge", "creative", "structure",
         "image", "speech"]
HERE = os.path.dirname(os.path.abspath(__file__))
TASKS = os.path.join(HERE, "..", "..", "..", "tasks")
MOST_FEATURES, LEAST_PROMPTS = 1600, 2
EPOCHS, RATE, DECAY = 500, 8.0, 1e-4
UNIT = 16  # of the weights, which are written as whole numbers of 1/UNIT
MOST_BYTES = 4096
SYMBOLS = "{}()[]<>=+*/^%;_\"|#`$:"


def is_word(c):
    return c.isascii() and c.isalnum() or c == "'" or ord(c) >= 0x80


def features(text):
    text = text.encode()[:MOST_BYTES].decode(errors="ignore")
    found, before = set(), None
    folded = "".join(c.lower() if c.isascii() else c for c in text)
    for c in folded:
        if c in SYMBOLS:
            found.add(c)
        elif 0xC0 <= ord(c) < 0x250 and ord(c) not in (0xD7, 0xF7):
            found.add("<accented>")
        elif 0x370 <= ord(c) < 0x2000 or ord(c) >= 0x2C00:
            found.add("<script>")
    for word in "".join(c if is_word(c) else " " for c in folded).split(" "):
        if not word:
            continue
        if all("0" <= c <= "9" for c in word):
            word = "<number>"
        found.add(word)
        if before:
            found.add(before + " " + word)
        before = word
        if word != "<number>":
            edged = "_" + word + "_"
            for n in (3, 4):
                for i in range(len(edged) - n + 1):
                    found.add("~" + edged[i:i + n])
    return found


def read_prompts(name):
    prompts, kind = [], None
    for line in open(os.path.join(HERE, name), encoding="utf-8"):
        line = line.rstrip("\n")
        if line.startswith("[") and line[1:-1] in KINDS:
            kind = line[1:-1]
        elif line and not line.startswith("#"):
            prompts.append((line.replace("\\n", "\n"), kind))
    return prompts


def own_tasks():
    """Every nth item of the tasks whose items stand for a kind."""
    plan = [("arithmetic", "mathematics", 20), ("logic", "reasoning", 20),
            ("knowledge", "knowledge", 20), ("code", "code", 15), ("instruction", "structure", 25),
            ("multilingual", "multilingual", 30), ("translation", "multilingual", 15),
            ("summary", "structure", 10)]
    prompts = []
    for task, kind, n in plan:
        form = json.load(open(os.path.join(TASKS, task + ".json")))
        form = form.get("chat_prompt", form["prompt"])
        items = [json.loads(line) for line in open(os.path.join(TASKS, task + ".jsonl"))]
        if task == "multilingual":
            items = [i for i in items if i["lang"] != "en"]
        if task in ("arithmetic", "logic", "knowledge", "multilingual"):
            form = "{question}"
        for item in items[::len(items) // n][:n]:
            text = form
            for key, value in item.items():
                text = text.replace("{%s}" % key, str(value))
            prompts.append((text, kind))
    return prompts


def matrix(prompts, index):
    x = numpy.zeros((len(prompts), len(index)))
    for row, (text, _) in enumerate(prompts):
        columns = [index[f] for f in features(text) if f in index]
        x[row, columns] = 1 / math.sqrt(max(len(columns), 1))
    return x


def fit(x, kinds, weights=None):
    y = numpy.eye(len(KINDS))[kinds]
    share = numpy.ones(len(KINDS)) / numpy.maximum(y.sum(0), 1)
    importance = share[kinds][:, None] / share[kinds].mean()
    w = numpy.zeros((x.shape[1], len(KINDS)))
    for _ in range(EPOCHS):
        z = x @ w
        p = numpy.exp(z - z.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        w -= RATE * (x.T @ ((p - y) * importance) / len(x) + DECAY * w)
    return w


def learn(prompts):
    """The features kept, in order of their bytes, and their weights as whole numbers."""
    count = {}
    for text, _ in prompts:
        for f in features(text):
            count[f] = count.get(f, 0) + 1
    names = sorted((f for f in count if count[f] >= LEAST_PROMPTS), key=lambda f: f.encode())
    kinds = numpy.array([KINDS.index(k) for _, k in prompts])
    w = fit(matrix(prompts, {f: i for i, f in enumerate(names)}), kinds)
    worth = numpy.ptp(w, axis=1) * numpy.sqrt([count[f] for f in names])
    kept = sorted(numpy.argsort(-worth, kind="stable")[:MOST_FEATURES])
    names = [names[i] for i in kept]
    w = fit(matrix(prompts, {f: i for i, f in enumerate(names)}), kinds)
    return names, numpy.clip(numpy.rint(w * UNIT), -127, 127).astype(int)


def predict(names, w, prompts):
    present = matrix(prompts, {f: i for i, f in enumerate(names)}) > 0
    return (present.astype(int) @ w).argmax(1)  # whole numbers: ties are ties, as in kind.c


def wilson(k, n):
    z = 1.959963984540054
    middle, half = (k + z * z / 2) / (n + z * z), z / (n + z * z) * math.sqrt(k * (n - k) / n + z * z / 4)
    return "%d of %d: %.3f, 95 %% interval %.3f to %.3f" % (k, n, k / n, middle - half, middle + half)


def count_right(names, w, prompts):
    return int(sum(KINDS[p] == k for p, (_, k) in zip(predict(names, w, prompts), prompts)))


def cross_validate(own, tasks):
    right = 0
    for fold in range(5):
        names, w = learn([p for i, p in enumerate(own) if i % 5 != fold] + tasks)
        right += count_right(names, w, own[fold::5])
    return right


def write(names, w, right, n):
    quote = {'"': '\\"', "\\": "\\\\"}
    with open(os.path.join(HERE, "..", "kind_table.inc"), "w", encoding="utf-8") as out:
        out.write("/* Written by kinds/train.py: features in the order of their bytes, and what each adds to each\n"
                  " * kind, in 1/%d. Do not edit. */\n" % UNIT)
        out.write("enum { KIND_UNIT = %d, HELD_OUT_RIGHT = %d, HELD_OUT_PROMPTS = %d };\n\n" % (UNIT, right, n))
        out.write("static const kind_feature kind_features[] = {\n")
        for name, row in zip(names, w):
            text = "".join(quote.get(c, c) for c in name)
            out.write('    {"%s", {%s}},\n' % (text, ", ".join(str(v) for v in row)))
        out.write("};\n")


def main():
    own, tasks, held_out = read_prompts("train.txt"), own_tasks(), read_prompts("held_out.txt")
    texts = {t for t, _ in own + tasks}
    assert not [t for t, _ in held_out if t in texts], "a held-out prompt is among those learnt from"
    print("cross validation", wilson(cross_validate(own, tasks), len(own)))
    if "--tune" in sys.argv:
        return
    names, w = learn(own + tasks)
    right = count_right(names, w, held_out)
    print("held out        ", wilson(right, len(held_out)))
    table = numpy.zeros((len(KINDS), len(KINDS)), int)
    for p, (_, k) in zip(predict(names, w, held_out), held_out):
        table[KINDS.index(k), p] += 1
    print("%14s" % "", " ".join("%5.5s" % k for k in KINDS))
    for k, row in zip(KINDS, table):
        print("%14s" % k, " ".join("%5d" % v for v in row))
    if "--write" in sys.argv:
        write(names, w, right, len(held_out))


if __name__ == "__main__":
    main()
