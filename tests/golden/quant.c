/* quant: block formats against recorded values, encodings and small products. */
#define TEST_SHARED_STATE
#include "golden.h"
#include "tensor/matmul.h"
#include "tensor/quant.h"
#include "base/mem.h"
#include "test.h"

static const safetensors_entry *find(const golden *g, const char *type, const char *what) {
    char name[96];
    snprintf(name, sizeof name, "%s.%s", type, what);
    return safetensors_find(g->tensors, name);
}

static void values_are_exact(const golden *g, const char *name, dtype type) {
    const safetensors_entry *bytes = find(g, name, "bytes"), *values = find(g, name, "values");
    CHECK(bytes && values);
    if (!bytes || !values) return;
    size_t n = values->bytes / sizeof(float), row_bytes;
    CHECK(dtype_row_bytes(type, n, &row_bytes) && row_bytes == bytes->bytes);
    float *have = malloc(n * sizeof *have);
    const kernels *k;
    quant_decode_row(type, have, bytes->view.data, n);
    CHECK(memcmp(have, values->view.data, values->bytes) == 0);
    if (CHECK_OK(kernels_get(&k))) {
        memset(have, 0xFF, n * sizeof *have);
        k->decode_row(type, have, bytes->view.data, n);
        CHECK(memcmp(have, values->view.data, values->bytes) == 0);
    }
    free(have);
}

static void encodings_are_exact(const golden *g, const char *name, dtype type) {
    const safetensors_entry *input = find(g, name, "quantise.input");
    const safetensors_entry *bytes = find(g, name, "quantise.bytes");
    if (!input || !bytes) return; /* recorded for some types only */
    uint8_t *have = malloc(bytes->bytes);
    float *x = malloc(input->bytes);
    memcpy(x, input->view.data, input->bytes);
    CHECK_OK(quant_encode_row(type, have, x, input->bytes / sizeof(float), NULL));
    CHECK(memcmp(have, bytes->view.data, bytes->bytes) == 0);
    free(x);
    free(have);
}

static void products_are_near(const golden *g, const char *name, dtype type, bool quantised) {
    const safetensors_entry *weights = find(g, name, "matmul.weight_bytes");
    const safetensors_entry *input = find(g, name, "matmul.input");
    const safetensors_entry *output = find(g, name, "matmul.output");
    const safetensors_entry *magnitude = find(g, name, "matmul.magnitude");
    if (!input) input = safetensors_find(g->tensors, "matmul.input");
    CHECK(weights && input && output && magnitude);
    if (!weights || !input || !output || !magnitude) return;
    size_t n_tokens = input->view.ne[1], n_in = input->view.ne[0], n_out = output->view.ne[0];
    tensor w = {.data = weights->view.data, .type = type, .n_dims = 2, .ne = {n_in, n_out, 1, 1}};
    CHECK(dtype_row_bytes(type, n_in, &w.row_bytes));
    if (quantised && !matmul_can_quantise(&w)) return;
    const kernels *k;
    if (!CHECK_OK(kernels_get(&k))) return;
    float *x = mem_alloc_aligned(n_tokens * n_in, sizeof *x);
    float *y = calloc(n_tokens * n_out, sizeof *y);
    memcpy(x, input->view.data, input->bytes);
    void *memory = quantised ? mem_alloc_aligned(activations_bytes(n_tokens, n_in), 1) : NULL;
    activations a;
    activations_init(&a, quantised ? FORM_INT8 : FORM_FLOAT, x, n_tokens, n_in, memory);
    if (quantised) activations_quantise(k, &a, 0, n_tokens);
    void *scratch = mem_alloc_aligned(matmul_scratch_bytes(&w, n_tokens), 1);
    matmul_rows(k, y, n_out, &w, 0, n_out, &a, scratch);
    /* Rounding 32 numbers to 8 bits by their largest moves each by about 0.005 of their spread, and
     * the sum of n products by about 0.008 / sqrt(n) of its magnitude. That is the size of the
     * error, not its bound: here its root mean square may be 0.0126 / sqrt(n), a single one four
     * times that. */
    double bound = quantised ? 5e-2 / sqrt((double)n_in) : 2e-6, squares = 0;
    for (size_t i = 0; i < n_tokens * n_out; i++) {
        double want, scale;
        memcpy(&want, (const char *)output->view.data + i * sizeof want, sizeof want);
        memcpy(&scale, (const char *)magnitude->view.data + i * sizeof scale, sizeof scale);
        CHECK_NEAR(y[i], want, bound * scale);
        squares += (y[i] - want) * (y[i] - want) / (scale * scale);
    }
    double rms = sqrt(squares / (double)(n_tokens * n_out));
    if (quantised) CHECK_MSG(rms <= bound / 4, "root mean square %g, allowed %g", rms, bound / 4);
    mem_free(scratch);
    mem_free(memory);
    mem_free(x);
    free(y);
}

void check_quant(const golden *g) {
    const char *name;
    json_t *row;
    json_object_foreach(json_object_get(g->json, "types"), name, row) {
        int type = dtype_by_name(name);
        printf("%s\n", name);
        RUN_NAMED("is a known type", CHECK(type >= 0 && dtype_get((uint32_t)type)->is_weight));
        if (type < 0) continue;
        RUN_NAMED("decodes exactly", values_are_exact(g, name, (dtype)type));
        RUN_NAMED("encodes exactly", encodings_are_exact(g, name, (dtype)type));
        RUN_NAMED("products with floats", products_are_near(g, name, (dtype)type, false));
        RUN_NAMED("products with 8-bit activations", products_are_near(g, name, (dtype)type, true));
    }
}
