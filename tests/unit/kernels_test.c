/* Every table of kernels against the scalar one, and products with weights against sums in doubles.
 *
 *     kernels_test [SEED]      random data, odd sizes, guarded outputs; the seed is printed */
#include <inttypes.h>
#include <time.h>

#include "base/mem.h"
#include "format/safetensors.h"
#include "tensor/blocks.h"
#include "tensor/matmul.h"
#include "tensor/quant.h"
#include "tensor/unpack.h"
#include "test.h"

/* --- random numbers and rows --- */

static uint64_t random_state;

static uint32_t random_bits(void) { /* splitmix64 */
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)((z ^ z >> 31) >> 32);
}

static float random_float(void) { return (float)((int32_t)random_bits() * 0x1p-31); }
static size_t random_below(size_t n) { return random_bits() % n; }

static void fill_floats(float *x, size_t n, float scale) {
    for (size_t i = 0; i < n; i++) x[i] = random_float() * scale;
}

static const dtype weight_types[] = {
    DTYPE_F32,  DTYPE_F16,  DTYPE_BF16, DTYPE_Q4_0, DTYPE_Q4_1, DTYPE_Q5_0,   DTYPE_Q5_1,
    DTYPE_Q8_0, DTYPE_Q2_K, DTYPE_Q3_K, DTYPE_Q4_K, DTYPE_Q5_K, DTYPE_Q6_K,   DTYPE_IQ4_NL,
    DTYPE_IQ4_XS};
enum { N_TYPES = sizeof weight_types / sizeof *weight_types, FIRST_BLOCK_TYPE = 3 };

/* Where a block keeps its halves; -1: it has no minimum. */
static void halves_of(dtype type, int *d, int *min) {
    *d = 0;
    *min = -1;
    switch (type) {
    case DTYPE_Q4_1:
    case DTYPE_Q5_1:
    case DTYPE_Q4_K:
    case DTYPE_Q5_K: *min = 2; break;
    case DTYPE_Q2_K: *d = 80, *min = 82; break;
    case DTYPE_Q3_K: *d = 108; break;
    case DTYPE_Q6_K: *d = 208; break;
    default: break;
    }
}

static void put_half(uint8_t *at, float x) {
    uint16_t half = f16_from_f32(x);
    memcpy(at, &half, 2);
}

static size_t row_bytes_of(dtype type, size_t n) {
    size_t bytes = 0;
    CHECK_MSG(dtype_row_bytes(type, n, &bytes), "%s %zu", dtype_get(type)->name, n);
    return bytes;
}

/* Random codes with sensible scales. */
static void fill_row(dtype type, uint8_t *row, size_t n) {
    const dtype_traits *t = dtype_get(type);
    size_t bytes = row_bytes_of(type, n);
    int d, min;
    halves_of(type, &d, &min);
    for (size_t i = 0; i < bytes; i++) row[i] = (uint8_t)random_bits();
    for (size_t i = 0; i < n / t->block; i++, row += t->block_bytes) {
        float x = random_float();
        if (type == DTYPE_F32) memcpy(row, &x, 4);
        else if (type == DTYPE_BF16) row[1] = (row[1] & 0x80) | 0x3e;
        else put_half(row + d, x);
        if (min >= 0) put_half(row + min, random_float());
    }
}

/* --- guarded outputs --- */

enum { GUARD = 16 };
static const uint32_t poison = 0x7fc0dead;

static void poison_floats(float *x, size_t n) {
    for (size_t i = 0; i < n; i++) memcpy(x + i, &poison, 4);
}

static bool is_poison(const float *x) { return memcmp(x, &poison, 4) == 0; }

/* n floats with guards on both sides; `shift` moves them off the alignment of vectors. */
typedef struct guarded {
    float *memory, *x;
    size_t n;
} guarded;

static guarded guarded_init(size_t n) {
    guarded g = {.memory = mem_alloc_aligned(n + 2 * GUARD + 1, sizeof(float)), .n = n};
    poison_floats(g.memory, n + 2 * GUARD + 1);
    g.x = g.memory + GUARD + 1;
    return g;
}

static bool guards_intact(const guarded *g) {
    for (const float *x = g->memory; x < g->x; x++)
        if (!is_poison(x)) return false;
    for (int i = 0; i < GUARD; i++)
        if (!is_poison(g->x + g->n + i)) return false;
    return true;
}

static void guarded_release(guarded *g) { mem_free(g->memory); }

/* Memory that ends where its content ends, so that a sanitizer sees reads behind it, and begins one
 * byte off any alignment. */
static uint8_t *unaligned_bytes(uint8_t **memory, size_t bytes) {
    *memory = mem_alloc(bytes + 1);
    return *memory + 1;
}

/* --- the tables under test --- */

static const kernels *scalar, *tables[6];
static int n_tables;

static void collect_tables(void) {
    kernels_get_isa(&scalar, CPU_SCALAR, false);
    tables[n_tables++] = scalar;
    for (int isa = CPU_AVX2; isa <= CPU_NEON; isa++)
        for (int extras = 0; extras < 2; extras++) {
            const kernels *k;
            if (kernels_get_isa(&k, (cpu_isa)isa, !extras) != HONE_OK) continue;
            if (strcmp(k->name, tables[n_tables - 1]->name) != 0) tables[n_tables++] = k;
        }
}

#define EACH_TABLE(k)                                                   \
    for (int table_ = 0; table_ < n_tables; table_++)                   \
        for (const kernels *k = tables[table_]; k; k = NULL)

/* --- activations --- */

typedef struct inputs {
    float *x;
    void *memory;
    activations a;
} inputs;

static inputs inputs_init(const kernels *k, size_t n_tokens, size_t n_in) {
    inputs in = {.x = mem_alloc_aligned(n_tokens * n_in, sizeof(float))};
    fill_floats(in.x, n_tokens * n_in, 2);
    bool quantised = n_in % 32 == 0;
    if (quantised) in.memory = mem_alloc_aligned(activations_bytes(n_tokens, n_in), 1);
    activations_init(&in.a, quantised ? FORM_INT8 : FORM_FLOAT, in.x, n_tokens, n_in, in.memory);
    if (quantised) activations_quantise(k, &in.a, 0, n_tokens);
    return in;
}

