/* The formats themselves and rows of them: encode_row, a slot of the kernels' table. An instruction
 * set's file includes this behind its vectors (encode_lanes.h). */
#ifndef TENSOR_ENCODE_FORMATS_H
#define TENSOR_ENCODE_FORMATS_H

#include "tensor/encode_chunk.h"
#include "tensor/encode_pack.h"
#include "tensor/encode_round.h"

/* --- one function for each family of formats --- */

static const float places_4[] = {-4.9f, -4.7f, -4.5f, -4.3f, -4.1f, -3.9f, -3.7f, -3.5f, -3.3f,
                                 -3.1f, 3.0f,  3.25f, 3.5f,  3.75f};
static const float places_8[] = {-8.75f, -8.5f,  -8.25f, -8.0f, -7.75f,
                                 -7.5f,  -7.25f, -7.0f,  7.5f,  7.0f};
static const float places_16[] = {-16.9f, -16.6f, -16.3f, -16.0f, -15.7f, -15.4f, -15.1f, -14.8f,
                                  16.0f,  15.5f,  15.0f};
static const float places_32[] = {-32.75f, -32.5f, -32.25f, -32.0f, -31.75f, -31.5f, -31.25f};
static const float places_table[] = {-134.0f, -131.0f, -128.0f, -125.0f, -122.0f, -119.0f, 127.0f,
                                     121.0f,  118.0f,  115.0f,  112.0f,  109.0f};

#define PLACES(list) list, sizeof(list) / sizeof *(list)

static const scale_format q3_k = {16, {false, -4.0f, 3.0f}, PLACES(places_4), -32.0f, 31.0f};
static const scale_format q6_k = {16, {false, -32.0f, 31.0f}, PLACES(places_32), -128.0f, 127.0f};
static const scale_format iq4_xs = {32, {true, 0, 0}, PLACES(places_table), -32.0f, 31.0f};
static const scale_format iq4_nl = {32, {true, 0, 0}, PLACES(places_table), 0, 0};
static const scale_format q4_0 = {32, {false, -8.0f, 7.0f}, PLACES(places_8), 0, 0};
static const scale_format q5_0 = {32, {false, -16.0f, 15.0f}, PLACES(places_16), 0, 0};

static const stretch stretches_3[] = {{0, 0}, {-0.25f, -0.25f}, {0.3f, 0.3f}, {0.3f, 0}, {0, 0.3f},
                                      {-0.3f, 0.2f}, {0.2f, -0.3f}, {0.45f, 0.45f}};
static const stretch stretches_15[] = {{0, 0},          {-0.4f, -0.4f}, {0.4f, 0.4f},
                                       {-0.4f, 0.4f},   {0.4f, -0.4f},  {0.8f, 0},
                                       {0, 0.8f},       {0.8f, 0.8f},   {1.2f, 0.4f},
                                       {0.4f, 1.2f},    {1.2f, 1.2f},   {-0.8f, -0.8f}, {0, -1.0f}};

static const affine_format q2_k = {16, 3.0f, PLACES(stretches_3), 15.0f};
static const affine_format q4_k = {32, 15.0f, PLACES(stretches_15), 63.0f};
static const affine_format q5_k = {32, 31.0f, PLACES(stretches_15), 63.0f};
static const affine_format q4_1 = {32, 15.0f, PLACES(stretches_15), 0};
static const affine_format q5_1 = {32, 31.0f, PLACES(stretches_15), 0};

/* Q3_K, Q6_K, IQ4_XS */
INLINE void encode_scaled_supers(const scale_format *f, chunk *c, chunk_scales *s) {
    runs groups[MOST_RUNS / LANES];
    load_chunk(groups, c, f->run);
    code_scales(f, groups, s);
    for (int k = 0; k < CHUNK / f->run; k++)
        quantise_run(c->q + k * f->run, c->x + k * f->run, f->l,
                     s->unit[k] * s->code[k], f->run);
}

/* Q2_K, Q4_K, Q5_K */
INLINE void encode_affine_supers(const affine_format *f, chunk *c, chunk_affine *s) {
    runs groups[MOST_RUNS / LANES];
    load_chunk(groups, c, f->run);
    code_affine(f, groups, s);
    for (int k = 0; k < CHUNK / f->run; k++)
        quantise_run_affine(c->q + k * f->run, c->x + k * f->run, f->top, s->unit[k] * s->code[k],
                            -(s->min_unit[k] * s->min_code[k]), f->run);
}

