/* A chunk of weights on its way to blocks: the scales that its runs get and the codes that follow.
 *
 * What is made small is the error that counts: Σ w · (x − x̂)², w the importance of the column or 1,
 * x̂ what the decoder gives.
 *
 * A row is cut into chunks of 512, the last one filled up with zeros. Super-blocks go three steps:
 * each run's ideal scale (and minimum); their 4 to 8-bit codes, of which the neighbours of the
 * nearest are tried as well, with the scale that the decoder will see; then the super-block's own
 * scales by regression over the codes that came out, and the codes again, kept where they are
 * better. */
#ifndef TENSOR_ENCODE_CHUNK_H
#define TENSOR_ENCODE_CHUNK_H

#include <math.h>
#include <string.h>

#include "tensor/encode_lanes.h"

enum { CHUNK = 512, SUPERS = CHUNK / QK_SUPER, MOST_RUNS = CHUNK / 16 };

/* A chunk on its way: weights in, codes out. */
typedef struct chunk {
    float x[CHUNK], w[CHUNK];
    uint8_t q[CHUNK]; /* codes from 0 on, as formats store them */
} chunk;

/* Errors and sums of runs, by which super-blocks are compared and fitted. */
typedef float run_values[MOST_RUNS];

INLINE float sum_runs(const float *values, const int n) {
    float sum = 0.0f;
    for (int k = 0; k < n; k++) sum += values[k];
    return sum;
}

/* Whether a super-block's runs lost less. An infinite error means a unit too large for a half: it
 * stays, for quant_encode_row to see. */
INLINE bool is_better(const float *error, const float *old_error, const int n) {
    float old = sum_runs(old_error, n);
    return old < INFINITY && sum_runs(error, n) < old;
}

INLINE void set_runs(float *values, const int n, float value) {
    for (int k = 0; k < n; k++) values[k] = value;
}

INLINE float nearest_half(float x) { return half_value(half_bits(x)); }

INLINE void load_chunk(runs *groups, const chunk *c, const int run) {
    for (int g = 0; g < CHUNK / run / LANES; g++)
        load_runs(&groups[g], c->x + g * LANES * run, c->w + g * LANES * run, run);
}

/* --- formats with a scale alone --- */

typedef struct scale_format {
    int run; /* elements with one scale */
    levels l;
    const float *places; /* guesses of search_scale */
    int n_places;
    float code_low, code_high; /* of the scales; 0: halves of their own */
} scale_format;

/* A chunk's scales: unit · code each; a super-block's runs have the same unit, a half's value. */
typedef struct chunk_scales {
    run_values unit, code;
} chunk_scales;

INLINE void ideal_scales(const scale_format *f, const runs *groups, float *scales) {
    for (int g = 0; g < CHUNK / f->run / LANES; g++)
        v_store(scales + g * LANES, search_scale(&groups[g], f->l, f->places, f->n_places));
}

/* Codes for the ideal scales under the units at hand, the errors they leave, and Σwxq and Σwq². */
INLINE void choose_scale_codes(const scale_format *f, const runs *groups, const float *ideal,
                               chunk_scales *s, float *error, float *xq, float *qq) {
    const int n_runs = CHUNK / f->run;
    for (int at = 0; at < n_runs; at += LANES) {
        const runs *r = &groups[at / LANES];
        vec unit = v_load(s->unit + at), code = v_set(0.0f);
        vec nearest = v_round(v_load(ideal + at) * reciprocal(unit)), least = v_set(INFINITY);
        for (int step = -1; step <= 1; step++) {
            vec tried = nearest + v_set((float)step);
            tried = v_min(v_max(tried, v_set(f->code_low)), v_set(f->code_high));
            vec e = scale_error(r, f->l, unit * tried);
            mask better = v_greater(least, e);
            least = v_pick(better, e, least);
            code = v_pick(better, tried, code);
        }
        scale_sums sums = sum_codes(r, f->l, reciprocal(unit * code));
        v_store(s->code + at, code);
        v_store(error + at, least);
        v_store(xq + at, sums.xq);
        v_store(qq + at, sums.qq);
    }
}

/* The unit that suits one super-block's codes best, as a half. */
INLINE float fit_unit(const float *code, const float *xq, const float *qq, const int n) {
    float numerator = 0.0f, denominator = 0.0f;
    for (int k = 0; k < n; k++) {
        numerator += code[k] * xq[k];
        denominator += code[k] * code[k] * qq[k];
    }
    return denominator > 0.0f ? nearest_half(numerator / denominator) : 0.0f;
}