/* The first n_tokens of them, as a product of their own. */
static activations first_tokens(const activations *a, size_t begin, size_t n_tokens) {
    activations part = *a;
    size_t blocks = a->n_in / 32;
    part.n_tokens = n_tokens;
    part.x += begin * a->n_in;
    if (a->form == FORM_BF16) part.bf16 += begin * a->n_in;
    if (a->form != FORM_INT8) return part;
    part.q += begin * a->n_in;
    part.scale += begin * blocks;
    part.sum32 += begin * blocks;
    part.sum16 += begin * 2 * blocks;
    part.sums = (char *)part.sums + begin * 8 * blocks;
    return part;
}

/* Takes the 8-bit form away or rounds to bfloat16 in its place; inputs_release frees either. */
static void change_form(const kernels *k, inputs *in, activation_form form) {
    activations *a = &in->a;
    a->form = form;
    if (form != FORM_BF16) return;
    mem_free(in->memory);
    in->memory = mem_alloc_aligned(activations_bytes(a->n_tokens, a->n_in), 1);
    activations_init(a, form, in->x, a->n_tokens, a->n_in, in->memory);
    activations_quantise(k, a, 0, a->n_tokens);
}

static void inputs_release(inputs *in) {
    mem_free(in->x);
    mem_free(in->memory);
}

typedef struct matrix {
    uint8_t *memory;
    tensor view;
} matrix;

static matrix matrix_init(dtype type, size_t n_rows, size_t n_in) {
    size_t row_bytes = row_bytes_of(type, n_in);
    matrix m;
    uint8_t *data = unaligned_bytes(&m.memory, n_rows * row_bytes);
    for (size_t r = 0; r < n_rows; r++) fill_row(type, data + r * row_bytes, n_in);
    m.view = (tensor){.data = data, .type = type, .n_dims = 2, .ne = {n_in, n_rows, 1, 1},
                      .row_bytes = row_bytes};
    return m;
}

/* Whether a product takes the weights rounded (kernels.panel_rounds). */
static bool rounds_weights(const kernels *k, dtype type, activation_form form, size_t n_tokens) {
    const unpack_traits traits = unpack_traits_of(type);
    return k->panel_rounds && form == FORM_INT8 && n_tokens > MATMUL_FEW_TOKENS &&
           traits.block == 256 && !traits.is_signed;
}

/* The weights[n_rows, n_in] that panels make of `w`: its products with one input at a time. */
static float *weights_of_panels(const kernels *k, const tensor *w) {
    const size_t n_in = w->ne[0], n_rows = w->ne[1];
    inputs in = inputs_init(k, n_in, n_in);
    memset(in.x, 0, n_in * n_in * sizeof *in.x);
    for (size_t i = 0; i < n_in; i++) in.x[i * n_in + i] = 1;
    activations_quantise(k, &in.a, 0, n_in);
    float *turned = mem_alloc(n_in * n_rows * sizeof(float));
    float *weights = mem_alloc(n_in * n_rows * sizeof(float));
    void *scratch = mem_alloc_aligned(matmul_scratch_bytes(w, n_in), 1);
    matmul_rows(k, turned, n_rows, w, 0, n_rows, &in.a, scratch);
    for (size_t i = 0; i < n_in * n_rows; i++) weights[i % n_rows * n_in + i / n_rows] = turned[i];
    mem_free(scratch);
    mem_free(turned);
    inputs_release(&in);
    return weights;
}

/* Each is off by no more than kernels.panel_rounds says. */
static void check_rounded_weights(const kernels *k, const tensor *w, const float *rounded) {
    const unpack_traits traits = unpack_traits_of(w->type);
    const size_t n_in = w->ne[0];
    float *row = mem_alloc(n_in * sizeof(float));
    for (size_t r = 0; r < w->ne[1]; r++) {
        quant_decode_row(w->type, row, tensor_row(w, r), n_in);
        for (size_t i = 0; i < n_in; i += 256) {
            float scale[16], min[16], most = 0;
            const char *block = (const char *)tensor_row(w, r) + i / 256 * traits.block_bytes;
#define SCALES(T) unpack_scales_and_minima(T, scale, min, traits.zero, block, 256)
            FOR_BLOCK_TYPE(w->type, SCALES)
#undef SCALES
            for (int g = 0; g < 256 / traits.group; g++)
                most = fmaxf(most, fmaxf(fabsf(min[g]), fabsf(traits.max * scale[g] - min[g])));
            for (size_t j = i; j < i + 256; j++) {
                float off = fabsf(rounded[r * n_in + j] - row[j]);
                CHECK_MSG(off <= 0.63f / 127 * most, "%s %s: %g became %g, of %g",
                          k->name, dtype_get(w->type)->name, row[j], rounded[r * n_in + j], most);
            }
        }
    }
    mem_free(row);
}

/* out[n_tokens, n_rows] = w · x in doubles, of the weights as table k takes them, and the same over
 * absolute values. */
static void product_in_doubles(const kernels *k, double *out, double *magnitude, const tensor *w,
                               const activations *a, activation_form form) {
    size_t n = a->n_in, n_rows = w->ne[1];
    float *row = mem_alloc(n * sizeof(float)), *rounded = NULL;
    if (rounds_weights(k, w->type, form, a->n_tokens)) {
        rounded = weights_of_panels(k, w);
        check_rounded_weights(k, w, rounded);
    }
    for (size_t r = 0; r < n_rows; r++) {
        quant_decode_row(w->type, row, tensor_row(w, r), n);
        if (rounded) memcpy(row, rounded + r * n, n * sizeof(float));
        for (size_t i = 0; i < n && form == FORM_BF16; i++)
            row[i] = bf16_to_f32(bf16_from_f32(row[i]));
        for (size_t t = 0; t < a->n_tokens; t++) {
            double sum = 0, size = 0;
            for (size_t i = 0; i < n; i++) {
                size_t at = t * n + i;
                double x = form == FORM_INT8   ? (double)a->scale[at / 32] * a->q[at]
                           : form == FORM_BF16 ? (double)bf16_to_f32(a->bf16[at])
                                               : a->x[at];
                sum += row[i] * x;
                size += fabs(row[i] * x);
            }
            out[t * n_rows + r] = sum;
            magnitude[t * n_rows + r] = size;
        }
    }
    mem_free(row);
    mem_free(rounded);
}

