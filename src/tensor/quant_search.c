/* Searches for the scale (and minimum) of a short run of values. See quant_int.h.
 *
 * For fixed codes q the best scale is Σwxq / Σwq², and it lowers the weighted squared error by
 * (Σwxq)² / Σwq²: the quantity that the symmetric searches maximise. */
#include <math.h>

#include "tensor/quant_int.h"

float signed_largest(const float *x, int n) {
    float largest = 0.0f, magnitude = 0.0f;
    for (int i = 0; i < n; i++) {
        if (fabsf(x[i]) > magnitude) {
            magnitude = fabsf(x[i]);
            largest = x[i];
        }
    }
    return largest;
}

float sum_of_squares(const float *x, int n) {
    float sum = 0.0f;
    for (int i = 0; i < n; i++) sum += x[i] * x[i];
    return sum;
}

void importance_weights(float *w, const float *x, const float *importance, float spread, int n) {
    for (int i = 0; i < n; i++) w[i] = importance[i] * sqrtf(spread + x[i] * x[i]);
}

/* The sums behind the best scale of some codes. */
typedef struct fit {
    float xq, qq; /* Σ w x q, Σ w q² */
} fit;

/* Codes of x · iscale, clamped to low … high, and their fit. */
static fit fit_codes(int n, const float *x, const float *w, float iscale, int low, int high,
                     int *q) {
    fit f = {0.0f, 0.0f};
    for (int i = 0; i < n; i++) {
        q[i] = clamp_int(round_even(iscale * x[i]), low, high);
        f.xq += w[i] * x[i] * (float)q[i];
        f.qq += w[i] * (float)q[i] * (float)q[i];
    }
    return f;
}

/* Changes one code at a time where that improves the fit, at most five times round. */
static void descend(fit *f, int n, const float *x, const float *w, int low, int high, int *q) {
    for (int round = 0; round < 5; round++) {
        bool changed = false;
        for (int i = 0; i < n; i++) {
            float old = (float)q[i];
            fit rest = {f->xq - w[i] * x[i] * old, f->qq - w[i] * old * old};
            if (!(rest.xq > 0.0f && rest.qq > 0.0f)) continue;
            int code = clamp_int(round_even(x[i] * rest.qq / rest.xq), low, high);
            if (code == q[i]) continue;
            rest.xq += w[i] * x[i] * (float)code;
            rest.qq += w[i] * (float)code * (float)code;
            if (!(rest.xq * rest.xq * f->qq > f->xq * f->xq * rest.qq)) continue;
            *f = rest;
            q[i] = code;
            changed = true;
        }
        if (!changed) break;
    }
}

static void store_codes(uint8_t *q, const int *codes, int n, int bias) {
    for (int i = 0; i < n; i++) q[i] = (uint8_t)(codes[i] + bias);
}

float search_symmetric(int n, int limit, const float *x, const float *w, uint8_t *q) {
    float largest = signed_largest(x, n);
    if (fabsf(largest) < QUANT_NOTHING) {
        memset(q, 0, (size_t)n);
        return 0.0f;
    }
    int codes[QUANT_RUN];
    fit f = fit_codes(n, x, w, -(float)limit / largest, -limit, limit - 1, codes);
    store_codes(q, codes, n, limit);
    float scale = f.qq != 0.0f ? f.xq / f.qq : 0.0f;
    float best = scale * f.xq;
    for (int k = -9; k <= 9; k++) {
        if (k == 0) continue;
        float iscale = -((float)limit + 0.1f * (float)k) / largest;
        f = fit_codes(n, x, w, iscale, -limit, limit - 1, codes);
        if (f.qq > 0.0f && f.xq * f.xq > best * f.qq) {
            store_codes(q, codes, n, limit);
            scale = f.xq / f.qq;
            best = scale * f.xq;
        }
    }
    return scale;
}

float search_symmetric_descent(int n, int limit, const float *x, const float *w, uint8_t *q) {
    float largest = signed_largest(x, n);
    if (fabsf(largest) < QUANT_NOTHING) {
        memset(q, 0, (size_t)n);
        return 0.0f;
    }
    int codes[QUANT_RUN];
    fit f = fit_codes(n, x, w, -(float)limit / largest, -limit, limit - 1, codes);
    descend(&f, n, x, w, -limit, limit - 1, codes);
    store_codes(q, codes, n, limit);
    return f.qq > 0.0f ? f.xq / f.qq : 0.0f;
}

