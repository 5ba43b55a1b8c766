#include "tensor/matmul.h"

#include "tensor/unpack.h"

enum {
    FLOAT_K_BLOCK = 1024, /* inputs that float rows are decoded and summed by */
    FLOAT_ROWS = MATMUL_ROW_STEP,
    FLOAT_SCRATCH_BYTES = FLOAT_ROWS * FLOAT_K_BLOCK * sizeof(float),
    PAIRS_K_BLOCK = 1024, /* inputs of a panel of pairs, which then stays in the second cache */
};

_Static_assert(FLOAT_SCRATCH_BYTES >= 2 * GEMM_PAIRS_COLUMNS * PAIRS_K_BLOCK, "room for pairs");

_Static_assert(FLOAT_SCRATCH_BYTES >= GEMM_SCRATCH_BYTES, "one scratch serves all");

static size_t align64(size_t bytes) { return (bytes + 63) / 64 * 64; }

/* --- activations --- */

static size_t most_of(size_t a, size_t b) { return a > b ? a : b; }

size_t activations_bytes(size_t n_tokens, size_t n_in) {
    size_t blocks = n_tokens * (n_in / 32);
    return most_of(align64(n_tokens * n_in) + 2 * align64(blocks * sizeof(float)) +
                       2 * align64(2 * blocks * sizeof(float)),
                   align64(n_tokens * n_in * sizeof(uint16_t)));
}

void activations_init(activations *a, activation_form form, const float *x, size_t n_tokens,
                      size_t n_in, void *memory) {
    *a = (activations){.n_tokens = n_tokens, .n_in = n_in, .x = x, .form = form};
    if (form == FORM_BF16) a->bf16 = memory;
    if (form != FORM_INT8) return;
    size_t blocks = n_tokens * (n_in / 32);
    char *at = memory;
    a->q = (int8_t *)at;
    at += align64(n_tokens * n_in);
    a->scale = (float *)at;
    at += align64(blocks * sizeof(float));
    a->sum32 = (float *)at;
    at += align64(blocks * sizeof(float));
    a->sum16 = (float *)at;
    at += align64(2 * blocks * sizeof(float));
    a->sums = at;
}

void activations_quantise(const kernels *k, activations *a, size_t token_begin, size_t token_end) {
    for (size_t t = token_begin; t < token_end; t++)
        activations_quantise_columns(k, a, t, 0, a->n_in, a->x + t * a->n_in);
}

void activations_quantise_columns(const kernels *k, activations *a, size_t token, size_t begin,
                                  size_t n, const float *x) {
    size_t at = token * a->n_in + begin, block = at / 32;
    if (a->form == FORM_BF16) k->to_bf16(a->bf16 + at, x, n);
    if (a->form != FORM_INT8) return;
    k->quantise_row(a->q + at, a->scale + block, a->sum32 + block, a->sum16 + 2 * block, x, n);
    if (k->sum_codes) k->sum_codes((char *)a->sums + at / 4, a->q + at, n);
}

/* --- quantised --- */

bool matmul_can_quantise(const tensor *w) {
    return unpack_traits_of(w->type).group != 0 && w->ne[0] % 32 == 0;
}

/* Room for a panel of n columns. */
static size_t panel_bytes(size_t rows, size_t n) {
    return align64(rows * n) + 2 * align64(rows * (n / 16) * sizeof(float));
}

static panel panel_in(void *scratch, size_t rows, size_t n) {
    uint8_t *q = scratch;
    float *scale = (float *)(q + align64(rows * n));
    return (panel){q, scale, scale + align64(rows * (n / 16) * sizeof(float)) / sizeof(float)};
}

static void matmul_by_panels(const kernels *k, float *y, size_t y_stride, const tensor *w,
                             size_t row_begin, size_t row_end, const activations *x,
                             void *scratch) {
    const panel packed = panel_in(scratch, k->panel_rows, w->ne[0]);
    for (size_t r = row_begin; r < row_end; r += k->panel_rows) {
        size_t n_rows = row_end - r < k->panel_rows ? row_end - r : k->panel_rows;
        k->pack_panel(w->type, &packed, tensor_row(w, r), w->row_bytes, n_rows, w->ne[0]);
        k->gemm_panel(y + r, y_stride, w->type, &packed, n_rows, x);
    }
}

/* --- in BF16 --- */

static bool can_round(const kernels *k, const tensor *w, size_t n_tokens) {
    return (w->type == DTYPE_F16 || w->type == DTYPE_BF16) && w->ne[0] % 2 == 0 && k->gemm_pairs &&
           n_tokens > MATMUL_FEW_TOKENS;
}

static void matmul_by_pairs(const kernels *k, float *y, size_t y_stride, const tensor *w,
                            size_t row_begin, size_t row_end, const activations *x, void *scratch) {
    const size_t n = w->ne[0], element = dtype_get(w->type)->block_bytes;
    for (size_t r = row_begin; r < row_end; r += GEMM_PAIRS_COLUMNS) {
        size_t n_rows = row_end - r < GEMM_PAIRS_COLUMNS ? row_end - r : GEMM_PAIRS_COLUMNS;
        for (size_t begin = 0; begin < n; begin += PAIRS_K_BLOCK) {
            size_t width = n - begin < PAIRS_K_BLOCK ? n - begin : PAIRS_K_BLOCK;
            const char *rows = (const char *)tensor_row(w, r) + begin * element;
            k->pack_pairs(w->type, scratch, rows, w->row_bytes, n_rows, width);
            k->gemm_pairs(y + r, y_stride, x->bf16 + begin, n, scratch, x->n_tokens, n_rows,
                          width / 2, begin > 0);
        }
    }
}

/* --- float --- */

