/* Whisper's log-mel spectrogram (Radford et al. 2022; Slaney's mel scale): 80 bands, frames of 400
 * samples every 160, periodic Hann window, centred with reflection, log10, floor 8 below the
 * maximum, (x + 4) / 4. Exact facts: docs/models/whisper.md. */
#ifndef MEDIA_MEL_H
#define MEDIA_MEL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/pool.h"
#include "base/status.h"

#define MEL_BANDS 80
#define MEL_HOP 160
#define MEL_FFT 400
#define MEL_WINDOW_FRAMES 3000 /* 30 s */

/* log10 of the mel energies, before floor and scaling, of frames 0 … n_frames − 1 as they become
 * known: the samples of a file are pushed in pieces of any size, and the whole spectrum of an hour
 * is 115 MB (so windows that are done may be dropped). */
typedef struct mel_stream mel_stream;

hone_status mel_stream_open(mel_stream **stream);
void mel_stream_close(mel_stream *stream);

/* Appends samples; computes every frame that they complete. `p` may be NULL (one thread). */
hone_status mel_stream_push(mel_stream *stream, pool *p, const float *samples, size_t n);

/* The end of the audio: appends n_zeros zero samples, then reflects the end. No push after it. */
hone_status mel_stream_finish(mel_stream *stream, pool *p, size_t n_zeros);

size_t mel_stream_frames(const mel_stream *stream);  /* known so far */
float mel_stream_maximum(const mel_stream *stream);  /* of all of them, log10 */

/* log10 energies [MEL_BANDS] of a known frame that is not dropped. */
const float *mel_stream_frame(const mel_stream *stream, size_t frame);

/* out[MEL_BANDS, n] = the normalised values of frames begin … begin + n − 1 against `maximum`,
 * bands `stride` floats apart. The frames are known and not dropped. */
void mel_stream_normalised(const mel_stream *stream, size_t begin, size_t n, float maximum,
                           float *out, size_t stride);

/* Frames below `begin` are not asked for again. */
void mel_stream_drop(mel_stream *stream, size_t begin);

/* One window as Hugging Face's extractor makes it: up to 480,000 samples, silence behind them, the
 * maximum of the window; more samples are left out. out[MEL_BANDS, MEL_WINDOW_FRAMES]. */
hone_status mel_window(const float *samples, size_t n, pool *p, float *out);

#endif
