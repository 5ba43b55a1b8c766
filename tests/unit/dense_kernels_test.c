/* The encoder's kernels of every table against sums in doubles: odd sizes, guarded outputs. */
#include "base/mem.h"
#include "tensor/kernels.h"
#include "tensor/quant.h"
#include "test.h"

enum { MOST_TABLES = 8, GUARD = 16 };
static const kernels *tables[MOST_TABLES];
static int n_tables;

#define EACH_TABLE(k) \
    for (int table_ = 0; table_ < n_tables; table_++) \
        for (const kernels *k = tables[table_]; k; k = NULL)

static void collect_tables(void) {
    static const cpu_isa isas[] = {CPU_SCALAR, CPU_AVX2, CPU_AVX512, CPU_NEON};
    for (size_t i = 0; i < 4; i++)
        for (int without = 0; without < 2; without++) {
            const kernels *k = NULL;
            if (kernels_get_isa(&k, isas[i], without) == HONE_OK) tables[n_tables++] = k;
        }
}

static uint32_t state = 12345;

static float random_float(void) { /* −1 … 1 */
    state = state * 1664525 + 1013904223;
    return (float)((int32_t)state * 0x1p-31);
}

static void fill(float *x, size_t n, float scale) {
    for (size_t i = 0; i < n; i++) x[i] = random_float() * scale;
}

/* n floats and a guard behind them. */
static float *guarded(size_t n) {
    float *x = mem_alloc((n + GUARD) * sizeof *x);
    for (size_t i = 0; i < n + GUARD; i++) x[i] = 12345;
    return x;
}

static void check_guard(const kernels *k, const float *x, size_t n) {
    for (size_t i = 0; i < GUARD; i++) CHECK_MSG(x[n + i] == 12345, "%s: wrote behind", k->name);
}

static void products_are_near_the_exact_sums(void) {
    static const size_t shapes[][3] = {{1, 1, 1},   {7, 64, 64}, {6, 16, 33},  {13, 65, 40},
                                       {5, 100, 7}, {24, 28, 64}, {12, 3, 150}, {2, 129, 2}};
    EACH_TABLE(k) for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        size_t m = shapes[s][0], n = shapes[s][1], depth = shapes[s][2], stride = n + 3;
        float *a = guarded(m * depth), *b = guarded(depth * n), *y = guarded(m * stride);
        fill(a, m * depth, 1);
        fill(b, depth * n, 1);
        k->gemm_dense(y, stride, a, depth, b, n, m, n, depth);
        for (size_t i = 0; i < m; i++) {
            for (size_t j = 0; j < n; j++) {
                double sum = 0;
                for (size_t l = 0; l < depth; l++) sum += (double)a[i * depth + l] * b[l * n + j];
                CHECK_NEAR(y[i * stride + j], sum, 1e-6 * (double)depth);
            }
            for (size_t j = n; j < stride; j++) CHECK(y[i * stride + j] == 12345);
        }
        check_guard(k, y, m * stride);
        mem_free(a);
        mem_free(b);
        mem_free(y);
    }
}

static void products_of_pairs_are_those_of_the_rounded_numbers(void) {
    enum { PAIRS = 37, FIRST = 11, COLUMNS = GEMM_PAIRS_COLUMNS };
    EACH_TABLE(k) for (size_t m = 1; m < 15 && k->gemm_pairs; m++) {
        uint16_t a[15 * 2 * PAIRS], b[2 * PAIRS * COLUMNS];
        float *y = guarded(m * COLUMNS);
        for (size_t i = 0; i < m * 2 * PAIRS; i++) a[i] = bf16_from_f32(random_float());
        for (size_t i = 0; i < 2 * PAIRS * COLUMNS; i++) b[i] = bf16_from_f32(random_float());
        k->gemm_pairs(y, COLUMNS, a, 2 * PAIRS, b, m, COLUMNS, FIRST, false);
        k->gemm_pairs(y, COLUMNS, a + 2 * FIRST, 2 * PAIRS, b + FIRST * 2 * COLUMNS, m, COLUMNS,
                      PAIRS - FIRST, true);
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < COLUMNS; j++) {
                double sum = 0;
                for (size_t l = 0; l < 2 * PAIRS; l++)
                    sum += (double)bf16_to_f32(a[i * 2 * PAIRS + l]) *
                           (double)bf16_to_f32(b[(l / 2 * COLUMNS + j) * 2 + l % 2]);
                CHECK_NEAR(y[i * COLUMNS + j], sum, 2e-5);
            }
        check_guard(k, y, m * COLUMNS);
        mem_free(y);
    }
}

