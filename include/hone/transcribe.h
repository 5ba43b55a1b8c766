/* Speech to text with a Whisper model (Radford et al. 2022, docs/models/whisper.md).
 *
 * hone_transcribe reads audio to its end, window by window of 30 s, and hands over segments as they
 * are settled. The model is a hone_model like any other (hone_model_describe: takes_audio). Calls
 * on one model may run at the same time: encoders take turns, and windows that are decoded at the
 * same time share every pass over the weights. What a call writes does not depend on its company
 * but for rounding (hone/session.h; with `exact`: not at all). */
#ifndef HONE_TRANSCRIBE_H
#define HONE_TRANSCRIBE_H

#include "hone/audio.h"
#include "hone/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum hone_speech_task { HONE_TRANSCRIBE = 0, HONE_TRANSLATE = 1 } hone_speech_task;

/* Where the log-mel's maximum is taken and what stands behind the end of the audio: as OpenAI's
 * program does it (whole file, zeros), or as Hugging Face's extractor (window, silence). */
typedef enum hone_mel_padding { HONE_MEL_OPENAI = 0, HONE_MEL_HF = 1 } hone_mel_padding;

typedef struct hone_word {
    double start, end; /* seconds */
    double probability;
    const char *text;  /* with its leading space, as the tokens spell it */
} hone_word;

typedef struct hone_segment {
    size_t id;         /* 0, 1, 2, … */
    double start, end; /* seconds from the beginning of the audio */
    const char *text;  /* UTF-8 */
    const int32_t *tokens;
    size_t n_tokens;
    float temperature, avg_logprob, compression_ratio, no_speech_prob;
    double seek;       /* seconds: where its window began */
    const hone_word *words; /* NULL unless asked for */
    size_t n_words;
} hone_segment;

/* hone_transcribe_defaults fills one; change what you need. */
typedef struct hone_transcribe_options {
    const char *language;      /* "en", "german", …; NULL or "auto" = detect */
    hone_speech_task task;
    bool timestamps; /* segments by the model's own time marks; else one for each window */
    bool words;                /* word times by cross-attention alignment */
    const char *prompt;        /* initial prompt: names, spelling, style; NULL = none */
    const char *prefix;        /* forced beginning of the first window's text; NULL = none */
    bool condition_on_previous_text;
    hone_mel_padding padding;
    const float *temperatures; /* tried in this order; default 0, 0.2 … 1 */
    size_t n_temperatures;
    int beam_size;             /* at temperature 0; 1 = greedy; default 5, as OpenAI's program */
    int best_of;               /* draws at temperatures above 0 */
    float patience;            /* of beam search; 1 = none */
    float length_penalty;      /* NaN = by length, as the paper */
    float compression_ratio_threshold, logprob_threshold;
    /* Windows that the model takes for silence with more than this probability are skipped, and so
     * are those in which nothing rises above their own noise; above 1 = none are. */
    float no_speech_threshold;
    const int32_t *suppress;   /* NULL = the model's non-speech tokens */
    size_t n_suppress;         /* with `suppress` set, 0 = none */
    bool suppress_blank;
    float max_initial_timestamp;
    size_t max_tokens;         /* of one window; 0 = half the text context */
    bool batched;              /* cut at silences and decode several windows in one pass */
    size_t n_batch;            /* windows at once; 0 = 8 */
    bool exact;                /* float arithmetic throughout */
    /* The model's threads, and the one that calls, give way to everything else on the machine, from
     * now on (Linux: niceness 5). */
    bool background;
    uint64_t seed;
    /* Called for each segment when it is settled; another value than 0 ends the work. */
    int (*on_segment)(void *user, const hone_segment *segment);
    /* Seconds of audio done, and in all (0 = not known yet). */
    void (*on_progress)(void *user, double done, double total);
    void *user;
} hone_transcribe_options;

HONE_API void hone_transcribe_defaults(hone_transcribe_options *options);

typedef struct hone_language_probability {
    const char *code; /* "en" */
    float probability;
} hone_language_probability;

typedef struct hone_transcript {
    char *text;             /* all segments, NUL-terminated */
    const char *language;   /* code; belongs to the library */
    float language_probability;
    double seconds;         /* of audio */
    hone_segment *segments; /* own all that they point to */
    size_t n_segments;
    bool cancelled, truncated; /* truncated: the audio broke off */
    size_t n_windows, n_tokens;
    size_t n_together; /* the most windows, of this call and of others, that shared a pass */
    double mel_ms, encode_ms, decode_ms; /* decode: prompts, words and language included */
} hone_transcript;

/* Frees what the transcript holds and zeroes it. */
HONE_API void hone_transcript_release(hone_transcript *transcript);

/* Silence and empty audio give no segments and HONE_OK. HONE_ERR_UNSUPPORTED for a model that takes
 * no audio or a language or task that it does not know; the audio's own errors. `options` may be
 * NULL. */
HONE_API hone_status hone_transcribe(hone_model *model, hone_audio *audio,
                                     const hone_transcribe_options *options,
                                     hone_transcript *transcript);

/* Probabilities of all languages over the first 30 s, most probable first; *list is freed with
 * hone_free. HONE_ERR_UNSUPPORTED for a model of one language. */
HONE_API hone_status hone_detect_language(hone_model *model, hone_audio *audio,
                                          hone_language_probability **list, size_t *n);

/* From any thread and from signal handlers: the transcription under way, or the next one, ends
 * within one layer, with what it has (`cancelled`). hone_transcribe_uncancel takes it back. */
HONE_API void hone_transcribe_cancel(hone_model *model);
HONE_API void hone_transcribe_uncancel(hone_model *model);

#ifdef __cplusplus
}
#endif
#endif