/* Whether gemm_float takes the rows from where they lie. For many tokens the halves would be
 * widened again and again. */
static bool is_read_in_place(const tensor *w, size_t n_tokens) {
    if (w->type == DTYPE_F32) return (uintptr_t)w->data % sizeof(float) == 0;
    return (w->type == DTYPE_F16 || w->type == DTYPE_BF16) && n_tokens <= MATMUL_FEW_TOKENS;
}

/* n_rows rows from `row` on, `stride` rows apart, to y[t · y_stride + i]; decoded to `decoded`
 * first, or read in place where that is NULL. Blocks of k begin at fixed places, so that the order
 * of summation depends on n_in alone. */
static void multiply_floats(const kernels *k, float *y, size_t y_stride, const tensor *w,
                            size_t row, size_t stride, size_t n_rows, const activations *x,
                            float *decoded) {
    const dtype_traits *layout = dtype_get(w->type);
    const size_t n = w->ne[0], row_bytes = stride * w->row_bytes;
    for (size_t begin = 0; begin < n; begin += FLOAT_K_BLOCK) {
        size_t width = n - begin < FLOAT_K_BLOCK ? n - begin : FLOAT_K_BLOCK;
        const char *piece =
            (const char *)tensor_row(w, row) + begin / layout->block * layout->block_bytes;
        for (size_t i = 0; i < n_rows && decoded; i++)
            k->decode_row(w->type, decoded + i * FLOAT_K_BLOCK, piece + i * row_bytes, width);
        if (decoded)
            k->gemm_float(y, y_stride, DTYPE_F32, decoded, FLOAT_K_BLOCK * sizeof(float), n_rows,
                          x->x + begin, n, x->n_tokens, width, begin > 0);
        else
            k->gemm_float(y, y_stride, w->type, piece, row_bytes, n_rows, x->x + begin, n,
                          x->n_tokens, width, begin > 0);
    }
}

/* Few tokens, rows in place: the memory's speed counts, and four rows of one page at a time get a
 * third of what four from far apart do. Returns how many rows are done. */
static size_t matmul_by_streams(const kernels *k, float *y, size_t y_stride, const tensor *w,
                                size_t row_begin, size_t row_end, const activations *x) {
    enum { STREAMS = 4 };
    const size_t share = (row_end - row_begin) / STREAMS;
    for (size_t r = 0; r < share; r++) {
        float out[MATMUL_FEW_TOKENS * STREAMS];
        multiply_floats(k, out, STREAMS, w, row_begin + r, share, STREAMS, x, NULL);
        for (size_t i = 0; i < x->n_tokens * STREAMS; i++)
            y[i / STREAMS * y_stride + row_begin + i % STREAMS * share + r] = out[i];
    }
    return share * STREAMS;
}

/* For few tokens the decoded rows should not leave the first cache. */
static void matmul_by_floats(const kernels *k, float *y, size_t y_stride, const tensor *w,
                             size_t row_begin, size_t row_end, const activations *x,
                             void *scratch) {
    const bool few = x->n_tokens <= MATMUL_FEW_TOKENS, in_place = is_read_in_place(w, x->n_tokens);
    const size_t step = few ? 4 : FLOAT_ROWS;
    if (few && in_place)
        row_begin += matmul_by_streams(k, y, y_stride, w, row_begin, row_end, x);
    for (size_t r = row_begin; r < row_end; r += step) {
        size_t n_rows = row_end - r < step ? row_end - r : step;
        multiply_floats(k, y + r, y_stride, w, r, 1, n_rows, x, in_place ? NULL : scratch);
    }
}

/* --- all --- */

activation_form matmul_form(const kernels *k, const tensor *w, size_t n_tokens) {
    if (matmul_can_quantise(w)) return FORM_INT8;
    return can_round(k, w, n_tokens) ? FORM_BF16 : FORM_FLOAT;
}

/* A table without panels takes dot_rows for any number of tokens. */
size_t matmul_scratch_bytes(const tensor *w, size_t n_tokens) {
    if (!matmul_can_quantise(w)) return FLOAT_SCRATCH_BYTES;
    size_t few = n_tokens < MATMUL_FEW_TOKENS ? n_tokens : MATMUL_FEW_TOKENS;
    size_t rows = few * ((w->ne[0] + 255) / 256) * DOT_ROWS_SCRATCH;
    size_t panels = n_tokens > MATMUL_FEW_TOKENS ? panel_bytes(MATMUL_ROW_STEP, w->ne[0]) : 0;
    return most_of(FLOAT_SCRATCH_BYTES, most_of(rows, panels));
}

void matmul_rows(const kernels *k, float *y, size_t y_stride, const tensor *w, size_t row_begin,
                 size_t row_end, const activations *x, void *scratch) {
    if (row_begin >= row_end) return;
    if (x->form == FORM_BF16 && can_round(k, w, x->n_tokens))
        matmul_by_pairs(k, y, y_stride, w, row_begin, row_end, x, scratch);
    else if (x->form != FORM_INT8 || !matmul_can_quantise(w))
        matmul_by_floats(k, y, y_stride, w, row_begin, row_end, x, scratch);
    else if (x->n_tokens > MATMUL_FEW_TOKENS && k->panel_rows != 0)
        matmul_by_panels(k, y, y_stride, w, row_begin, row_end, x, scratch);
    else if (x->n_tokens > MATMUL_FEW_TOKENS && k->gemm_rows)
        k->gemm_rows(y + row_begin, y_stride, w->type, tensor_row(w, row_begin), w->row_bytes,
                     row_end - row_begin, x, scratch);
    else
        k->dot_rows(y + row_begin, y_stride, w->type, tensor_row(w, row_begin), w->row_bytes,
                    row_end - row_begin, x, scratch);
}
