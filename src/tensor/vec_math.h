/* Functions of vectors that the float kernels and attention share, over the vectors that
 * tensor/float_kernels.h describes. */
#ifndef TENSOR_VEC_MATH_H
#define TENSOR_VEC_MATH_H

#include "tensor/kernels_int.h"

/* exp(x) = 2^n · exp(r), r = x − n · ln 2, |r| ≤ ln 2 / 2, by Taylor's series to r^7, whose rest is
 * below 6e-9. The relative error is below 1.5e-7; NaN stays NaN. The high part of ln 2 has so few
 * bits that its product with n is exact. */
INLINE vec v_exp(vec x) {
    x = v_min(v_set(EXP_HIGHEST), v_max(v_set(EXP_LOWEST), x));
    vec n = v_round(v_mul(x, v_set(0x1.715476p+0f)));
    vec r = v_fma(n, v_set(-0x1.62e4p-1f), x);
    r = v_fma(n, v_set(-0x1.7f7d1cp-20f), r);
    vec p = v_set(1.0f / 5040);
    p = v_fma(p, r, v_set(1.0f / 720));
    p = v_fma(p, r, v_set(1.0f / 120));
    p = v_fma(p, r, v_set(1.0f / 24));
    p = v_fma(p, r, v_set(1.0f / 6));
    p = v_fma(p, r, v_set(1.0f / 2));
    p = v_fma(p, r, v_set(1));
    p = v_fma(p, r, v_set(1));
    return v_scale(p, n);
}

INLINE float v_sum(vec a) {
    float sums[4];
    v_sum4(sums, a, a, a, a);
    return sums[0];
}

#endif
