/* Any rate to 16 kHz, mono, over libswresample. */
#ifndef MEDIA_RESAMPLE_H
#define MEDIA_RESAMPLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct resampler {
    void *context; /* NULL: the rate is right already */
    int rate;
    uint64_t n_in, n_out; /* samples so far */
    float *out;
    size_t out_room;
} resampler;

/* A rate outside AUDIO_MIN_RATE … AUDIO_MAX_RATE is HONE_ERR_FORMAT. */
hone_status resampler_init(resampler *r, int rate);
void resampler_release(resampler *r);

/* *out[*n_out] = what in[n] gives, valid until the next call. Nothing may come out of something:
 * the filter holds some samples back. */
hone_status resampler_run(resampler *r, const float *in, size_t n, const float **out,
                          size_t *n_out);

/* The rest, so that n samples in became ⌈n · 16000 / rate⌉; nothing may be run after it. */
hone_status resampler_finish(resampler *r, const float **out, size_t *n_out);

#endif
