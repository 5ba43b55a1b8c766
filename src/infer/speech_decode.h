/* From encoded windows to tokens: greedy, beam search or draws, at falling certainty (Radford et
 * al. 2022, §4.5; docs/models/whisper.md).
 *
 * Several windows are decoded side by side, all their hypotheses in one pass over the weights. */
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
    size_t n_steps; /* tokens computed for it, all attempts */
} speech_window;

typedef struct speech_decoder speech_decoder;

/* Room for n_windows at once. Settings and model outlive it. Used by one thread, which holds the
 * model's lock during the calls below. */
hone_status speech_decoder_open(speech_decoder **out, hone_model *m, const speech_settings *s,
                                size_t n_windows);
void speech_decoder_close(speech_decoder *d);

/* Decodes all windows, again at the next temperature where the outcome is poor. */
hone_status speech_decode(speech_decoder *d, speech_window *windows, size_t n_windows);

/* Tokens that a prompt and its continuation may have together. */
size_t speech_context(const hone_model *m);

/* What both kinds of passes are told. */
whisper_run speech_run(hone_model *m, bool exact);

/* probabilities[n_languages] of a window, from the logits behind <|startoftranscript|> alone. Takes
 * the model's lock. */
hone_status speech_languages(hone_model *m, const whisper_cross *cross, bool exact,
                             float *probabilities);

/* Text of the ids below the end token, valid UTF-8; appended to `out`. */
hone_status speech_add_text(const hone_model *m, const int32_t *tokens, size_t n, buf *out);

/* Bytes of the text per byte that zlib makes of it; 0 for no text. */
float speech_compression_ratio(const char *text, size_t n);

#endif
