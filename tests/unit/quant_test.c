/* Half floats and block formats: recorded blocks (shared/golden/quant), hashes of ggml's bytes and
 * its errors, bounds on the error, and what must be refused. */
#include "tensor/quant.h"

#include "format/safetensors.h"
#include "tensor/blocks.h"
#include "test.h"

/* What encoding may cost on normal values: rms of the error over rms of the values. ggml's
 * reference quantisers give the same figures, a few per cent below these. */
static const struct promise {
    const char *name;
    double error;
    bool reproduces_itself; /* encoding decoded values gives the same bytes; no search */
    bool uses_importance;
} promises[] = {
    {"F32", 0, true, false},        {"F16", 0.00025, true, false}, {"BF16", 0.0018, true, false},
    {"Q4_0", 0.085, true, true},    {"Q4_1", 0.081, true, true},   {"Q5_0", 0.042, true, true},
    {"Q5_1", 0.0393, true, true},   {"Q8_0", 0.0056, true, false}, {"Q2_K", 0.305, false, true},
    {"Q3_K", 0.152, false, true},   {"Q4_K", 0.074, false, true},  {"Q5_K", 0.037, false, true},
    {"Q6_K", 0.0182, false, true},  {"IQ4_NL", 0.079, false, true},
    {"IQ4_XS", 0.08, false, true},
};
enum { N_TYPES = sizeof promises / sizeof *promises };

static dtype type_at(int i) { return (dtype)dtype_by_name(promises[i].name); }

static size_t row_bytes(dtype type, size_t n) {
    size_t bytes = 0;
    dtype_row_bytes(type, n, &bytes);
    return bytes;
}

/* --- values that are the same on every machine: whole numbers and powers of two only --- */

static uint64_t random_state;

static uint32_t random_bits(int n) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> (64 - n));
}

/* Nearly normal, deviation near 1: the sum of twelve uniform numbers. */
static float random_normal(void) {
    int sum = 0;
    for (int i = 0; i < 12; i++) sum += (int)random_bits(16);
    return (float)(sum - 6 * 65535) * 0x1p-16f;
}

/* Fills x with one kind of row for each block of 256: plain, small, outliers, runs of zeros,
 * constant, one sign, few different values, one value, all zero. */
enum { N_KINDS = 9, N_ROW = 256 * N_KINDS };

static void fill_row(float *x, uint64_t seed) {
    random_state = seed * 0x9e3779b97f4a7c15 + 1;
    for (int i = 0; i < 20; i++) random_bits(1);
    for (int i = 0; i < N_ROW; i++) {
        float r = random_normal();
        switch (i / 256) {
        case 0: x[i] = r; break;
        case 1: x[i] = r * 0x1p-20f; break;
        case 2: x[i] = i % 37 == 5 ? r * 64 : r * 0.125f; break;
        case 3: x[i] = i / 16 % 3 == 1 ? 0.0f : r; break;
        case 4: x[i] = -0.75f; break;
        case 5: x[i] = r < 0 ? 0.5f - r : 0.5f + r; break;
        case 6: x[i] = (float)((int)random_bits(2) - 2); break;
        case 7: x[i] = i % 256 == 77 ? -3.0f : 0.0f; break;
        default: x[i] = 0.0f; break;
        }
    }
}

static void fill_importance(float *w, int n, uint64_t seed) {
    random_state = seed + 12345;
    for (int i = 0; i < n; i++) w[i] = (float)(random_bits(10) + 1) / (float)(random_bits(6) + 1);
}

/* Σ importance · (x − decoded)² */
static double squared_error(const float *x, const float *decoded, const float *importance, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) {
        double difference = (double)x[i] - (double)decoded[i];
        sum += (importance ? (double)importance[i] : 1.0) * difference * difference;
    }
    return sum;
}

/* --- half floats --- */

static bool is_nan_half(uint16_t h) { return (h & 0x7fff) > 0x7c00; }
static bool is_nan_bf16(uint16_t b) { return (b & 0x7fff) > 0x7f80; }

