#include "weights/fidelity.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/pool.h"
#include "weights/model_matrices.h"

enum { USUAL_WINDOW = 512, FEWEST_TOKENS = 64, ROWS_AT_ONCE = 32 };

/* --- one position --- */

static size_t largest_at(const float *logits, size_t n) {
    size_t best = 0;
    for (size_t i = 1; i < n; i++) best = logits[i] > logits[best] ? i : best;
    return best;
}

fidelity_position fidelity_compare(const float *reference, const float *candidate, size_t n_vocab,
                                   int32_t next) {
    size_t top_p = largest_at(reference, n_vocab), top_q = largest_at(candidate, n_vocab);
    double max_p = (double)reference[top_p], max_q = (double)candidate[top_q];
    double sum_p = 0.0, sum_q = 0.0, sum_difference = 0.0;
    for (size_t i = 0; i < n_vocab; i++) {
        double p = exp((double)reference[i] - max_p);
        sum_p += p;
        sum_q += exp((double)candidate[i] - max_q);
        /* p · (ln p − ln q) but for the constants; 0 · −∞ counts as 0 */
        if (p > 0.0) sum_difference += p * ((double)reference[i] - (double)candidate[i]);
    }
    double log_p = max_p + log(sum_p), log_q = max_q + log(sum_q);
    double kl = sum_difference / sum_p - log_p + log_q;
    return (fidelity_position){
        .reference_nll = log_p - (double)reference[next],
        .candidate_nll = log_q - (double)candidate[next],
        .kl = kl > 0.0 ? kl : 0.0, /* rounding may leave a little less than nothing */
        .same_top = top_p == top_q,
    };
}

/* --- summary --- */

/* What a block of neighbouring positions adds to the sums. */
typedef struct block_sums {
    double nll_change, kl, right;
    size_t n;
} block_sums;

static double right_change(const fidelity_position *p) {
    return exp(-p->candidate_nll) - exp(-p->reference_nll);
}

static void sum_block(block_sums *b, const fidelity_position *p, size_t n) {
    *b = (block_sums){.n = n};
    for (size_t i = 0; i < n; i++) {
        b->nll_change += p[i].candidate_nll - p[i].reference_nll;
        b->kl += p[i].kl;
        b->right += right_change(&p[i]);
    }
}

/* What is drawn with replacement are blocks (Künsch 1989, with fixed ones). */
enum { RATIO, KL, RIGHT, N_FIGURES };

static void figures_of_drawn(void *user, const uint32_t *drawn, size_t n_blocks, double *figures) {
    const block_sums *blocks = user;
    block_sums total = {0};
    for (size_t i = 0; i < n_blocks; i++) {
        const block_sums *b = &blocks[drawn[i]];
        total.nll_change += b->nll_change;
        total.kl += b->kl;
        total.right += b->right;
        total.n += b->n;
    }
    double n = (double)total.n;
    figures[RATIO] = exp(total.nll_change / n);
    figures[KL] = total.kl / n;
    figures[RIGHT] = total.right / n;
}

static void summarise_kl(fidelity *out, const fidelity_position *positions, size_t n,
                         double *sorted) {
    for (size_t i = 0; i < n; i++) sorted[i] = positions[i].kl;
    stats_sort(sorted, n);
    out->kl_p50 = stats_quantile(sorted, n, 0.5);
    out->kl_p95 = stats_quantile(sorted, n, 0.95);
    out->kl_p99 = stats_quantile(sorted, n, 0.99);
    out->kl_max = sorted[n - 1];
}

