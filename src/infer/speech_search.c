#include "infer/speech_search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "infer/sampler.h"

struct continuation {
    size_t parent;
    choice with;
    double sum;
};

/* --- life --- */

hone_status speech_search_init(speech_search *a, hone_model *m, const speech_settings *s,
                               speech_window *w) {
    size_t width = s->beam_size > s->best_of ? s->beam_size : s->best_of;
    size_t enough = (size_t)lroundf((float)s->beam_size * s->patience);
    size_t most = enough > s->beam_size ? enough : s->beam_size;
    *a = (speech_search){.m = m, .s = s, .window = w, .width = width,
                         .n_choices = s->beam_size + 1, .enough_finished = enough};
    a->live = mem_calloc(width, sizeof *a->live);
    a->next = mem_calloc(width, sizeof *a->next);
    a->finished = mem_calloc(most, sizeof *a->finished);
    a->choices = mem_calloc(width * a->n_choices, sizeof *a->choices);
    a->ways = mem_calloc(width * a->n_choices, sizeof *a->ways);
    if (a->live && a->next && a->finished && a->choices && a->ways) return HONE_OK;
    speech_search_release(a);
    return mem_fail("hypotheses", (2 * width + most) * sizeof *a->live);
}

void speech_search_release(speech_search *a) {
    mem_free(a->live);
    mem_free(a->next);
    mem_free(a->finished);
    mem_free(a->choices);
    mem_free(a->ways);
    a->live = a->next = a->finished = NULL;
    a->choices = NULL;
    a->ways = NULL;
}

/* Tokens that may follow the prompt. */
static size_t limit_of(const speech_search *a) {
    size_t room = speech_context(a->m) + 1 - a->window->n_prompt; /* the last need not be read */
    return a->s->max_tokens < room ? a->s->max_tokens : room;
}

void speech_search_begin(speech_search *a, size_t first_row) {
    const speech_window *w = a->window;
    a->temperature = a->s->temperatures[a->rung];
    a->prompt_is_read = a->done = a->hopeless = false;
    a->first_row = first_row;
    a->n_live = 1;
    a->n_wanted = a->temperature > 0 ? a->s->best_of : a->s->beam_size;
    a->n_finished = 0;
    a->limit = limit_of(a);
    a->live[0] = (hypothesis){.row = first_row, .n = w->n_forced};
    memcpy(a->live[0].tokens, w->prompt + w->n_prompt, w->n_forced * sizeof *w->prompt);
}

/* Draws need their own rows from the beginning; beams get theirs when they part. */
hone_status speech_search_spread(speech_search *a, whisper_cache *cache) {
    a->prompt_is_read = true;
    for (size_t i = 1; a->temperature > 0 && i < a->n_wanted; i++) {
        a->live[i] = a->live[0];
        a->live[i].row = a->first_row + i;
        TRY(whisper_cache_copy(cache, a->live[i].row, a->first_row,
                               a->window->n_prompt + a->window->n_forced));
        a->n_live = i + 1;
    }
    return HONE_OK;
}

/* --- looking at logits --- */

/* The best n of row[n_vocab], best first, the lower id on ties. */
static void find_best(const float *row, size_t n_vocab, float log_sum, choice *best, size_t n) {
    size_t n_best = 0;
    float least = -INFINITY;
    for (size_t id = 0; id < n_vocab; id++) {
        if (n_best == n && !(row[id] > least)) continue;
        if (row[id] == -INFINITY) continue;
        size_t i = n_best < n ? n_best++ : n - 1;
        for (; i > 0 && best[i - 1].logprob < row[id]; i--) best[i] = best[i - 1];
        best[i] = (choice){(int32_t)id, row[id]};
        least = best[n_best - 1].logprob;
    }
    for (size_t i = 0; i < n_best; i++) best[i].logprob -= log_sum;
    for (size_t i = n_best; i < n; i++) best[i] = (choice){-1, -INFINITY};
}

static int32_t draw(const kernels *k, const float *row, size_t n_vocab, float temperature,
                    double uniform, float *work) {
    float max;
    memcpy(work, row, n_vocab * sizeof *work);
    k->softmax_row(work, n_vocab, 1 / temperature, &max);
    double total = 0, sum = 0;
    for (size_t i = 0; i < n_vocab; i++) total += (double)work[i];
    int32_t last = -1;
    for (size_t i = 0; i < n_vocab; i++) {
        if (work[i] == 0) continue;
        last = (int32_t)i;
        sum += (double)work[i];
        if (sum > uniform * total) break;
    }
    return last;
}

