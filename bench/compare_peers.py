#!/usr/bin/env python3
"""Speed of hone beside other programs on the same files, in one interleaved run.

    bench/compare_peers.py HONE MODEL.gguf… [--threads N] [--rounds N] [--rows LIST] [PEERS]

Peers, each as often as wanted; whoever compares has them already, this script fetches nothing:

    --llama-bench 'NAME=PATH [FLAGS]'    llama-bench of llama.cpp or of a fork, such as
                                         'ik repacked=/opt/ik/llama-bench -rtr 1';
                                         llama-batched-bench beside it serves the rows of
                                         several sequences
    --llama-cpp-python 'NAME=PYTHON'     a Python that has llama-cpp-python
    --ctranslate2 'NAME=PYTHON FOLDER'   a Python that has ctranslate2, and a model of the same
                                         shape (make_ctranslate2.py), computed in int8

Rows (--rows, separated by commas; the default is the first three):

    prefill[:N]     a prompt of N tokens (512) in one go, tokens/s
    decode[:D[:N]]  N tokens (64) one by one behind a prompt of D (512), tokens/s
    first           a new process until it has answered a prompt of four tokens with one, ms
    parallel:S[:N]  S sequences that share a prompt of 128, N tokens (32) each, all together
    memory          the most that a process with a prompt of 512 had resident, MB

A round is one process of each program, one after the other, so that a busy machine slows all of
them. Cells are medians with the lowest and highest; the ratio is hone's median over the best
peer's, turned round where less is better: above 1 hone is ahead. The table is Markdown.
"""
import argparse
import functools
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LESS_IS_BETTER = ("first", "memory")


class Failed(Exception):
    """A program could not do a row: its cell stays empty."""