/* IQ4_NL; Q4_0 and Q5_0 with importance */
INLINE void encode_scaled_blocks(const scale_format *f, const small_layout l, chunk *c,
                                 uint8_t *out, size_t n) {
    runs groups[MOST_RUNS / LANES];
    _Alignas(64) run_values scales;
    load_chunk(groups, c, 32);
    ideal_scales(f, groups, scales);
    for (size_t k = 0; k < n / 32; k++) {
        uint16_t d = half_bits(scales[k]);
        quantise_run(c->q, c->x + 32 * k, f->l, half_value(d), 32);
        pack_small(out + k * small_block_bytes(l), l, d, 0, codes_load(c->q));
    }
}

/* Q4_1 and Q5_1 with importance */
INLINE void encode_affine_blocks(const affine_format *f, const small_layout l, chunk *c,
                                 uint8_t *out, size_t n) {
    runs groups[MOST_RUNS / LANES];
    _Alignas(64) run_values scales, offsets;
    load_chunk(groups, c, 32);
    for (int at = 0; at < CHUNK / 32; at += LANES) {
        affine best = search_affine(&groups[at / LANES], f->top, true, f->guesses, f->n_guesses);
        v_store(scales + at, best.scale);
        v_store(offsets + at, best.offset);
    }
    for (size_t k = 0; k < n / 32; k++) {
        uint16_t d = half_bits(scales[k]), m = half_bits(offsets[k]);
        quantise_run_affine(c->q, c->x + 32 * k, f->top, half_value(d), half_value(m), 32);
        pack_small(out + k * small_block_bytes(l), l, d, m, codes_load(c->q));
    }
}

static void chunk_q2_k(chunk *c, void *out, size_t n) {
    chunk_affine s;
    encode_affine_supers(&q2_k, c, &s);
    block_q2_k *b = out;
    for (size_t i = 0; i < n / QK_SUPER; i++) {
        b[i].d = half_bits(s.unit[16 * i]);
        b[i].dmin = half_bits(s.min_unit[16 * i]);
        for (int k = 0; k < 16; k++)
            b[i].scales[k] = (uint8_t)((int)s.code[16 * i + (size_t)k] |
                                       (int)s.min_code[16 * i + (size_t)k] << 4);
        pack_pairs(b[i].qs, c->q + QK_SUPER * i);
    }
}

static void chunk_q3_k(chunk *c, void *out, size_t n) {
    chunk_scales s;
    encode_scaled_supers(&q3_k, c, &s);
    block_q3_k *b = out;
    for (size_t i = 0; i < n / QK_SUPER; i++) {
        b[i].d = half_bits(s.unit[16 * i]);
        pack_q3_k_scales(b[i].scales, s.code + 16 * i);
        pack_pairs(b[i].qs, c->q + QK_SUPER * i);
        pack_bits(b[i].hmask, c->q + QK_SUPER * i, 2);
    }
}

static void chunk_q4_k(chunk *c, void *out, size_t n) {
    chunk_affine s;
    encode_affine_supers(&q4_k, c, &s);
    block_q4_k *b = out;
    for (size_t i = 0; i < n / QK_SUPER; i++) {
        b[i].d = half_bits(s.unit[8 * i]);
        b[i].dmin = half_bits(s.min_unit[8 * i]);
        pack_q4_k_scales(b[i].scales, s.code + 8 * i, s.min_code + 8 * i);
        pack_nibbles(b[i].qs, c->q + QK_SUPER * i);
    }
}

static void chunk_q5_k(chunk *c, void *out, size_t n) {
    chunk_affine s;
    encode_affine_supers(&q5_k, c, &s);
    block_q5_k *b = out;
    for (size_t i = 0; i < n / QK_SUPER; i++) {
        b[i].d = half_bits(s.unit[8 * i]);
        b[i].dmin = half_bits(s.min_unit[8 * i]);
        pack_q4_k_scales(b[i].scales, s.code + 8 * i, s.min_code + 8 * i);
        pack_nibbles(b[i].qs, c->q + QK_SUPER * i);
        pack_bits(b[i].qh, c->q + QK_SUPER * i, 4);
    }
}

static void chunk_q6_k(chunk *c, void *out, size_t n) {
    chunk_scales s;
    encode_scaled_supers(&q6_k, c, &s);
    block_q6_k *b = out;
    for (size_t i = 0; i < n / QK_SUPER; i++) {
        b[i].d = half_bits(s.unit[16 * i]);
        for (int k = 0; k < 16; k++) b[i].scales[k] = (int8_t)s.code[16 * i + (size_t)k];
        pack_q6_k(&b[i], c->q + QK_SUPER * i);
    }
}

static void chunk_iq4_xs(chunk *c, void *out, size_t n) {
    chunk_scales s;
    encode_scaled_supers(&iq4_xs, c, &s);
    block_iq4_xs *b = out;
    for (size_t i = 0; i < n / QK_SUPER; i++) {
        unsigned high = 0;
        b[i].d = half_bits(s.unit[8 * i]);
        memset(b[i].scales_l, 0, sizeof b[i].scales_l);
        for (int k = 0; k < 8; k++) {
            int code = (int)s.code[8 * i + (size_t)k] + 32;
            b[i].scales_l[k / 2] |= (uint8_t)((code & 15) << (4 * (k % 2)));
            high |= (unsigned)(code >> 4) << (2 * k);
            codes_store_nibbles(b[i].qs + 16 * k, codes_load(c->q + QK_SUPER * i + 32 * k));
        }
        b[i].scales_h = (uint16_t)high;
    }
}