void speech_search_examine(speech_search *a, size_t index, const float *logits, float *work) {
    const kernels *k = a->m->compute.k;
    const size_t n_vocab = a->m->speech.h.n_vocab;
    const hypothesis *h = &a->live[index];
    float *row = work, *scratch = work + n_vocab;
    choice *choices = a->choices + index * a->n_choices;
    memcpy(row, logits, n_vocab * sizeof *row);
    speech_rules_apply(&a->s->rules, k, row, h->tokens, h->n);
    float log_sum = speech_log_sum_exp(k, row, n_vocab, scratch);
    if (!isfinite(log_sum)) {
        choices[0] = (choice){-1, log_sum};
    } else if (a->temperature == 0) {
        find_best(row, n_vocab, log_sum, choices, a->n_wanted + (a->n_wanted > 1));
    } else {
        uint32_t sequence = a->window->number * SPEECH_MAX_BEAMS + (uint32_t)index;
        uint32_t step = (uint32_t)h->n * 1024 + (uint32_t)lroundf(a->temperature * 100);
        double uniform = sampler_uniform(a->s->seed, step, DRAW_TOKEN, sequence);
        int32_t id = draw(k, row, n_vocab, a->temperature, uniform, scratch);
        choices[0] = (choice){id, id < 0 ? -INFINITY : row[id] - log_sum};
    }
}

/* --- a step --- */

static void keep_finished(speech_search *a, const hypothesis *h, double sum) {
    hypothesis *to = &a->finished[a->n_finished++];
    *to = *h;
    to->sum = sum;
    to->ended = true;
}

static int by_sum(const void *left, const void *right) {
    const continuation *a = left, *b = right;
    if (a->sum != b->sum) return a->sum > b->sum ? -1 : 1;
    if (a->parent != b->parent) return a->parent < b->parent ? -1 : 1;
    return a->with.token < b->with.token ? -1 : 1;
}

/* Gives each new hypothesis a row of the cache: the first child of a row stays on it, the others
 * get copies on rows that nobody needs. */
static hone_status assign_rows(speech_search *a, whisper_cache *cache, size_t n) {
    bool taken[SPEECH_MAX_BEAMS] = {0}, settled[SPEECH_MAX_BEAMS] = {0};
    for (size_t i = 0; i < n; i++) {
        size_t row = a->next[i].row - a->first_row;
        settled[i] = !taken[row];
        taken[row] = true;
    }
    size_t n_positions = a->window->n_prompt + a->next[0].n - 1; /* the last is not fed yet */
    for (size_t i = 0, free_row = 0; i < n; i++) {
        if (settled[i]) continue;
        while (taken[free_row]) free_row++;
        taken[free_row] = true;
        TRY(whisper_cache_copy(cache, a->first_row + free_row, a->next[i].row, n_positions));
        a->next[i].row = a->first_row + free_row;
    }
    return HONE_OK;
}

static hypothesis extended(const hypothesis *parent, const choice *with) {
    hypothesis h = *parent;
    h.tokens[h.n++] = with->token;
    return h;
}

/* Beam search: the best continuations of all live hypotheses; those that end are set aside. */
static hone_status advance_beams(speech_search *a, whisper_cache *cache) {
    int32_t end = a->s->rules.ids->end;
    size_t n_ways = 0, n_next = 0;
    for (size_t i = 0; i < a->n_live; i++)
        for (size_t j = 0; j < a->n_wanted + 1; j++) {
            choice c = a->choices[i * a->n_choices + j];
            if (c.token >= 0)
                a->ways[n_ways++] = (continuation){i, c, a->live[i].sum + (double)c.logprob};
            else break;
        }
    if (n_ways == 0) return fail(HONE_ERR_NUMERIC, "nothing is left to choose from");
    qsort(a->ways, n_ways, sizeof *a->ways, by_sum);
    for (size_t i = 0; i < n_ways && n_next < a->n_wanted; i++) {
        const continuation *way = &a->ways[i];
        const hypothesis *parent = &a->live[way->parent];
        if (way->with.token == end) {
            if (a->n_finished < a->enough_finished) keep_finished(a, parent, way->sum);
        } else {
            a->next[n_next] = extended(parent, &way->with);
            a->next[n_next++].sum = way->sum;
        }
    }
    a->done = n_next == 0 || a->n_finished >= a->enough_finished;
    if (n_next > 0) TRY(assign_rows(a, cache, n_next));
    memcpy(a->live, a->next, n_next * sizeof *a->live);
    a->n_live = n_next;
    return HONE_OK;
}

