#!/usr/bin/env python3
"""hone eval beside lm-evaluation-harness (PyPI lm-eval 0.4.13 with torch and transformers, in a venv of yours):

    VENV/bin/python bench/compare_lm_eval.py build/hone MODEL.gguf ITEMS_FOLDER [--limit N] [--sets A,B]
                                                                                       [--through-server]

The same items and prompts, item by item: picks of three multiple-choice sets, plain and per byte, and the texts and
numbers of two generative sets. The harness runs its own transformers model on the weights that `hone convert`
writes as float32, on one thread; hone evaluates in the exact mode. With --through-server the harness scores and
generates through hone's server (`local-completions`), both with 8-bit activations. ITEMS_FOLDER holds
arc-easy-200.jsonl, piqa-200.jsonl, openbook-qa-200.jsonl, svamp-100.jsonl; arithmetic's items are hone's own.

Exit code 1 where a pick or a verdict differs in the exact mode."""
import argparse
import glob
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SETS = {  # hone's task: file, prompt in the harness' form
    "arc_easy": ("arc-easy-200.jsonl", "Question: {{question}}\nAnswer:"),
    "piqa": ("piqa-200.jsonl", "Question: {{question}}\nAnswer:"),
    "openbookqa": ("openbook-qa-200.jsonl", "{{question}}"),
    "svamp": ("svamp-100.jsonl", "Question: {{question}}\nAnswer:"),
    "arithmetic": (f"{ROOT}/tasks/arithmetic.jsonl", "Question: {{question}}\nAnswer:"),
}
GENERATIVE = ("svamp", "arithmetic")
NUMBER = r"-?\d[\d,]*(?:\.\d+)?"
MAX_TOKENS = 80
NEAR_TIE = 0.002  # of log-likelihoods: closer ones may change places by the order of summation


def write_task(folder, name, items, prompt):
    lines = [f"task: hone_{name}", "dataset_path: json", "dataset_kwargs:", "  data_files:",
             f"    test: {items}", "test_split: test", f"doc_to_text: {json.dumps(prompt)}"]
    if name in GENERATIVE:
        lines += ["output_type: generate_until", 'doc_to_target: "{{answer}}"', "generation_kwargs:",
                  '  until: ["\\nQuestion:"]', "  do_sample: false", f"  max_gen_toks: {MAX_TOKENS}",
                  "metric_list:", "  - metric: exact_match"]
    else:
        lines += ["output_type: multiple_choice", 'doc_to_choice: "{{choices}}"',
                  'doc_to_target: "{{answer}}"', "metric_list:", "  - metric: acc"]
    with open(f"{folder}/{name}.yaml", "w", encoding="utf-8") as out:
        out.write("\n".join(lines) + "\n")


def start_server(hone, model):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    server = subprocess.Popen([hone, "serve", model, "--port", str(port), "--quiet"],
                              stderr=subprocess.DEVNULL)
    for _ in range(200):
        try:
            models = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models"))
            if models["data"]:
                return server, port, models["data"][0]["id"]
        except OSError:
            pass
        time.sleep(0.1)
    raise SystemExit("the server did not come up")


def cut(source, folder, name, limit):
    path = f"{folder}/{name}.jsonl"
    with open(source, encoding="utf-8") as lines, open(path, "w", encoding="utf-8") as out:
        out.writelines(list(lines)[:limit])
    return path


