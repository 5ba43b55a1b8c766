/* Importance data from a text: the model reads it, and an observer of its products adds up the
 * squares of what enters each matrix. */
#ifndef WEIGHTS_CALIBRATE_H
#define WEIGHTS_CALIBRATE_H

#include "hone/hone.h"
#include "weights/imatrix.h"

typedef struct calibrate_options {
    size_t n_tokens;      /* of the text at most; 0 = all */
    const char *dataset;  /* the text's name, for the file; NULL = "" */
    /* Hears of tokens; false cancels. May be NULL. */
    bool (*observe)(void *context, size_t done, size_t total);
    void *context;
} calibrate_options;

/* Fills *out on success. The text is read in chunks of 512 tokens, each behind the
 * beginning-of-text token where the model has one; the last chunk may be shorter. The head's
 * products are left out, as llama.cpp does: a head is stored in 6 bits or more. Nobody else
 * computes with the model meanwhile. */
hone_status calibrate_model(imatrix *out, hone_model *model, const char *text, size_t n_bytes,
                            const calibrate_options *options);

#endif
