/* Attention over the paged cache: near the exact answer, and the same bits however the step is put
 * together and on however many threads. */
#include "model/attention.h"

#include <math.h>

#include "base/mem.h"
#include "test.h"

enum { N_HEADS = 6, N_KV_HEADS = 2, DIM = 32, MOST = 700 };

static uint64_t random_state = 7;

static float random_float(void) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (float)(int32_t)(random_state >> 32) / 0x1p31f;
}

static float *random_floats(size_t n) {
    float *x = mem_alloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = random_float();
    return x;
}

/* Rows [n, N_KV_HEADS · DIM] become positions begin … of a cache; nothing is rotated. */
static void append(compute *c, kv_cache *kv, size_t begin, size_t n, float *keys,
                   const float *values) {
    float *cosines = random_floats(n), *sines = random_floats(n);
    for (size_t i = 0; i < n; i++) cosines[i] = 1, sines[i] = 0;
    rope_table rope = {2, false, cosines, sines};
    float *q = random_floats(n * N_HEADS * DIM);
    kv_segment segment = {kv, 0, n, begin};
    CHECK_OK(kv_reserve(kv, begin, begin + n));
    CHECK_OK(compute_reserve(c, DIM * sizeof(float)));
    op_rope_and_store(c, &segment, 1, 0, &rope, N_HEADS, q, keys, values);
    mem_free(q);
    mem_free(cosines);
    mem_free(sines);
}

static void attend(compute *c, const kv_segment *segments, size_t n_segments, const float *q,
                   float *out) {
    attention_plan plan;
    attention_plan_init(&plan, c, segments, n_segments, N_HEADS);
    CHECK_OK(compute_reserve(c, plan.scratch_bytes));
    float *parts = mem_alloc(plan.n_part_floats * sizeof(float) + 1);
    op_attention(c, &plan, 0, q, out, parts);
    mem_free(parts);
}

/* One query head over the first n positions, in doubles. */
static void exact(double out[DIM], const float *q, const float *keys, const float *values,
                  size_t n) {
    double weights[MOST], sum = 0;
    for (size_t i = 0; i < n; i++) {
        double dot = 0;
        for (int j = 0; j < DIM; j++) dot += q[j] * keys[i * N_KV_HEADS * DIM + j];
        sum += weights[i] = exp(dot / sqrt(DIM));
    }
    for (int j = 0; j < DIM; j++) {
        out[j] = 0;
        for (size_t i = 0; i < n; i++)
            out[j] += weights[i] / sum * values[i * N_KV_HEADS * DIM + j];
    }
}

static void answers_are_near_the_exact_ones(void) {
    const struct {
        dtype type;
        double bound; /* of rounding keys and values of at most 1 */
    } types[] = {{DTYPE_F32, 1e-6}, {DTYPE_F16, 1e-3}, {DTYPE_Q8_0, 1.2e-2}};
    const size_t lengths[] = {1, 63, 64, 65, 256, 257, MOST};
    for (int n_threads = 1; n_threads <= 3; n_threads += 2) {
        compute c;
        CHECK_OK(compute_init(&c, n_threads));
        for (int t = 0; t < 3; t++)
            for (int l = 0; l < 7; l++) {
                size_t n = lengths[l], row = N_KV_HEADS * DIM;
                float *keys = random_floats(n * row), *values = random_floats(n * row);
                float *q = random_floats(n * N_HEADS * DIM),
                      *out = random_floats(n * N_HEADS * DIM);
                kv_layout layout;
                kv_cache kv;
                CHECK_OK(kv_layout_init(&layout, types[t].type, 1, N_KV_HEADS, DIM));
                kv_init(&kv, &layout);
                append(&c, &kv, 0, n, keys, values);
                attend(&c, &(kv_segment){&kv, 0, n, 0}, 1, q, out);
                for (size_t i = 0; i < n; i += n > 9 ? n / 9 : 1)
                    for (size_t h = 0; h < N_HEADS; h++) {
                        double want[DIM];
                        size_t at = h / (N_HEADS / N_KV_HEADS) * DIM, o = (i * N_HEADS + h) * DIM;
                        exact(want, q + o, keys + at, values + at, i + 1);
                        for (int j = 0; j < DIM; j++)
                            CHECK_NEAR(out[o + j], want[j], types[t].bound);
                    }
                kv_release(&kv);
                mem_free(keys);
                mem_free(values);
                mem_free(q);
                mem_free(out);
            }
        compute_release(&c);
    }
}