/* Greedy choice and draws: each hypothesis goes its own way. */
static hone_status advance_alone(speech_search *a) {
    int32_t end = a->s->rules.ids->end;
    a->done = true;
    for (size_t i = 0; i < a->n_live; i++) {
        hypothesis *h = &a->live[i];
        const choice *c = &a->choices[i * a->n_choices];
        if (h->ended) continue;
        if (c->token < 0) return fail(HONE_ERR_NUMERIC, "nothing is left to choose from");
        h->sum += (double)c->logprob;
        h->ended = c->token == end;
        if (!h->ended) h->tokens[h->n++] = c->token;
        a->done = a->done && h->ended;
    }
    return HONE_OK;
}

/* The tail says the same over and over: a period of up to 32 tokens fills the last 96. */
static bool is_looping(const hypothesis *h) {
    enum { LONGEST = 32, TAIL = 96 };
    if (h->n < TAIL) return false;
    const int32_t *tail = h->tokens + h->n - TAIL;
    for (size_t period = 1; period <= LONGEST; period++) {
        size_t i = period;
        while (i < TAIL && tail[i] == tail[i - period]) i++;
        if (i == TAIL) return true;
    }
    return false;
}

/* Text that turns in circles would fail by its compression ratio: it is not worth its end. */
static bool is_hopeless(const speech_search *a) {
    if (a->n_finished > 0 || isnan(a->s->compression_ratio_threshold)) return false;
    if (a->rung + 1 == a->s->n_temperatures) return false;
    for (size_t i = 0; i < a->n_live; i++)
        if (a->live[i].ended || !is_looping(&a->live[i])) return false;
    return true;
}

static bool has_beams(const speech_search *a) { return a->temperature == 0 && a->n_wanted > 1; }

hone_status speech_search_advance(speech_search *a, whisper_cache *cache) {
    TRY(has_beams(a) ? advance_beams(a, cache) : advance_alone(a));
    if (a->done) return HONE_OK;
    a->hopeless = is_hopeless(a);
    size_t n = 0;
    for (size_t i = 0; i < a->n_live; i++)
        if (a->live[i].n > n) n = a->live[i].n;
    a->done = a->hopeless || n >= a->limit;
    return HONE_OK;
}

/* --- the outcome --- */

/* Sum of log-probabilities for a length: plainly, or by the penalty of Wu et al. 2016. */
static double rank(const speech_settings *s, const hypothesis *h) {
    double n = h->n > 0 ? (double)h->n : 1;
    return h->sum / (isnan(s->length_penalty) ? n : pow((5 + n) / 6, (double)s->length_penalty));
}

static hone_status rate_text(const hone_model *m, speech_window *w) {
    buf text;
    buf_init(&text, SIZE_MAX / 2);
    hone_status status = speech_add_text(m, w->tokens, w->n_tokens, &text);
    if (status == HONE_OK) {
        size_t begin = 0, end = text.len;
        while (begin < end && text.data[begin] == ' ') begin++;
        while (end > begin && text.data[end - 1] == ' ') end--;
        w->compression_ratio = end > begin
                                   ? speech_compression_ratio(text.data + begin, end - begin) : 0;
    }
    buf_release(&text);
    return status;
}

static bool is_poor(const speech_settings *s, const speech_window *w) {
    bool unsure = w->avg_logprob < s->logprob_threshold;
    bool silent = w->no_speech_prob > s->no_speech_threshold;
    return (w->compression_ratio > s->compression_ratio_threshold || unsure) && !(silent && unsure);
}

hone_status speech_search_conclude(speech_search *a, bool *again) {
    speech_window *w = a->window;
    const bool beams = has_beams(a);
    /* The live ones come best first. */
    for (size_t i = 0; beams && i < a->n_live && a->n_finished < a->n_wanted; i++)
        keep_finished(a, &a->live[i], a->live[i].sum);
    const hypothesis *list = beams ? a->finished : a->live, *best = &list[0];
    size_t n = beams ? a->n_finished : a->n_live;
    for (size_t i = 1; i < n; i++)
        if (rank(a->s, &list[i]) > rank(a->s, best)) best = &list[i];
    memcpy(w->tokens, best->tokens, best->n * sizeof *w->tokens);
    w->n_tokens = best->n;
    w->temperature = a->temperature;
    w->avg_logprob = (float)(best->sum / (double)(best->n + 1));
    TRY(rate_text(a->m, w));
    *again = a->rung + 1 < a->s->n_temperatures && (a->hopeless || is_poor(a->s, w));
    a->rung += *again;
    return HONE_OK;
}
