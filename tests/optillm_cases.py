#!/usr/bin/env python3
"""Writes tests/vectors/optillm.jsonl: what optillm (0.4.0, Apache-2.0) chooses among completions written here.

    python3 tests/optillm_cases.py > tests/vectors/optillm.jsonl

Its own functions get a client that answers from the script below; tests/unit/optillm_test.c asks hone to choose
among the same completions. The package comes from the package index without what it depends on (a server, other models'
libraries), which these functions do not use.

Left out, because its behaviour is not what anybody would want: self_consistency compares whole texts, so that reasoned answers
never meet and the first one is returned; majority_voting takes the whole text for an answer where none of its patterns is
there, counts "12" and "12.0" apart, and lets a thought that was cut off vote; best_of_n takes ratings that cannot be parsed for 0
and returns completions that were cut by the limit."""
import importlib
import json
import sys
import types

import packages

VERSION = "optillm==0.4.0"

# method, question, completions (those ending in CUT were cut by the limit of tokens), ratings, form of answers
CUT = "…"
CASES = [
    ("majority_voting", "6 times 7?", ["The answer is 42", "I think the answer is 41", "So the answer is 42"]),
    ("majority_voting", "2 + 2?", ["Two and two.\nAnswer: 5", "Answer: 4", "Thinking.\nFinal answer: 4", "Answer: 5.", "answer: 4."]),
    ("majority_voting", "A tie?", ["The answer is 3", "The answer is 8", "The answer is 8", "The answer is 3"]),
    ("majority_voting", "The capital?", ["Answer: Paris.", "Answer: Lyon", "answer:  PARIS", "Answer: Lyon!", "Answer: paris"]),
    ("majority_voting", "With thoughts?", ["<think>The answer is 1</think>The answer is 2", "The answer is 1",
                                           "<think>hm</think>\nThe answer is 2"]),
    ("majority_voting", "Marks?", ["work\n#### 12", "other work\n#### 13", "more work\n#### 13"]),
    ("majority_voting", "One is empty?", ["", "The answer is 9", "The answer is 8", "The answer is 8"]),
    ("majority_voting", "Only the last differ?", ["The answer is no", "The answer is no", "The answer is yes",
                                                  "The answer is yes", "The answer is yes"]),
    ("majority_voting", "Which letter?", ["B. It is so", "C. No doubt", "B. Because", "A. Of course"], None, "choice"),
    ("majority_voting", "Which letter at the end?", ["It must be D", "I say it is E", "All told, it is E"], None, "choice"),
    ("self_consistency", "The capital?", ["Paris.", "Lyon.", "Paris.", "Paris", "Lyon."]),
    ("self_consistency", "A tie?", ["seven", "three", "three", "seven"]),
    ("self_consistency", "Cut ones?", ["blue" + CUT, "blue" + CUT, "green", "red", "green"]),
    ("self_consistency", "One alone?", ["north" + CUT, "south"]),
    ("self_consistency", "All differ?", ["alpha", "bravo", "kilo", "zulu"]),
    ("best_of_n", "Write a line.", ["a line", "a better line", "no line"], [4, 8, 1]),
    ("best_of_n", "Equal ones?", ["first", "second", "third"], [6, 6, 6]),
    ("best_of_n", "The last?", ["one", "two", "three", "four"], [2, 0, 5, 9]),
    ("re2", "What is 17 + 25?"),
    ("re2", "Two lines:\nhow many?"),
    ("re2", "  blanks around  "),
]


def message(text, finish="stop"):
    return types.SimpleNamespace(message=types.SimpleNamespace(content=text), finish_reason=finish)


class Client:
    """Says the completions one after the other, or all at once; ratings to whom asks for one."""

    def __init__(self, texts, ratings):
        self.left = [message(t.removesuffix(CUT), "length" if t.endswith(CUT) else "stop") for t in texts]
        self.ratings = iter(ratings or [])
        self.asked = []
        self.chat = types.SimpleNamespace(completions=self)

    def create(self, messages, n=1, **_):
        self.asked.append(messages)
        if messages[-1]["content"].startswith("Rate"):
            choices = [message(str(next(self.ratings)))]
        else:
            choices, self.left = self.left[:n], self.left[n:]
        return types.SimpleNamespace(choices=choices, usage=types.SimpleNamespace(completion_tokens=1))


def modules():
    """The package's files without its __init__, which opens the server."""
    folder = packages.fetch("--no-deps", VERSION)
    if not folder:
        sys.exit("optillm cannot be had")
    package = types.ModuleType("optillm")
    package.__path__ = [str(folder / "optillm")]
    package.conversation_logger = None
    sys.modules["optillm"] = package
    plugins = types.ModuleType("optillm.plugins")
    plugins.__path__ = [str(folder / "optillm" / "plugins")]
    sys.modules["optillm.plugins"] = plugins
    names = {"majority_voting": "plugins.majority_voting_plugin", "self_consistency": "self_consistency", "best_of_n": "bon",
             "re2": "reread"}
    return {method: importlib.import_module("optillm." + name) for method, name in names.items()}


def choose(optillm, method, question, texts, ratings):
    client = Client(texts or ["said"], ratings)
    if method == "re2":
        optillm[method].re2_approach("", question, client, "m")
        return client.asked[0][-1]["content"]
    if method == "majority_voting":
        said, _ = optillm[method].run("", question, client, "m", {"k": len(texts)})
    elif method == "best_of_n":
        said, _ = optillm[method].best_of_n_sampling("", question, client, "m", len(texts))
    else:
        it = optillm[method].AdvancedSelfConsistency(client, "m", num_samples=len(texts))
        said = it.evaluate("", question)["aggregated_result"]["clusters"][0]["answer"]
    return texts.index(said)


def main():
    optillm = modules()
    for method, question, *rest in CASES:
        texts, ratings, form = (rest + [None] * 3)[:3]
        case = {"method": method, "question": question}
        if texts:
            case |= {"texts": [t.removesuffix(CUT) for t in texts], "cut": [t.endswith(CUT) for t in texts]}
        if ratings:
            case["ratings"] = ratings
        if form:
            case["form"] = form
        chosen = choose(optillm, method, question, texts, ratings)
        case["prompt" if method == "re2" else "chosen"] = chosen
        print(json.dumps(case))


main()
