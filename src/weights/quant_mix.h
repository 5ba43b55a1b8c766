/* Which tensor of a model gets which type: the mixes "Q4_K_M", "Q5_K_S", … of llama.cpp.
 *
 * A mix has a base type and gives the tensors that suffer most (the head, attention values, the
 * MLP's way down) more bits in some layers: docs/formats.md, section 3. A plain type's name
 * ("Q8_0", "F16") is a mix as well. A reader never needs this: types are read, not inferred. */
#ifndef WEIGHTS_QUANT_MIX_H
#define WEIGHTS_QUANT_MIX_H

#include "tensor/tensor.h"

typedef struct quant_mix quant_mix;

/* NULL where there is no mix of that name (any case). Mixes are constants. */
const quant_mix *quant_mix_by_name(const char *name);
/* The i-th one, NULL behind the last. */
const quant_mix *quant_mix_at(size_t i);
const char *quant_mix_name(const quant_mix *mix);
/* GGUF's general.file_type */
uint32_t quant_mix_file_type(const quant_mix *mix);

/* What the choice depends on besides the tensor. */
typedef struct quant_mix_model {
    size_t n_layers, n_heads, n_kv_heads;
    bool has_output;     /* an output.weight; without it token_embd.weight is the head */
    bool has_importance; /* calibration data is at hand */
} quant_mix_model;

/* The type for the tensor called `name` (NUL-terminated, as in GGUF); `shape` has its present type
 * and its dimensions. Vectors become F32; routers, tables of positions and all that is not called
 * "weight" keep their type; rows that are no whole number of blocks fall back to a format with
 * shorter blocks, at last to F16. */
dtype quant_mix_type(const quant_mix *mix, const quant_mix_model *model, const char *name,
                     const tensor *shape);

/* Whether mixes give the tensor of that name and shape a type: matrices but for routers, tables of
 * positions and the like. */
bool quant_mix_is_matrix(const char *name, const tensor *shape);

/* A type for rows of n elements, as near to `type` as their length allows; at last F16. */
dtype quant_mix_fall_back(dtype type, size_t n);

#endif