/* --- rows --- */

static void decoded_rows_have_the_bits_of_the_specification(void) {
    EACH_TABLE(k) for (int i = 0; i < N_TYPES; i++) {
        dtype type = weight_types[i];
        size_t block = dtype_get(type)->block;
        for (int trial = 0; trial < 30; trial++) {
            size_t n = block == 1 ? 1 + random_below(70) : block * (1 + random_below(5));
            matrix m = matrix_init(type, 1, n);
            guarded out = guarded_init(n);
            float *expected = mem_alloc(n * sizeof(float));
            k->decode_row(type, out.x, m.view.data, n);
            quant_decode_row(type, expected, m.view.data, n);
            CHECK_MSG(memcmp(out.x, expected, n * 4) == 0, "%s %s n %zu", k->name,
                      dtype_get(type)->name, n);
            CHECK(guards_intact(&out));
            mem_free(expected);
            guarded_release(&out);
            mem_free(m.memory);
        }
    }
}

static void one_nan_makes_the_scale_of_its_block_nan(void) {
    const float poisons[] = {NAN, -NAN, INFINITY, -INFINITY};
    EACH_TABLE(k) for (int trial = 0; trial < 4 * 32; trial++) {
        float x[96], numbers[3 * 4];
        int8_t q[96];
        fill_floats(x, 96, 1);
        x[32 + trial / 4] = poisons[trial % 4];
        k->quantise_row(q, numbers, numbers + 3, numbers + 6, x, 96);
        CHECK_MSG(isfinite(numbers[0]) && !isfinite(numbers[1]) && isfinite(numbers[2]),
                  "%s, trial %d: %g", k->name, trial, (double)numbers[1]);
    }
}

static void quantised_rows_have_the_bits_of_the_scalar_version(void) {
    const float sizes[] = {1, 1e-3f, 1e6f, 1e-34f, 1e-36f, 1e-44f, 0, 3e38f};
    EACH_TABLE(k) for (int trial = 0; trial < 200; trial++) {
        size_t n = 32 * (1 + random_below(6)), blocks = n / 32;
        float *x = mem_alloc((n + 1) * sizeof(float));
        int8_t q[2][192];
        float numbers[2][4 * 6];
        memset(q, 55, sizeof q);
        memset(numbers, 55, sizeof numbers);
        for (size_t b = 0; b < blocks; b++)
            fill_floats(x + 1 + 32 * b, 32, sizes[random_below(8)]);
        if (trial % 4 == 0) /* halves, so that rounding to even shows */
            for (size_t i = 1; i <= n; i++) x[i] = i % 32 == 1 ? 127.0f : (float)(i % 9) - 4.5f;
        const kernels *both[2] = {scalar, k};
        for (int i = 0; i < 2; i++)
            both[i]->quantise_row(q[i], numbers[i], numbers[i] + blocks, numbers[i] + 2 * blocks,
                                  x + 1, n);
        CHECK_MSG(memcmp(q[0], q[1], sizeof *q) == 0, "%s q, trial %d", k->name, trial);
        CHECK_MSG(memcmp(numbers[0], numbers[1], sizeof *numbers) == 0, "%s scales, trial %d",
                  k->name, trial);
        for (size_t i = 0; i < n; i++) {
            float back = numbers[0][i / 32] * q[0][i];
            CHECK_NEAR(back, x[i + 1], 0.5001 * numbers[0][i / 32] + 1e-35);
        }
        mem_free(x);
    }
}

/* --- quantised products --- */

/* A block type's row in which every scale is 1 and every minimum 0 or 1, and the codes are at their
 * extremes: all sums are then whole numbers below 2^24, and floats hold them exactly. */
static void fill_unit_row(dtype type, uint8_t *row, size_t n, int pattern) {
    const dtype_traits *t = dtype_get(type);
    size_t bytes = row_bytes_of(type, n);
    int d, min;
    halves_of(type, &d, &min);
    for (size_t i = 0; i < bytes; i++)
        row[i] = pattern < 3 ? (const uint8_t[]){0xff, 0x80, 0}[pattern] : (uint8_t)random_bits();
    for (size_t i = 0; i < n / t->block; i++, row += t->block_bytes) {
        put_half(row + d, 1);
        if (min >= 0) put_half(row + min, 1);
        if (type == DTYPE_Q2_K) memset(row, 0x11, 16);
        if (type == DTYPE_Q3_K) memset(row + 96, 0x11, 8), memset(row + 104, 0xaa, 4);
        if (type == DTYPE_Q4_K || type == DTYPE_Q5_K)
            memset(row + 4, 1, 8), memset(row + 12, 0x11, 4);
        if (type == DTYPE_Q6_K) memset(row + 192, 1, 16);
        if (type == DTYPE_IQ4_XS) memset(row + 2, 0xaa, 2), memset(row + 4, 0x11, 4);
    }
}

static void integer_parts_are_exact(void) {
    enum { N = 512, ROWS = 5, TOKENS = 20 };
    EACH_TABLE(k) for (int i = FIRST_BLOCK_TYPE; i < N_TYPES; i++)
        for (int pattern = 0; pattern < 5; pattern++) {
            inputs in = inputs_init(scalar, TOKENS, N);
            for (size_t j = 0; j < TOKENS * N; j++) {
                int q = pattern < 4 ? 127 : (int)random_below(255) - 127;
                if (pattern < 4 && random_bits() & 1) q = -127;
                if (pattern < 2 && j < 4 * N) q = j < 2 * N ? 127 : -127;
                in.x[j] = j % 32 == 0 ? 127.0f : (float)q;
            }
            activations_quantise(k, &in.a, 0, TOKENS);
            matrix m = matrix_init(weight_types[i], ROWS, N);
            for (int r = 0; r < ROWS; r++)
                fill_unit_row(weight_types[i], (uint8_t *)tensor_row(&m.view, r), N, pattern);
            double expected[TOKENS * ROWS], magnitude[TOKENS * ROWS];
            for (size_t n_tokens = 1; n_tokens <= TOKENS; n_tokens += TOKENS - 1) {
                float y[TOKENS * ROWS];
                activations a = first_tokens(&in.a, 0, n_tokens);
                product_in_doubles(k, expected, magnitude, &m.view, &a, FORM_INT8);
                const bool rounds = rounds_weights(k, weight_types[i], FORM_INT8, n_tokens);
                void *scratch = mem_alloc_aligned(matmul_scratch_bytes(&m.view, n_tokens), 1);
                matmul_rows(k, y, ROWS, &m.view, 0, ROWS, &a, scratch);
                for (size_t j = 0; j < n_tokens * ROWS; j++)
                    CHECK_MSG(rounds ? fabs(y[j] - expected[j]) <= 4e-6 * magnitude[j]
                                     : y[j] == (float)expected[j],
                              "%s %s pattern %d of %zu tokens: %g, not %g", k->name,
                              dtype_get(weight_types[i])->name, pattern, n_tokens, y[j],
                              expected[j]);
                mem_free(scratch);
            }
            mem_free(m.memory);
            inputs_release(&in);
        }
}

