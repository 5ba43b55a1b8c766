#!/usr/bin/env python3
"""Errors and throughput of hone's quantisers beside llama.cpp's (PyPI: llama-cpp-python), in one run.

    bench/compare_quantisers.py BUILD [--gguf FILE:TENSOR]… [--whisper MODEL_BIN…]

BUILD is the build folder (make bench builds bench/quantiser_bench). Sources: normal and heavy-tailed
weights, tensors of GGUF files, and F16 matrices of a CTranslate2 model.bin (its parts in order), rows
of 512 and 2048. Errors are Σ importance · (x − x̂)² relative to llama.cpp's; throughput is on one
thread, both alternating, the best of five rounds. Prints Markdown; exits with 1 where an error is above
llama.cpp's or a throughput below 1.5 times its.

Run it with a Python that has llama-cpp-python; hone itself needs none.
"""
import argparse
import json
import math
import os
import struct
import subprocess
import sys
import tempfile


def peer_library():
    import llama_cpp
    folder = os.path.join(os.path.dirname(llama_cpp.__file__), "lib")
    names = [n for n in os.listdir(folder) if n.startswith("libggml-base.so")]
    return os.path.join(folder, sorted(names)[0])


def whisper_matrices(parts, folder):
    """Writes some F16 matrices of model.bin as raw files; yields FILE:COLUMNS."""
    data = b"".join(open(p, "rb").read() for p in parts)
    at = 0

    def take(form):
        nonlocal at
        value = struct.unpack_from("<" + form, data, at)[0]
        at += struct.calcsize("<" + form)
        return value

    def text():
        nonlocal at
        n = take("H")
        at += n
        return data[at - n:at - 1].decode()

    wanted = {"encoder/layer_0/ffn/linear_0/weight": "ffn-up", "encoder/layer_3/ffn/linear_1/weight":
              "ffn-down", "decoder/layer_2/self_attention/linear_0/weight": "attention"}
    take("I"), text(), take("I")
    for _ in range(take("I")):
        name, dims = text(), [take("I") for _ in range(take("B"))]
        kind, size = take("B"), take("I")
        if name in wanted and kind == 4:
            path = os.path.join(folder, f"whisper-{wanted[name]}.f16")
            with open(path, "wb") as out:
                out.write(data[at:at + size])
            yield f"{path}:{dims[-1]}"
        at += size


def geometric(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def table(rows):
    types = list(dict.fromkeys(r["type"] for r in rows))
    print("| type | error, no data | error, with data | throughput, no data | with data | M weights/s |")
    print("|---|---|---|---|---|---|")
    good = True
    for name in types:
        cells = []
        for importance in (False, True):
            some = [r for r in rows if r["type"] == name and r["importance"] == importance]
            if not some:
                cells.append(("", ""))
                continue
            errors = [r["error"] / r["peer_error"] if r["peer_error"] else 1.0 for r in some]
            speeds = [r["elements_per_s"] / r["peer_elements_per_s"] for r in some]
            good = good and max(errors) <= 1 + 1e-6 and min(speeds) >= 1.5
            same = all(r["same_bytes"] for r in some)
            error = "the same bytes" if same else f"{min(errors):.3f}–{max(errors):.3f}"
            cells.append((error, f"{geometric(speeds):.1f}× ({min(speeds):.1f}–{max(speeds):.1f})"))
        speed = geometric([r["elements_per_s"] for r in rows if r["type"] == name]) / 1e6
        print(f"| {name} | {cells[0][0]} | {cells[1][0]} | {cells[0][1]} | {cells[1][1]} | {speed:.0f} |")
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build")
    parser.add_argument("--gguf", action="append", default=[], metavar="FILE:TENSOR")
    parser.add_argument("--whisper", nargs="+", default=[], metavar="MODEL_BIN")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sources = ["normal", "heavy", *args.gguf]
        if args.whisper:
            sources += whisper_matrices(args.whisper, folder)
        bench = [os.path.join(args.build, "bench/quantiser_bench"), peer_library(), *sources]
        done = subprocess.run(bench, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr.strip())
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    shown = dict.fromkeys(f"{r['source']} (rows of {r['columns']})" for r in rows)
    print("Sources: " + ", ".join(shown) + "\n")
    sys.exit(0 if table(rows) else 1)


if __name__ == "__main__":
    main()
