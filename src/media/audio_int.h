/* What stands behind a hone_audio: a source of mono samples at some rate, and the way to 16 kHz. */
#ifndef MEDIA_AUDIO_INT_H
#define MEDIA_AUDIO_INT_H

#include "base/status.h"
#include "hone/audio.h"

enum { AUDIO_MAX_CHANNELS = 64, AUDIO_MIN_RATE = 1000, AUDIO_MAX_RATE = 768000 };

/* Samples come in pieces. */
typedef struct audio_source {
    void *self;
    /* *samples[*n] = the next piece, at 16 kHz, any value; valid until the next call. *n = 0 at the
     * end. */
    hone_status (*next)(void *self, const float **samples, size_t *n);
    void (*close)(void *self); /* may be NULL */
    hone_status (*rewind)(void *self); /* to the first sample; NULL: impossible */
} audio_source;

/* Takes `source` over, also when it fails (then it is closed). The strings in `info` must live as
 * long as the source. */
hone_status audio_wrap(hone_audio **audio, const audio_source *source, const hone_audio_info *info);

/* The source met the end of its bytes before the end of its audio. */
void audio_set_truncated(hone_audio *audio);

#endif
