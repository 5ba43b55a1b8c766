#!/usr/bin/env python3
"""Speed of hone beside llama.cpp (PyPI: llama-cpp-python) on one file, in one interleaved run.

    bench/compare_llama_cpp.py HONE MODEL.gguf [--threads N] [--prompt N] [--decode N] [--rounds N]

Each round is one process of hone and one of the peer, alternating, so that a busy machine slows
both. In each: load, one warm-up, the prompt in one go (prefill), then tokens one by one (decode), on
the same number of threads. "first token" is from opening the file to the first token of a prompt
of four tokens, without the peer's Python start-up. The table has medians, the spread (lowest and
highest) and the ratio of the medians.

Run it with a Python that has llama-cpp-python; hone itself needs none.
"""
import argparse
import json
import statistics
import subprocess
import sys
import time


def peer_round(a):
    """One process of the peer: prints its figures as JSON."""
    import resource

    import llama_cpp
    began = time.perf_counter()
    model = llama_cpp.Llama(a.model, n_ctx=a.prompt + a.decode + 64, n_batch=512, n_ubatch=512,
                            n_threads=a.threads, n_threads_batch=a.threads, verbose=False)
    loaded = time.perf_counter()
    model.eval([10, 20, 30, 40])
    model.sample(temp=0)
    first = time.perf_counter()
    tokens = [(7 * i) % (model.n_vocab() - 100) + 50 for i in range(a.prompt)]
    speeds = []
    for _ in range(2):  # the first is the warm-up
        model.reset()
        start = time.perf_counter()
        model.eval(tokens)
        prefilled = time.perf_counter()
        for i in range(a.decode):
            model.eval([tokens[i % len(tokens)]])
        done = time.perf_counter()
        speeds = [a.prompt / (prefilled - start), a.decode / (done - prefilled)]
    print(json.dumps({
        "prefill tokens/s": speeds[0], "decode tokens/s": speeds[1],
        "load ms": (loaded - began) * 1e3, "first token ms": (first - began) * 1e3,
        "peak memory MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3}))


def run(command):
    """The last JSON object that a command prints."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stderr.strip()}")
    return json.loads(done.stdout[done.stdout.index("{"):])


def hone_round(a):
    threads = ["--threads", str(a.threads), "--json"]
    bench = [a.hone, "bench", a.model, "--repeat", "1", *threads]
    prefill = run([*bench, "--prompt", str(a.prompt), "--decode", "1"])
    decode = run([*bench, "--prompt", "1", "--decode", str(a.decode), "--depth", str(a.prompt)])
    first = run([a.hone, "run", a.model, "The capital of France", "--raw", "--temperature", "0",
                 "--max-tokens", "1", *threads])["timings"]
    return {"prefill tokens/s": prefill["prefill"]["tokens_per_s"],
            "decode tokens/s": decode["decode"]["tokens_per_s"],
            "load ms": first["load_ms"], "first token ms": first["load_ms"] + first["ttft_ms"],
            "peak memory MB": prefill["peak_memory_bytes"] / 1e6}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("hone")
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--decode", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer-round", action="store_true", help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.peer_round:
        return peer_round(a)
    ours, theirs = [], []
    peer = [sys.executable, __file__, a.hone, a.model, "--threads", str(a.threads), "--prompt",
            str(a.prompt), "--decode", str(a.decode), "--peer-round"]
    for i in range(a.rounds):
        print(f"round {i + 1} of {a.rounds}", file=sys.stderr)
        ours.append(hone_round(a))
        theirs.append(run(peer))
    print("| | hone | llama.cpp | ratio |\n|---|---|---|---|")
    for key in ours[0]:
        cells, medians = [], []
        for rounds in (ours, theirs):
            values = [r[key] for r in rounds]
            medians.append(statistics.median(values))
            cells.append(f"{medians[-1]:.1f} ({min(values):.1f}–{max(values):.1f})")
        print(f"| {key} | {cells[0]} | {cells[1]} | {medians[0] / medians[1]:.2f} |")


if __name__ == "__main__":
    main()
