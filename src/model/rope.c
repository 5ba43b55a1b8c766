/* Rotary position frequencies (Su et al. 2021) and their scalings: linear (position
 * interpolation, Chen et al. 2023), YaRN (Peng et al. 2023), Llama 3's by wavelength.
 *
 * Powers and products are rounded to float where the reference implementation rounds: at position
 * 10,000 a frequency that is off by one part in 10⁷ turns the fastest pair by a thousandth. */
#include <math.h>

#include "model/hparams.h"

static float llama3_frequency(const rope_params *rope, float plain) {
    double wavelength = 2 * M_PI / (double)plain;
    if (wavelength < rope->original_context / rope->high_freq_factor) return plain;
    float slow = plain / (float)rope->factor;
    if (wavelength > rope->original_context / rope->low_freq_factor) return slow;
    float smooth = (float)((rope->original_context / wavelength - rope->low_freq_factor) /
                           (rope->high_freq_factor - rope->low_freq_factor));
    return (1 - smooth) * slow + smooth * plain;
}

/* The pair index at which the wavelength makes `beta` turns within the original context. */
static double yarn_correction(const rope_params *rope, double beta) {
    double turns = rope->original_context / (2 * M_PI * beta);
    return (double)rope->n_dims * log(turns) / (2 * log(rope->base));
}

static void yarn_limits(const rope_params *rope, double *low, double *high) {
    *low = yarn_correction(rope, rope->beta_fast);
    *high = yarn_correction(rope, rope->beta_slow);
    if (rope->round_correction) {
        *low = floor(*low);
        *high = ceil(*high);
    }
    *low = fmax(*low, 0);
    *high = fmin(*high, (double)rope->n_dims - 1);
    if (*high - *low < 0.001) *high = *low + 0.001;
}

static float yarn_frequency(const rope_params *rope, float plain, double ramp) {
    double keep = rope->extrapolation * (1 - ramp);
    return (float)((double)plain * (keep + (1 - keep) / rope->factor));
}

void rope_frequencies(const rope_params *rope, float *frequencies, float *amplitude) {
    double low = 0, high = 1;
    if (rope->scaling == ROPE_YARN) yarn_limits(rope, &low, &high);
    for (size_t i = 0; i < rope->n_dims / 2; i++) {
        float exponent = (float)(2 * i) / (float)rope->n_dims;
        float plain = 1.0f / (float)pow(rope->base, (double)exponent);
        if (rope->divisors) plain /= rope->divisors[i];
        switch (rope->scaling) {
        case ROPE_PLAIN: break;
        case ROPE_LINEAR: plain /= (float)rope->factor; break;
        case ROPE_LLAMA3: plain = llama3_frequency(rope, plain); break;
        case ROPE_YARN:
            plain = yarn_frequency(rope, plain, fmin(fmax(((double)i - low) / (high - low), 0), 1));
            break;
        }
        frequencies[i] = plain;
    }
    *amplitude = 1;
    if (rope->attention_factor > 0)
        *amplitude = (float)rope->attention_factor;
    else if (rope->scaling == ROPE_YARN && rope->factor > 1 && rope->extrapolation != 0)
        *amplitude = (float)(0.1 * log(rope->factor) + 1);
}

/* By how much Llama 3's scaling slows one pair, in float as the converters of others round it. */
float rope_llama3_divisor(const rope_params *rope, float frequency) {
    float wavelength = (float)(2 * M_PI) / frequency, factor = (float)rope->factor;
    double original = rope->original_context;
    float low = (float)rope->low_freq_factor, high = (float)rope->high_freq_factor;
    if ((double)wavelength < original / rope->high_freq_factor) return 1;
    if ((double)wavelength > original / rope->low_freq_factor) return factor;
    float smooth = ((float)original / wavelength - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
}

/* --- the order of q's and k's rows --- */

size_t rope_row_among_halves(size_t row, size_t head_dim) {
    size_t in_head = row % head_dim;
    return row - in_head + in_head % 2 * (head_dim / 2) + in_head / 2;
}

size_t rope_row_among_pairs(size_t row, size_t head_dim) {
    size_t in_head = row % head_dim, half = head_dim / 2;
    return row - in_head + in_head % half * 2 + in_head / half;
}
