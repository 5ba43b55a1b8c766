#!/usr/bin/env python3
"""An equal SmolLM2-135M with rows of 768 columns instead of 576, so that K-quants, whose blocks
hold 256, can be measured on real weights.
usage: pad_columns.py SmolLM2-135M.gguf OUTPUT.gguf    (F32; needs the packages gguf and numpy)

Heads and columns are added as zeros. A root mean square over 768 numbers of which 192 are zero is
sqrt(576 / 768) of that over the 576: norm weights and epsilon make up for it, and the logits stay
what they were.
"""
import sys

import numpy as np
from gguf import GGUFReader, GGUFValueType, GGUFWriter, dequantize

WIDTH, PADDED, HEAD, KV_HEADS = 576, 768, 64, 3
GROWN = {WIDTH: PADDED, KV_HEADS * HEAD: (KV_HEADS + 1) * HEAD}


def copy_metadata(reader, writer):
    value = lambda key: reader.fields[key].contents()
    if value("llama.embedding_length") != WIDTH:
        sys.exit(f"{sys.argv[1]}: not {WIDTH} columns")
    epsilon = "llama.attention.layer_norm_rms_epsilon"
    changed = {"llama.embedding_length": PADDED, "llama.attention.head_count": PADDED // HEAD,
               "llama.attention.head_count_kv": KV_HEADS + 1, "general.file_type": 0,
               epsilon: value(epsilon) * WIDTH / PADDED}
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key == "general.architecture":
            continue
        kind, content = field.types[0], changed.get(key, field.contents())
        if kind == GGUFValueType.ARRAY:
            writer.add_key_value(key, content, kind, field.types[-1])
        else:
            writer.add_key_value(key, content, kind)


def padded(tensor):
    shape = [int(n) for n in tensor.shape[::-1]]
    values = dequantize(tensor.data, tensor.tensor_type).astype(np.float32).reshape(shape)
    if values.ndim == 1:
        norm = np.ones(PADDED, np.float32)
        norm[:WIDTH] = values * np.sqrt(WIDTH / PADDED)
        return norm
    matrix = np.zeros([GROWN.get(n, n) for n in shape], np.float32)
    matrix[:shape[0], :shape[1]] = values
    return matrix


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    source, target = sys.argv[1:]
    reader, writer = GGUFReader(source), GGUFWriter(target, "llama")
    copy_metadata(reader, writer)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, padded(tensor))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