/* A scale or minimum that is no finite number makes the products of its row none, however many
 * tokens there are, and no other row's; a block of zero scales makes them zero. */
static void check_scale(const kernels *k, dtype type, size_t n_in, uint16_t scale) {
    enum { ROWS = 3, TOKENS = 20 };
    int d, min;
    halves_of(type, &d, &min);
    inputs in = inputs_init(k, TOKENS, n_in);
    activations_quantise(k, &in.a, 0, TOKENS);
    matrix m = matrix_init(type, ROWS, n_in);
    const size_t n_blocks = n_in / dtype_get(type)->block;
    for (size_t b = 0; b < (scale ? 1 : n_blocks); b++) {
        uint8_t *block = (uint8_t *)tensor_row(&m.view, 1) + b * dtype_get(type)->block_bytes;
        memcpy(block + d, &scale, 2);
        if (min >= 0) memcpy(block + min, &scale, 2);
    }
    void *scratch = mem_alloc_aligned(matmul_scratch_bytes(&m.view, TOKENS), 1);
    for (size_t n_tokens = 1; n_tokens <= TOKENS; n_tokens += TOKENS - 1) {
        float y[TOKENS * ROWS];
        activations a = first_tokens(&in.a, 0, n_tokens);
        matmul_rows(k, y, ROWS, &m.view, 0, ROWS, &a, scratch);
        for (size_t t = 0; t < n_tokens; t++) {
            const float *out = y + t * ROWS;
            CHECK(isfinite(out[0]) && isfinite(out[2]));
            CHECK_MSG(scale ? !isfinite(out[1]) : out[1] == 0,
                      "%s %s, scale %04x, token %zu of %zu: %g", k->name,
                      dtype_get(type)->name, scale, t, n_tokens, out[1]);
        }
    }
    mem_free(scratch);
    mem_free(m.memory);
    inputs_release(&in);
}

static void scales_that_are_no_numbers_tell(void) {
    const uint16_t nan = 0x7e00, infinite = 0x7c00, scales[] = {nan, infinite, nan | 0x8000, 0};
    EACH_TABLE(k) for (int i = FIRST_BLOCK_TYPE; i < N_TYPES; i++) for (int p = 0; p < 4; p++) {
        check_scale(k, weight_types[i], 512, scales[p]);
        if (dtype_get(weight_types[i])->block == 32) check_scale(k, weight_types[i], 608, scales[p]);
    }
}

static size_t random_n_in(dtype type) {
    size_t block = dtype_get(type)->block;
    if (block == 1) return 1 + random_below(3) * 1000 + random_below(100);
    return block == 256 ? 256 * (1 + random_below(6)) : 32 * (1 + random_below(40));
}

/* One product with outputs poisoned and guarded, rows between two others. */
static void check_product(const kernels *k, dtype type, activation_form form) {
    size_t n_in = random_n_in(type), n_rows = 1 + random_below(72), n_tokens = 1 + random_below(40);
    if (random_below(3) == 0) n_tokens = 1 + random_below(3);
    inputs in = inputs_init(k, n_tokens, n_in);
    matrix m = matrix_init(type, n_rows, n_in);
    change_form(k, &in, form);
    double *expected = mem_alloc(n_tokens * n_rows * sizeof(double));
    double *magnitude = mem_alloc(n_tokens * n_rows * sizeof(double));
    product_in_doubles(k, expected, magnitude, &m.view, &in.a, form);
    size_t stride = n_rows + 3;
    guarded y = guarded_init(n_tokens * stride);
    void *scratch = mem_alloc_aligned(matmul_scratch_bytes(&m.view, n_tokens), 1);
    size_t cut = n_rows / MATMUL_ROW_STEP / 2 * MATMUL_ROW_STEP;
    matmul_rows(k, y.x, stride, &m.view, 0, cut, &in.a, scratch);
    matmul_rows(k, y.x, stride, &m.view, cut, n_rows, &in.a, scratch);
    CHECK_MSG(guards_intact(&y), "%s %s %zu x %zu, %zu tokens", k->name, dtype_get(type)->name,
              n_rows, n_in, n_tokens);
    for (size_t t = 0; t < n_tokens; t++) {
        for (size_t r = 0; r < n_rows; r++) {
            double bound = (form == FORM_FLOAT ? 2e-6 : 4e-6) * magnitude[t * n_rows + r] + 1e-30;
            double off = fabs(y.x[t * stride + r] - expected[t * n_rows + r]);
            CHECK_MSG(off <= bound, "%s %s %zu x %zu, row %zu, token %zu of %zu: off by %g of %g",
                      k->name, dtype_get(type)->name, n_rows, n_in, r, t, n_tokens, off, bound);
        }
        for (size_t r = n_rows; r < stride; r++) CHECK(is_poison(&y.x[t * stride + r]));
    }
    mem_free(scratch);
    guarded_release(&y);
    mem_free(expected);
    mem_free(magnitude);
    mem_free(m.memory);
    inputs_release(&in);
}

static void products_are_near_the_exact_sums(void) {
    EACH_TABLE(k) for (int i = 0; i < N_TYPES; i++)
        for (int trial = 0; trial < 12; trial++) {
            check_product(k, weight_types[i], FORM_FLOAT);
            if (i >= FIRST_BLOCK_TYPE) check_product(k, weight_types[i], FORM_INT8);
        }
}