def run(command, wants_error=False):
    """A command's output, its seconds, and the most megabytes it had resident."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        start = time.perf_counter()
        child = subprocess.Popen(command, stdout=out, stderr=err, stdin=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        text = out.read()
        if child.returncode != 0:
            raise Failed(f"{shlex.join(command)}: {err.read().strip()[-300:]}")
        return (text + err.read() if wants_error else text), seconds, usage.ru_maxrss / 1e3


def json_in(text):
    return json.loads(text[text.index("{"):])


@functools.cache
def four_tokens(hone, model):
    """A prompt of four tokens: words, or letters where the vocabulary is synthetic."""
    for prompt in ("The capital of France", "The capital of", "abcd", "abc"):
        command = [hone, "run", model, prompt, "--raw", "--max-tokens", "1", "--json"]
        answer = json_in(run(command)[0])
        if answer["usage"]["prompt_tokens"] == 4:
            return prompt
    raise Failed(f"{model}: no prompt of four tokens is known")


class Hone:
    name = "hone"

    def __init__(self, path, a):
        self.path, self.a = path, a

    def bench(self, *options):
        command = [self.path, "bench", self.a.model, "--threads", str(self.a.threads), "--repeat",
                   "1", "--kv", self.a.kv, "--json", *map(str, options)]
        return json_in(run(command)[0])

    def prefill(self, n):
        return self.bench("--prompt", n, "--decode", 0)["prefill"]["tokens_per_s"]

    def decode(self, depth, n):
        return self.bench("--prompt", 0, "--decode", n, "--depth", depth)["decode"]["tokens_per_s"]

    def parallel(self, sequences, n):
        return self.bench("--prompt", 0, "--decode", n, "--depth", 128, "--parallel",
                          sequences)["decode"]["tokens_per_s"]

    def first(self):
        command = [self.path, "run", self.a.model, four_tokens(self.path, self.a.model), "--raw",
                   "--max-tokens", "1", "--temperature", "0", "--threads", str(self.a.threads)]
        return 1e3 * run(command)[1]

    def memory(self):
        return self.bench("--prompt", 512, "--decode", 0)["peak_memory_bytes"] / 1e6


class LlamaBench:
    """llama-bench and llama-batched-bench of one build, with the same flags."""

    def __init__(self, name, words, a):
        self.name, self.a, self.flags = name, a, words[1:]
        self.path = Path(words[0])

    def command(self, *options):
        return [str(self.path), "-m", self.a.model, "-t", str(self.a.threads), "-r", "1", "-ctk",
                self.a.kv, "-ctv", self.a.kv, "-o", "json", *self.flags, *map(str, options)]

    def rate(self, *options):
        text = run(self.command(*options))[0]
        return json.loads(text[text.index("["):])[-1]["avg_ts"]

    def prefill(self, n):
        return self.rate("-p", n, "-n", 0)

    def decode(self, depth, n):
        try:
            return self.rate("-p", 0, "-n", 0, "-gp", f"{depth},{n}")
        except Failed:  # llama.cpp's own has another word for it
            return self.rate("-p", 0, "-n", n, "-d", depth)

    def parallel(self, sequences, n):
        command = [str(self.path.with_name("llama-batched-bench")), "-m", self.a.model, "-t",
                   str(self.a.threads), "-c", str(4096), "-b", "2048", "-ub", "512", "-npp", "128",
                   "-ntg", str(n), "-npl", str(sequences), "-pps", *self.flags_without_values()]
        text = run(command, wants_error=True)[0]
        rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()
                if line.startswith("|")]
        if len(rows) < 3:
            raise Failed(f"{shlex.join(command)}: no table")
        return float(rows[-1][rows[0].index("S_TG t/s")])

    def flags_without_values(self):
        """llama-bench says '-rtr 1' where the other programs say '-rtr'."""
        flags, i = [], 0
        while i < len(self.flags):
            value = self.flags[i + 1] if i + 1 < len(self.flags) else ""
            if value in ("0", "1"):
                flags += [self.flags[i]] if value == "1" else []
                i += 2
            else:
                flags.append(self.flags[i])
                i += 1
        return flags

    def first(self):
        return 1e3 * run(self.command("-p", 0, "-n", 0, "-pg", "4,1", "-w", 0))[1]

    def memory(self):
        return run(self.command("-p", 512, "-n", 0))[2]


class PythonPeer:
    """A peer that is a Python package: this script runs itself there as the peer's program."""

    def __init__(self, kind, name, words, a):
        self.name, self.kind, self.a = name, kind, a
        self.python, self.folder = words[0], words[1] if len(words) > 1 else None

    def rate(self, what, *numbers):
        text, _, megabytes = run([self.python, __file__, "--as-peer", self.kind,
                                  self.folder or self.a.model, str(self.a.threads), what,
                                  *map(str, numbers)])
        return megabytes if what == "memory" else json_in(text)["value"]

    def prefill(self, n):
        return self.rate("prefill", n)

    def decode(self, depth, n):
        return self.rate("decode", depth, n)

    def parallel(self, sequences, n):
        raise Failed(f"{self.name}: no sequences that share a prompt")

    def first(self):
        return self.rate("first")

    def memory(self):
        return self.rate("memory", 512)


# --- what runs inside a peer's Python ---

def token_ids(n):
    return [(7 * i) % 1000 + 50 for i in range(n)]


def timed(work, *arguments):
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


class LlamaCppPython:
    def __init__(self, path, threads, n_context):
        import llama_cpp
        self.model = llama_cpp.Llama(path, n_ctx=n_context, n_batch=512, n_ubatch=512,
                                     n_threads=threads, n_threads_batch=threads, verbose=False)

    def read(self, n):
        self.model.reset()
        self.model.eval(token_ids(n))

    def write(self, n):
        for token in token_ids(n):
            self.model.eval([token])


class CTranslate2:
    def __init__(self, path, threads, n_context):
        import ctranslate2
        self.model = ctranslate2.Generator(path, compute_type="int8", inter_threads=1,
                                           intra_threads=threads)
        vocabulary = json.loads(Path(path, "vocabulary.json").read_text(encoding="utf-8"))
        self.words = [vocabulary[i] for i in token_ids(n_context)]
        self.n_read = 0

    def generate(self, n):
        """What follows the prompt, n words of it; the prompt is read without logits."""
        self.model.generate_batch([self.words[:self.n_read]], max_length=n, min_length=n,
                                  include_prompt_in_result=False)

    def read(self, n):
        self.n_read = n
        self.generate(1)

    def write(self, n):
        """Reads the prompt again, which the caller takes off."""
        self.generate(n + 1)


