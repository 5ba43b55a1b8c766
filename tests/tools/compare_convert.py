#!/usr/bin/env python3
"""Compares `hone convert` with llama.cpp's own converter, key by key and tensor by tensor.

usage: compare_convert.py HONE SOURCE FOLDER…

SOURCE is llama.cpp's source folder: vendor/llama.cpp of the source package llama-cpp-python
(docs/convert.md says how to get it). Needs torch, transformers, sentencepiece and pyyaml, so this
is a tool for development and no part of `make test`. llama.cpp names a pre-tokenizer by a hash of
what it makes of a text and refuses hashes that it does not know; that check is answered here from
PRE_TOKENIZERS. The last line is `N passed, N failed`; what may differ is in EXPLAINED.
"""
import json
import logging
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

PRE_TOKENIZERS = {"llama-smol": "smollm", "llama3-rope": "llama-bpe", "qwen2-tied": "qwen2",
                  "qwen2-untied": "qwen2"}
TYPES = ["keep", "f32", "f16", "bf16", "q8_0"] # "keep": the folder's own

# key → why the two need not agree (docs/convert.md)
EXPLAINED = {
    "general.name": "the folder's name as it is",
    "tokenizer.ggml.add_bos_token": "always written: readers' defaults differ",
    "tokenizer.ggml.add_eos_token": "always written: readers' defaults differ",
    "tokenizer.ggml.add_sep_token": "for pairs of texts, which hone does not encode",
    "tokenizer.ggml.eot_token_id": "a further stop id of generation_config.json",
    "tokenizer.ggml.bos_token_id": "config.json's, which the tokenizer does not use",
    "qwen2.attention.key_length": "written for every architecture",
    "qwen2.attention.value_length": "written for every architecture",
    "qwen2.vocab_size": "written for every architecture",
    "qwen2.rope.dimension_count": "written for every architecture",
}


def convert_with_llama_cpp(source, folder, out, outtype):
    """In a process of its own: the converter keeps state in its classes."""
    program = f"""
import sys
sys.path.insert(0, {str(source)!r})
sys.argv = ["convert_hf_to_gguf.py", {str(folder)!r}, "--outtype", {outtype!r},
            "--outfile", {str(out)!r}]
import conversion.base as base
pre = {PRE_TOKENIZERS.get(Path(folder).name)!r}
if pre:
    for name in dir(base):
        known = getattr(base, name)
        if isinstance(known, type) and hasattr(known, "get_vocab_base_pre"):
            known.get_vocab_base_pre = lambda self, tokenizer: pre
import runpy
runpy.run_path({str(Path(source) / "convert_hf_to_gguf.py")!r}, run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                          env={**os.environ, "OMP_NUM_THREADS": "1"})
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-2000:])


def shorten(value):
    text = repr(value)
    return text if len(text) < 100 else text[:97] + "..."


def first_difference(a, b):
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        at = [i for i in range(len(a)) if a[i] != b[i]]
        return f"{len(at)} of {len(a)} elements, the first {at[0]}: {a[at[0]]!r}, not {b[at[0]]!r}"
    return f"{shorten(a)}, not {shorten(b)}"


def compare_keys(ours, theirs):
    """Yields (key, what differs)."""
    a = {k: f for k, f in ours.fields.items() if not k.startswith("GGUF.")}
    b = {k: f for k, f in theirs.fields.items() if not k.startswith("GGUF.")}
    for key in [*b, *(k for k in a if k not in b)]:
        if key not in a:
            yield key, f"missing; llama.cpp writes {shorten(b[key].contents())}"
        elif key not in b:
            yield key, f"{shorten(a[key].contents())}; llama.cpp does not write it"
        elif a[key].types != b[key].types:
            yield key, f"type {a[key].types}, not {b[key].types}"
        elif a[key].contents() != b[key].contents():
            yield key, first_difference(a[key].contents(), b[key].contents())


def compare_tensors(ours, theirs):
    a = {t.name: t for t in ours.tensors}
    b = {t.name: t for t in theirs.tensors}
    for name in sorted({*a, *b}):
        if name not in a or name not in b:
            yield name, "missing" if name not in a else "not in llama.cpp's file"
            continue
        x, y = a[name], b[name]
        if x.tensor_type != y.tensor_type or list(x.shape) != list(y.shape):
            yield name, f"{x.tensor_type.name} {list(x.shape)}, not {y.tensor_type.name} " \
                        f"{list(y.shape)}"
        elif x.data.tobytes() != y.data.tobytes():
            yield name, "other bytes"


def own_type(folder):
    path = min(Path(folder).glob("model*.safetensors"))
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    return next(t["dtype"] for name, t in header.items() if "embed_tokens" in name
                or "layers" in name).lower()


def compare(hone, source, folder, outtype):
    from gguf import GGUFReader
    bad = 0
    wanted = own_type(folder) if outtype == "keep" else outtype
    with tempfile.TemporaryDirectory() as tmp:
        ours, theirs = Path(tmp) / "ours.gguf", Path(tmp) / "theirs.gguf"
        kind = [] if outtype == "keep" else ["--type", outtype]
        subprocess.run([hone, "convert", folder, "-o", ours, *kind], check=True,
                       stdout=subprocess.DEVNULL)
        convert_with_llama_cpp(source, folder, theirs, wanted)
        a, b = GGUFReader(ours), GGUFReader(theirs)
        for key, what in compare_keys(a, b):
            reason = EXPLAINED.get(key)
            bad += reason is None
            print(f"{'explained' if reason else 'DIFFERS'}  {key}: {what}"
                  f"{' (' + reason + ')' if reason else ''}")
        for name, what in compare_tensors(a, b):
            bad += 1
            print(f"DIFFERS  tensor {name}: {what}")
        print(f"{len(a.tensors)} tensors, {len(a.fields) - 3} keys")
    return bad == 0


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    hone, source, folders = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    sys.path.insert(0, str(source / "gguf-py"))
    logging.disable(logging.INFO)
    passed = failed = 0
    for folder in folders:
        for outtype in TYPES:
            print(f"--- {folder} as {outtype}")
            if compare(hone, source, folder, outtype):
                passed += 1
            else:
                failed += 1
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
