#!/usr/bin/env python3
"""A model in every type: size, time, memory and loss, beside llama.cpp's quantiser.

    bench/report_quantise.py BUILD MODEL.gguf [--types Q8_0,Q4_K_M,…] [--text FILE] [--tokens N]
                             [--threads N] [--peer PYTHON] [--no-fidelity | --speed]

BUILD is the build folder (make bench builds bench/weights_error), PYTHON one that has
llama-cpp-python. Each type is one process of hone and one of llama.cpp, one after the other, on the
same threads and without importance data; peak memory is what the system counted for the
process (llama.cpp's with Python around it, some 60 MB). The weights' error is Σ (x − x̂)² over all
matrices relative to Σ x²; perplexity ratio, KL divergence and the share of the same first token are
those of `hone fidelity` with float activations, for both files; intervals are 95 %. Cells: hone's,
and behind a stroke llama.cpp's. Prints Markdown.
"""
import argparse
import json
import os
import tempfile

from compare_peers import Failed, run

TYPES = "Q8_0,Q6_K,Q5_K_M,Q4_K_M,IQ4_XS,Q4_0,Q3_K_M,Q2_K"
PEER = """
import sys, llama_cpp, time
source, target, name, threads = sys.argv[1:]
p = llama_cpp.llama_model_quantize_default_params()
p.nthread, p.ftype = int(threads), getattr(llama_cpp, "LLAMA_FTYPE_MOSTLY_" + name)
p.allow_requantize = True
begin = time.perf_counter()
if llama_cpp.llama_model_quantize(source.encode(), target.encode(), p) != 0:
    sys.exit("llama.cpp refuses")
print(time.perf_counter() - begin)
"""


class Report:
    def __init__(self, args, folder):
        self.args = args
        self.hone = os.path.join(args.build, "hone")
        self.files = [os.path.join(folder, name) for name in ("hone.gguf", "peer.gguf")]

    def quantise(self, name):
        """(seconds, megabytes) of hone, and of llama.cpp or None."""
        a = self.args
        _, seconds, memory = run([self.hone, "quantize", a.model, self.files[0], "--type", name,
                                  "--no-fidelity", "--force", "--threads", str(a.threads)])
        ours, theirs = (seconds, memory), None
        if a.peer:
            try:
                text, _, memory = run([a.peer, "-c", PEER, a.model, self.files[1], name,
                                       str(a.threads)])
                theirs = float(text.split()[-1]), memory
            except Failed as failure:
                print(f"<!-- {name}: {str(failure)[-80:]} -->")
        return ours, theirs

    def errors(self, files):
        tool = os.path.join(self.args.build, "bench/weights_error")
        return [float(line) for line in run([tool, self.args.model, *files])[0].split()]

    def losses(self, files):
        a = self.args
        command = [self.hone, "fidelity", a.model, *files, "--exact", "--json", "--threads",
                   str(a.threads), *(["--text", a.text] if a.text else []),
                   *(["--tokens", str(a.tokens)] if a.tokens else [])]
        first = json.loads(run(command)[0])
        return [first] + ([first["other"]] if len(files) > 1 else [])

    def row(self, name):
        done = [d for d in self.quantise(name) if d]
        files = self.files[:len(done)]
        both = lambda values: " / ".join(values)
        cells = [name, both(f"{os.path.getsize(f):,}" for f in files),
                 both(f"{d[0]:.2f}" for d in done), both(f"{d[1]:.0f}" for d in done)]
        if not self.args.speed:
            cells.append(both(f"{e:.3g}" for e in self.errors(files)))
        if not self.args.speed and not self.args.no_fidelity:
            losses = self.losses(files)
            interval = lambda f, form: form(f["value"]) + f" ({form(f['low'])}–{form(f['high'])})"
            ratio = [dict(f["perplexity"], value=f["perplexity"]["ratio"]) for f in losses]
            kl = [dict(f["kl"], value=f["kl"]["mean"]) for f in losses]
            cells += [both(interval(r, "{:.4f}".format) for r in ratio),
                      both(interval(k, "{:.4f}".format) for k in kl),
                      both(interval(f["top1"], lambda v: f"{100 * v:.1f}") for f in losses)]
        return cells


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build")
    parser.add_argument("model")
    parser.add_argument("--types", default=TYPES)
    parser.add_argument("--text")
    parser.add_argument("--tokens", type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--peer", metavar="PYTHON")
    parser.add_argument("--no-fidelity", action="store_true")
    parser.add_argument("--speed", action="store_true", help="leave all losses out")
    args = parser.parse_args()
    head = ["type", "bytes", "seconds", "peak MB"]
    if not args.speed:
        head.append("error of weights")
    if not args.speed and not args.no_fidelity:
        head += ["perplexity ratio", "mean KL, nats", "same first token, %"]
    print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|")
    with tempfile.TemporaryDirectory() as folder:
        report = Report(args, folder)
        for name in args.types.split(","):
            print("| " + " | ".join(report.row(name)) + " |", flush=True)


if __name__ == "__main__":
    main()
