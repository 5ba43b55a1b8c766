#include "infer/speculate.h"

/* What the draft gives a token: q, or all to x. */
static double draft_probability(const float *q, int32_t x, size_t token) {
    return q ? q[token] : (double)(token == (size_t)x);
}

static double residual(const float *p, const float *q, int32_t x, size_t token) {
    double rest = p[token] - draft_probability(q, x, token);
    return rest > 0 ? rest : 0;
}

double speculate_acceptance(const float *p, const float *q, int32_t x) {
    double px = p[x], qx = draft_probability(q, x, (size_t)x);
    return px < qx ? px / qx : 1;
}

double speculate_overlap(const float *p, const float *q, size_t n_vocab, int32_t x) {
    double sum = 0;
    for (size_t i = 0; i < n_vocab; i++) {
        double qi = draft_probability(q, x, i);
        sum += p[i] < qi ? p[i] : qi;
    }
    return sum;
}

/* The first token whose running residual exceeds u · total; -1 where the residual is empty. */
static int32_t draw_residual(const float *p, const float *q, size_t n_vocab, int32_t x, double u) {
    double total = 0, running = 0;
    for (size_t i = 0; i < n_vocab; i++) total += residual(p, q, x, i);
    int32_t last = -1;
    for (size_t i = 0; i < n_vocab && !(running > u * total); i++) {
        double rest = residual(p, q, x, i);
        if (rest > 0) last = (int32_t)i;
        running += rest;
    }
    return last;
}

int32_t speculate_choose(const float *p, const float *q, size_t n_vocab, int32_t drafted,
                         double u_accept, double u_residual, bool *accepted) {
    *accepted = u_accept < speculate_acceptance(p, q, drafted);
    if (*accepted) return drafted;
    int32_t token = draw_residual(p, q, n_vocab, drafted, u_residual);
    *accepted = token < 0; /* p = q but for rounding */
    return *accepted ? drafted : token;
}