INLINE float largest_magnitude(const float *x, const int n) {
    float largest = 0.0f;
    for (int i = 0; i < n; i++) largest = fabsf(x[i]) > fabsf(largest) ? x[i] : largest;
    return largest;
}

INLINE void code_scales(const scale_format *f, const runs *groups, chunk_scales *s) {
    const int n_runs = CHUNK / f->run, per_super = n_runs / SUPERS;
    _Alignas(64) run_values ideal, error, xq, qq, new_error;
    ideal_scales(f, groups, ideal);
    for (int at = 0; at < n_runs; at += per_super)
        set_runs(s->unit + at, per_super,
                 nearest_half(largest_magnitude(ideal + at, per_super) / f->code_low));
    choose_scale_codes(f, groups, ideal, s, error, xq, qq);
    for (int turn = 0; turn < 2; turn++) {
        chunk_scales fitted;
        for (int at = 0; at < n_runs; at += per_super)
            set_runs(fitted.unit + at, per_super,
                     fit_unit(s->code + at, xq + at, qq + at, per_super));
        choose_scale_codes(f, groups, ideal, &fitted, new_error, xq, qq);
        for (int at = 0; at < n_runs; at += per_super) {
            if (!is_better(new_error + at, error + at, per_super)) continue;
            memcpy(s->unit + at, fitted.unit + at, (size_t)per_super * sizeof *s->unit);
            memcpy(s->code + at, fitted.code + at, (size_t)per_super * sizeof *s->code);
            memcpy(error + at, new_error + at, (size_t)per_super * sizeof *error);
        }
    }
}

/* Place of the nearest value in the table. */
INLINE vec nearest_place(vec y) {
    vec place = v_set(0.0f);
    for (int k = 0; k < 15; k++)
        place = place + v_pick(v_greater(v_set(iq4_borders[k]), y), v_set(0.0f), v_set(1.0f));
    return place;
}

INLINE void quantise_run(uint8_t *q, const float *x, const levels l, float scale, const int n) {
    vec inverse = reciprocal(v_set(scale));
    for (int i = 0; i < n; i += LANES) {
        vec y = v_load(x + i) * inverse;
        if (l.from_table) v_store_codes(q + i, nearest_place(y));
        else v_store_codes(q + i, nearest_level(l, y) - v_set(l.low));
    }
}

/* --- formats with scale and offset --- */

typedef struct affine_format {
    int run;
    float top; /* largest code of a weight */
    const stretch *guesses;
    int n_guesses;
    float code_high; /* of scales and minima */
} affine_format;

typedef struct chunk_affine {
    run_values unit, min_unit, code, min_code;
} chunk_affine;

/* Sums over a chunk's runs for fit_units. */
typedef struct affine_run_sums {
    run_values error, w, wx, q, qq, xq;
} affine_run_sums;

/* For each code near the ideal scale's the best minimum, given the codes that it leads to. */
INLINE void choose_affine_codes(const affine_format *f, const runs *groups, const float *ideal,
                                const float *ideal_min, chunk_affine *s, affine_run_sums *out) {
    const int n_runs = CHUNK / f->run;
    const vec zero = v_set(0.0f), highest = v_set(f->code_high);
    for (int at = 0; at < n_runs; at += LANES) {
        const runs *r = &groups[at / LANES];
        vec unit = v_load(s->unit + at), min_unit = v_load(s->min_unit + at);
        vec per_min = reciprocal(min_unit);
        vec nearest = v_round(v_load(ideal + at) * reciprocal(unit));
        vec first_min = v_round(v_load(ideal_min + at) * per_min);
        first_min = v_min(v_max(first_min, zero), highest);
        vec least = v_set(INFINITY), code = zero, min_code = zero;
        for (int step = -1; step <= 1; step++) {
            vec tried = v_min(v_max(nearest + v_set((float)step), zero), highest);
            vec scale = unit * tried, inverse = reciprocal(scale);
            affine_sums sums = sum_affine(r, inverse, zero - min_unit * first_min, f->top);
            vec min = (scale * sums.q - r->sum_wx) / r->sum_w;
            for (int min_step = -1; min_step <= 1; min_step++) {
                vec tried_min = v_round(min * per_min) + v_set((float)min_step);
                tried_min = v_min(v_max(tried_min, zero), highest);
                vec e = affine_error(r, f->top, scale, zero - min_unit * tried_min);
                mask better = v_greater(least, e);
                least = v_pick(better, e, least);
                code = v_pick(better, tried, code);
                min_code = v_pick(better, tried_min, min_code);
            }
        }
        vec inverse = reciprocal(unit * code), offset = zero - min_unit * min_code;
        affine_sums sums = sum_affine(r, inverse, offset, f->top);
        v_store(s->code + at, code);
        v_store(s->min_code + at, min_code);
        v_store(out->error + at, least);
        v_store(out->w + at, r->sum_w);
        v_store(out->wx + at, r->sum_wx);
        v_store(out->q + at, sums.q);
        v_store(out->qq + at, sums.qq);
        v_store(out->xq + at, sums.xq);
    }
}

