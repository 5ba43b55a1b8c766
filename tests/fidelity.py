#!/usr/bin/env python3
"""`hone fidelity` against the same figures computed with numpy from dumped logits.
usage: fidelity.py HONE MODEL_LOGITS

Reference: a small trained model with F32 weights; candidates: it quantised. Windows, scoring, sums and
intervals are written a second time here, from docs/quantise.md. Ends with `N passed, N failed`.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import packages

SHARED = pathlib.Path(os.environ.get("HONE_SHARED") or
                      pathlib.Path(__file__).resolve().parents[2] / "shared")
MODEL, TEXT = SHARED / "models/tinystories-656k", SHARED / "data/text/persuasion.txt"
WINDOW, BLOCK, N_TOKENS = 512, 32, 2600


def run(*command, data=None):
    return subprocess.run(command, input=data, check=True, stdout=subprocess.PIPE).stdout


def read_windows(tool, model, text):
    """ids[windows, WINDOW]: the first of each is the beginning-of-text token."""
    ids = np.frombuffer(run(tool, "tokens", model, data=text), np.int32)
    start = np.frombuffer(run(tool, "tokens", model, data=b""), np.int32)
    ids = ids[:N_TOKENS]
    windows = ids[:len(ids) // WINDOW * WINDOW].reshape(-1, WINDOW).copy()
    windows[:, 0] = start[0]
    return windows


def log_softmax(logits):
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def score(tool, model, windows):
    """(ln p[positions, vocabulary], right tokens) of each window's second half."""
    parts = []
    for window in windows:
        logits = np.frombuffer(run(tool, "logits", model, data=window.tobytes()), np.float32)
        parts.append(logits.reshape(WINDOW, -1)[WINDOW // 2:-1])
    return log_softmax(np.concatenate(parts)), windows[:, WINDOW // 2 + 1:].ravel()


def wilson(share, n, z=1.959963985):
    middle, spread = share + z * z / (2 * n), z * np.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    return (middle - spread) / (1 + z * z / n), (middle + spread) / (1 + z * z / n)


def block_sums(values):
    return np.add.reduceat(values, np.arange(0, len(values), BLOCK))


def bootstrap(n, draws=10000):
    """Which blocks each draw has; numpy's own randomness, so that intervals agree roughly."""
    n_blocks = -(-n // BLOCK)
    return np.random.default_rng(7).integers(0, n_blocks, (draws, n_blocks))


def check(name, ours, theirs, bound):
    assert abs(ours - theirs) <= bound, f"{name}: {ours} from numpy, {theirs} from hone"


def check_interval(name, values, theirs):
    low, high = np.percentile(values, [2.5, 97.5])
    for end, ours in (("low", low), ("high", high)):
        check(f"{name}, {end}", ours, theirs[end], 0.05 * (high - low))


def compare(p, q, right, said):
    at = np.arange(len(right))
    kl = (np.exp(p) * (p - q)).sum(axis=1)
    nll_p, nll_q = -p[at, right], -q[at, right]
    change = np.exp(q[at, right]) - np.exp(p[at, right])
    same = (p.argmax(axis=1) == q.argmax(axis=1)).mean()
    assert said["n_tokens"] == len(right) and said["window"] == WINDOW
    perplexity = said["perplexity"]
    check("perplexity", np.exp(nll_p.mean()), perplexity["reference"], 1e-5 * perplexity["reference"])
    check("perplexity", np.exp(nll_q.mean()), perplexity["candidate"], 1e-5 * perplexity["candidate"])
    check("ratio", np.exp((nll_q - nll_p).mean()), perplexity["ratio"], 1e-6)
    check("KL", kl.mean(), said["kl"]["mean"], 1e-7)
    for name, share in (("p50", 50), ("p95", 95), ("p99", 99), ("max", 100)):
        check(name, np.percentile(kl, share, method="inverted_cdf"), said["kl"][name], 1e-6)
    check("top 1", same, said["top1"]["value"], 1e-12)
    check("top 1, low", wilson(same, len(right))[0], said["top1"]["low"], 1e-7)
    check("top 1, high", wilson(same, len(right))[1], said["top1"]["high"], 1e-7)
    check("right token", change.mean(), said["right_token_change"]["value"], 1e-8)
    drawn = bootstrap(len(right))
    sizes = block_sums(np.ones(len(right)))[drawn].sum(axis=1)
    mean = lambda values: block_sums(values)[drawn].sum(axis=1) / sizes
    check_interval("KL", mean(kl), said["kl"])
    check_interval("ratio", np.exp(mean(nll_q - nll_p)), perplexity)
    check_interval("right token", mean(change), said["right_token_change"])
    return kl, mean(kl)


def main():
    global np
    hone, tool = map(os.path.abspath, sys.argv[1:3])
    folder = packages.fetch("numpy==2.4.6")
    if not MODEL.exists() or not folder:
        print(f"skipped fidelity: {'numpy cannot be had' if MODEL.exists() else f'no {MODEL}'}")
        print("0 passed, 0 failed, 1 skipped")
        return
    sys.path.insert(0, str(folder))
    import numpy as np
    with tempfile.TemporaryDirectory(prefix="hone-fidelity-") as work:
        names = [os.path.join(work, name) for name in ("f32.gguf", "q4.gguf", "q5.gguf")]
        run(hone, "convert", MODEL, "--type", "F32", "-o", names[0])
        for name, kind in zip(names[1:], ("Q4_0", "Q5_1")):
            run(hone, "quantize", names[0], name, "--type", kind, "--no-fidelity")
        said = json.loads(run(hone, "fidelity", *names, "--text", TEXT, "--tokens", str(N_TOKENS),
                              "--exact", "--json"))
        windows = read_windows(tool, names[0], TEXT.read_bytes())
        (p, right), *others = [score(tool, name, windows) for name in names]
        first, first_draws = compare(p, others[0][0], right, said)
        second, second_draws = compare(p, others[1][0], right, said["other"])
        difference = said["kl_difference"]
        check("difference", (first - second).mean(), difference["value"], 1e-7)
        check_interval("difference", first_draws - second_draws, difference)
    print("2 passed, 0 failed")


if __name__ == "__main__":
    main()
