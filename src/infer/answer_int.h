/* The inside of an answer under way, which answer.c (life, tokens, steps) and answer_prompt.c (the
 * way through the prompt) share. */
#ifndef INFER_ANSWER_INT_H
#define INFER_ANSWER_INT_H

#include "hone/answer.h"
#include "infer/sampler.h"
#include "infer/text_stream.h"
#include "infer/thinking.h"

struct hone_answer {
    hone_session *session;
    const hone_model *model;
    const hone_request *request;
    token_list prompt;
    size_t n_cached;         /* of the prompt, what the session held before */
    size_t share;            /* of it, most tokens in a step; 0 = no limit */
    sampler *sampler;
    text_stream *stream;
    buf piece, text;         /* what the last push released; the whole answer */
    int32_t *tokens;         /* generated so far */
    size_t n_tokens, capacity;
    uint64_t *mask, *padding; /* [mask_words]; NULL where nothing is forbidden */
    size_t mask_words;
    uint64_t *grammar_mask; /* [mask_words] */
    hone_grammar_cursor cursor;
    thinking thinking;
    size_t n_thought_before; /* of its tokens, those of request->begun */
    size_t grammar_from; /* the first token that the grammar sees: behind a thought */
    size_t n_told;       /* tokens of the prompt that on_piece has seen */
    double *state_sums;  /* [n_embd] of the prompt; NULL where no embedding is wanted */
    bool finished;
    bool receiver_left; /* on_piece wants no more */
    hone_finish finish;
    size_t n_drafted, n_accepted;
    double started_ms, prefill_ms, first_token_ms;
    hone_status error; /* and its sentence */
    char *error_text;

    /* The share of the step under way: tokens behind the session's, and where it began. */
    int32_t feed[1 + HONE_MAX_DRAFT];
    size_t n_fed, base;
};

/* Shows a piece to the receiver, with log-probabilities of its token where `logits`, which foretold
 * it, are given; ends the answer where the receiver wants no more. */
void answer_show(hone_answer *a, hone_piece *piece, const float *logits);
void answer_end(hone_answer *a, hone_finish finish);

/* --- the prompt (answer_prompt.c) --- */

/* Ids of the request's prompt, and what its own outputs need;
 * the session keeps what can be reused. */
hone_status answer_begin_prompt(hone_answer *a);

/* The next piece of the prompt, of at most *budget tokens; none when the budget is spent. */
hone_status answer_offer_prompt(hone_answer *a, size_t *budget, hone_step_item *item);

/* After the step that took the piece in. */
hone_status answer_receive_prompt(hone_answer *a);

/* The embedding, for result->embedding. */
hone_status answer_make_embedding(const hone_answer *a, float **embedding);

#endif
