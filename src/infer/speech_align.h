/* When each token was said: dynamic time warping over cross-attention (Radford et al. 2022's
 * program; Giorgino 2009 for the warping). */
#ifndef INFER_SPEECH_ALIGN_H
#define INFER_SPEECH_ALIGN_H

#include "infer/speech_decode.h"

/* The cheapest monotone path through cost[n_rows, n_columns], by steps right, down and both:
 * first[n_rows] = the column at which the path first comes to each row. */
hone_status speech_warp(const float *cost, size_t n_rows, size_t n_columns, size_t *first);

/* The middle of 7 neighbours along x[n], mirrored at the ends, into out[n]; a copy where n ≤ 3. */
void speech_median(const float *x, size_t n, float *out);

/* For text[n], the text tokens of a window, n > 0: times[n + 1] = seconds from the window's
 * beginning at which each one starts, and at which the last one ends; probabilities[n] = of each
 * among the text tokens. n_content: frames of the window that are audio. Holds the model's lock. */
hone_status speech_align(hone_model *m, const whisper_cross *cross, bool exact,
                         const int32_t *start, size_t n_start, const int32_t *text, size_t n,
                         size_t n_content, double *times, float *probabilities);

#endif
