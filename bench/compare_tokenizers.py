#!/usr/bin/env python3
"""Encoding speed of hone beside Hugging Face tokenizers (PyPI: tokenizers), one thread each.

    bench/compare_tokenizers.py BENCH_PROGRAM TEXTS_FOLDER [--rounds N] MODEL...

BENCH_PROGRAM is build/tokenizer_bench. A MODEL is a folder with tokenizer.json, or a vocabulary
ggml-vocab-NAME.gguf, from whose tokens and merges the same tokenizer is built for the other side.
Both encode each text whole, and line by line; rounds alternate, so that a busy machine slows both.
The table has the median speeds, their ratio, and whether the ids were the same. Without the
`tokenizers` package only hone's column is filled.
"""
import argparse
import os
import statistics
import struct
import subprocess
import time

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

try:
    import tokenizers
    from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers
except ImportError:
    tokenizers = None

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
         r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
LLAMA3 = QWEN2.replace(r"\p{N}|", r"\p{N}{1,3}|")
SPLITS = {"gpt-2": GPT2, "qwen2": QWEN2, "llama-bpe": LLAMA3}


def read_gguf(path):
    """Metadata of a GGUF file as a dict."""
    data, at = open(path, "rb").read(), 24
    formats = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q",
               12: "d"}

    def take(form):
        nonlocal at
        (value,) = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return value

    def text():
        nonlocal at
        n = take("Q")
        at += n
        return data[at - n:at].decode("utf-8")

    def value(kind):
        if kind == 8:
            return text()
        if kind != 9:
            return take(formats[kind])
        element, n = take("I"), take("Q")
        return [value(element) for _ in range(n)]

    (n_keys,) = struct.unpack_from("<Q", data, 16)
    return {text(): value(take("I")) for _ in range(n_keys)}


def merges_of_scores(tokens, types, scores):
    """SentencePiece's scores as a merge list: every cut of a piece into two pieces."""
    ids = {t: i for i, (t, kind) in enumerate(zip(tokens, types)) if kind == 1}
    cuts = []
    for piece, i in ids.items():
        for k in range(1, len(piece)):
            left, right = piece[:k], piece[k:]
            if left in ids and right in ids:
                cuts.append((-scores[i], ids[left], ids[right], left, right))
    return [(left, right) for _, _, _, left, right in sorted(cuts)]


def other_from_gguf(path):
    meta = read_gguf(path)
    key = "tokenizer.ggml."
    tokens, types = meta[key + "tokens"], meta[key + "token_type"]
    vocab = {t: i for i, t in enumerate(tokens)}
    if meta[key + "model"] == "llama":
        merges = merges_of_scores(tokens, types, meta[key + "scores"])
        t = tokenizers.Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>",
                                            fuse_unk=True, byte_fallback=True))
        t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"),
                                             normalizers.Replace(" ", "▁")])
        return t
    pre = meta[key + "pre"]
    merges = [tuple(m.split(" ", 1)) for m in meta[key + "merges"]]
    t = tokenizers.Tokenizer(models.BPE(vocab=vocab, merges=merges,
                                        ignore_merges=pre == "llama-bpe"))
    if pre == "qwen2":
        t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLITS[pre]), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    return t


def other_tokenizer(model):
    if tokenizers is None:
        return None
    if model.endswith(".gguf"):
        return other_from_gguf(model)
    return tokenizers.Tokenizer.from_file(os.path.join(model, "tokenizer.json"))


def checksum(ids):
    total = 0
    for i in ids:
        total = (total * 31 + i) % 1000000007
    return total


def lines_of(text):
    return [part + "\n" for part in text.split("\n")[:-1]] + [p for p in [text.split("\n")[-1]] if p]


def other_round(tokenizer, chunks):
    """Milliseconds and ids. encode_batch is left out: it is the same work on more threads."""
    ids = []
    start = time.perf_counter()
    encoded = [tokenizer.encode(chunk, add_special_tokens=False) for chunk in chunks]
    ms = (time.perf_counter() - start) * 1e3
    for e in encoded:
        ids.extend(e.ids)
    return ms, ids


def compare(program, model, mode, paths, rounds):
    n_bytes = sum(os.path.getsize(p) for p in paths)
    hone = subprocess.Popen([program, model, mode, "0", *paths], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)
    hone.stdout.readline()
    tokenizer = other_tokenizer(model)
    texts = [open(p, encoding="utf-8", newline="").read() for p in paths]
    chunks = texts if mode == "whole" else [line for text in texts for line in lines_of(text)]
    ours, others, same = [], [], None
    for _ in range(rounds):
        hone.stdin.write("\n")
        hone.stdin.flush()
        words = hone.stdout.readline().split()
        ours.append(n_bytes / 1e3 / float(words[2]))
        if tokenizer is None:
            continue
        ms, ids = other_round(tokenizer, chunks)
        others.append(n_bytes / 1e3 / ms)
        same = checksum(ids) == int(words[6])
    hone.stdin.close()
    hone.wait()
    name = os.path.basename(model.rstrip("/")).replace("ggml-vocab-", "").replace(".gguf", "")
    ratio = statistics.median(a / b for a, b in zip(ours, others)) if others else float("nan")
    other = statistics.median(others) if others else float("nan")
    print(f"{name:14} {mode:6} {statistics.median(ours):9.2f} {other:9.2f} {ratio:7.2f}  "
          f"{'same ids' if same else 'OTHER IDS' if same is False else ''}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("texts")
    parser.add_argument("models", nargs="+")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    paths = [os.path.join(args.texts, name)
             for name in ("war-and-peace.txt", "persuasion.txt", "wiki.test.raw")]
    print("model          mode    hone MB/s   HF MB/s   ratio")
    for model in args.models:
        for mode in ("whole", "lines"):
            compare(args.program, model, mode, paths, args.rounds)


if __name__ == "__main__":
    main()
