#!/usr/bin/env python3
"""Speed of hone beside faster-whisper (PyPI) on the same Whisper weights, in one interleaved run.

    bench/compare_whisper.py WHISPER_BENCH HONE_MODEL PEER_FOLDER AUDIO [--type int8] [--threads N]
                             [--rounds N] [--whisper-cpp PROGRAM --whisper-cpp-model FILE]

Each round is one process of build/bench/whisper_bench and one of faster-whisper, alternating, so that
a busy machine slows both. "token" and "five beams" are a step of the decoder with 1 and 5
hypotheses; "file" is the whole audio with 5 beams, "batched" the same by windows side by side. The
peer's steps are (time of 60 tokens − time of 4) / 56 of one generate call, its end token forbidden.
With --whisper-cpp, its bench program's encode and decode lines are printed beside the table.

The table has medians, lowest and highest, and the ratio peer / hone (above 1: hone is faster). Run
it with a Python that has faster-whisper; hone itself needs none.
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

    import faster_whisper
    from faster_whisper.audio import decode_audio
    began = time.perf_counter()
    model = faster_whisper.WhisperModel(a.peer, device="cpu", compute_type=a.type,
                                        cpu_threads=a.threads)
    loaded = time.perf_counter()
    audio = decode_audio(a.audio)
    features = faster_whisper.transcribe.pad_or_trim(model.feature_extractor(audio[:480000]))
    model.encode(features)
    start = time.perf_counter()
    encoded = model.encode(features)
    encode = time.perf_counter() - start
    tokenizer = faster_whisper.tokenizer.Tokenizer(
        model.hf_tokenizer, model.model.is_multilingual, task="transcribe", language="en")
    prompt = [*tokenizer.sot_sequence, tokenizer.no_timestamps]

    def steps(beams):
        took = []
        for n in (4, 60):
            start = time.perf_counter()
            model.model.generate(encoded, [prompt], beam_size=beams, max_length=len(prompt) + n,
                                 suppress_tokens=[tokenizer.eot])
            took.append(time.perf_counter() - start)
        return (took[1] - took[0]) / 56 * 1e3

    steps(1)
    one, five = steps(1), steps(5)
    start = time.perf_counter()
    list(model.transcribe(audio, language="en", beam_size=5)[0])
    file = time.perf_counter() - start
    batched = faster_whisper.BatchedInferencePipeline(model)
    start = time.perf_counter()
    list(batched.transcribe(audio, language="en", beam_size=5, batch_size=8)[0])
    print(json.dumps({
        "load ms": (loaded - began) * 1e3, "encode ms": encode * 1e3, "token ms": one,
        "five beams ms": five, "file ms": file * 1e3,
        "batched ms": (time.perf_counter() - start) * 1e3,
        "peak memory MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3}))


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bench")
    parser.add_argument("model")
    parser.add_argument("peer")
    parser.add_argument("audio")
    parser.add_argument("--type", default="int8", help="the peer's arithmetic: int8 or float32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--whisper-cpp")
    parser.add_argument("--whisper-cpp-model")
    parser.add_argument("--peer-round", action="store_true", help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.peer_round:
        peer_round(a)
        return
    ours, theirs = [], []
    for _ in range(a.rounds):
        ours.append(json.loads(run([a.bench, a.model, a.audio, str(a.threads)])))
        theirs.append(json.loads(run([sys.executable, *sys.argv, "--peer-round"])))
    print(f"{a.threads} threads, {ours[0]['seconds']:.0f} s of audio, {a.rounds} rounds; "
          f"faster-whisper in {a.type}\n")
    print("| | hone | faster-whisper | ratio |\n|---|---|---|---|")
    for name in theirs[0]:
        cells = []
        for rounds in (ours, theirs):
            values = [r[name] for r in rounds]
            cells.append((statistics.median(values), min(values), max(values)))
        shown = [f"{m:.4g} ({low:.4g}–{high:.4g})" for m, low, high in cells]
        print(f"| {name} | {shown[0]} | {shown[1]} | {cells[1][0] / cells[0][0]:.2f} |")
    if a.whisper_cpp:
        lines = run([a.whisper_cpp, "-m", a.whisper_cpp_model, "-t", str(a.threads)])
        print("\n".join(line for line in lines.splitlines() if "encode" in line or "decode" in line))


if __name__ == "__main__":
    main()
