#!/usr/bin/env python3
"""hone's verdicts on instructions beside those of lm-evaluation-harness (PyPI lm-eval 0.4.13, in a venv of yours):

    VENV/bin/python bench/compare_ifeval.py build/hone ifeval-541.jsonl

A server of our own gives answers put together at random from what the instructions ask for; hone judges them by
URL, the harness' checkers judge the same texts. Left out are checkers that need trained models (sentences,
languages, word tokens)."""
import collections
import http.server
import json
import random
import subprocess
import sys
import tempfile
import threading
import types

for name, member in (("langdetect", "LangDetectException"), ("immutabledict", "immutabledict")):
    sys.modules[name] = types.ModuleType(name)  # needed by checkers that are left out
    setattr(sys.modules[name], member, Exception if name == "langdetect" else dict)
from lm_eval.tasks.ifeval import instructions_registry  # noqa: E402

LEFT_OUT = ("sentences", "language", "capital_word", "english_")
PIECES = ["* one point\n", "- two\n", "**bold** text ", "*hi* ", "[name] ", "[a b]", "<<Title>>\n", "P.S. more\n",
          "P.P.S also ", "***\n", "******\n", "\n\n", "Section 1\n", "SECTION 2 x\n", "Day 3 ", '{"a": 1}',
          '```json\n{"a": [1, 2]}\n```', "My answer is yes.", "My answer is no. ", "The quick brown fox jumps. ",
          "lower case only words here ", "ALL CAPS ", "a, b, c ", '"quoted" ', "it's fine\n", "### head\n", "! "]


def make_answer(item, r):
    parts = []
    wanted = [w for k in item["kwargs"] for w in [*(k.get("keywords") or []), *(k.get("forbidden_words") or []),
                                                  k.get("keyword"), k.get("first_word")] if w]
    for k in item["kwargs"]:
        if k.get("prompt_to_repeat") and r.random() < 0.3:
            parts.append(k["prompt_to_repeat"] + " ")
    for _ in range(r.randint(0, 25)):
        kind = r.random()
        if kind < 0.5:
            parts.append(r.choice(PIECES))
        elif kind < 0.8 and wanted:
            parts.append(r.choice(wanted) + r.choice([" ", "s ", ". ", "\n\n"]))
        else:
            words = item["prompt"].split()
            parts.append(" ".join(r.choice(words) for _ in range(r.randint(1, 40))) + r.choice(["\n\n", " "]))
    parts += [k["end_phrase"] for k in item["kwargs"] if k.get("end_phrase") and r.random() < 0.5]
    text = "".join(parts)
    return f'"{text}"' if r.random() < 0.2 else text


def serve(answers):
    class Handler(http.server.BaseHTTPRequestHandler):
        def say(self, value):
            body = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            self.say({"object": "list", "data": [{"id": "made up"}]})

        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            text = answers[asked["messages"][-1]["content"]]
            self.say({"choices": [{"message": {"content": text}, "finish_reason": "stop"}],
                      "usage": {"prompt_tokens": 1, "completion_tokens": 1}})

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port


def forms(text):
    lines = text.split("\n")
    cut = [text] + ["\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1])]
    return cut + [form.replace("*", "") for form in cut]


def harness_verdicts(name, arguments, prompt, answer):
    checker = instructions_registry.INSTRUCTION_DICT[name](name)
    checker.build_description(**{k: v for k, v in arguments.items() if v})
    if "prompt" in (checker.get_instruction_args() or {}):
        checker.build_description(prompt=prompt)
    follows = [bool(form.strip()) and bool(checker.check_following(form)) for form in forms(answer)]
    return follows[0], any(follows)


def main():
    hone, path = sys.argv[1:3]
    with open(path, encoding="utf-8") as lines:
        items = [json.loads(line) for line in lines]
    n, differing = 0, collections.Counter()
    for seed in range(3):
        answers = {i["prompt"]: make_answer(i, random.Random(f"{seed} {i['id']}")) for i in items}
        with tempfile.NamedTemporaryFile("r", encoding="utf-8") as samples:
            subprocess.run([hone, "eval", "--url", f"http://127.0.0.1:{serve(answers)}", "--tasks", "ifeval", "--items",
                            path, "--samples", samples.name], check=True, stdout=subprocess.DEVNULL)
            with open(samples.name, encoding="utf-8") as lines:
                ours = [json.loads(line) for line in lines]
        for sample, item in zip(ours, items):
            for verdict, arguments in zip(sample["instructions"], item["kwargs"]):
                name = verdict["instruction"]
                if any(word in name for word in LEFT_OUT):
                    continue
                n += 1
                theirs = harness_verdicts(name, arguments, item["prompt"], answers[item["prompt"]])
                if theirs != (verdict["strict"], verdict["loose"]):
                    differing[f"{name} {arguments}"] += 1
    print(f"{n} instructions, strict and loose; other verdicts: {dict(differing) or 'none'}")


if __name__ == "__main__":
    main()
