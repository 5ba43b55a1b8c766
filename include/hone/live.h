/* Speech to text while somebody speaks.
 *
 * Samples are pushed as they come. Behind each pause what was said is settled, as segments; in
 * between, the text so far is guessed again and again. Windows begin where the last settled text
 * ended, so that memory is bounded by 30 s of audio. One thread at a time. */
#ifndef HONE_LIVE_H
#define HONE_LIVE_H

#include "hone/transcribe.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hone_live hone_live;

/* Zero-initialise and set what you need. */
typedef struct hone_live_options {
    /* How to transcribe, NULL = the defaults; its texts must outlive the calls. on_segment hears of
     * settled segments, their times counted from the first sample pushed; on_progress and batched
     * are not used. */
    const hone_transcribe_options *transcribe;
    /* What is being said, so far; "" when it became segments. May be NULL. */
    void (*on_partial)(void *user, const char *text);
    void *user;
    double step; /* seconds of new audio between two guesses; 0 = 1 */
} hone_live_options;

/* The model must outlive it. Errors as those of hone_transcribe. */
HONE_API hone_status hone_live_open(hone_live **live, hone_model *model,
                                    const hone_live_options *options);
HONE_API void hone_live_close(hone_live *live); /* NULL is allowed */

/* samples[n], mono at 16 kHz. Computes when there is something to do, which takes as long as it
 * takes: push what came in the meantime together. HONE_ERR_CANCELLED after hone_transcribe_cancel,
 * or when on_segment asked to stop. */
HONE_API hone_status hone_live_push(hone_live *live, const float *samples, size_t n);

/* Settles what is left. */
HONE_API hone_status hone_live_finish(hone_live *live);

#ifdef __cplusplus
}
#endif
#endif
