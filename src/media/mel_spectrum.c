/* 400 samples → 80 log energies: window, Fourier transform, triangles on Slaney's mel scale.
 *
 * Doubles throughout: quiet bands lie eight decades of energy below the loudest, where the rounding
 * of a float transform would show. Two real frames make one complex transform (one as its real, one
 * as its imaginary part), and two of those run side by side in the lanes of a vector. */
#include <math.h>
#include <string.h>

#include "media/mel_int.h"

#define N_LANES 2
typedef double lanes __attribute__((vector_size(N_LANES * sizeof(double))));
_Static_assert(MEL_GROUP == 2 * N_LANES, "two real frames in each lane");

typedef struct complex_lanes {
    lanes re, im;
} complex_lanes;

/* --- tables --- */

static const double pi = 3.14159265358979323846;

static double mel_to_hz(double mel) {
    const double log_step = log(6.4) / 27; /* linear below 1 kHz = 15 mel, logarithmic above */
    return mel < 15 ? mel * 200 / 3 : 1000 * exp(log_step * (mel - 15));
}

static void init_bands(mel_plan *plan) {
    const double hz_per_bin = 16000.0 / MEL_FFT, highest = 15 + log(8.0) / (log(6.4) / 27);
    size_t used = 0;
    for (size_t band = 0; band < MEL_BANDS; band++) {
        double low = mel_to_hz(highest * (double)band / (MEL_BANDS + 1));
        double middle = mel_to_hz(highest * (double)(band + 1) / (MEL_BANDS + 1));
        double high = mel_to_hz(highest * (double)(band + 2) / (MEL_BANDS + 1));
        plan->bands[band].weights = used;
        plan->bands[band].first = (size_t)(low / hz_per_bin) + 1;
        for (size_t bin = plan->bands[band].first; bin < MEL_BINS; bin++) {
            double hz = (double)bin * hz_per_bin;
            double rise = (hz - low) / (middle - low), fall = (high - hz) / (high - middle);
            double weight = rise < fall ? rise : fall;
            if (weight <= 0) break;
            plan->weights[used++] = weight * 2 / (high - low); /* equal area */
            plan->bands[band].n++;
        }
    }
}

void mel_plan_init(mel_plan *plan) {
    memset(plan, 0, sizeof *plan);
    for (size_t i = 0; i < MEL_FFT; i++) {
        double angle = 2 * pi * (double)i / MEL_FFT;
        plan->cosine[i] = cos(angle);
        plan->sine[i] = sin(angle);
        plan->window[i] = 0.5 - 0.5 * cos(angle);
    }
    init_bands(plan);
}

/* --- Fourier transform: Stockham's, radices 4, 4, 5, 5, so that no reordering is needed --- */

static inline complex_lanes add(complex_lanes a, complex_lanes b) {
    return (complex_lanes){a.re + b.re, a.im + b.im};
}
static inline complex_lanes subtract(complex_lanes a, complex_lanes b) {
    return (complex_lanes){a.re - b.re, a.im - b.im};
}
static inline complex_lanes times_minus_i(complex_lanes a) {
    return (complex_lanes){a.im, -a.re};
}
static inline complex_lanes scale(complex_lanes a, double by) {
    return (complex_lanes){a.re * by, a.im * by};
}

/* a · e^(−2πi·step/400) */
static inline complex_lanes turn(const mel_plan *plan, complex_lanes a, size_t step) {
    double c = plan->cosine[step], s = plan->sine[step];
    return (complex_lanes){a.re * c + a.im * s, a.im * c - a.re * s};
}

/* One stage: out[q + stride · (radix · p + k)] = e^(−2πi·pk/n) · Σ_j in[q + stride · (p +
 * j·n/radix)] · e^(−2πi·jk/radix), where n · stride = 400. */
static void stage4(const mel_plan *plan, const complex_lanes *in, complex_lanes *out,
                   size_t stride) {
    const size_t m = MEL_FFT / stride / 4;
    for (size_t p = 0; p < m; p++) {
        for (size_t q = 0; q < stride; q++) {
            const complex_lanes *x = in + q + stride * p;
            complex_lanes *y = out + q + stride * 4 * p;
            complex_lanes even = add(x[0], x[stride * 2 * m]);
            complex_lanes even_apart = subtract(x[0], x[stride * 2 * m]);
            complex_lanes odd = add(x[stride * m], x[stride * 3 * m]);
            complex_lanes odd_apart = times_minus_i(subtract(x[stride * m], x[stride * 3 * m]));
            y[0] = add(even, odd);
            y[stride] = turn(plan, add(even_apart, odd_apart), p * stride);
            y[stride * 2] = turn(plan, subtract(even, odd), 2 * p * stride);
            y[stride * 3] = turn(plan, subtract(even_apart, odd_apart), 3 * p * stride);
        }
    }
}

