/* Half floats and block formats against recorded blocks (shared/golden/quant) and against bounds. */
#include "tensor/quant.h"

#include "format/safetensors.h"
#include "test.h"

static const char *const names[] = {"F32",  "F16",  "BF16", "Q4_0", "Q4_1", "Q5_0",   "Q5_1",
                                    "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL",
                                    "IQ4_XS"};
enum { N_TYPES = sizeof names / sizeof *names };

/* The tensor `TYPE.field` of the recorded blocks, or NULL. */
static const safetensors_entry *recorded(const safetensors *st, const char *type,
                                         const char *field) {
    char key[64];
    snprintf(key, sizeof key, "%s.%s", type, field);
    return safetensors_find(st, key);
}

static safetensors *open_golden(void) {
    char path[512];
    safetensors *st = NULL;
    if (!test_shared()) return NULL;
    snprintf(path, sizeof path, "%s/golden/quant/golden.safetensors", test_shared());
    return safetensors_open(&st, path) == HONE_OK ? st : NULL;
}

static void decoding_gives_the_recorded_bits(void) {
    safetensors *st = open_golden();
    if (!st) SKIP("no shared/golden/quant");
    for (int i = 1; i < N_TYPES; i++) { /* F32 is not recorded */
        const safetensors_entry *blocks = recorded(st, names[i], "bytes");
        const safetensors_entry *values = recorded(st, names[i], "values");
        CHECK_MSG(blocks && values, "%s is not recorded", names[i]);
        if (!blocks || !values) continue;
        float *out = malloc(values->bytes);
        quant_decode_row(dtype_by_name(names[i]), out, blocks->view.data, values->bytes / 4);
        CHECK_MSG(memcmp(out, values->view.data, values->bytes) == 0, "%s", names[i]);
        free(out);
    }
    safetensors_close(st);
}

int main(void) {
    RUN(decoding_gives_the_recorded_bits);
    return test_summary();
}