/* Both units of a super-block by regression: x ≈ unit · (code · q) − min_unit · min_code. */
INLINE void fit_units(const affine_run_sums *sums, const chunk_affine *s, const int at, const int n,
                      float *unit, float *min_unit) {
    float cc = 0.0f, cm = 0.0f, mm = 0.0f, xc = 0.0f, xm = 0.0f;
    for (int k = at; k < at + n; k++) {
        float code = s->code[k], min_code = s->min_code[k];
        cc += code * code * sums->qq[k];
        cm += code * min_code * sums->q[k];
        mm += min_code * min_code * sums->w[k];
        xc += code * sums->xq[k];
        xm += min_code * sums->wx[k];
    }
    float determinant = cc * mm - cm * cm;
    bool both = determinant > 1e-4f * cc * mm;
    float d = both ? (xc * mm - xm * cm) / determinant : cc > 0.0f ? xc / cc : 0.0f;
    float min = both ? (d * cm - xm) / mm : 0.0f;
    *unit = nearest_half(d);
    *min_unit = nearest_half(min > 0.0f ? min : 0.0f);
}

INLINE void code_affine(const affine_format *f, const runs *groups, chunk_affine *s) {
    const int n_runs = CHUNK / f->run, per_super = n_runs / SUPERS;
    _Alignas(64) run_values ideal, ideal_min;
    _Alignas(64) affine_run_sums sums, new_sums;
    for (int at = 0; at < n_runs; at += LANES) {
        affine best = search_affine(&groups[at / LANES], f->top, false, f->guesses, f->n_guesses);
        v_store(ideal + at, best.scale);
        v_store(ideal_min + at, v_set(0.0f) - best.offset);
    }
    for (int at = 0; at < n_runs; at += per_super) {
        set_runs(s->unit + at, per_super,
                 nearest_half(largest_magnitude(ideal + at, per_super) / f->code_high));
        set_runs(s->min_unit + at, per_super,
                 nearest_half(largest_magnitude(ideal_min + at, per_super) / f->code_high));
    }
    choose_affine_codes(f, groups, ideal, ideal_min, s, &sums);
    for (int turn = 0; turn < 2; turn++) {
        chunk_affine fitted;
        for (int at = 0; at < n_runs; at += per_super) {
            float unit, min_unit;
            fit_units(&sums, s, at, per_super, &unit, &min_unit);
            set_runs(fitted.unit + at, per_super, unit);
            set_runs(fitted.min_unit + at, per_super, min_unit);
        }
        choose_affine_codes(f, groups, ideal, ideal_min, &fitted, &new_sums);
        for (int at = 0; at < n_runs; at += per_super) {
            if (!is_better(new_sums.error + at, sums.error + at, per_super)) continue;
            for (int k = at; k < at + per_super; k++) {
                s->unit[k] = fitted.unit[k];
                s->min_unit[k] = fitted.min_unit[k];
                s->code[k] = fitted.code[k];
                s->min_code[k] = fitted.min_code[k];
                sums.error[k] = new_sums.error[k];
                sums.q[k] = new_sums.q[k];
                sums.qq[k] = new_sums.qq[k];
                sums.xq[k] = new_sums.xq[k];
            }
        }
    }
}

INLINE void quantise_run_affine(uint8_t *q, const float *x, const float top, float scale,
                                float offset, const int n) {
    vec inverse = reciprocal(v_set(scale));
    for (int i = 0; i < n; i += LANES)
        v_store_codes(q + i, affine_code(v_load(x + i), inverse, v_set(offset), top));
}

#endif
