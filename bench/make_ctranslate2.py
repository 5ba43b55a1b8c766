#!/usr/bin/env python3
"""A CTranslate2 model in the shape of a GGUF file, with random weights: the peer of
compare_peers.py that computes in int8 and reads no GGUF.

    PYTHON bench/make_ctranslate2.py HONE MODEL.gguf FOLDER

PYTHON has ctranslate2. Only the shape matters to its speed; the weights and the words are
made up, and the output has its own matrix.
"""
import json
import subprocess
import sys
from pathlib import Path

import numpy
from ctranslate2.specs import common_spec, transformer_spec


def shape_of(hone, model):
    return json.loads(subprocess.run([hone, "show", model, "--json"], check=True,
                                     stdout=subprocess.PIPE).stdout)


def fill(spec, shape, has_biases):
    """Random matrices in every layer, norms of one."""
    generator = numpy.random.default_rng(1)

    def matrix(rows, columns):
        return generator.standard_normal((rows, columns), numpy.float32) * numpy.float32(0.02)

    width, hidden = shape["embedding"], shape["feed_forward"]
    queries = shape["heads"] * shape["head_dim"]
    keys = shape["kv_heads"] * shape["head_dim"]
    ones = numpy.ones(width, numpy.float32)
    decoder = spec.decoder
    decoder.scale_embeddings = False
    decoder.embeddings.weight = matrix(shape["vocabulary"], width)
    decoder.projection.weight = decoder.embeddings.weight
    decoder.layer_norm.gamma = ones
    for layer in decoder.layer:
        joined, out = layer.self_attention.linear
        layer.self_attention.layer_norm.gamma = ones
        layer.ffn.layer_norm.gamma = ones
        joined.weight = matrix(queries + 2 * keys, width)
        if has_biases:
            joined.bias = numpy.zeros(queries + 2 * keys, numpy.float32)
        out.weight = matrix(width, queries)
        layer.ffn.linear_0.weight = matrix(hidden, width)
        layer.ffn.linear_0_noact.weight = matrix(hidden, width)
        layer.ffn.linear_1.weight = matrix(width, hidden)


def main():
    hone, model, folder = sys.argv[1:]
    shape = shape_of(hone, model)
    spec = transformer_spec.TransformerDecoderModelSpec.from_config(
        shape["layers"], shape["heads"], activation=common_spec.Activation.SWISH, pre_norm=True,
        ffn_glu=True, rms_norm=True, rotary_dim=0, rotary_interleave=False, rotary_base=1e6,
        num_heads_kv=shape["kv_heads"], head_dim=shape["head_dim"])
    fill(spec, shape, shape["architecture"] == "qwen2")
    words = ["<unk>", "<s>", "</s>"]
    words += [f"word{i}" for i in range(len(words), shape["vocabulary"])]
    spec.register_vocabulary(words)
    spec.config.layer_norm_epsilon = 1e-6
    spec.validate()
    spec.optimize(quantization="int8")
    Path(folder).mkdir(parents=True)
    spec.save(folder)


if __name__ == "__main__":
    main()