static void every_half_survives_the_round_trip(void) {
    for (uint32_t i = 0; i < 65536; i++) {
        uint16_t h = (uint16_t)i;
        uint16_t f16 = f16_from_f32(f16_to_f32(h));
        uint16_t bf16 = bf16_from_f32(bf16_to_f32(h));
        /* Signalling NaNs become quiet ones. */
        CHECK_MSG(f16 == (is_nan_half(h) ? h | 0x0200 : h), "f16 %04x returns as %04x", h, f16);
        CHECK_MSG(bf16 == (is_nan_bf16(h) ? h | 0x0040 : h), "bf16 %04x returns as %04x", h, bf16);
        CHECK(isnan(f16_to_f32(h)) == is_nan_half(h));
        CHECK(isnan(bf16_to_f32(h)) == is_nan_bf16(h));
    }
}

static void halves_have_the_values_of_their_fields(void) {
    for (int h = 0; h < 0x7c00; h++) {
        int exponent = h >> 10, fraction = h & 0x3ff;
        double value = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
        CHECK((double)f16_to_f32((uint16_t)h) == value);
        CHECK((double)f16_to_f32((uint16_t)(h | 0x8000)) == -value);
    }
    CHECK(f16_to_f32(0x7c00) == INFINITY && f16_to_f32(0xfc00) == -INFINITY);
    CHECK(signbit(f16_to_f32(0x8000)) && f16_to_f32(0x8000) == 0.0f);
    CHECK(bf16_to_f32(0x3f80) == 1.0f && bf16_to_f32(0xc049) == -3.140625f);
}

/* Between each two neighbours: the middle goes to the even one, anything off it to the nearer. */
static void rounding_is_to_the_nearest_and_ties_go_to_even(void) {
    for (int h = 0; h < 0x7bff; h++) {
        float low = f16_to_f32((uint16_t)h), high = f16_to_f32((uint16_t)(h + 1));
        float middle = low + (high - low) / 2;
        CHECK(f16_from_f32(middle) == (h & 1 ? h + 1 : h));
        CHECK(f16_from_f32(nextafterf(middle, low)) == h);
        CHECK(f16_from_f32(-nextafterf(middle, high)) == ((h + 1) | 0x8000));
    }
    for (uint16_t b = 0; b < 0x7f7f; b++) {
        float low = bf16_to_f32(b), high = bf16_to_f32((uint16_t)(b + 1));
        float middle = low + (high - low) / 2;
        CHECK(bf16_from_f32(middle) == (b & 1 ? b + 1 : b));
        CHECK(bf16_from_f32(nextafterf(middle, low)) == b);
        CHECK(bf16_from_f32(-nextafterf(middle, high)) == ((b + 1) | 0x8000));
    }
    CHECK(f16_from_f32(nextafterf(65520.0f, 0)) == 0x7bff);
    CHECK(f16_from_f32(65520.0f) == 0x7c00 && f16_from_f32(-3e38f) == 0xfc00);
    CHECK(f16_from_f32(0x1p-26f) == 0 && f16_from_f32(-0x1p-149f) == 0x8000);
    CHECK(bf16_from_f32(3.4028235e38f) == 0x7f80);
}

/* --- recorded blocks --- */

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
        const safetensors_entry *blocks = recorded(st, promises[i].name, "bytes");
        const safetensors_entry *values = recorded(st, promises[i].name, "values");
        CHECK_MSG(blocks && values, "%s is not recorded", promises[i].name);
        if (!blocks || !values) continue;
        float *out = malloc(values->bytes);
        quant_decode_row(type_at(i), out, blocks->view.data, values->bytes / sizeof *out);
        CHECK_MSG(memcmp(out, values->view.data, values->bytes) == 0, "%s", promises[i].name);
        free(out);
    }
    safetensors_close(st);
}

static void encoding_gives_the_recorded_bytes(void) {
    safetensors *st = open_golden();
    if (!st) SKIP("no shared/golden/quant");
    int n_found = 0;
    for (int i = 1; i < N_TYPES; i++) {
        const safetensors_entry *values = recorded(st, promises[i].name, "quantise.input");
        const safetensors_entry *blocks = recorded(st, promises[i].name, "quantise.bytes");
        if (!blocks || !values) continue;
        n_found++;
        float *x = malloc(values->bytes);
        uint8_t *row = malloc(blocks->bytes);
        memcpy(x, values->view.data, values->bytes); /* the file promises no alignment */
        CHECK_OK(quant_encode_row(type_at(i), row, x, values->bytes / sizeof *x, NULL));
        CHECK_MSG(memcmp(row, blocks->view.data, blocks->bytes) == 0, "%s", promises[i].name);
        free(x);
        free(row);
    }
    CHECK_MSG(n_found == 7, "%d types are recorded, 7 expected", n_found);
    safetensors_close(st);
}