def harness(folder, model, *more):
    """Samples by task and place."""
    lm_eval = os.path.join(os.path.dirname(sys.executable), "lm_eval")
    subprocess.run([lm_eval, "run", "--model", *model, "--include_path", folder,
                    "--tasks", ",".join(f"hone_{name}" for name in SETS), "--log_samples",
                    "--output_path", f"{folder}/out", *more], check=True, stdout=subprocess.DEVNULL,
                   env={**os.environ, "OPENAI_API_KEY": "none", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"})
    samples = {}
    for name in SETS:
        path = glob.glob(f"{folder}/out/**/samples_hone_{name}_*.jsonl", recursive=True)[0]
        with open(path, encoding="utf-8") as lines:
            samples[name] = {s["doc_id"]: s for s in map(json.loads, lines)}
    return samples


def through_server(hone, model, folder):
    server, port, model_id = start_server(hone, model)
    args = (f"model={model_id},base_url=http://127.0.0.1:{port}/v1/completions,tokenizer={folder}/model,"
            "tokenizer_backend=huggingface,tokenized_requests=False,num_concurrent=4,max_length=2048")
    try:
        return harness(folder, ("local-completions", "--model_args", args))
    finally:
        server.terminate()
        server.wait()


def with_transformers(folder):
    return harness(folder, ("hf", "--model_args", f"pretrained={folder}/model,dtype=float32,max_length=2048"),
                   "--device", "cpu", "--batch_size", "8")


def ours(hone, model, folder, name, items, *more):
    out = f"{folder}/{name}.samples"
    subprocess.run([hone, "eval", model, "--tasks", name, "--items", items, "--samples", out, *more,
                    "--max-tokens", str(MAX_TOKENS)], check=True, stdout=subprocess.DEVNULL)
    with open(out, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def largest(values):
    return max(range(len(values)), key=lambda i: (values[i], -i))


def compare_choices(name, mine, theirs):
    """How many picks differ that are no near-ties."""
    n = len(mine)
    same = same_bytes = right = right_theirs = other_picks = 0
    difference = 0.0
    for i, sample in enumerate(mine):
        scores = [c["logprob"] for c in sample["choices"]]
        bytes_ = [len(c["continuation"].lstrip(" ").encode()) for c in sample["choices"]]
        other = [float(r[0]) if not isinstance(r[0], list) else float(r[0][0])
                 for r in theirs[i]["filtered_resps"]]
        per_byte = [o / b for o, b in zip(other, bytes_)]
        difference = max([difference] + [abs(a - b) for a, b in zip(scores, other)])
        right += sample["pick"] == sample["answer"]
        right_theirs += int(theirs[i]["acc"])
        for picked, pick, values, bound in ((largest(other), sample["pick"], other, NEAR_TIE),
                                            (largest(per_byte), sample["pick_per_byte"], per_byte,
                                             NEAR_TIE / min(bytes_))):
            margin = abs(values[picked] - values[pick])
            if picked != pick:
                print(f"    {sample['id']}: another pick; the harness' log-likelihoods"
                      f"{' per byte' if values is per_byte else ''} of the two differ by {margin:.2g}")
                other_picks += margin > bound
        same += largest(other) == sample["pick"]
        same_bytes += largest(per_byte) == sample["pick_per_byte"]
    print(f"{name:12} n {n}  hone {right / n:.3f}  lm-eval {right_theirs / n:.3f}  same picks {same}/{n}, "
          f"per byte {same_bytes}/{n}  largest difference of a score {difference:.3g}", flush=True)
    return other_picks


def compare_numbers(name, mine, theirs):
    """How many verdicts differ."""
    n = len(mine)
    same_text = same_verdict = right = right_theirs = 0
    for i, sample in enumerate(mine):
        text = theirs[i]["resps"][0][0]
        numbers = re.findall(NUMBER, text.replace("$", ""))
        verdict = bool(numbers) and abs(float(numbers[-1].replace(",", "")) - float(sample["answer"])) <= 1e-6
        same_text += text.strip() == sample["output"].strip()
        same_verdict += verdict == sample["right"]
        right += sample["right"]
        right_theirs += verdict
        if verdict != sample["right"]:
            print(f"    {sample['id']}: hone's answer ends {sample['output'][-40:]!r}, "
                  f"the harness' {text[-40:]!r}")
    print(f"{name:12} n {n}  hone {right / n:.3f}  lm-eval {right_theirs / n:.3f}  same verdict "
          f"{same_verdict}/{n}, same text {same_text}/{n}", flush=True)
    return n - same_verdict


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("hone")
    parser.add_argument("model")
    parser.add_argument("items")
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--through-server", action="store_true")
    o = parser.parse_args()
    for name in set(SETS) - set(o.sets.split(",")):
        del SETS[name]
    differing = 0
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([o.hone, "convert", o.model, "-o", f"{folder}/model", "--type", "F32"], check=True)
        items = {}
        for name, (source, prompt) in SETS.items():
            items[name] = cut(os.path.join(o.items, source), folder, name, o.limit)
            write_task(folder, name, items[name], prompt)
        theirs = through_server(o.hone, o.model, folder) if o.through_server else with_transformers(folder)
        for name in SETS:
            mine = ours(o.hone, o.model, folder, name, items[name], *([] if o.through_server else ["--exact"]))
            differing += (compare_numbers if name in GENERATIVE else compare_choices)(name, mine, theirs[name])
    return 1 if differing and not o.through_server else 0


if __name__ == "__main__":
    sys.exit(main())