def as_peer(kind, path, threads, what, *numbers):
    start = time.perf_counter()
    numbers = [int(n) for n in numbers]
    make = {"llama-cpp-python": LlamaCppPython, "ctranslate2": CTranslate2}[kind]
    peer = make(path, int(threads), sum(numbers) + 64)
    if what == "first":
        peer.read(4)
        value = 1e3 * (time.perf_counter() - start)
    elif what in ("prefill", "memory"):
        peer.read(numbers[0])
        value = numbers[0] / timed(peer.read, numbers[0])
    else:
        peer.read(numbers[0])
        peer.write(2)
        again = timed(peer.read, numbers[0]) if kind == "ctranslate2" else 0
        if kind != "ctranslate2":
            peer.read(numbers[0])
        value = numbers[1] / (timed(peer.write, numbers[1]) - again)
    print(json.dumps({"value": value}))


# --- the table ---

def peer_of(text):
    name, _, command = text.partition("=")
    words = shlex.split(command)
    if not words:
        raise argparse.ArgumentTypeError(f"NAME=PATH is wanted, not {text}")
    return name, words


def measure(program, row):
    what, *numbers = row.split(":")
    defaults = {"prefill": [512], "decode": [512, 64], "parallel": [4, 32]}
    numbers = [int(n) for n in numbers] + defaults.get(what, [])[len(numbers):]
    return getattr(program, what)(*numbers)


def rounds_of(programs, row, a):
    """What each program reached in each round."""
    values = [[] for _ in programs]
    for i in range(a.rounds):
        for program, seen in zip(programs, values):
            print(f"{Path(a.model).stem} {row}: round {i + 1} of {a.rounds}, {program.name}",
                  file=sys.stderr)
            try:
                seen.append(measure(program, row))
            except Failed as error:
                print(error, file=sys.stderr)
    return values


def cell(values):
    if not values:
        return "–"
    median = statistics.median(values)
    digits = 1 if median < 1000 else 0
    return f"{median:.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def ratio(row, ours, theirs):
    medians = [statistics.median(values) for values in theirs if values]
    if not ours or not medians:
        return "–"
    if row.split(":")[0] in LESS_IS_BETTER:
        return f"{min(medians) / statistics.median(ours):.2f}"
    return f"{statistics.median(ours) / max(medians):.2f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("hone")
    parser.add_argument("models", metavar="model", nargs="+")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", default="prefill,decode,first")
    parser.add_argument("--kv", default="f16", help="type of the cache, f16 or q8_0")
    parser.add_argument("--llama-bench", type=peer_of, action="append", default=[])
    parser.add_argument("--llama-cpp-python", type=peer_of, action="append", default=[])
    parser.add_argument("--ctranslate2", type=peer_of, action="append", default=[])
    a = parser.parse_args()
    programs = [Hone(a.hone, a)]
    programs += [LlamaBench(name, words, a) for name, words in a.llama_bench]
    for kind in ("llama-cpp-python", "ctranslate2"):
        peers = getattr(a, kind.replace("-", "_"))
        programs += [PythonPeer(kind, name, words, a) for name, words in peers]
    print(f"| {a.threads} threads | " + " | ".join(p.name for p in programs) + " | ratio |")
    print("|---" * (len(programs) + 2) + "|")
    for a.model in a.models:
        for row in a.rows.split(","):
            values = rounds_of(programs, row, a)
            name = f"{Path(a.model).stem} {row}" if len(a.models) > 1 else row
            print(f"| {name} | " + " | ".join(cell(v) for v in values) +
                  f" | {ratio(row, values[0], values[1:])} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--as-peer"]:
        as_peer(*sys.argv[2:])
    else:
        main()
