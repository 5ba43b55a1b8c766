#include "tensor/dtype.h"

#include <strings.h>

#include "base/mem.h"

static const dtype_traits table[DTYPE_LIMIT] = {
    [DTYPE_F32] = {"F32", 1, 4, true, 0},
    [DTYPE_F16] = {"F16", 1, 2, true, 0},
    [DTYPE_Q4_0] = {"Q4_0", 32, 18, true, 0},
    [DTYPE_Q4_1] = {"Q4_1", 32, 20, true, 0},
    [DTYPE_Q5_0] = {"Q5_0", 32, 22, true, 0},
    [DTYPE_Q5_1] = {"Q5_1", 32, 24, true, 0},
    [DTYPE_Q8_0] = {"Q8_0", 32, 34, true, 0},
    [9] = {"Q8_1", 32, 0, false, 36},
    [DTYPE_Q2_K] = {"Q2_K", 256, 84, true, 0},
    [DTYPE_Q3_K] = {"Q3_K", 256, 110, true, 0},
    [DTYPE_Q4_K] = {"Q4_K", 256, 144, true, 0},
    [DTYPE_Q5_K] = {"Q5_K", 256, 176, true, 0},
    [DTYPE_Q6_K] = {"Q6_K", 256, 210, true, 0},
    [15] = {"Q8_K", 256, 0, false, 292},
    [16] = {"IQ2_XXS", 256, 0, false, 66},
    [17] = {"IQ2_XS", 256, 0, false, 74},
    [18] = {"IQ3_XXS", 256, 0, false, 98},
    [19] = {"IQ1_S", 256, 0, false, 50},
    [DTYPE_IQ4_NL] = {"IQ4_NL", 32, 18, true, 0},
    [21] = {"IQ3_S", 256, 0, false, 110},
    [22] = {"IQ2_S", 256, 0, false, 82},
    [DTYPE_IQ4_XS] = {"IQ4_XS", 256, 136, true, 0},
    [DTYPE_I8] = {"I8", 1, 1, false, 0},
    [DTYPE_I16] = {"I16", 1, 2, false, 0},
    [DTYPE_I32] = {"I32", 1, 4, false, 0},
    [DTYPE_I64] = {"I64", 1, 8, false, 0},
    [DTYPE_F64] = {"F64", 1, 8, false, 0},
    [29] = {"IQ1_M", 256, 0, false, 56},
    [DTYPE_BF16] = {"BF16", 1, 2, true, 0},
    [34] = {"TQ1_0", 256, 0, false, 54},
    [35] = {"TQ2_0", 256, 0, false, 66},
    [39] = {"MXFP4", 32, 0, false, 17},
    [40] = {"NVFP4", 64, 0, false, 36},
    [41] = {"Q1_0", 128, 0, false, 18},
    [42] = {"Q2_0", 64, 0, false, 18},
};

const dtype_traits *dtype_get(uint32_t id) {
    static const dtype_traits unknown;
    return id < DTYPE_LIMIT ? &table[id] : &unknown;
}

int dtype_by_name(const char *name) {
    for (int id = 0; id < DTYPE_LIMIT; id++)
        if (table[id].name && strcasecmp(table[id].name, name) == 0) return id;
    return -1;
}

bool dtype_row_bytes(dtype type, size_t n, size_t *bytes) {
    const dtype_traits *t = dtype_get(type);
    return t->block_bytes && n % t->block == 0 && size_mul(n / t->block, t->block_bytes, bytes);
}