/* --- what ggml makes of the same rows --- */

static uint64_t hash_bytes(uint64_t hash, const uint8_t *bytes, size_t n) { /* FNV-1a */
    for (size_t i = 0; i < n; i++) hash = (hash ^ bytes[i]) * 0x100000001b3;
    return hash;
}

/* The rows of twenty seeds, encoded: their hash and the squared error that they leave. */
static uint64_t encode_all(dtype type, bool with_importance, double *error) {
    static float x[N_ROW], importance[N_ROW], decoded[N_ROW];
    static uint8_t row[N_ROW * 2];
    uint64_t hash = 0xcbf29ce484222325;
    *error = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        fill_row(x, seed);
        fill_importance(importance, N_ROW, seed);
        const float *weights = with_importance ? importance : NULL;
        CHECK_OK(quant_encode_row(type, row, x, N_ROW, weights));
        hash = hash_bytes(hash, row, row_bytes(type, N_ROW));
        quant_decode_row(type, decoded, row, N_ROW);
        *error += squared_error(x, decoded, weights, N_ROW);
    }
    return hash;
}

static void rounding_to_nearest_gives_the_bytes_of_ggml(void) {
    static const struct {
        const char *name;
        uint64_t hash;
    } expected[] = {
        {"Q4_0", 0xf1d693f77fd1ac61}, {"Q4_1", 0x4fef8936e5cbd8eb}, {"Q5_0", 0x961c725522a293d5},
        {"Q5_1", 0x0751ae7e0499287f}, {"Q8_0", 0xcbdc29c7b44e288f},
    };
    double error;
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        uint64_t hash = encode_all((dtype)dtype_by_name(expected[i].name), false, &error);
        CHECK_MSG(hash == expected[i].hash, "%s: %016llx", expected[i].name,
                  (unsigned long long)hash);
    }
    CHECK(encode_all(DTYPE_Q8_0, true, &error) == expected[4].hash);
}

/* What ggml's quantisers leave of the same rows, by its own bytes (llama-cpp-python 0.3.36). */
static void searches_leave_at_most_the_error_of_ggml(void) {
    static const struct {
        const char *name;
        double plain, with_importance;
    } ggml[] = {
        {"Q4_0", 178.9678, 5020.361},
        {"Q4_1", 385.5029, 3218.603},
        {"Q5_0", 89.91249, 2729.266},
        {"Q5_1", 299.0994, 2037.771},
        {"Q2_K", 9396.859, 167835.2},
        {"Q3_K", 524.9293, 13258.2},
        {"Q4_K", 728.5268, 18818.45},
        {"Q5_K", 448.9358, 12350.88},
        {"Q6_K", 77.65346, 2605.129},
        {"IQ4_NL", 1555.972, 47019.38},
        {"IQ4_XS", 1690.494, 51073.24},
    };
    for (size_t i = 0; i < sizeof ggml / sizeof *ggml; i++) {
        dtype type = (dtype)dtype_by_name(ggml[i].name);
        double plain, weighted;
        encode_all(type, false, &plain);
        encode_all(type, true, &weighted);
        CHECK_MSG(plain <= ggml[i].plain * (1 + 1e-6), "%s: %g, ggml %g", ggml[i].name, plain,
                  ggml[i].plain);
        CHECK_MSG(weighted <= ggml[i].with_importance, "%s with importance: %g, ggml %g",
                  ggml[i].name, weighted, ggml[i].with_importance);
    }
}

/* --- errors --- */

enum { N_NORMAL = 64 * 256 };

static void encode_and_decode(dtype type, float *decoded, const float *x, int n,
                              const float *importance) {
    uint8_t *row = malloc(row_bytes(type, (size_t)n));
    CHECK_OK(quant_encode_row(type, row, x, (size_t)n, importance));
    quant_decode_row(type, decoded, row, (size_t)n);
    free(row);
}