float search_positive(int n, int limit, const float *x, const float *w, uint8_t *q) {
    float largest = 0.0f;
    for (int i = 0; i < n; i++) largest = x[i] > largest ? x[i] : largest;
    if (largest < QUANT_NOTHING) {
        memset(q, 0, (size_t)n);
        return 0.0f;
    }
    /* These guesses are compared with the scale that they assume, not with the best one. */
    static const int order[9] = {0, -4, -3, -2, -1, 1, 2, 3, 4};
    float best_iscale = 0.0f, best_error = 0.0f;
    for (int k = 0; k < 9; k++) {
        float iscale = (0.1f * (float)order[k] + (float)limit) / largest;
        float scale = 1.0f / iscale, error = 0.0f;
        for (int i = 0; i < n; i++) {
            int code = clamp_int(round_even(iscale * x[i]), 0, limit);
            float difference = x[i] - scale * (float)code;
            error += w[i] * difference * difference;
        }
        if (k == 0 || error < best_error) {
            best_error = error;
            best_iscale = iscale;
        }
    }
    int codes[QUANT_RUN];
    fit f = fit_codes(n, x, w, best_iscale, 0, limit, codes);
    descend(&f, n, x, w, 0, limit, codes);
    store_codes(q, codes, n, 0);
    return f.qq > 0.0f ? f.xq / f.qq : 0.0f;
}

static float affine_error(const affine_search *s, int n, const float *x, const float *w,
                          const uint8_t *q, float scale, float min) {
    float error = 0.0f;
    for (int i = 0; i < n; i++) {
        float difference = scale * (float)q[i] + min - x[i];
        error += w[i] * (s->absolute ? fabsf(difference) : difference * difference);
    }
    return error;
}

float search_affine(const affine_search *s, int n, const float *x, const float *w, uint8_t *q,
                    float *min_out) {
    float min = x[0], max = x[0], sum_w = w[0], sum_wx = w[0] * x[0];
    for (int i = 1; i < n; i++) {
        min = x[i] < min ? x[i] : min;
        max = x[i] > max ? x[i] : max;
        sum_w += w[i];
        sum_wx += w[i] * x[i];
    }
    if (min > 0.0f) min = 0.0f;
    if (max <= min) {
        memset(q, 0, (size_t)n);
        *min_out = -min;
        return 0.0f;
    }
    float levels = (float)s->levels;
    float iscale = levels / (max - min), scale = 1.0f / iscale;
    for (int i = 0; i < n; i++)
        q[i] = (uint8_t)clamp_int(round_even(iscale * (x[i] - min)), 0, s->levels);
    float best = affine_error(s, n, x, w, q, scale, min);

    for (int k = 0; k <= s->steps; k++) {
        uint8_t codes[QUANT_RUN];
        float sum_q = 0.0f, sum_qq = 0.0f, sum_xq = 0.0f;
        /* The range starts at the best minimum so far, not at the first one. */
        iscale = (s->first + s->step * (float)k + levels) / (max - min);
        for (int i = 0; i < n; i++) {
            codes[i] = (uint8_t)clamp_int(round_even(iscale * (x[i] - min)), 0, s->levels);
            float wq = w[i] * (float)codes[i];
            sum_q += wq;
            sum_qq += wq * (float)codes[i];
            sum_xq += wq * x[i];
        }
        float determinant = sum_w * sum_qq - sum_q * sum_q;
        if (!(determinant > 0.0f)) continue;
        float new_scale = (sum_w * sum_xq - sum_wx * sum_q) / determinant;
        float new_min = (sum_qq * sum_wx - sum_q * sum_xq) / determinant;
        if (new_min > 0.0f) {
            new_min = 0.0f;
            new_scale = sum_xq / sum_qq;
        }
        float error = affine_error(s, n, x, w, codes, new_scale, new_min);
        if (error < best) {
            best = error;
            scale = new_scale;
            min = new_min;
            memcpy(q, codes, (size_t)n);
        }
    }
    *min_out = -min;
    return scale;
}
