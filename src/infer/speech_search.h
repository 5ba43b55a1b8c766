/* The search for one window's text: at falling certainty, with beams or draws (Radford et al. 2022,
 * §4.5). What it knows are tokens, log-probabilities and rows of a cache; who computes the logits
 * of its hypotheses, with how many other windows, is infer/speech_decode.c's affair. */
#ifndef INFER_SPEECH_SEARCH_H
#define INFER_SPEECH_SEARCH_H

#include "infer/speech_decode.h"

typedef struct hypothesis {
    int32_t tokens[SPEECH_MAX_TOKENS];
    size_t n;
    size_t row;   /* of the cache */
    double sum;   /* of log-probabilities */
    bool ended;   /* the end token was chosen; it is not among the tokens */
} hypothesis;

/* A way to go on from one hypothesis. */
typedef struct choice {
    int32_t token; /* −1: there is none */
    float logprob;
} choice;

typedef struct continuation continuation;

typedef struct speech_search {
    hone_model *m;
    const speech_settings *s;
    speech_window *window;
    size_t width;          /* hypotheses that there is room for, and rows that it needs */
    size_t rung;           /* of the temperatures */
    float temperature;
    bool prompt_is_read;
    size_t first_row;
    size_t n_live;         /* hypotheses; in the beginning one */
    size_t n_wanted;       /* side by side */
    size_t n_choices;      /* of one hypothesis */
    size_t enough_finished; /* end the search: patience times the beams (Kasai et al. 2022) */
    size_t n_finished;
    size_t limit;          /* tokens */
    bool done, hopeless;   /* at this temperature */
    hypothesis *live, *next; /* [width] */
    hypothesis *finished;  /* [most] of beam search */
    choice *choices;       /* [width, n_choices] */
    continuation *ways;    /* [width · n_choices] */
} speech_search;

/* `s` and `w` outlive it. */
hone_status speech_search_init(speech_search *a, hone_model *m, const speech_settings *s,
                               speech_window *w);
void speech_search_release(speech_search *a);

/* From the prompt on, at the next temperature; the rows first_row … + width − 1 are its own. */
void speech_search_begin(speech_search *a, size_t first_row);

/* The prompt's logits are there: draws part. */
hone_status speech_search_spread(speech_search *a, whisper_cache *cache);

/* Fills the choices of live[index] from its logits; `work` has room for 2 · n_vocab floats. Several
 * hypotheses at once on several threads. */
void speech_search_examine(speech_search *a, size_t index, const float *logits, float *work);

/* All choices are there: one token further. May set `done`. */
hone_status speech_search_advance(speech_search *a, whisper_cache *cache);

/* Done: the best text becomes the window's.
 * *again: it is poor, and there is another temperature. */
hone_status speech_search_conclude(speech_search *a, bool *again);

#endif
