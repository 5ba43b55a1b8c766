/* Programs that look at probabilities while they draw: DeepConf and CoT decoding. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "strategy/answer_text.h"
#include "strategy/strategy_int.h"

/* --- DeepConf --- */

/* For answers of a few hundred tokens: the paper's window of 2048 would never fill. */
enum { WARM_UP = 4, WINDOW = 64, TOP = 20 };
#define DROPPED 0.1    /* share of the warm-up's confidences that lies below the bar */
#define CONSENSUS 0.95 /* of the weight: stop */

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The quantile of the warm-up draws' least confidences; 0 where none was long enough. */
static double find_bar(strategy_run *r, size_t first, size_t n) {
    double values[WARM_UP];
    size_t n_values = 0;
    for (size_t i = first; i < first + n; i++) {
        double c = run_trace(r, i)->confidence;
        if (c > 0) values[n_values++] = c;
    }
    if (n_values == 0) return 0;
    qsort(values, n_values, sizeof *values, by_value);
    return values[(size_t)(DROPPED * (double)n_values)];
}

/* Votes weigh as much as the draw was confident; short ones, never measured, as the least. */
static hone_status vote_by_confidence(strategy_run *r, const size_t *draws, size_t n,
                                      size_t *chosen) {
    double least = INFINITY, *weights = mem_calloc(n, sizeof *weights);
    if (!weights) return mem_fail("weights", n * sizeof *weights);
    for (size_t i = 0; i < n; i++) {
        double c = run_trace(r, draws[i])->confidence;
        if (c > 0 && c < least) least = c;
    }
    for (size_t i = 0; i < n; i++) {
        hone_draw *d = run_trace(r, draws[i]);
        weights[i] = d->score = d->confidence > 0 ? d->confidence : isinf(least) ? 1 : least;
    }
    hone_status status = vote_weighted(r, draws, weights, n, chosen);
    mem_free(weights);
    return status;
}

static bool has_consensus(const hone_strategy_result *t) {
    double sum = 0;
    for (size_t i = 0; i < t->n_votes; i++) sum += t->votes[i].weight;
    return sum > 0 && t->votes[0].weight >= CONSENSUS * sum;
}

hone_status program_deepconf(strategy_run *r, size_t n) {
    size_t begin = r->result->n_draws, warm = n < WARM_UP ? n : WARM_UP, first;
    hone_sampling sampling = varied_sampling(r);
    draw_order order = {.stage = "warm-up", .sampling = &sampling, .n_top = TOP, .window = WINDOW};
    hone_status status = run_alike(r, &order, NULL, warm, NULL, NULL, &first);
    order.stage = "answer";
    order.least_confidence = status == HONE_OK ? find_bar(r, first, warm) : 0;
    hone_status selected = run_select(r, begin, vote_by_confidence);
    for (size_t done = warm; done < n && status == HONE_OK && selected == HONE_OK;) {
        if (has_consensus(r->result)) {
            run_stop(r, "consensus");
            break;
        }
        size_t wave = n - done < WARM_UP ? n - done : WARM_UP;
        status = run_alike(r, &order, NULL, wave, NULL, NULL, &first);
        selected = run_select(r, begin, vote_by_confidence);
        done += wave;
    }
    return status == HONE_OK ? selected : status;
}

/* --- CoT decoding --- */

/* The mean margin over the tokens that spell the answer's last occurrence; over all of them where
 * its canonical form does not stand in the text. */
static double answer_margin(strategy_run *r, size_t draw) {
    const hone_draw *d = run_trace(r, draw);
    const draw_detail *detail = &r->details[draw];
    size_t from = 0, to = strlen(d->text);
    const char *last = NULL;
    for (const char *p = d->text; d->answer && (p = strstr(p, d->answer)); p++) last = p;
    if (last) {
        from = (size_t)(last - d->text);
        to = from + strlen(d->answer);
    }
    double sum = 0;
    size_t n = 0, begin = 0;
    for (size_t i = 0; i < detail->n_margins; i++) {
        size_t end = detail->margins[i].end;
        if (begin < to && end > from) sum += detail->margins[i].margin, n++;
        begin = end;
    }
    return n ? sum / (double)n : 0;
}

static hone_status vote_by_margin(strategy_run *r, const size_t *draws, size_t n, size_t *chosen) {
    double *weights = mem_calloc(n, sizeof *weights);
    if (!weights) return mem_fail("weights", n * sizeof *weights);
    for (size_t i = 0; i < n; i++)
        weights[i] = run_trace(r, draws[i])->score = answer_margin(r, draws[i]);
    hone_status status = vote_weighted(r, draws, weights, n, chosen);
    mem_free(weights);
    return status;
}

/* One step to see the n most probable first tokens, then a greedy answer from each. */
hone_status program_cot_decode(strategy_run *r, size_t n) {
    hone_sampling greedy = hone_sampling_greedy();
    draw_order look = {
        .stage = "look", .sampling = &greedy, .max_tokens = 1, .n_top = RUN_FIRST_TOP};
    size_t looked, first = 0;
    TRY(run_draw(r, &look, &looked));
    draw_detail seen = r->details[looked];
    draw_order orders[RUN_FIRST_TOP];
    if (n > seen.n_first) n = seen.n_first;
    for (size_t i = 0; i < n; i++)
        orders[i] = (draw_order){.stage = "answer", .sampling = &greedy, .n_top = 2,
                                 .margins = true, .forced = &seen.first_ids[i], .n_forced = 1};
    if (n == 0) return fail(HONE_ERR_UNSUPPORTED, "CoT decoding needs the probabilities of tokens");
    hone_status status = run_draws(r, orders, n, NULL, NULL, &first);
    hone_status selected = run_select(r, first, vote_by_margin);
    return status == HONE_OK ? selected : status;
}
