/* The log-mel spectrogram's inner part: from 400 samples to 80 energies, several frames at once. */
#ifndef MEDIA_MEL_INT_H
#define MEDIA_MEL_INT_H

#include "media/mel.h"

#define MEL_BINS (MEL_FFT / 2 + 1)
#define MEL_GROUP 4       /* frames that one call transforms together */
#define MEL_LOWEST -10.0f /* log10 of the smallest energy that is told from none */

/* Tables; constant once filled, threads may share them. */
typedef struct mel_plan {
    double window[MEL_FFT];
    double cosine[MEL_FFT], sine[MEL_FFT]; /* of 2πi/400 */
    struct {
        size_t first, n; /* bins of this band's triangle, and where its weights begin */
        size_t weights;
    } bands[MEL_BANDS];
    double weights[2 * MEL_BINS]; /* a bin lies in two triangles at most */
} mel_plan;

void mel_plan_init(mel_plan *plan);

/* out[i][MEL_BANDS] = log10(max(energy, 1e-10)) of the frame samples[i · MEL_HOP … + MEL_FFT − 1],
 * i < n ≤ MEL_GROUP. */
void mel_log_energies(const mel_plan *plan, const float *samples, size_t n, float *const *out);

#endif
