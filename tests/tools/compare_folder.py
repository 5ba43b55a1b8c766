#!/usr/bin/env python3
"""Compares folders that `hone convert` made of GGUF files with the folders that these came from.

usage: compare_folder.py HONE FOLDER…

Each FOLDER (with a golden.json of reference cases) is converted to GGUF and back; both folders are
opened with transformers: logits of the recorded prompts, ids and texts of the recorded texts, and
a chat must be the same. Needs torch and transformers: a tool for development, no part of
`make test`. The last line is `N passed, N failed`.
"""
import json
import subprocess
import sys
import tempfile
from pathlib import Path

LARGEST = 1e-5  # float32 on other addresses may add up in another order


def open_both(folder, back):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    torch.set_num_threads(1)
    return ([AutoModelForCausalLM.from_pretrained(p, dtype=torch.float32) for p in (folder, back)],
            [AutoTokenizer.from_pretrained(p) for p in (folder, back)])


def largest_difference(models, cases):
    import torch
    with torch.no_grad():
        return max(float((models[0](ids).logits - models[1](ids).logits).abs().max())
                   for ids in (torch.tensor([c["ids"]]) for c in cases))


def other_texts(tokenizers, texts):
    """How many of the recorded texts the second tokenizer reads or writes in another way."""
    a, b = tokenizers
    return sum(a(t["text"], add_special_tokens=special)["input_ids"] !=
               b(t["text"], add_special_tokens=special)["input_ids"]
               for t in texts for special in (False, True)) + \
        sum(a.decode(t["ids"]) != b.decode(t["ids"]) for t in texts)


def same_chat(tokenizers):
    chat = [{"role": "user", "content": "How far is it?"}]
    if tokenizers[0].chat_template is None:
        return tokenizers[1].chat_template is None
    a, b = (t.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
            for t in tokenizers)
    return a == b


def compare(hone, folder):
    golden = json.loads((Path(folder) / "golden.json").read_text())
    with tempfile.TemporaryDirectory() as tmp:
        for command in ([folder, "-o", f"{tmp}/a.gguf"], [f"{tmp}/a.gguf", "-o", f"{tmp}/back"]):
            subprocess.run([hone, "convert", *command], check=True, stdout=subprocess.DEVNULL)
        models, tokenizers = open_both(folder, f"{tmp}/back")
        difference = largest_difference(models, golden["cases"])
        others = other_texts(tokenizers, golden["tokenizer"])
        chat = same_chat(tokenizers)
        print(f"{folder}: largest difference of logits {difference:.2g}, {others} other texts, "
              f"chat {'the same' if chat else 'another'}")
        return difference <= LARGEST and others == 0 and chat


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    results = [compare(sys.argv[1], folder) for folder in sys.argv[2:]]
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    sys.exit(not all(results))


if __name__ == "__main__":
    main()
