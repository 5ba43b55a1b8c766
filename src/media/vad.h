/* Where somebody speaks: a small voice-activity detector over log-mel frames.
 *
 * The energy of the voice's bands, smoothed, against the quiet and the loud frames of its
 * surroundings: speech comes and goes, steady noise does not. It errs towards speech, since what it
 * leaves out is never transcribed; music counts as speech. */
#ifndef MEDIA_VAD_H
#define MEDIA_VAD_H

#include "media/mel.h"

enum {
    VAD_PAD = 25,         /* frames of 10 ms kept on both sides of speech */
    VAD_SHORTEST = 6,     /* shorter bursts are no speech */
    VAD_SHORTEST_GAP = 60 /* shorter pauses are part of it, so that the rest are worth a cut */
};

/* Frames begin … end − 1 */
typedef struct vad_span {
    size_t begin, end;
} vad_span;

typedef struct vad_spans {
    vad_span *items; /* ascending, apart from each other; mem_free */
    size_t n;
} vad_spans;

/* Speech among frames 0 … n_frames − 1, which are known and not dropped. HONE_ERR_MEMORY. */
hone_status vad_find(const mel_stream *mel, size_t n_frames, vad_spans *speech);

/* Whether anything in a window rises above its own noise: mel[MEL_BANDS, MEL_WINDOW_FRAMES], of
 * which n frames are content, as mel.h normalises it. */
bool vad_window_has_speech(const float *mel, size_t n);

/* Windows of at most `longest` frames that together hold all of `speech`: neighbours share one
 * while they fit, and what is too long alone is cut at its quietest moments. HONE_ERR_MEMORY. */
hone_status vad_windows(const mel_stream *mel, const vad_spans *speech, size_t longest,
                        vad_spans *windows);

#endif