/* Products in BF16 are those of the rounded numbers, also beyond the piece that is packed at once,
 * and one output's bits depend neither on the other tokens nor on the slice. */
static void bf16_products_are_near_the_exact_sums(void) {
    enum { ROWS = 71, TOKENS = 40 };
    const size_t widths[] = {2, 34, 576, 1024, 2302};
    EACH_TABLE(k) for (int i = 1; i < FIRST_BLOCK_TYPE; i++) for (int j = 0; j < 5; j++) {
        const size_t n_in = widths[j];
        matrix m = matrix_init(weight_types[i], ROWS, n_in);
        inputs in = inputs_init(k, TOKENS, n_in);
        CHECK(matmul_form(k, &m.view, MATMUL_FEW_TOKENS) == FORM_FLOAT);
        bool rounds = matmul_form(k, &m.view, TOKENS) == FORM_BF16;
        CHECK(rounds == (k->gemm_pairs != NULL));
        if (rounds) {
            change_form(k, &in, FORM_BF16);
            double expected[TOKENS * ROWS], magnitude[TOKENS * ROWS];
            float together[TOKENS * ROWS], apart[TOKENS * ROWS];
            product_in_doubles(k, expected, magnitude, &m.view, &in.a, FORM_BF16);
            void *scratch = mem_alloc_aligned(matmul_scratch_bytes(&m.view, TOKENS), 1);
            matmul_rows(k, together, ROWS, &m.view, 0, ROWS, &in.a, scratch);
            for (size_t t = 0; t < TOKENS * ROWS; t++)
                CHECK_NEAR(together[t], expected[t], 4e-6 * magnitude[t] + 1e-30);
            for (size_t t = 0, width; t < TOKENS; t += width) {
                width = TOKENS - t < 20 ? TOKENS - t : 9 + random_below(3);
                activations part = first_tokens(&in.a, t, width);
                for (size_t r = 0; r < ROWS; r += MATMUL_ROW_STEP)
                    matmul_rows(k, apart + t * ROWS, ROWS, &m.view, r,
                                r + MATMUL_ROW_STEP < ROWS ? r + MATMUL_ROW_STEP : ROWS, &part,
                                scratch);
            }
            CHECK_MSG(memcmp(together, apart, sizeof apart) == 0, "%zu inputs", n_in);
            mem_free(scratch);
        }
        mem_free(m.memory);
        inputs_release(&in);
    }
}

/* All tokens and rows at once, and then each token alone in slices. */
static void outputs_do_not_depend_on_tokens_and_slices(void) {
    enum { ROWS = 71, TOKENS = MATMUL_FEW_TOKENS };
    EACH_TABLE(k) for (int i = 0; i < N_TYPES; i++)
        for (int quantised = 0; quantised <= (i >= FIRST_BLOCK_TYPE); quantised++) {
            size_t n_in = dtype_get(weight_types[i])->block == 256 ? 1280 : 1312;
            size_t n_tokens = quantised ? TOKENS : 70;
            inputs in = inputs_init(k, n_tokens, n_in);
            if (!quantised) change_form(k, &in, FORM_FLOAT);
            matrix m = matrix_init(weight_types[i], ROWS, n_in);
            void *scratch = mem_alloc_aligned(matmul_scratch_bytes(&m.view, n_tokens), 1);
            float *together = mem_calloc(n_tokens * ROWS, sizeof(float));
            float *apart = mem_calloc(n_tokens * ROWS, sizeof(float));
            matmul_rows(k, together, ROWS, &m.view, 0, ROWS, &in.a, scratch);
            for (size_t t = 0, width; t < n_tokens; t += width) {
                width = t < 4 ? 1 : 2 + random_below(6);
                if (t + width > n_tokens) width = n_tokens - t;
                activations part = first_tokens(&in.a, t, width);
                for (size_t r = 0; r < ROWS; r += MATMUL_ROW_STEP) {
                    size_t end = r + MATMUL_ROW_STEP < ROWS ? r + MATMUL_ROW_STEP : ROWS;
                    matmul_rows(k, apart + t * ROWS, ROWS, &m.view, r, end, &part, scratch);
                }
            }
            CHECK_MSG(memcmp(together, apart, n_tokens * ROWS * 4) == 0, "%s %s %s", k->name,
                      dtype_get(weight_types[i])->name, quantised ? "quantised" : "float");
            mem_free(together);
            mem_free(apart);
            mem_free(scratch);
            mem_free(m.memory);
            inputs_release(&in);
        }
}

static const safetensors_entry *golden_entry(const safetensors *st, const char *type,
                                             const char *what) {
    char name[64];
    snprintf(name, sizeof name, "%s.matmul.%s", type, what);
    return safetensors_find(st, name);
}

/* In floats the reference's bound holds for each output. Rounding activations to 8 bits is noise
 * with about the reference's bound for a standard deviation, whatever the arithmetic behind it. */
