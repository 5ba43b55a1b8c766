/* How many tokens of prompts a step may take, so that answers that run never wait longer for their
 * next token than they may.
 *
 * The time of a step is taken to be that of its decoding plus so much for each token of a prompt;
 * both are measured as steps pass. While others decode a step gets as many tokens as fit into
 * `stall_ms`, alone as many as fit into PACE_ALONE_MS (a cancelled prompt ends that late); never
 * less than PACE_LEAST, so that prompts get on, and never more than PACE_MOST, beyond which a
 * larger piece computes no faster. */
#ifndef SERVE_PACE_H
#define SERVE_PACE_H

#include <stdbool.h>
#include <stddef.h>

enum {
    PACE_LEAST = 16, PACE_UNIT = 8, /* all but the least are multiples of the unit */
    PACE_FIRST = 64,                /* while nothing is known */
    PACE_MOST = 512, PACE_ALONE_MS = 1000
};

typedef struct pace {
    int stall_ms;
    double decode_ms;   /* of a step without prompts; 0 = none seen yet */
    double token_ms[2]; /* of one token of a prompt, alone and while others decode, likewise:
                           small pieces compute slower */
} pace;

void pace_init(pace *p, int stall_ms);

/* For the next step; `decoding`: others wait for their next token. */
size_t pace_prompt_tokens(const pace *p, bool decoding);

/* What the last step had and took. */
void pace_note(pace *p, size_t n_prompt_tokens, size_t n_decoding, double ms);

#endif