static const small_layout four = {false, false}, four_offset = {true, false};
static const small_layout five = {false, true}, five_offset = {true, true};

static void chunk_iq4_nl(chunk *c, void *out, size_t n) {
    encode_scaled_blocks(&iq4_nl, four, c, out, n);
}
static void chunk_q4_0(chunk *c, void *out, size_t n) {
    encode_scaled_blocks(&q4_0, four, c, out, n);
}
static void chunk_q5_0(chunk *c, void *out, size_t n) {
    encode_scaled_blocks(&q5_0, five, c, out, n);
}
static void chunk_q4_1(chunk *c, void *out, size_t n) {
    encode_affine_blocks(&q4_1, four_offset, c, out, n);
}
static void chunk_q5_1(chunk *c, void *out, size_t n) {
    encode_affine_blocks(&q5_1, five_offset, c, out, n);
}

/* --- rows --- */

typedef void chunk_encoder(chunk *c, void *out, size_t n);

static chunk_encoder *chunk_encoder_of(dtype type) {
    switch (type) {
    case DTYPE_Q2_K: return chunk_q2_k;
    case DTYPE_Q3_K: return chunk_q3_k;
    case DTYPE_Q4_K: return chunk_q4_k;
    case DTYPE_Q5_K: return chunk_q5_k;
    case DTYPE_Q6_K: return chunk_q6_k;
    case DTYPE_IQ4_XS: return chunk_iq4_xs;
    case DTYPE_IQ4_NL: return chunk_iq4_nl;
    case DTYPE_Q4_0: return chunk_q4_0;
    case DTYPE_Q4_1: return chunk_q4_1;
    case DTYPE_Q5_0: return chunk_q5_0;
    default: return chunk_q5_1;
    }
}

/* Importance with a mean of 1 over the block, and no column quite worthless: calibration may have
 * missed what uses it. */
static void fill_weights(float *w, const float *importance, size_t n, size_t block) {
    for (size_t at = 0; at < n; at += block) {
        double sum = 0.0;
        for (size_t i = at; importance && i < at + block; i++) sum += (double)importance[i];
        float per_mean = sum > 0.0 ? (float)((double)block / sum) : 0.0f;
        for (size_t i = at; i < at + block; i++)
            w[i] = per_mean > 0.0f ? importance[i] * per_mean + 0x1p-10f : 1.0f;
    }
}

static void search_row(dtype type, uint8_t *out, const float *x, size_t n,
                       const float *importance) {
    const dtype_traits *t = dtype_get(type);
    chunk_encoder *encode = chunk_encoder_of(type);
    _Alignas(64) chunk c;
    for (size_t at = 0; at < n; at += CHUNK) {
        size_t width = n - at < CHUNK ? n - at : CHUNK;
        memcpy(c.x, x + at, width * sizeof *x);
        memset(c.x + width, 0, (CHUNK - width) * sizeof *x);
        fill_weights(c.w, importance ? importance + at : NULL, width, t->block);
        fill_weights(c.w + width, NULL, CHUNK - width, t->block);
        encode(&c, out + at / t->block * t->block_bytes, width);
    }
}

static void encode_row_lanes(dtype type, void *row, const float *x, size_t n,
                             const float *importance) {
    if (type == DTYPE_F16) round_f16(row, x, n);
    else if (type == DTYPE_BF16) round_bf16(row, x, n);
    else if (type == DTYPE_Q8_0) round_q8_0(row, x, n / 32);
    else if (type == DTYPE_Q4_0 && !importance) round_small(row, four, x, n / 32);
    else if (type == DTYPE_Q4_1 && !importance) round_small(row, four_offset, x, n / 32);
    else if (type == DTYPE_Q5_0 && !importance) round_small(row, five, x, n / 32);
    else if (type == DTYPE_Q5_1 && !importance) round_small(row, five_offset, x, n / 32);
    else search_row(type, row, x, n, importance);
}

/* Without branches, so that it costs next to nothing. */
static bool all_within_lanes(const float *x, size_t n, float low, float high) {
    unsigned bad = 0;
    for (size_t i = 0; i < n; i++) bad |= !(x[i] >= low) | !(x[i] <= high);
    return !bad;
}

INLINE void fill_encoders(kernels *k) {
    k->encode_row = encode_row_lanes;
    k->all_within = all_within_lanes;
}

#endif