static void products_agree_with_the_reference_vectors(void) {
    enum { ROWS = 6, TOKENS = 3, N = 512 };
    char path[512];
    if (!test_shared()) SKIP("no reference data");
    snprintf(path, sizeof path, "%s/golden/quant/golden.safetensors", test_shared());
    safetensors *st;
    if (!CHECK_OK(safetensors_open(&st, path))) return;
    int checked = 0;
    EACH_TABLE(k) for (int i = 0; i < N_TYPES; i++) {
        const char *type = dtype_get(weight_types[i])->name;
        const safetensors_entry *bytes = golden_entry(st, type, "weight_bytes");
        if (!bytes) continue; /* F32 has none */
        checked++;
        inputs in = inputs_init(k, TOKENS, N);
        memcpy(in.x, golden_entry(st, type, "input")->view.data, TOKENS * N * sizeof(float));
        activations_quantise(k, &in.a, 0, TOKENS);
        double expected[TOKENS * ROWS], magnitude[TOKENS * ROWS];
        memcpy(expected, golden_entry(st, type, "output")->view.data, sizeof expected);
        memcpy(magnitude, golden_entry(st, type, "magnitude")->view.data, sizeof magnitude);
        tensor w = {.data = bytes->view.data, .type = weight_types[i], .n_dims = 2,
                    .ne = {N, ROWS, 1, 1}, .row_bytes = row_bytes_of(weight_types[i], N)};
        void *scratch = mem_alloc_aligned(matmul_scratch_bytes(&w, TOKENS), 1);
        for (int quantised = 0; quantised <= (i >= FIRST_BLOCK_TYPE); quantised++) {
            float y[TOKENS * ROWS];
            in.a.form = quantised ? FORM_INT8 : FORM_FLOAT;
            matmul_rows(k, y, ROWS, &w, 0, ROWS, &in.a, scratch);
            double squares = 0, unit = quantised ? 1e-2 / sqrt(N) : 2e-6;
            for (int j = 0; j < TOKENS * ROWS; j++) {
                double off = (y[j] - expected[j]) / (unit * magnitude[j]);
                squares += off * off / (TOKENS * ROWS);
                CHECK_MSG(fabs(off) <= (quantised ? 5 : 1), "%s %s: %g units", k->name, type, off);
            }
            if (quantised) CHECK_MSG(squares < 1.6, "%s %s: %g", k->name, type, squares);
        }
        mem_free(scratch);
        inputs_release(&in);
    }
    CHECK_MSG(checked == 14 * n_tables, "%d products checked", checked);
    safetensors_close(st);
}

/* --- attention and element-wise --- */

static const dtype kv_types[] = {DTYPE_F32, DTYPE_F16, DTYPE_Q8_0};

static void stored_rows_have_the_bits_of_the_scalar_version(void) {
    EACH_TABLE(k) for (int trial = 0; trial < 300; trial++) {
        dtype kv = kv_types[trial % 3];
        size_t n = kv == DTYPE_Q8_0 ? 32 * (1 + random_below(5)) : 1 + random_below(160);
        size_t bytes = row_bytes_of(kv, n);
        float *x = mem_alloc(n * sizeof(float));
        uint8_t *rows[2] = {mem_alloc(bytes + 1), mem_alloc(bytes + 1)};
        for (size_t i = 0; i < n; i++) {
            /* Any bits: halves meet every rounding, overflow, subnormals, infinities and NaN. */
            uint32_t bits = random_bits();
            if (trial % 2) bits = (bits & 0x83ffffff) | (0x64 + bits % 40) << 23;
            memcpy(x + i, &bits, 4);
            if (kv == DTYPE_Q8_0) x[i] = random_float();
        }
        rows[0][bytes] = rows[1][bytes] = 0xa5;
        scalar->store_row(kv, rows[0], x, n);
        k->store_row(kv, rows[1], x, n);
        CHECK_MSG(memcmp(rows[0], rows[1], bytes + 1) == 0, "%s %s n %zu", k->name,
                  dtype_get(kv)->name, n);
        mem_free(rows[0]);
        mem_free(rows[1]);
        mem_free(x);
    }
}

/* A block of keys or values as the cache lays it out, and the same as floats [KV_BLOCK, dim]. */
typedef struct kv_test_block {
    uint8_t *bytes;
    float *rows;
} kv_test_block;

static void put_in_block(uint8_t *block, dtype kv, bool keys, size_t dim, size_t i,
                         const uint8_t *row) {
    for (size_t j = 0; j < dim; j++) {
        size_t at = keys ? j * KV_BLOCK + i : i * dim + j;
        if (kv == DTYPE_F32) memcpy(block + 4 * at, row + 4 * j, 4);
        if (kv == DTYPE_F16) memcpy(block + 2 * at, row + 2 * j, 2);
        if (kv != DTYPE_Q8_0) continue;
        const uint8_t *q8_0 = row + j / 32 * 34; /* the scale, then 32 codes */
        block[at] = q8_0[2 + j % 32];
        memcpy(block + KV_BLOCK * dim + 2 * (j / 32 * KV_BLOCK + i), q8_0, 2);
    }
}

static kv_test_block kv_test_block_init(dtype kv, bool keys, size_t dim) {
    matrix m = matrix_init(kv, KV_BLOCK, dim);
    kv_test_block b = {mem_alloc(KV_BLOCK * row_bytes_of(kv, dim)),
                       mem_alloc(KV_BLOCK * dim * sizeof(float))};
    for (size_t i = 0; i < KV_BLOCK; i++) {
        put_in_block(b.bytes, kv, keys, dim, i, tensor_row(&m.view, i));
        quant_decode_row(kv, b.rows + i * dim, tensor_row(&m.view, i), dim);
    }
    mem_free(m.memory);
    return b;
}

static void kv_test_block_release(kv_test_block *b) {
    mem_free(b->bytes);
    mem_free(b->rows);
}

static size_t random_head_length(dtype kv) {
    return kv == DTYPE_Q8_0 ? 32 * (1 + random_below(5)) : 1 + random_below(200);
}

static void attention_scores_are_near_the_exact_ones(void) {
    EACH_TABLE(k) for (int trial = 0; trial < 60; trial++) {
        dtype kv = kv_types[trial % 3];
        size_t dim = random_head_length(kv), n_rows = 1 + random_below(30);
        kv_test_block keys = kv_test_block_init(kv, true, dim);
        float *q = mem_alloc(n_rows * dim * sizeof(float));
        float *scratch = mem_alloc_aligned(KV_BLOCK * dim, sizeof(float));
        fill_floats(q, n_rows * dim, 1);
        guarded out = guarded_init(n_rows * KV_BLOCK), one = guarded_init(KV_BLOCK);
        k->block_scores(out.x, KV_BLOCK, q, n_rows, kv, keys.bytes, NULL, dim, scratch);
        for (size_t r = 0; r < n_rows; r++) {
            const float *query = q + r * dim, *scores = out.x + r * KV_BLOCK;
            for (size_t i = 0; i < KV_BLOCK; i++) {
                const float *key = keys.rows + i * dim;
                double dot = 0, size = 0;
                for (size_t j = 0; j < dim; j++)
                    dot += key[j] * query[j], size += fabs(key[j] * query[j]);
                CHECK_NEAR(scores[i], dot, 4e-6 * size + 1e-30);
            }
            k->block_scores(one.x, KV_BLOCK, query, 1, kv, keys.bytes, NULL, dim, scratch);
            CHECK_MSG(memcmp(one.x, scores, KV_BLOCK * sizeof(float)) == 0,
                      "%s %s: a row alone differs", k->name, dtype_get(kv)->name);
        }
        CHECK(guards_intact(&out) && guards_intact(&one));
        guarded_release(&out);
        guarded_release(&one);
        kv_test_block_release(&keys);
        mem_free(scratch);
        mem_free(q);
    }
}

