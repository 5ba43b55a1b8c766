/* What a model lost against another one: both in lock-step over the same text.
 *
 * The text's tokens are cut into windows of 512 (or what the contexts hold) without overlap; the
 * first place of each is the beginning-of-text token where the model has one, and the second half
 * of each window is scored: the form of llama.cpp's tables (docs/quantise.md has every formula). No
 * logits are kept: 64 positions of both models are compared at a time. */
#ifndef WEIGHTS_FIDELITY_H
#define WEIGHTS_FIDELITY_H

#include "base/stats.h"
#include "hone/hone.h"

typedef struct fidelity {
    size_t n_tokens;           /* scored */
    size_t window;             /* tokens in a window */
    double reference, candidate; /* perplexities */
    estimate ratio;            /* candidate / reference; paired block bootstrap, as the next two */
    estimate kl;               /* mean KL divergence of the candidate from the reference, nats */
    estimate right;            /* mean change of the right token's probability */
    double kl_p50, kl_p95, kl_p99, kl_max;
    estimate top1;             /* share of positions with the same most probable token; Wilson */
} fidelity;

/* The bootstrap's blocks and seed: positions that follow each other are not independent, so blocks
 * of them are drawn. */
enum { FIDELITY_BLOCK = 32, FIDELITY_SEED = 1 };

/* One position: what both models say of the token that comes next. */
typedef struct fidelity_position {
    double reference_nll, candidate_nll, kl;
    bool same_top;
} fidelity_position;

typedef struct fidelity_options {
    size_t n_tokens; /* of the text at most; 0 = all */
    bool exact;      /* float activations and an F32 cache */
    bool exact_reference; /* for the reference at least, so that the candidate's arithmetic shows */
    bool lean; /* pages of the files are let go of on the way, for models larger than memory */
    /* Hears of scored positions; false cancels. May be NULL. */
    bool (*observe)(void *context, size_t done, size_t total);
    void *context;
    /* Where not NULL: set to all positions on success, as many as are scored;
     * free with mem_free. */
    fidelity_position **positions;
} fidelity_options;

/* Fills *out on success. Needs 64 tokens at least. HONE_ERR_ARGUMENT for models with different
 * vocabularies and for texts that are too short; HONE_ERR_CANCELLED; errors of tokenising and of
 * steps. Both models compute; neither changes. */
hone_status fidelity_measure(fidelity *out, hone_model *reference, hone_model *candidate,
                             const char *text, size_t n_bytes, const fidelity_options *options);

/* --- the parts, for other measurements --- */

/* From both models' logits[n_vocab]; sums in doubles, ties of the most probable token to the lower
 * id. */
fidelity_position fidelity_compare(const float *reference, const float *candidate, size_t n_vocab,
                                   int32_t next);

/* Summary of positions[n], n > 0, in their order; `window` is passed on. HONE_ERR_MEMORY. */
hone_status fidelity_summarise(fidelity *out, const fidelity_position *positions, size_t n,
                               size_t window);

/* Mean KL of the first candidate minus that of the second, from the same n positions: both are
 * drawn together. HONE_ERR_MEMORY. */
hone_status fidelity_difference(estimate *out, const fidelity_position *first,
                                const fidelity_position *second, size_t n);

/* A reference text of our own, in English with some code, numbers and other languages: small, but
 * the same for everyone. `which` 0 is for measuring, 1 for calibration; they share no sentence. */
const char *own_text(int which);
extern const char own_text_name[2][24];

#endif
