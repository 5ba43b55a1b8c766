/* How fast a speech model is on this machine: the real-time factor, encoder and decoder apart.
 *
 * A recording is transcribed as `hone transcribe` does it, again and again; or, without one, 30 s
 * of noise with texts of a fixed length, so that models and machines can be compared whatever they
 * would hear. Times are those of the transcript (hone/transcribe.h), rates are medians with their
 * spread. */
#ifndef LAB_BENCH_SPEECH_H
#define LAB_BENCH_SPEECH_H

#include "hone/hone.h"
#include "hone/transcribe.h"
#include "lab/bench.h"

enum { BENCH_SPEECH_TOKENS = 100, BENCH_SPEECH_BEAMS = 5 };

typedef struct bench_speech_settings {
    const char *audio;    /* a file; NULL = noise */
    const char *language; /* of the file; NULL = found out, which is part of the time */
    size_t repeat;        /* 1 … BENCH_MAX_REPEAT, after one for warm-up */
    uint64_t seed;
    bool exact;
    /* As bench_settings' */
    bool (*observe)(void *context, const char *what, size_t n_tokens, size_t run, size_t n_runs);
    void *context;
} bench_speech_settings;

/* With one hypothesis or with BENCH_SPEECH_BEAMS. */
typedef struct bench_speech_row {
    size_t n_beams, n_tokens; /* of the text, all windows */
    size_t n_windows;
    double seconds;           /* of audio */
    spread factor;            /* time over audio: below 1 is faster than speech */
    spread spectrum_ms, encoder_ms; /* for 30 s */
    spread decoder;           /* tokens of text in a second */
} bench_speech_row;

typedef struct bench_speech {
    bench_speech_row rows[2];
    uint64_t peak_memory_bytes;
    hone_limits limits;
    validity validity;
} bench_speech;

hone_status bench_speech_run(bench_speech *b, hone_model *model,
                             const bench_speech_settings *settings);

/* The rows as metrics of a result (lab/results.h). */
hone_status bench_speech_store(const bench_speech *b, results *r, int64_t id);

#endif
