/* Encoders of the formats whose codes are places in a table: IQ4_NL and IQ4_XS. */
#include <math.h>

#include "tensor/blocks.h"
#include "tensor/quant.h"
#include "tensor/quant_int.h"

/* Place of the table's value nearest to y; of two equally near ones the larger. */
static int nearest_place(float y) {
    /* Half-way between neighbours; all are exact. */
    static const float border[15] = {-115.5f, -93.5f, -74.0f, -57.0f, -42.0f, -28.5f, -16.0f, -4.5f,
                                     7.0f,    19.0f,  31.5f,  45.5f,  61.0f,  79.0f,  101.0f};
    int place = y >= border[7] ? 8 : 0;
    place += y >= border[place + 3] ? 4 : 0;
    place += y >= border[place + 1] ? 2 : 0;
    return place + (y >= border[place] ? 1 : 0);
}

/* The scale d of x[32] ≈ d · table. The table is not symmetric: the first guess maps the element of
 * largest magnitude to +127, beyond its end, the other fifteen to about −127. */
static float search_table(const float *x, const float *w) {
    float largest = signed_largest(x, 32);
    if (fabsf(largest) < QUANT_NOTHING) return 0.0f;
    float d = 0.0f, best = 0.0f;
    for (int k = -8; k <= 7; k++) {
        bool first = k == -8;
        float iscale = first ? 1.0f / (largest / 127.0f) : (float)(k - 127) / largest;
        float xq = 0.0f, qq = 0.0f;
        for (int j = 0; j < 32; j++) {
            float value = (float)iq4_values[nearest_place(iscale * x[j])];
            xq += w[j] * value * x[j];
            qq += w[j] * value * value;
        }
        if (first || (qq > 0.0f && xq * xq > best * qq)) {
            d = xq / qq;
            best = d * xq;
        }
    }
    return d;
}

static void pack_places(uint8_t qs[16], const float *x, float inverted) {
    for (int j = 0; j < 16; j++)
        qs[j] = (uint8_t)(nearest_place(x[j] * inverted) |
                          nearest_place(x[j + 16] * inverted) << 4);
}

static void table_weights(float *w, const float *x, const float *importance, float spread) {
    if (importance) {
        importance_weights(w, x, importance, spread, 32);
    } else {
        for (int j = 0; j < 32; j++) w[j] = x[j] * x[j];
    }
}

void encode_iq4_nl(void *block, const float *x, const float *importance, float row_mean_square) {
    (void)row_mean_square;
    block_iq4_nl *b = block;
    float w[32];
    table_weights(w, x, importance, 2.0f * sum_of_squares(x, 32) / 32.0f);
    float d = search_table(x, w);
    b->d = f16_from_f32(d);
    pack_places(b->qs, x, inverse(d));
}

void encode_iq4_xs(void *block, const float *x, const float *importance, float row_mean_square) {
    (void)row_mean_square;
    block_iq4_xs *b = block;
    float spread = 2.0f * sum_of_squares(x, QK_SUPER) / (float)QK_SUPER;
    float scales[8];
    for (int k = 0; k < 8; k++) {
        float w[32];
        table_weights(w, x + 32 * k, importance ? importance + 32 * k : NULL, spread);
        scales[k] = search_table(x + 32 * k, w);
    }
    float d = signed_largest(scales, 8) / -32.0f;
    memset(b, 0, sizeof *b);
    b->d = f16_from_f32(d);
    for (int k = 0; k < 8; k++) {
        int scale = clamp_int(round_even(scales[k] * inverse(d)), -32, 31);
        int code = scale + 32;
        b->scales_l[k / 2] |= (uint8_t)((code & 15) << (4 * (k % 2)));
        b->scales_h |= (uint16_t)(code >> 4 << (2 * k));
        pack_places(b->qs + 16 * k, x + 32 * k, inverse(d * (float)scale));
    }
}