hone_status fidelity_summarise(fidelity *out, const fidelity_position *positions, size_t n,
                               size_t window) {
    size_t n_blocks = (n + FIDELITY_BLOCK - 1) / FIDELITY_BLOCK, n_same = 0;
    double reference = 0.0, candidate = 0.0;
    estimate figures[N_FIGURES];
    double *sorted = mem_calloc(n, sizeof *sorted);
    block_sums *blocks = mem_calloc(n_blocks, sizeof *blocks);
    hone_status status = HONE_OK;
    if (!sorted || !blocks) {
        status = mem_fail("positions", n * sizeof *sorted);
        goto done;
    }
    for (size_t i = 0; i < n; i++) {
        reference += positions[i].reference_nll;
        candidate += positions[i].candidate_nll;
        n_same += positions[i].same_top;
    }
    for (size_t b = 0; b < n_blocks; b++) {
        size_t first = b * FIDELITY_BLOCK, left = n - first;
        sum_block(&blocks[b], positions + first, left < FIDELITY_BLOCK ? left : FIDELITY_BLOCK);
    }
    status = stats_bootstrap(figures, N_FIGURES, n_blocks, figures_of_drawn, blocks, FIDELITY_SEED);
    if (status != HONE_OK) goto done;
    *out = (fidelity){
        .n_tokens = n,
        .window = window,
        .reference = exp(reference / (double)n),
        .candidate = exp(candidate / (double)n),
        .ratio = figures[RATIO],
        .kl = figures[KL],
        .right = figures[RIGHT],
        .top1 = stats_wilson(n_same, n),
    };
    summarise_kl(out, positions, n, sorted);
done:
    mem_free(sorted);
    mem_free(blocks);
    return status;
}

hone_status fidelity_difference(estimate *out, const fidelity_position *first,
                                const fidelity_position *second, size_t n) {
    fidelity_position *both = mem_calloc(n, sizeof *both);
    fidelity f;
    if (!both) return mem_fail("positions", n * sizeof *both);
    for (size_t i = 0; i < n; i++) both[i].kl = first[i].kl - second[i].kl;
    hone_status status = fidelity_summarise(&f, both, n, 0);
    mem_free(both);
    if (status == HONE_OK) *out = f.kl;
    return status;
}

/* --- both models over a text --- */

typedef struct measuring {
    const fidelity_options *options;
    hone_session *reference, *candidate;
    pool *pool;
    size_t n_vocab, window, n_windows;
    int32_t *ids;     /* [n_ids] */
    int32_t *passage; /* [window] the window at hand */
    size_t n_ids;
    int32_t bos;      /* −1: none */
    fidelity_position *positions; /* [n_windows · scored of a window] */
    size_t done, total;
    const int32_t *next; /* of the rows at hand */
} measuring;

/* The window's positions from here on are scored; its last token is only predicted. */
static size_t first_scored(const measuring *m) { return m->window / 2; }
static size_t n_scored(const measuring *m) { return m->window - 1 - first_scored(m); }