static void errors_on_normal_values_stay_below_their_bounds(void) {
    static float x[N_NORMAL], decoded[N_NORMAL], zeros[N_NORMAL];
    random_state = 1;
    for (int i = 0; i < N_NORMAL; i++) x[i] = random_normal() * 0.02f;
    for (int i = 0; i < N_TYPES; i++) {
        encode_and_decode(type_at(i), decoded, x, N_NORMAL, NULL);
        double error = sqrt(squared_error(x, decoded, NULL, N_NORMAL) /
                            squared_error(x, zeros, NULL, N_NORMAL));
        CHECK_MSG(error <= promises[i].error, "%s: %.5f, at most %.5f", promises[i].name, error,
                  promises[i].error);
        CHECK_MSG(error >= promises[i].error * 0.8, "%s: %.5f, so the bound %.5f is loose",
                  promises[i].name, error, promises[i].error);
    }
}

static void importance_lowers_the_weighted_error(void) {
    static float x[N_NORMAL], importance[N_NORMAL], plain[N_NORMAL], weighted[N_NORMAL];
    random_state = 2;
    for (int i = 0; i < N_NORMAL; i++) x[i] = random_normal() * 0.02f;
    fill_importance(importance, N_NORMAL, 2);
    for (int i = 0; i < N_TYPES; i++) {
        encode_and_decode(type_at(i), plain, x, N_NORMAL, NULL);
        encode_and_decode(type_at(i), weighted, x, N_NORMAL, importance);
        double gain = squared_error(x, weighted, importance, N_NORMAL) /
                      squared_error(x, plain, importance, N_NORMAL);
        if (promises[i].uses_importance)
            CHECK_MSG(gain < 0.97, "%s: %.3f of the error remains", promises[i].name, gain);
        else
            CHECK(memcmp(plain, weighted, sizeof plain) == 0);
    }
}

/* A row whose columns calibration never saw is encoded as if there were no importance. */
static void zero_importance_means_equal_importance(void) {
    static float x[N_ROW], zeros[N_ROW], plain[N_ROW], weighted[N_ROW];
    fill_row(x, 3);
    for (int i = 0; i < N_TYPES; i++) {
        encode_and_decode(type_at(i), plain, x, N_ROW, NULL);
        encode_and_decode(type_at(i), weighted, x, N_ROW, zeros);
        CHECK_MSG(memcmp(plain, weighted, sizeof plain) == 0, "%s", promises[i].name);
    }
}

static void zeros_stay_zeros_and_denormals_become_small(void) {
    static float x[256], decoded[256];
    for (int i = 0; i < N_TYPES; i++) {
        memset(x, 0, sizeof x);
        encode_and_decode(type_at(i), decoded, x, 256, NULL);
        for (int j = 0; j < 256; j++) CHECK_MSG(decoded[j] == 0, "%s", promises[i].name);
        random_state = 4;
        for (int j = 0; j < 256; j++) x[j] = random_normal() * 1e-41f;
        encode_and_decode(type_at(i), decoded, x, 256, NULL);
        for (int j = 0; j < 256; j++) CHECK_MSG(fabsf(decoded[j]) < 1e-38f, "%s", promises[i].name);
    }
}

/* Types without a search give the same bytes again. The others choose a little differently, but
 * lose only a fraction of what the first encoding lost. */
static void encoding_decoded_values_changes_nothing_or_little(void) {
    static float x[N_NORMAL], decoded[N_NORMAL], again[N_NORMAL], zeros[N_NORMAL];
    static uint8_t first[N_NORMAL * 4], second[N_NORMAL * 4];
    random_state = 5;
    for (int i = 0; i < N_NORMAL; i++) x[i] = random_normal() * 0.02f;
    for (int i = 0; i < N_TYPES; i++) {
        CHECK_OK(quant_encode_row(type_at(i), first, x, N_NORMAL, NULL));
        quant_decode_row(type_at(i), decoded, first, N_NORMAL);
        CHECK_OK(quant_encode_row(type_at(i), second, decoded, N_NORMAL, NULL));
        quant_decode_row(type_at(i), again, second, N_NORMAL);
        double drift = sqrt(squared_error(decoded, again, NULL, N_NORMAL) /
                            squared_error(x, zeros, NULL, N_NORMAL));
        CHECK_MSG(drift <= 0.25 * promises[i].error, "%s: %g", promises[i].name, drift);
        if (promises[i].reproduces_itself)
            CHECK_MSG(memcmp(first, second, row_bytes(type_at(i), N_NORMAL)) == 0, "%s",
                      promises[i].name);
    }
}