static void rounding_to_bf16_is_the_specification_and_works_in_place(void) {
    EACH_TABLE(k) for (size_t n = 1; n < 70; n++) {
        float x[70], copy[70];
        fill(x, n, 100);
        memcpy(copy, x, sizeof x);
        k->to_bf16((uint16_t *)(void *)x, x, n);
        for (size_t i = 0; i < n; i++) {
            uint16_t half;
            memcpy(&half, (char *)x + 2 * i, 2);
            CHECK(half == bf16_from_f32(copy[i]));
        }
    }
}

static void norms_are_near_the_exact_ones(void) {
    EACH_TABLE(k) for (size_t n = 1; n < 600; n += 1 + n / 3) {
        float *x = guarded(n), *w = guarded(n), *b = guarded(n), *y = guarded(n);
        fill(x, n, 3);
        fill(w, n, 2);
        fill(b, n, 1);
        double mean = 0, variance = 0;
        for (size_t i = 0; i < n; i++) mean += (double)x[i] / (double)n;
        for (size_t i = 0; i < n; i++) variance += (x[i] - mean) * (x[i] - mean) / (double)n;
        k->layer_norm(y, x, w, b, n, 1e-5f);
        for (size_t i = 0; i < n; i++)
            CHECK_NEAR(y[i], (x[i] - mean) / sqrt(variance + 1e-5) * w[i] + b[i],
                       n > 2 ? 5e-6 : 1e-3);
        check_guard(k, y, n);
        mem_free(x);
        mem_free(w);
        mem_free(b);
        mem_free(y);
    }
}

static void gelu_is_near_the_exact_one(void) {
    EACH_TABLE(k) for (size_t n = 1; n < 70; n++) {
        float *x = guarded(n), before[70];
        fill(x, n, n % 2 ? 4 : 30);
        memcpy(before, x, n * sizeof *x);
        k->gelu(x, n);
        for (size_t i = 0; i < n; i++)
            CHECK_NEAR(x[i], before[i] * 0.5 * (1 + erf(before[i] * sqrt(0.5))), 6e-7);
        check_guard(k, x, n);
        mem_free(x);
    }
}

static void nan_is_kept(void) {
    EACH_TABLE(k) {
        float x[20] = {0}, w[20] = {0}, y[20];
        x[17] = NAN;
        k->layer_norm(y, x, w, w, 20, 1e-5f);
        CHECK(isnan(y[0]));
        k->gelu(x, 20);
        CHECK(isnan(x[17]) && x[0] == 0);
    }
}

static void sums_factors_and_maxima_are_exact(void) {
    EACH_TABLE(k) for (size_t n = 1; n < 70; n++) {
        float *x = guarded(n), y[70], most = -INFINITY;
        fill(x, n, 5);
        for (size_t i = 0; i < n; i++) {
            y[i] = x[i];
            most = x[i] > most ? x[i] : most;
        }
        CHECK(k->max_of(x, n) == most);
        k->add(x, y, n);
        k->scale(x, 0.25f, n);
        for (size_t i = 0; i < n; i++) CHECK(x[i] == 0.5f * y[i]);
        check_guard(k, x, n);
        mem_free(x);
    }
}

int main(void) {
    collect_tables();
    RUN(products_are_near_the_exact_sums);
    RUN(products_of_pairs_are_those_of_the_rounded_numbers);
    RUN(rounding_to_bf16_is_the_specification_and_works_in_place);
    RUN(norms_are_near_the_exact_ones);
    RUN(gelu_is_near_the_exact_one);
    RUN(nan_is_kept);
    RUN(sums_factors_and_maxima_are_exact);
    return test_summary();
}
