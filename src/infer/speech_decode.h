/* From encoded windows to tokens: greedy, beam search or draws, at falling certainty (Radford et
 * al. 2022, §4.5; docs/models/whisper.md).
 *
 * Windows that are decoded at the same time, of one call or of several threads' calls, share every
 * pass over the weights. Files:
 *
 *     speech_decode.c   the passes: who takes part, whose turn it is to make one
 *     speech_search.c   one window: hypotheses, choices, the outcome
 *     speech_text.c     tokens as text, the language */
#ifndef INFER_SPEECH_DECODE_H
#define INFER_SPEECH_DECODE_H

#include "hone/transcribe.h"
#include "infer/engine.h"
#include "infer/speech_rules.h"

enum { SPEECH_MAX_TOKENS = 448, SPEECH_MAX_BEAMS = 64, SPEECH_MAX_WINDOWS = 64 };

/* How to decode, checked. */
typedef struct speech_settings {
    speech_rules rules;
    const float *temperatures; /* [n_temperatures], > 0 in number */
    size_t n_temperatures;
    size_t beam_size, best_of;
    float patience, length_penalty; /* NaN: by length */
    float compression_ratio_threshold, logprob_threshold, no_speech_threshold;
    size_t max_tokens;
    bool exact;
    uint64_t seed;
} speech_settings;

/* One window: what it is told, and what comes out. */
typedef struct speech_window {
    const whisper_cross *cross;
    /* The prompt, and behind it the tokens with which the answer must begin. */
    int32_t prompt[SPEECH_MAX_TOKENS];
    size_t n_prompt, n_forced;
    size_t start;           /* the place of <|startoftranscript|> in the prompt */
    uint32_t number;        /* tells the draws of windows apart */

    int32_t tokens[SPEECH_MAX_TOKENS]; /* without the end token */
    size_t n_tokens;
    float temperature, avg_logprob, compression_ratio, no_speech_prob;
    size_t n_steps;    /* tokens computed for it, all attempts */
    size_t n_together; /* the most windows, this one included, that shared one of its passes */
} speech_window;

typedef struct speech_decoder speech_decoder;

/* Decodes all windows, again at the next temperature where the outcome is poor. Any number of
 * threads; each waits for its own windows. A failure of a pass fails all that take part in it. */
hone_status speech_decode(hone_model *m, const speech_settings *s, speech_window *windows,
                          size_t n_windows);

/* The model's; opened when first needed. */
void speech_decoder_close(speech_decoder *d); /* NULL is allowed */

/* Whatever else computes on the model (spectrum, encoder, language, words) does so between these
 * two. It goes before passes of decoding, so that windows of several calls meet in one. */
void speech_turn_begin(hone_model *m);
void speech_turn_end(hone_model *m);

/* Tokens that a prompt and its continuation may have together. */
size_t speech_context(const hone_model *m);

/* What both kinds of passes are told. */
whisper_run speech_run(hone_model *m, bool exact);

/* probabilities[n_languages] of a window, from the logits behind <|startoftranscript|> alone. */
hone_status speech_languages(hone_model *m, const whisper_cross *cross, bool exact,
                             float *probabilities);

/* Text of the ids below the end token, valid UTF-8; appended to `out`. */
hone_status speech_add_text(const hone_model *m, const int32_t *tokens, size_t n, buf *out);

/* Bytes of the text per byte that zlib makes of it; 0 for no text. */
float speech_compression_ratio(const char *text, size_t n);

#endif