/* --- the edges of the contract --- */

static void blocks_of_a_row_do_not_depend_on_each_other(void) {
    static float x[N_ROW];
    static uint8_t whole[N_ROW * 4], part[256 * 4];
    fill_row(x, 6);
    for (int i = 0; i < N_TYPES; i++) {
        size_t bytes = row_bytes(type_at(i), 256);
        CHECK_OK(quant_encode_row(type_at(i), whole, x, N_ROW, NULL));
        for (size_t k = 0; k < N_KINDS; k++) {
            CHECK_OK(quant_encode_row(type_at(i), part, x + 256 * k, 256, NULL));
            CHECK_MSG(memcmp(part, whole + k * bytes, bytes) == 0, "%s", promises[i].name);
        }
    }
}

static void rows_need_no_alignment_and_nothing_outside_is_touched(void) {
    static float x[N_ROW], aligned[256], unaligned[256 + 1];
    static uint8_t row[256 * 4 + 16], reference[256 * 4];
    fill_row(x, 7);
    for (int i = 0; i < N_TYPES; i++) {
        size_t bytes = row_bytes(type_at(i), 256);
        memset(row, 0xa5, sizeof row);
        CHECK_OK(quant_encode_row(type_at(i), reference, x, 256, NULL));
        CHECK_OK(quant_encode_row(type_at(i), row + 3, x, 256, NULL));
        CHECK_MSG(memcmp(row + 3, reference, bytes) == 0, "%s", promises[i].name);
        CHECK(row[2] == 0xa5 && row[3 + bytes] == 0xa5);
        unaligned[256] = 42;
        quant_decode_row(type_at(i), unaligned, row + 3, 256);
        quant_decode_row(type_at(i), aligned, reference, 256);
        CHECK(memcmp(aligned, unaligned, sizeof aligned) == 0 && unaligned[256] == 42);
    }
}

static void values_that_are_not_finite_are_refused(void) {
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    float x[256];
    uint8_t row[256 * 4];
    for (int i = 0; i < N_TYPES; i++) {
        for (int k = 0; k < 3; k++) {
            for (int j = 0; j < 256; j++) x[j] = 0.5f;
            x[255 - k] = bad[k];
            CHECK(quant_encode_row(type_at(i), row, x, 256, NULL) == HONE_ERR_NUMERIC);
            CHECK(strstr(hone_error_message(), promises[i].name) != NULL);
        }
    }
}

/* A scale that overflowed would decode to infinities, a search that did to zeros. */
static void values_too_large_for_the_format_are_refused(void) {
    static float x[256], importance[256], decoded[256], zeros[256];
    static uint8_t row[256 * 4];
    for (int i = 0; i < N_TYPES; i++) {
        bool wide = type_at(i) == DTYPE_F32 || type_at(i) == DTYPE_BF16;
        for (int k = 0; k < 2 * 38; k++) {
            random_state = (uint64_t)k + 1;
            for (int j = 0; j < 256; j++)
                x[j] = random_normal() / 6.0f * (float)pow(10, k / 2);
            fill_importance(importance, 256, 8);
            const float *weights = k % 2 ? importance : NULL;
            hone_status status = quant_encode_row(type_at(i), row, x, 256, weights);
            if (k / 2 <= 4) CHECK(status == HONE_OK);
            if (k / 2 >= 10) CHECK(status == (wide ? HONE_OK : HONE_ERR_NUMERIC));
            if (status != HONE_OK) {
                CHECK(status == HONE_ERR_NUMERIC);
                continue;
            }
            quant_decode_row(type_at(i), decoded, row, 256);
            double error = sqrt(squared_error(x, decoded, weights, 256) /
                                squared_error(x, zeros, weights, 256));
            CHECK_MSG(error <= 1.3 * promises[i].error, "%s at 1e%d: %g", promises[i].name, k / 2,
                      error);
        }
    }
    x[0] = 65519.0f;
    CHECK_OK(quant_encode_row(DTYPE_F16, row, x, 1, NULL));
    x[0] = 65520.0f;
    CHECK(quant_encode_row(DTYPE_F16, row, x, 1, NULL) == HONE_ERR_NUMERIC);
    x[0] = 3.4028235e38f;
    CHECK(quant_encode_row(DTYPE_BF16, row, x, 1, NULL) == HONE_ERR_NUMERIC);
}

