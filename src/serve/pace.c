/* Sums over steps (serve/pace.h). */
#include "serve/pace.h"

#include <math.h>

/* The newest step counts a quarter: load changes within a few steps. */
#define NEWEST 0.25

void pace_init(pace *p, int stall_ms) { *p = (pace){.stall_ms = stall_ms}; }

size_t pace_prompt_tokens(const pace *p, bool decoding) {
    double token_ms = p->token_ms[decoding];
    if (token_ms <= 0) return decoding ? PACE_FIRST : PACE_MOST;
    double room = decoding ? p->stall_ms - p->decode_ms : PACE_ALONE_MS;
    double n = floor(room / token_ms / PACE_UNIT) * PACE_UNIT;
    return n < PACE_LEAST ? PACE_LEAST : n > PACE_MOST ? PACE_MOST : (size_t)n;
}

static void blend(double *average, double value) {
    *average = *average > 0 ? *average + NEWEST * (value - *average) : value;
}

void pace_note(pace *p, size_t n_prompt_tokens, size_t n_decoding, double ms) {
    if (n_prompt_tokens == 0) {
        if (n_decoding) blend(&p->decode_ms, ms);
        return;
    }
    /* A handful of tokens says little: what a step costs anyway would be laid on them. */
    if (n_prompt_tokens < PACE_LEAST) return;
    double rest = n_decoding ? ms - p->decode_ms : ms;
    if (rest > 0) blend(&p->token_ms[n_decoding > 0], rest / (double)n_prompt_tokens);
}