static void attention_values_are_near_the_exact_ones(void) {
    EACH_TABLE(k) for (int trial = 0; trial < 60; trial++) {
        dtype kv = kv_types[trial % 3];
        size_t dim = random_head_length(kv), n_rows = 1 + random_below(30);
        size_t n = 1 + random_below(KV_BLOCK), stride = KV_BLOCK + random_below(9);
        bool add = random_below(2);
        kv_test_block values = kv_test_block_init(kv, false, dim);
        float *weights = mem_alloc(n_rows * stride * sizeof(float));
        float *scratch = mem_alloc_aligned(KV_BLOCK * dim, sizeof(float));
        fill_floats(weights, n_rows * stride, 1);
        guarded out = guarded_init(n_rows * dim), again = guarded_init(dim);
        float *before = mem_alloc(n_rows * dim * sizeof(float));
        fill_floats(out.x, n_rows * dim, 1);
        memcpy(before, out.x, n_rows * dim * sizeof(float));
        k->block_values(out.x, dim, weights, stride, n_rows, kv, values.bytes, NULL, n, dim, add,
                        scratch);
        for (size_t r = 0; r < n_rows; r++) {
            const float *w = weights + r * stride, *have = out.x + r * dim;
            for (size_t j = 0; j < dim; j++) {
                double sum = add ? before[r * dim + j] : 0, size = fabs(sum);
                for (size_t i = 0; i < n; i++) {
                    sum += w[i] * values.rows[i * dim + j];
                    size += fabs(w[i] * values.rows[i * dim + j]);
                }
                CHECK_NEAR(have[j], sum, 2e-6 * size + 1e-30);
            }
            memcpy(again.x, before + r * dim, dim * sizeof(float));
            k->block_values(again.x, dim, w, stride, 1, kv, values.bytes, NULL, n, dim, add,
                            scratch);
            CHECK_MSG(memcmp(again.x, have, dim * sizeof(float)) == 0,
                      "%s %s: a row alone differs", k->name, dtype_get(kv)->name);
        }
        CHECK(guards_intact(&out) && guards_intact(&again));
        guarded_release(&out);
        guarded_release(&again);
        kv_test_block_release(&values);
        mem_free(before);
        mem_free(weights);
        mem_free(scratch);
    }
}

static void softmax_is_near_the_exact_one(void) {
    EACH_TABLE(k) for (int trial = 0; trial < 300; trial++) {
        size_t n = 1 + random_below(300);
        guarded x = guarded_init(n);
        float scale = trial % 2 ? 0.125f : 1, max, *before = mem_alloc(n * sizeof(float));
        fill_floats(x.x, n, trial % 3 ? 10 : 120);
        memcpy(before, x.x, n * sizeof(float));
        float sum = k->softmax_row(x.x, n, scale, &max), most = -INFINITY;
        for (size_t i = 0; i < n; i++) most = fmaxf(most, before[i] * scale);
        CHECK_MSG(max == most, "%s: %g instead of %g", k->name, max, most);
        double exact_sum = 0;
        for (size_t i = 0; i < n; i++) {
            float shifted = before[i] * scale - max;
            double exact = exp((double)shifted);
            exact_sum += exact;
            CHECK_MSG(fabs(x.x[i] - exact) <= 1.5e-7 * exact + 1.5e-45,
                      "%s: exp(%.9g) = %.9g, not %.9g", k->name, shifted, x.x[i], exact);
        }
        CHECK_NEAR(sum, exact_sum, 2e-6 * exact_sum);
        CHECK(guards_intact(&x));
        guarded_release(&x);
        mem_free(before);
    }
}

static void softmax_keeps_nan_and_reaches_zero(void) {
    EACH_TABLE(k) for (size_t nan_at = 0; nan_at < 40; nan_at += 13) {
        float x[40], max;
        for (int i = 0; i < 40; i++) x[i] = i % 3 ? -200 : i;
        x[nan_at] = NAN;
        float sum = k->softmax_row(x, 40, 1, &max);
        CHECK_MSG(isnan(sum) && isnan(x[nan_at]), "%s: %g", k->name, sum);
        CHECK(x[1] == 0 || nan_at == 1);
    }
}

static void blends_are_near_the_exact_ones(void) {
    EACH_TABLE(k) for (size_t n = 1; n < 70; n++) {
        guarded y = guarded_init(n);
        float x[70], before[70];
        fill_floats(x, n, 1);
        fill_floats(y.x, n, 1);
        memcpy(before, y.x, n * sizeof(float));
        k->blend(y.x, 0.75f, x, 1.5f, n);
        for (size_t i = 0; i < n; i++)
            CHECK_NEAR(y.x[i], 0.75 * before[i] + 1.5 * x[i],
                       2e-7 * (fabsf(before[i]) + fabsf(2 * x[i])));
        CHECK(guards_intact(&y));
        guarded_release(&y);
    }
}

static void norms_are_near_the_exact_ones(void) {
    EACH_TABLE(k) for (int trial = 0; trial < 100; trial++) {
        size_t n = 1 + random_below(trial % 2 ? 100 : 3000);
        guarded y = guarded_init(n);
        float *x = mem_alloc(n * sizeof(float)), *w = mem_alloc(n * sizeof(float));
        fill_floats(x, n, trial % 3 ? 1.0f : 1e-4f);
        fill_floats(w, n, 2);
        double squares = 0;
        for (size_t i = 0; i < n; i++) squares += (double)x[i] * x[i];
        k->rms_norm(y.x, x, w, n, 1e-6f);
        for (size_t i = 0; i < n; i++) {
            double exact = x[i] * (double)w[i] / sqrt(squares / (double)n + 1e-6f);
            CHECK_NEAR(y.x[i], exact, 1e-6 * fabs(exact));
        }
        CHECK(guards_intact(&y));
        guarded_release(&y);
        mem_free(x);
        mem_free(w);
    }
}