static hone_status tokenise(measuring *m, hone_model *reference, hone_model *candidate,
                            const char *text, size_t n_bytes) {
    int32_t *other = NULL, *start = NULL;
    size_t n_other = 0, n_start = 0;
    TRY(hone_tokenize(reference, text, n_bytes, true, &m->ids, &m->n_ids));
    TRY(hone_tokenize(candidate, text, n_bytes, true, &other, &n_other));
    bool same = m->n_ids == n_other && memcmp(m->ids, other, n_other * sizeof *other) == 0;
    hone_free(other);
    if (!same || hone_model_describe(candidate)->n_vocab != m->n_vocab)
        return fail(HONE_ERR_ARGUMENT, "the two models have different vocabularies");
    TRY(hone_tokenize(reference, "", 0, true, &start, &n_start));
    m->bos = n_start > 0 ? start[0] : -1;
    hone_free(start);
    return HONE_OK;
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static hone_status prepare(measuring *m, hone_model *reference, hone_model *candidate,
                           const char *text, size_t n_bytes) {
    const hone_model_info *a = hone_model_describe(reference), *b = hone_model_describe(candidate);
    m->n_vocab = a->n_vocab;
    TRY(tokenise(m, reference, candidate, text, n_bytes));
    if (m->options->n_tokens) m->n_ids = least(m->n_ids, m->options->n_tokens);
    if (m->n_ids < FEWEST_TOKENS)
        return fail(HONE_ERR_ARGUMENT, "%zu tokens of text are too few; %d are needed", m->n_ids,
                    FEWEST_TOKENS);
    m->window = least(least(USUAL_WINDOW, m->n_ids), least(a->n_context, b->n_context));
    m->n_windows = m->n_ids / m->window;
    m->total = m->n_windows * n_scored(m);
    m->passage = mem_calloc(m->window, sizeof *m->passage);
    m->positions = mem_calloc(m->total, sizeof *m->positions);
    if (!m->passage || !m->positions)
        return mem_fail("positions", m->total * sizeof *m->positions);
    hone_session_options options = {
        .n_context = m->window, .exact = m->options->exact, .prefill_chunk = m->window};
    TRY(hone_session_open(&m->candidate, candidate, &options));
    if (m->options->exact_reference) options.exact = true;
    TRY(hone_session_open(&m->reference, reference, &options));
    return pool_open(&m->pool, a->n_threads);
}

static void compare_row(void *user, size_t index, int thread) {
    (void)thread;
    measuring *m = user;
    m->positions[m->done + index] =
        fidelity_compare(hone_session_logits(m->reference, index),
                         hone_session_logits(m->candidate, index), m->n_vocab, m->next[index]);
}

static hone_status step_both(measuring *m, size_t first, size_t n, hone_logits logits) {
    TRY(hone_step(&(hone_step_item){m->reference, m->passage + first, n, logits}, 1));
    return hone_step(&(hone_step_item){m->candidate, m->passage + first, n, logits}, 1);
}

static hone_status measure_window(measuring *m, size_t index) {
    const fidelity_options *o = m->options;
    memcpy(m->passage, m->ids + index * m->window, m->window * sizeof *m->passage);
    if (m->bos >= 0) m->passage[0] = m->bos;
    TRY(hone_session_rewind(m->reference, 0));
    TRY(hone_session_rewind(m->candidate, 0));
    TRY(step_both(m, 0, first_scored(m), HONE_LOGITS_NONE));
    for (size_t at = first_scored(m); at < m->window - 1;) {
        size_t n = least(ROWS_AT_ONCE, m->window - 1 - at);
        TRY(step_both(m, at, n, HONE_LOGITS_ALL));
        m->next = m->passage + at + 1;
        pool_run(m->pool, n, compare_row, m);
        m->done += n;
        at += n;
        if (o->observe && !o->observe(o->context, m->done, m->total))
            return fail(HONE_ERR_CANCELLED, "stopped");
    }
    return HONE_OK;
}

static hone_status measure(measuring *m, fidelity *out, hone_model *reference,
                           hone_model *candidate, const char *text, size_t n_bytes) {
    TRY(prepare(m, reference, candidate, text, n_bytes));
    for (size_t i = 0; i < m->n_windows; i++) TRY(measure_window(m, i));
    return fidelity_summarise(out, m->positions, m->total, m->window);
}

hone_status fidelity_measure(fidelity *out, hone_model *reference, hone_model *candidate,
                             const char *text, size_t n_bytes, const fidelity_options *options) {
    measuring m = {.options = options};
    page_thrift thrift[2];
    if (options->lean) {
        page_thrift_begin(&thrift[0], reference);
        page_thrift_begin(&thrift[1], candidate);
    }
    hone_status status = measure(&m, out, reference, candidate, text, n_bytes);
    for (int i = 0; i < 2 && options->lean; i++) page_thrift_end(&thrift[i]);
    if (status == HONE_OK && options->positions) {
        *options->positions = m.positions;
        m.positions = NULL;
    }
    pool_close(m.pool);
    hone_session_close(m.reference);
    hone_session_close(m.candidate);
    hone_free(m.ids);
    mem_free(m.passage);
    mem_free(m.positions);
    return status;
}
