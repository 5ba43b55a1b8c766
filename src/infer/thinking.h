/* Where an answer stands between thinking and speaking, token by token, and the closing tag that is
 * written for a model whose budget of thoughts is spent. */
#ifndef INFER_THINKING_H
#define INFER_THINKING_H

#include "infer/engine.h"
#include "text/thoughts.h"

typedef struct thinking {
    enum { THINKING_NOT_YET, THINKING_NOW, THINKING_OVER } state;
    const thought_tags *tags;
    char tail[4 * THOUGHT_TAG_BYTES]; /* NOT_YET: all of the answer; NOW: its end */
    size_t n_tail;
    size_t n_tokens; /* of thoughts, the closing tag's included */
    token_list closing;
    size_t n_forced; /* of `closing` */
    bool forced;     /* the last token was one of these */
} thinking;

/* Looks at the end of the prompt. */
hone_status thinking_init(thinking *t, const hone_model *m, const int32_t *prompt, size_t n);
void thinking_release(thinking *t);

/* After each token of the answer. */
hone_status thinking_take(thinking *t, const hone_model *m, int32_t token);

/* The token that has to come next where more than `budget` were thought; −1: the model chooses. */
hone_status thinking_force(thinking *t, const hone_model *m, size_t budget, int32_t *token);

#endif
