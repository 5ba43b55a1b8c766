#!/usr/bin/env python3
"""hone eval beside lm-evaluation-harness (PyPI lm-eval 0.4.13 with transformers, in a venv of yours):

    VENV/bin/python bench/compare_lm_eval.py build/hone MODEL.gguf ITEMS_FOLDER [LIMIT]

The harness scores and generates through hone's server (`local-completions`), with tasks made of the same
items and prompts; hone evaluates in process. Compared item by item: the picks of three multiple-choice
sets, plain and per byte, and the numbers that a generative set's answers end in. ITEMS_FOLDER holds
arc-easy-200.jsonl, piqa-200.jsonl, openbook-qa-200.jsonl, svamp-100.jsonl."""
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

SETS = {  # hone's task: file, prompt in the harness' form
    "arc_easy": ("arc-easy-200.jsonl", "Question: {{question}}\nAnswer:"),
    "piqa": ("piqa-200.jsonl", "Question: {{question}}\nAnswer:"),
    "openbookqa": ("openbook-qa-200.jsonl", "{{question}}"),
    "svamp": ("svamp-100.jsonl", "Question: {{question}}\nAnswer:"),
}
NUMBER = r"-?\d[\d,]*(?:\.\d+)?"
MAX_TOKENS = 120


def write_task(folder, name, items, prompt):
    lines = [f"task: hone_{name}", "dataset_path: json", "dataset_kwargs:", "  data_files:",
             f"    test: {items}", "test_split: test", f"doc_to_text: {json.dumps(prompt)}"]
    if name == "svamp":
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


def harness(folder, port, model_id, tokenizer):
    """Samples by task and place."""
    lm_eval = os.path.join(os.path.dirname(sys.executable), "lm_eval")
    args = (f"model={model_id},base_url=http://127.0.0.1:{port}/v1/completions,tokenizer={tokenizer},"
            "tokenizer_backend=huggingface,tokenized_requests=False,num_concurrent=4,max_length=2048")
    subprocess.run([lm_eval, "run", "--model", "local-completions", "--model_args", args, "--include_path", folder,
                    "--tasks", ",".join(f"hone_{name}" for name in SETS), "--log_samples",
                    "--output_path", f"{folder}/out"], check=True, stdout=subprocess.DEVNULL,
                   env={**os.environ, "OPENAI_API_KEY": "none", "HF_HUB_OFFLINE": "1"})
    samples = {}
    for name in SETS:
        path = glob.glob(f"{folder}/out/**/samples_hone_{name}_*.jsonl", recursive=True)[0]
        with open(path, encoding="utf-8") as lines:
            samples[name] = {s["doc_id"]: s for s in map(json.loads, lines)}
    return samples


def ours(hone, model, folder, name, items):
    out = f"{folder}/{name}.samples"
    subprocess.run([hone, "eval", model, "--tasks", name, "--items", items, "--samples", out,
                    "--max-tokens", str(MAX_TOKENS)], check=True, stdout=subprocess.DEVNULL)
    with open(out, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def largest(values):
    return max(range(len(values)), key=lambda i: (values[i], -i))


def compare_choices(name, mine, theirs):
    n = len(mine)
    same = same_bytes = right = right_theirs = 0
    difference = 0.0
    for i, sample in enumerate(mine):
        scores = [c["logprob"] for c in sample["choices"]]
        bytes_ = [len(c["continuation"].lstrip(" ").encode()) for c in sample["choices"]]
        other = [float(r[0]) if not isinstance(r[0], list) else float(r[0][0])
                 for r in theirs[i]["filtered_resps"]]
        difference = max([difference] + [abs(a - b) for a, b in zip(scores, other)])
        picked = largest(other)
        picked_bytes = largest([o / b for o, b in zip(other, bytes_)])
        same += picked == sample["pick"]
        same_bytes += picked_bytes == sample["pick_per_byte"]
        right += sample["pick"] == sample["answer"]
        right_theirs += int(theirs[i]["acc"])
        if picked != sample["pick"]:
            ordered = sorted(other, reverse=True)
            print(f"    {sample['id']}: another pick; the harness' two best differ by "
                  f"{ordered[0] - ordered[1]:.3f}")
    print(f"{name:12} n {n}  hone {right / n:.3f}  lm-eval {right_theirs / n:.3f}  same picks {same}/{n}, "
          f"per byte {same_bytes}/{n}  largest difference of a score {difference:.3g}")


def compare_numbers(name, mine, theirs):
    n = len(mine)
    same_text = same_verdict = right = right_theirs = 0
    for i, sample in enumerate(mine):
        text = theirs[i]["resps"][0][0]
        numbers = re.findall(NUMBER, text.replace("$", ""))
        verdict = bool(numbers) and abs(float(numbers[-1].replace(",", "")) - sample["answer"]) <= 1e-6
        same_text += text.strip() == sample["output"].strip()
        same_verdict += verdict == sample["right"]
        right += sample["right"]
        right_theirs += verdict
        if verdict != sample["right"]:
            print(f"    {sample['id']}: hone's answer ends {sample['output'][-40:]!r}, "
                  f"the harness' {text[-40:]!r}")
    print(f"{name:12} n {n}  hone {right / n:.3f}  lm-eval {right_theirs / n:.3f}  same verdict "
          f"{same_verdict}/{n}, same text {same_text}/{n}")


def main():
    hone, model, items_folder = sys.argv[1:4]
    limit = int(sys.argv[4]) if len(sys.argv) > 4 else 100
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = f"{folder}/tokenizer"
        subprocess.run([hone, "convert", model, "-o", tokenizer, "--type", "F16"], check=True)
        items = {}
        for name, (source, prompt) in SETS.items():
            items[name] = cut(os.path.join(items_folder, source), folder, name, limit)
            write_task(folder, name, items[name], prompt)
        server, port, model_id = start_server(hone, model)
        try:
            theirs = harness(folder, port, model_id, tokenizer)
        finally:
            server.terminate()
            server.wait()
        for name in SETS:
            mine = ours(hone, model, folder, name, items[name])
            (compare_numbers if name == "svamp" else compare_choices)(name, mine, theirs[name])


if __name__ == "__main__":
    main()