/* Three caches of one beginning: alone, together, token by token, on 1 and 4 threads. */
static void bits_depend_neither_on_the_step_nor_on_threads(void) {
    enum { SHARED = 300, OWN = 90, N = 3 };
    for (int t = 0; t < 3; t++) {
        const dtype types[] = {DTYPE_F32, DTYPE_F16, DTYPE_Q8_0};
        compute c[2];
        CHECK_OK(compute_init(&c[0], 1));
        CHECK_OK(compute_init(&c[1], 4));
        size_t row = N_KV_HEADS * DIM, out_row = N_HEADS * DIM;
        kv_layout layout;
        kv_cache kv[N];
        CHECK_OK(kv_layout_init(&layout, types[t], 1, N_KV_HEADS, DIM));
        kv_init(&kv[0], &layout);
        float *q = random_floats(N * OWN * out_row), *x = random_floats((SHARED + OWN) * row);
        append(&c[0], &kv[0], 0, SHARED, x, x);
        for (int i = 1; i < N; i++) CHECK_OK(kv_share(&kv[i], &kv[0], SHARED));
        kv_segment segments[N];
        for (size_t i = 0; i < N; i++) {
            append(&c[0], &kv[i], SHARED, OWN, x + (SHARED - i) * row, x + i);
            segments[i] = (kv_segment){&kv[i], i * OWN, OWN, SHARED};
        }
        float *together = random_floats(N * OWN * out_row), *other = random_floats(OWN * out_row);
        attend(&c[0], segments, N, q, together);
        for (int threads = 0; threads < 2; threads++)
            for (size_t i = 0; i < N; i++) {
                const float *own = together + i * OWN * out_row;
                attend(&c[threads], &(kv_segment){&kv[i], 0, OWN, SHARED}, 1,
                       q + i * OWN * out_row, other);
                CHECK(memcmp(other, own, OWN * out_row * sizeof *own) == 0);
                for (size_t token = 0; token < OWN; token += 13) {
                    attend(&c[threads], &(kv_segment){&kv[i], 0, 1, SHARED + token}, 1,
                           q + (i * OWN + token) * out_row, other);
                    CHECK(memcmp(other, own + token * out_row, out_row * sizeof *own) == 0);
                }
            }
        for (int i = 0; i < N; i++) kv_release(&kv[i]);
        mem_free(q);
        mem_free(x);
        mem_free(together);
        mem_free(other);
        compute_release(&c[0]);
        compute_release(&c[1]);
    }
}

/* op_gate against its parts, in the form that suits the weights. */
static void check_gated_slices(dtype type, size_t n_ff) {
    enum { N_IN = 64, MOST_FF = 1440, MOST_TOKENS = 21 };
    compute c;
    CHECK_OK(compute_init(&c, 3));
    static uint8_t rows[2][MOST_FF * N_IN * 2];
    const size_t block = type == DTYPE_Q8_0 ? 34 : 64;
    tensor w[2];
    for (int i = 0; i < 2; i++) {
        float *x = random_floats(n_ff * N_IN);
        for (size_t b = 0; b < n_ff * N_IN / 32; b++)
            c.k->store_row(type, rows[i] + block * b, x + 32 * b, 32);
        w[i] = (tensor){.data = rows[i], .type = type, .n_dims = 2,
                        .ne = {N_IN, n_ff, 1, 1}, .row_bytes = N_IN / 32 * block};
        mem_free(x);
    }
    CHECK(type != DTYPE_Q8_0 || op_can_gate(&c, &w[0], &w[1], 1));
    for (size_t n = 1; n <= MOST_TOKENS; n += 4) {
        if (!op_can_gate(&c, &w[0], &w[1], n)) continue;
        const activation_form form = matmul_form(c.k, &w[0], n);
        CHECK_OK(compute_reserve(&c, matmul_scratch_bytes(&w[0], n)));
        float *x = random_floats(n * N_IN), *y = random_floats(2 * n * n_ff);
        float *memory = random_floats(2 * n * n_ff);
        void *quantised[3] = {mem_alloc_aligned(activations_bytes(n, N_IN), 1),
                              mem_alloc_aligned(activations_bytes(n, n_ff), 1),
                              mem_alloc_aligned(activations_bytes(n, n_ff), 1)};
        activations in, parts, gated;
        activations_init(&in, form, x, n, N_IN, quantised[0]);
        activations_init(&parts, form, y, n, n_ff, quantised[1]);
        activations_init(&gated, form, NULL, n, n_ff, quantised[2]);
        op_quantise(&c, &in);
        op_linear(&c, &in, (linear[]){{&w[0], NULL, y, n_ff}, {&w[1], NULL, y + n * n_ff, n_ff}},
                  2);
        op_silu_mul(&c, y, y + n * n_ff, n, n_ff);
        op_quantise(&c, &parts);
        op_gate(&c, &in, &w[0], &w[1], &gated, memory);
        size_t blocks = n * n_ff / 32;
        if (form == FORM_BF16) {
            CHECK(memcmp(gated.bf16, parts.bf16, n * n_ff * sizeof *gated.bf16) == 0);
        } else {
            CHECK(memcmp(gated.q, parts.q, n * n_ff) == 0);
            CHECK(memcmp(gated.scale, parts.scale, blocks * sizeof(float)) == 0);
            CHECK(memcmp(gated.sum32, parts.sum32, blocks * sizeof(float)) == 0);
            CHECK(memcmp(gated.sum16, parts.sum16, 2 * blocks * sizeof(float)) == 0);
        }
        for (int i = 0; i < 3; i++) mem_free(quantised[i]);
        mem_free(x);
        mem_free(y);
        mem_free(memory);
    }
    compute_release(&c);
}

/* Few units are slices of their own; more of them go into slices that become smaller. */
static void check_gated_slices_of(dtype type) {
    check_gated_slices(type, 224);
    check_gated_slices(type, 864);
    check_gated_slices(type, 1440);
}

static void gated_slices_have_the_bits_of_the_parts(void) { check_gated_slices_of(DTYPE_Q8_0); }

static void gated_slices_in_bfloat16_have_them_too(void) {
    const kernels *k;
    CHECK_OK(kernels_get(&k));
    if (!k->gemm_pairs) SKIP("these kernels multiply no bfloat16");
    check_gated_slices_of(DTYPE_F16);
}

int main(void) {
    RUN(answers_are_near_the_exact_ones);
    RUN(bits_depend_neither_on_the_step_nor_on_threads);
    RUN(gated_slices_have_the_bits_of_the_parts);
    RUN(gated_slices_in_bfloat16_have_them_too);
    return test_summary();
}
