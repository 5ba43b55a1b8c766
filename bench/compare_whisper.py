#!/usr/bin/env python3
"""Speed and word errors of hone beside faster-whisper (PyPI) and whisper.cpp on the same Whisper weights.

    bench/compare_whisper.py AUDIO --hone FILE.gguf … [--faster-whisper FOLDER:TYPE …]
        [--whisper-cpp BUILD/bin --ggml FILE.bin …] [--threads N,N] [--rounds N]
        [--parts load,encode,token,beams,file,batched,memory] [--clips FOLDER/golden.json]

Every engine is one process (whisper.cpp: its programs, started anew) and all take turns, a measurement
at a time, so that a busy machine slows them alike. A table for each number of threads, a row
printed when it is done; call it once for each part where the machine can be had for a minute only.
Milliseconds, the median of the rounds (whole files: at most two; load and memory: one). The last
columns are the best of the peers over the best of hone (above 1: hone is faster, or smaller): all
types, and those of 16 and 32 bits alone. The table of docs/speed.md:

    bench/compare_whisper.py english-43s.wav --hone Q8_0.gguf Q6_K.gguf F16.gguf \\
        --faster-whisper base:int8 base:float32 --whisper-cpp whisper.cpp/build/bin \\
        --ggml ggml-base-f16.bin ggml-base-q5_0.bin --threads 1,2

    load     from the file to a model that answers
    encode   30 s of audio
    token    a decoder step of one hypothesis, in the middle of 60 (whisper.cpp's program: of 256)
    beams    the same for five hypotheses
    file     AUDIO as each program does it, five beams
    batched  the same by windows side by side, eight at once
    memory   MB, the most that was resident after all of the above

Steps of faster-whisper are (time of 60 tokens − time of 4) / 56 of one generate call, its end token
forbidden; with five beams its search is part of them. With --clips the recorded clips of the golden folder
are transcribed by every engine with five beams, and the word errors counted after Whisper's
normaliser. Run it with a Python that has faster-whisper; hone's part is build/bench/whisper_bench.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time

PARTS = ["load", "encode", "token", "beams", "file", "batched", "memory"]
LONG = ["file", "batched"]
HERE = os.path.dirname(os.path.abspath(__file__))


# --- faster-whisper: answers to lines on stdin, in a process of its own ---

class FasterWhisper:
    def __init__(self, folder, kind, threads, audio):
        import faster_whisper
        began = time.perf_counter()
        self.model = faster_whisper.WhisperModel(folder, device="cpu", compute_type=kind,
                                                 cpu_threads=threads)
        self.load_ms = (time.perf_counter() - began) * 1e3
        self.audio, self.lib, self.encoded = audio, faster_whisper, None

    def encode(self):
        samples = self.lib.audio.decode_audio(self.audio)[:480000]
        features = self.lib.transcribe.pad_or_trim(self.model.feature_extractor(samples))
        start = time.perf_counter()
        self.encoded = self.model.encode(features)
        return (time.perf_counter() - start) * 1e3

    def step(self, beams):
        if self.encoded is None:
            self.encode()
        tokenizer = self.lib.tokenizer.Tokenizer(
            self.model.hf_tokenizer, self.model.model.is_multilingual, task="transcribe",
            language="en")
        prompt = [*tokenizer.sot_sequence, tokenizer.no_timestamps]
        took = []
        for n in (4, 60):
            start = time.perf_counter()
            self.model.model.generate(self.encoded, [prompt], beam_size=beams,
                                      max_length=len(prompt) + n, suppress_tokens=[tokenizer.eot])
            took.append(time.perf_counter() - start)
        return (took[1] - took[0]) / 56 * 1e3

    def file(self, model):
        start = time.perf_counter()
        list(model.transcribe(self.audio, language="en", beam_size=5,
                              **({} if model is self.model else {"batch_size": 8}))[0])
        return (time.perf_counter() - start) * 1e3

    def clip(self, language, path):
        segments = self.model.transcribe(path, language=language, beam_size=5)[0]
        return "".join(s.text for s in segments)

    def answer(self, part, *rest):
        import resource
        if part == "clip":
            return self.clip(*rest)
        if part == "load":
            return self.load_ms
        if part == "memory":
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        if part == "encode":
            return self.encode()
        if part in ("token", "beams"):
            return self.step(5 if part == "beams" else 1)
        return self.file(self.model if part == "file"
                         else self.lib.BatchedInferencePipeline(self.model))


def serve_faster_whisper(folder, kind, threads, audio):
    worker = FasterWhisper(folder, kind, int(threads), audio)
    for line in sys.stdin:
        print(worker.answer(*line.rstrip("\n").split("\t")), flush=True)


# --- the engines as this process sees them ---

class Worker:
    """A process that answers a line with a line."""

    def __init__(self, name, command):
        self.name = name
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        self.load_ms = float(self.ask("load"))  # alone: the next engine starts behind it

    def ask(self, *words):
        self.process.stdin.write("\t".join(words) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"{self.name} ended at {words}")
        return answer.rstrip("\n")

    def measure(self, part):
        return self.load_ms if part == "load" else float(self.ask(part))

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class WhisperCpp:
    """whisper.cpp's own programs: whisper-bench for the parts, whisper-cli for files."""

    def __init__(self, name, programs, model, threads, audio):
        self.name, self.programs, self.model = name, programs, model
        self.threads, self.audio, self.last = threads, audio, {}

    def run(self, program, *arguments):
        done = subprocess.run([f"{self.programs}/{program}", "-m", self.model, "-t",
                               str(self.threads), *arguments], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{self.name}: {done.stderr.strip()[-300:]}")
        return done

    def time_of(self, what, text):
        found = re.search(rf"{what} time =\s*([\d.]+) ms(?: /.*?\(\s*([\d.]+) ms per run)?", text)
        return float(found[2] or found[1]) if found else None

    def measure(self, part):
        if part == "batched":
            return None
        if part == "file":
            text = self.run("whisper-cli", "-f", self.audio, "-l", "en", "-bs", "5").stderr
            return self.time_of("total", text)
        if part == "memory":
            return self.peak_mb()
        if part not in self.last:  # one run tells all of them, once each
            text = self.run("whisper-bench").stderr
            self.last = {"load": self.time_of("load", text), "encode": self.time_of("encode", text),
                         "token": self.time_of("decode", text),
                         "beams": 5 * self.time_of("batchd", text)}
        return self.last.pop(part)

    def peak_mb(self):
        process = subprocess.Popen(
            [f"{self.programs}/whisper-cli", "-m", self.model, "-t", str(self.threads), "-f",
             self.audio, "-l", "en", "-bs", "5"], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        return os.wait4(process.pid, 0)[2].ru_maxrss / 1e3

    def close(self):
        pass

    def ask(self, _, language, path):  # a clip's text
        return self.run("whisper-cli", "-f", path, "-l", language, "-bs", "5", "-nt",
                        "-np").stdout.replace("\n", " ")


def engines_of(a, threads):
    bench = a.bench or os.path.join(HERE, "..", "build", "bench", "whisper_bench")
    engines = [Worker(f"hone {os.path.basename(m).split('.')[0]}",
                      [bench, m, a.audio, str(threads)]) for m in a.hone]
    for peer in a.faster_whisper:
        folder, kind = peer.rsplit(":", 1)
        engines.append(Worker(f"faster-whisper {kind}",
                              [sys.executable, __file__, "--serve", folder, kind, str(threads),
                               a.audio]))
    return engines + [WhisperCpp(f"whisper.cpp {os.path.basename(m).split('.')[0]}", a.whisper_cpp,
                                 m, threads, a.audio) for m in a.ggml]


# --- the table ---

def compare(part, engines, rounds):
    values = {e.name: [] for e in engines}
    rounds = 1 if part in ("load", "memory") else min(rounds, 2) if part in LONG else rounds
    for _ in range(rounds + (part == "encode")):
        for e in engines:
            values[e.name].append(e.measure(part))
    if part == "encode":  # the first was a warm-up
        values = {name: v[1:] for name, v in values.items()}
    return {name: None if v[0] is None else statistics.median(v) for name, v in values.items()}


def is_wide(name):
    return re.search(r"f(loat)?(16|32)", name, re.IGNORECASE) is not None


def ratio(row, chosen):
    """The best of the peers over the best of hone, among the engines chosen; empty without both."""
    ours = [v for name, v in row.items() if v is not None and chosen(name)
            and name.startswith("hone")]
    theirs = [v for name, v in row.items() if v is not None and chosen(name)
              and not name.startswith("hone")]
    return f"{min(theirs) / min(ours):.2f}" if ours and theirs else ""


def print_line(cells):
    print("| " + " | ".join(cells) + " |", flush=True)


def print_row(title, row):
    cells = ["–" if v is None else f"{v:.4g}" for v in row.values()]
    print_line([title, *cells, ratio(row, lambda name: True), ratio(row, is_wide)])


def print_head(title, engines):
    cells = [title, *(e.name for e in engines), "peer / hone", "16 and 32 bits"]
    print_line(cells)
    print("|" + "---|" * len(cells), flush=True)


def word_errors(engines, path):
    """Errors of every engine over the clips; hone's first process counts them."""
    clips = [c for c in json.load(open(path))["clips"] if c.get("reference")]
    folder = os.path.join(os.path.dirname(path), "..", "..", "data", "speech")
    row, n_words = dict.fromkeys((e.name for e in engines), 0), 0
    for clip in clips:
        for e in engines:
            text = e.ask("clip", clip["lang"], os.path.join(folder, clip["file"]))
            errors, words = engines[0].ask("errors", clip["lang"], clip["reference"],
                                           text.replace("\t", " ")).split()
            row[e.name] += int(errors)
        n_words += int(words)
    print_row(f"word errors of {n_words}, {len(clips)} clips", row)


def main():
    if sys.argv[1:2] == ["--serve"]:
        return serve_faster_whisper(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("audio")
    parser.add_argument("--bench", help="hone's part, if not build/bench/whisper_bench")
    parser.add_argument("--hone", nargs="+", required=True)
    parser.add_argument("--faster-whisper", nargs="*", default=[])
    parser.add_argument("--whisper-cpp", help="the folder of its programs")
    parser.add_argument("--ggml", nargs="*", default=[])
    parser.add_argument("--threads", default="2", help="one table for each, as in 1,2")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--clips")
    a = parser.parse_args()
    for threads in a.threads.split(","):
        engines = engines_of(a, threads)
        print_head(f"{threads} threads", engines)
        for part in filter(None, a.parts.split(",")):
            print_row(part + (", MB" if part == "memory" else ", ms"),
                      compare(part, engines, a.rounds))
        if a.clips and threads == a.threads.split(",")[-1]:
            word_errors(engines, a.clips)
        for e in engines:
            e.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