static void stage5(const mel_plan *plan, const complex_lanes *in, complex_lanes *out,
                   size_t stride) {
    const size_t m = MEL_FFT / stride / 5, fifth = MEL_FFT / 5;
    const double c1 = plan->cosine[fifth], c2 = plan->cosine[2 * fifth];
    const double s1 = plan->sine[fifth], s2 = plan->sine[2 * fifth];
    for (size_t p = 0; p < m; p++) {
        for (size_t q = 0; q < stride; q++) {
            const complex_lanes *x = in + q + stride * p;
            complex_lanes *y = out + q + stride * 5 * p;
            complex_lanes a = add(x[stride * m], x[stride * 4 * m]);
            complex_lanes b = add(x[stride * 2 * m], x[stride * 3 * m]);
            complex_lanes c = times_minus_i(subtract(x[stride * m], x[stride * 4 * m]));
            complex_lanes d = times_minus_i(subtract(x[stride * 2 * m], x[stride * 3 * m]));
            complex_lanes even1 = add(x[0], add(scale(a, c1), scale(b, c2)));
            complex_lanes even2 = add(x[0], add(scale(a, c2), scale(b, c1)));
            complex_lanes odd1 = add(scale(c, s1), scale(d, s2));
            complex_lanes odd2 = subtract(scale(c, s2), scale(d, s1));
            y[0] = add(x[0], add(a, b));
            y[stride] = turn(plan, add(even1, odd1), p * stride);
            y[stride * 2] = turn(plan, add(even2, odd2), 2 * p * stride);
            y[stride * 3] = turn(plan, subtract(even2, odd2), 3 * p * stride);
            y[stride * 4] = turn(plan, subtract(even1, odd1), 4 * p * stride);
        }
    }
}

/* The result is in x; `work` is scratch. */
static void transform(const mel_plan *plan, complex_lanes *x, complex_lanes *work) {
    stage4(plan, x, work, 1);
    stage4(plan, work, x, 4);
    stage5(plan, x, work, 16);
    stage5(plan, work, x, 80);
}

/* --- frames --- */

/* x[i] of lane l = frame 2l + i · frame 2l + 1, windowed. Frames beyond n are zero. */
static void load(const mel_plan *plan, const float *samples, size_t n, complex_lanes *x) {
    for (size_t i = 0; i < MEL_FFT; i++) {
        double frame[MEL_GROUP] = {0};
        for (size_t k = 0; k < n; k++)
            frame[k] = plan->window[i] * (double)samples[k * MEL_HOP + i];
        x[i].re = (lanes){frame[0], frame[2]};
        x[i].im = (lanes){frame[1], frame[3]};
    }
}

/* |spectrum|² of both frames of each lane: a real sequence's transform is its own mirrored
 * conjugate, which parts the two. */
static void powers(const complex_lanes *x, lanes first[MEL_BINS], lanes second[MEL_BINS]) {
    for (size_t bin = 0; bin < MEL_BINS; bin++) {
        complex_lanes a = x[bin], b = x[bin ? MEL_FFT - bin : 0];
        lanes sum_re = a.re + b.re, difference_im = a.im - b.im;
        lanes sum_im = a.im + b.im, difference_re = a.re - b.re;
        first[bin] = (sum_re * sum_re + difference_im * difference_im) * 0.25;
        second[bin] = (sum_im * sum_im + difference_re * difference_re) * 0.25;
    }
}

static bool is_silence(const float *samples, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (samples[i] != 0) return false;
    return true;
}

void mel_log_energies(const mel_plan *plan, const float *samples, size_t n, float *const *out) {
    if (is_silence(samples, (n - 1) * MEL_HOP + MEL_FFT)) {
        for (size_t k = 0; k < n; k++)
            for (size_t band = 0; band < MEL_BANDS; band++) out[k][band] = MEL_LOWEST;
        return;
    }
    complex_lanes x[MEL_FFT], work[MEL_FFT];
    load(plan, samples, n, x);
    transform(plan, x, work);
    lanes first[MEL_BINS], second[MEL_BINS];
    powers(x, first, second);
    for (size_t band = 0; band < MEL_BANDS; band++) {
        lanes energy[2] = {{0}, {0}};
        for (size_t i = 0; i < plan->bands[band].n; i++) {
            double weight = plan->weights[plan->bands[band].weights + i];
            energy[0] += first[plan->bands[band].first + i] * weight;
            energy[1] += second[plan->bands[band].first + i] * weight;
        }
        for (size_t k = 0; k < n; k++) {
            float e = (float)energy[k % 2][k / 2];
            out[k][band] = e > 1e-10f ? log10f(e) : MEL_LOWEST;
        }
    }
}