static void importance_must_be_finite_and_not_negative(void) {
    static const float bad[] = {NAN, INFINITY, -1.0f, 1e13f};
    float x[256] = {1.0f}, importance[256];
    uint8_t row[256 * 4];
    for (int k = 0; k < 4; k++) {
        for (int j = 0; j < 256; j++) importance[j] = 1.0f;
        importance[200] = bad[k];
        CHECK(quant_encode_row(DTYPE_Q4_K, row, x, 256, importance) == HONE_ERR_NUMERIC);
    }
}

static void wrong_types_and_lengths_are_refused(void) {
    float x[256] = {1.0f};
    uint8_t row[256 * 8];
    CHECK(quant_encode_row(DTYPE_I32, row, x, 256, NULL) == HONE_ERR_UNSUPPORTED);
    CHECK(quant_encode_row((dtype)16, row, x, 256, NULL) == HONE_ERR_UNSUPPORTED);
    CHECK(quant_encode_row((dtype)4, row, x, 256, NULL) == HONE_ERR_UNSUPPORTED);
    CHECK(quant_encode_row((dtype)4711, row, x, 256, NULL) == HONE_ERR_UNSUPPORTED);
    CHECK(quant_encode_row(DTYPE_Q4_0, row, x, 33, NULL) == HONE_ERR_ARGUMENT);
    CHECK(quant_encode_row(DTYPE_Q4_K, row, x, 32, NULL) == HONE_ERR_ARGUMENT);
    for (int i = 0; i < N_TYPES; i++) {
        row[0] = 7;
        CHECK_OK(quant_encode_row(type_at(i), row, x, 0, NULL));
        CHECK(row[0] == 7);
    }
}

static void the_table_of_types_and_the_structs_agree(void) {
    int n_weights = 0;
    for (uint32_t id = 0; id < DTYPE_LIMIT; id++) n_weights += dtype_get(id)->is_weight;
    CHECK_MSG(n_weights == N_TYPES, "%d types of weights, %d tested", n_weights, N_TYPES);
    CHECK(dtype_get(DTYPE_Q4_K)->block_bytes == sizeof(block_q4_k));
    CHECK(dtype_get(DTYPE_Q6_K)->block_bytes == sizeof(block_q6_k));
    CHECK(dtype_get(DTYPE_IQ4_XS)->block_bytes == sizeof(block_iq4_xs));
}

int main(void) {
    RUN(every_half_survives_the_round_trip);
    RUN(halves_have_the_values_of_their_fields);
    RUN(rounding_is_to_the_nearest_and_ties_go_to_even);
    RUN(decoding_gives_the_recorded_bits);
    RUN(encoding_gives_the_recorded_bytes);
    RUN(rounding_to_nearest_gives_the_bytes_of_ggml);
    RUN(searches_leave_at_most_the_error_of_ggml);
    RUN(errors_on_normal_values_stay_below_their_bounds);
    RUN(importance_lowers_the_weighted_error);
    RUN(zero_importance_means_equal_importance);
    RUN(zeros_stay_zeros_and_denormals_become_small);
    RUN(encoding_decoded_values_changes_nothing_or_little);
    RUN(blocks_of_a_row_do_not_depend_on_each_other);
    RUN(rows_need_no_alignment_and_nothing_outside_is_touched);
    RUN(values_that_are_not_finite_are_refused);
    RUN(values_too_large_for_the_format_are_refused);
    RUN(importance_must_be_finite_and_not_negative);
    RUN(wrong_types_and_lengths_are_refused);
    RUN(the_table_of_types_and_the_structs_agree);
    return test_summary();
}