static void silu_is_near_the_exact_one(void) {
    EACH_TABLE(k) for (int trial = 0; trial < 100; trial++) {
        size_t n = 1 + random_below(100);
        guarded gate = guarded_init(n);
        float *before = mem_alloc(n * sizeof(float)), *up = mem_alloc(n * sizeof(float));
        fill_floats(before, n, trial % 2 ? 5 : 200);
        fill_floats(up, n, 2);
        memcpy(gate.x, before, n * sizeof(float));
        k->silu_mul(gate.x, up, n);
        for (size_t i = 0; i < n; i++) {
            double exact = before[i] / (1 + exp(-(double)before[i])) * up[i];
            CHECK_MSG(fabs(gate.x[i] - exact) <= 5e-7 * fabs(exact) + 1e-36,
                      "%s: silu(%g) * %g = %g, not %g", k->name, before[i], up[i], gate.x[i],
                      exact);
        }
        CHECK(guards_intact(&gate));
        guarded_release(&gate);
        mem_free(before);
        mem_free(up);
    }
}

/* --- the choice of a table --- */

static void the_environment_chooses_the_table(void) {
    const char *before = getenv("HONE_CPU");
    char *saved = before ? mem_copy_string(before, strlen(before)) : NULL;
    const kernels *k;
    cpu_isa isa;
    setenv("HONE_CPU", "scalar", 1);
    CHECK_OK(kernels_get(&k));
    CHECK(k == scalar || strcmp(k->name, "scalar") == 0);
    setenv("HONE_CPU", "sse9", 1);
    CHECK(cpu_chosen_isa(&isa) == HONE_ERR_ARGUMENT);
    setenv("HONE_CPU", cpu_best_isa() == CPU_NEON ? "avx2" : "neon", 1);
    CHECK(cpu_chosen_isa(&isa) == HONE_ERR_UNSUPPORTED);
    unsetenv("HONE_CPU");
    CHECK_OK(cpu_chosen_isa(&isa));
    CHECK(isa == cpu_best_isa());
    CHECK(cpu_usable_count() >= 1);
    const cpu_choice c = cpu_choose_threads();
    CHECK(cpu_thread_count(0) == c.n_threads && cpu_thread_count(1) == 1);
    CHECK(cpu_thread_count(1000) == (c.quota && c.quota < 1000 ? c.quota : 1000));
    if (saved) setenv("HONE_CPU", saved, 1);
    mem_free(saved);
}

/* --- quantising weights --- */

/* Rows of every length that blocks allow, with outliers, zeros and runs of one value. */
static void encoded_rows_have_the_bits_of_the_scalar_version(void) {
    static float x[7 * 256], importance[7 * 256];
    static uint8_t expected[sizeof x], row[sizeof x + 1];
    for (int round = 0; round < 40; round++) {
        int type_index = round % (N_TYPES - 1) + 1; /* F32 is copied */
        dtype type = weight_types[type_index];
        size_t block = dtype_get(type)->block, bytes;
        size_t n = block * (1 + random_below(sizeof x / sizeof *x / (block > 1 ? block : 256)));
        fill_floats(x, n, 0.1f);
        for (size_t i = 0; i < n; i++) {
            importance[i] = random_below(8) ? expf(4 * random_float()) : 0.0f;
            if (random_below(40) == 0) x[i] *= 30.0f;
            if (i / 32 % 5 == 3) x[i] = i / 32 % 2 ? 0.0f : 0.25f;
        }
        CHECK(dtype_row_bytes(type, n, &bytes));
        for (int with = 0; with < 2; with++) {
            const float *weights = with ? importance : NULL;
            scalar->encode_row(type, expected, x, n, weights);
            EACH_TABLE(k) {
                memset(row, 0xA5, sizeof row);
                k->encode_row(type, row + 1, x, n, weights);
                CHECK_MSG(memcmp(row + 1, expected, bytes) == 0 && row[0] == 0xA5, "%s, %s of %zu",
                          k->name, dtype_get(type)->name, n);
            }
        }
    }
}

static void values_beyond_bounds_are_seen(void) {
    float x[67];
    EACH_TABLE(k) {
        fill_floats(x, 67, 1.0f);
        CHECK(k->all_within(x, 67, -1.0f, 1.0f));
        for (size_t i = 0; i < 67; i++) {
            static const float bad[] = {NAN, -1.5f, INFINITY};
            float good = x[i];
            x[i] = bad[i % 3];
            CHECK_MSG(!k->all_within(x, 67, -1.0f, 1.0f), "%s: %zu", k->name, i);
            x[i] = good;
        }
    }
}

int main(int argc, char **argv) {
    collect_tables();
    random_state = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL);
    printf("seed %" PRIu64 ", tables:", random_state);
    for (int i = 0; i < n_tables; i++) printf(" %s", tables[i]->name);
    printf("\n");
    RUN(decoded_rows_have_the_bits_of_the_specification);
    RUN(quantised_rows_have_the_bits_of_the_scalar_version);
    RUN(encoded_rows_have_the_bits_of_the_scalar_version);
    RUN(values_beyond_bounds_are_seen);
    RUN(one_nan_makes_the_scale_of_its_block_nan);
    RUN(integer_parts_are_exact);
    RUN(scales_that_are_no_numbers_tell);
    RUN(products_are_near_the_exact_sums);
    RUN(bf16_products_are_near_the_exact_sums);
    RUN(outputs_do_not_depend_on_tokens_and_slices);
    RUN(products_agree_with_the_reference_vectors);
    RUN(stored_rows_have_the_bits_of_the_scalar_version);
    RUN(attention_scores_are_near_the_exact_ones);
    RUN(attention_values_are_near_the_exact_ones);
    RUN(softmax_is_near_the_exact_one);
    RUN(softmax_keeps_nan_and_reaches_zero);
    RUN(blends_are_near_the_exact_ones);
    RUN(norms_are_near_the_exact_ones);
    RUN(silu_is_near_the_exact_one);
    RUN(the_environment_chooses_the_table);
    return test_summary();
}
