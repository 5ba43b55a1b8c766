/* What a prompt is about, so that a model can be chosen for it: one of nine kinds.
 *
 * Multinomial logistic regression over the presence of words, pairs of words, character n-grams and
 * punctuation (src/route/kinds/train.py defines the features and learns the weights; docs/route.md
 * says how often it is right). Pure functions. */
#ifndef ROUTE_KIND_H
#define ROUTE_KIND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/stats.h"

typedef enum prompt_kind {
    KIND_REASONING,
    KIND_MATHEMATICS,
    KIND_CODE,
    KIND_MULTILINGUAL, /* translation, and whatever is not asked in English */
    KIND_KNOWLEDGE,
    KIND_CREATIVE,
    KIND_STRUCTURE,    /* extract, summarise, classify; an answer of a given form */
    KIND_IMAGE,
    KIND_SPEECH
} prompt_kind;

enum { N_KINDS = 9, KIND_MAX_SIGNS = 6, KIND_MAX_BYTES = 4096 };

const char *kind_name(prompt_kind kind); /* "reasoning", … */
bool kind_find(const char *name, prompt_kind *kind);

/* Something in the text that spoke for the kind. */
typedef struct kind_sign {
    const char *feature; /* "prime number", "~tran" (characters in a word, _ its edge),
                          * "<script>" */
    double weight;       /* what it added to the kind beyond the mean of all kinds, in logits */
} kind_sign;

typedef struct kind_guess {
    prompt_kind kind;               /* the most probable; the first of equals */
    double probabilities[N_KINDS];  /* of the model, not calibrated */
    kind_sign signs[KIND_MAX_SIGNS]; /* that speak most for `kind`; fewer where there are fewer */
    size_t n_signs;
} kind_guess;

/* Reads the first KIND_MAX_BYTES of the text; bytes that are no UTF-8 count as spaces. */
kind_guess kind_of(const char *text, size_t n);

/* The share of prompts held out from learning that are put into their kind, with its interval. */
estimate kind_accuracy(size_t *n_right, size_t *n_prompts);

#endif
