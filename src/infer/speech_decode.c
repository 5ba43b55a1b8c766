#include "infer/speech_decode.h"

#include <math.h>
#include <string.h>
#include <zlib.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "infer/sampler.h"

typedef struct hypothesis {
    int32_t tokens[SPEECH_MAX_TOKENS];
    size_t n;
    size_t row;   /* of the cache */
    double sum;   /* of log-probabilities */
    bool ended;   /* the end token was chosen; it is not among the tokens */
} hypothesis;

/* A way to go on from one hypothesis. */
typedef struct choice {
    int32_t token;
    float logprob;
} choice;

typedef struct continuation {
    size_t parent;
    choice with;
    double sum;
} continuation;

/* One window's decoding at one temperature. Its rows of the cache, its hypotheses and its choices
 * begin at `first` of the decoder's arrays. */
typedef struct attempt {
    speech_window *window;
    size_t first, n_live;  /* live hypotheses, in the beginning one */
    size_t n_wanted;       /* hypotheses side by side */
    size_t n_finished;
    hypothesis *finished;  /* of beam search: [most_finished] of the decoder */
    size_t limit;          /* tokens */
    bool done, hopeless;
} attempt;

struct speech_decoder {
    hone_model *m;
    const speech_settings *s;
    size_t width, n_windows; /* hypotheses of a window, windows */
    size_t n_choices;        /* of one hypothesis */
    size_t enough_finished;  /* end the search: patience times the beams (Kasai et al. 2022) */
    size_t most_finished;    /* there is room for */
    whisper_cache cache;
    whisper_item *items;     /* [n_windows · width] */
    uint32_t *logit_rows;    /* [n_windows · max(width, 2)] */
    float *logits, *work;    /* [as many, n_vocab] each */
    hypothesis *live, *next; /* [n_windows · width] */
    hypothesis *finished;    /* [n_windows, most_finished] */
    choice *choices;         /* [n_windows · width, n_choices] */
    continuation *ways;      /* [width · n_choices] */
    attempt *attempts;       /* [n_windows] */
    float temperature;
    /* Of the step under way: the hypotheses whose logits are there, in their order. */
    size_t *examined;        /* [n_windows · width] places in `live` */
    attempt **owners;        /* [n_windows · width] */
    size_t n_examined;
};

/* --- life --- */

hone_status speech_decoder_open(speech_decoder **out, hone_model *m, const speech_settings *s,
                                size_t n_windows) {
    speech_decoder *d = mem_calloc(1, sizeof *d);
    if (!d) return mem_fail("decoder", sizeof *d);
    d->m = m;
    d->s = s;
    d->n_windows = n_windows;
    d->width = s->beam_size > s->best_of ? s->beam_size : s->best_of;
    d->n_choices = s->beam_size + 1;
    d->enough_finished = (size_t)lroundf((float)s->beam_size * s->patience);
    d->most_finished = d->enough_finished > s->beam_size ? d->enough_finished : s->beam_size;
    size_t n = n_windows * d->width, n_rows = n_windows * (d->width > 2 ? d->width : 2);
    size_t n_vocab = m->speech.h.n_vocab;
    hone_status status = whisper_cache_init(&d->cache, &m->speech, s->exact, n);
    d->items = mem_calloc(n, sizeof *d->items);
    d->logit_rows = mem_calloc(n_rows, sizeof *d->logit_rows);
    d->logits = mem_alloc_aligned(n_rows, n_vocab * sizeof *d->logits);
    d->work = mem_alloc_aligned(n_rows, n_vocab * sizeof *d->work);
    d->live = mem_calloc(n, sizeof *d->live);
    d->next = mem_calloc(n, sizeof *d->next);
    d->finished = mem_calloc(n_windows * d->most_finished, sizeof *d->finished);
    d->choices = mem_calloc(n * d->n_choices, sizeof *d->choices);
    d->ways = mem_calloc(d->width * d->n_choices, sizeof *d->ways);
    d->attempts = mem_calloc(n_windows, sizeof *d->attempts);
    d->examined = mem_calloc(n, sizeof *d->examined);
    d->owners = mem_calloc(n, sizeof *d->owners);
    if (status == HONE_OK &&
        !(d->items && d->logit_rows && d->logits && d->work && d->live && d->next && d->finished &&
          d->choices && d->ways && d->attempts && d->examined && d->owners))
        status = mem_fail("decoder", n_rows * n_vocab * 2 * sizeof *d->logits);
    if (status != HONE_OK) {
        speech_decoder_close(d);
        return status;
    }
    *out = d;
    return HONE_OK;
}

void speech_decoder_close(speech_decoder *d) {
    if (!d) return;
    whisper_cache_release(&d->cache);
    mem_free(d->items);
    mem_free(d->logit_rows);
    mem_free(d->logits);
    mem_free(d->work);
    mem_free(d->live);
    mem_free(d->next);
    mem_free(d->finished);
    mem_free(d->choices);
    mem_free(d->ways);
    mem_free(d->attempts);
    mem_free(d->examined);
    mem_free(d->owners);
    mem_free(d);
}

static bool speech_is_cancelled(void *user) {
    return atomic_load(&((hone_model *)user)->speech_cancelled);
}

size_t speech_context(const hone_model *m) {
    size_t n = m->speech.h.decoder.n_context;
    return n < SPEECH_MAX_TOKENS ? n : SPEECH_MAX_TOKENS;
}

whisper_run speech_run(hone_model *m, bool exact) {
    return (whisper_run){.m = &m->speech, .c = &m->compute, .scratch = &m->speech_scratch,
                         .exact = exact, .cancelled = speech_is_cancelled, .user = m};
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

/* Fills the choices of one hypothesis: the best ones, or a draw. */
static void examine(void *user, size_t index, int thread) {
    (void)thread;
    speech_decoder *d = user;
    const attempt *a = d->owners[index];
    const kernels *k = d->m->compute.k;
    size_t place = d->examined[index], n_vocab = d->m->speech.h.n_vocab;
    const hypothesis *h = &d->live[place];
    float *row = d->logits + index * n_vocab, *work = d->work + index * n_vocab;
    choice *choices = d->choices + place * d->n_choices;
    speech_rules_apply(&d->s->rules, k, row, h->tokens, h->n);
    float log_sum = speech_log_sum_exp(k, row, n_vocab, work);
    if (!isfinite(log_sum)) {
        choices[0] = (choice){-1, log_sum};
    } else if (d->temperature == 0) {
        find_best(row, n_vocab, log_sum, choices, a->n_wanted + (a->n_wanted > 1));
    } else {
        uint32_t sequence = a->window->number * SPEECH_MAX_BEAMS + (uint32_t)(place - a->first);
        uint32_t step = (uint32_t)h->n * 1024 + (uint32_t)lroundf(d->temperature * 100);
        double uniform = sampler_uniform(d->s->seed, step, DRAW_TOKEN, sequence);
        int32_t id = draw(k, row, n_vocab, d->temperature, uniform, work);
        choices[0] = (choice){id, id < 0 ? -INFINITY : row[id] - log_sum};
    }
}

/* --- a step --- */

static size_t limit_of(const speech_decoder *d, const speech_window *w) {
    size_t room = speech_context(d->m) + 1 - w->n_prompt; /* the last one need not be looked at */
    return d->s->max_tokens < room ? d->s->max_tokens : room;
}

static void keep_finished(attempt *a, const hypothesis *h, double sum) {
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
static hone_status assign_rows(speech_decoder *d, attempt *a, hypothesis *next, size_t n) {
    bool taken[SPEECH_MAX_BEAMS] = {0}, settled[SPEECH_MAX_BEAMS] = {0};
    for (size_t i = 0; i < n; i++) {
        size_t row = next[i].row - a->first;
        settled[i] = !taken[row];
        taken[row] = true;
    }
    size_t n_positions = a->window->n_prompt + next[0].n - 1; /* the last token is not fed yet */
    for (size_t i = 0, free_row = 0; i < n; i++) {
        if (settled[i]) continue;
        while (taken[free_row]) free_row++;
        taken[free_row] = true;
        TRY(whisper_cache_copy(&d->cache, a->first + free_row, next[i].row,
                               n_positions));
        next[i].row = a->first + free_row;
    }
    return HONE_OK;
}

static hypothesis extended(const hypothesis *parent, const choice *with) {
    hypothesis h = *parent;
    h.tokens[h.n++] = with->token;
    return h;
}

/* Beam search: the best continuations of all live hypotheses; those that end are set aside. */
static hone_status advance_beams(speech_decoder *d, attempt *a) {
    int32_t end = d->s->rules.ids->end;
    size_t n_ways = 0, n_next = 0;
    hypothesis *live = d->live + a->first, *next = d->next + a->first;
    for (size_t i = 0; i < a->n_live; i++)
        for (size_t j = 0; j < a->n_wanted + 1; j++) {
            choice c = d->choices[(a->first + i) * d->n_choices + j];
            if (c.token >= 0)
                d->ways[n_ways++] = (continuation){i, c, live[i].sum + (double)c.logprob};
        }
    if (n_ways == 0) return fail(HONE_ERR_NUMERIC, "nothing is left to choose from");
    qsort(d->ways, n_ways, sizeof *d->ways, by_sum);
    for (size_t i = 0; i < n_ways && n_next < a->n_wanted; i++) {
        const continuation *way = &d->ways[i];
        if (way->with.token == end) {
            if (a->n_finished < d->enough_finished)
                keep_finished(a, &live[way->parent], way->sum);
        } else {
            next[n_next] = extended(&live[way->parent], &way->with);
            next[n_next++].sum = way->sum;
        }
    }
    a->done = n_next == 0 || a->n_finished >= d->enough_finished;
    if (n_next > 0) TRY(assign_rows(d, a, next, n_next));
    memcpy(live, next, n_next * sizeof *live);
    a->n_live = n_next;
    return HONE_OK;
}

/* Greedy choice and draws: each hypothesis goes its own way. */
static hone_status advance_alone(speech_decoder *d, attempt *a) {
    int32_t end = d->s->rules.ids->end;
    bool all_ended = true;
    for (size_t i = 0; i < a->n_live; i++) {
        hypothesis *h = &d->live[a->first + i];
        const choice *c = &d->choices[(a->first + i) * d->n_choices];
        if (h->ended) continue;
        if (c->token < 0) return fail(HONE_ERR_NUMERIC, "nothing is left to choose from");
        h->sum += (double)c->logprob;
        h->ended = c->token == end;
        if (!h->ended) h->tokens[h->n++] = c->token;
        all_ended = all_ended && h->ended;
    }
    a->done = all_ended;
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
static bool is_hopeless(const speech_decoder *d, const attempt *a) {
    if (a->n_finished > 0 || isnan(d->s->compression_ratio_threshold)) return false;
    for (size_t i = 0; i < a->n_live; i++)
        if (d->live[a->first + i].ended || !is_looping(&d->live[a->first + i])) return false;
    return true;
}

static hone_status advance(speech_decoder *d, attempt *a, bool is_last_temperature) {
    bool beams = d->temperature == 0 && a->n_wanted > 1;
    TRY(beams ? advance_beams(d, a) : advance_alone(d, a));
    if (a->done) return HONE_OK;
    a->hopeless = !is_last_temperature && is_hopeless(d, a);
    size_t n = 0;
    for (size_t i = 0; i < a->n_live; i++) {
        const hypothesis *h = &d->live[a->first + i];
        if (h->n > n) n = h->n;
    }
    a->done = a->hopeless || n >= a->limit;
    return HONE_OK;
}

/* The prompts of all attempts in one pass: logits behind <|startoftranscript|> and at the end. */
static hone_status read_prompts(speech_decoder *d, size_t n_attempts) {
    size_t n_tokens = 0, n_vocab = d->m->speech.h.n_vocab;
    whisper_run run = speech_run(d->m, d->s->exact);
    for (size_t i = 0; i < n_attempts; i++) {
        attempt *a = &d->attempts[i];
        const speech_window *w = a->window;
        size_t n = w->n_prompt + w->n_forced;
        d->items[i] = (whisper_item){a->first, 0, w->prompt, n, w->cross};
        d->logit_rows[2 * i] = (uint32_t)(n_tokens + w->start);
        d->logit_rows[2 * i + 1] = (uint32_t)(n_tokens + n - 1);
        n_tokens += n;
    }
    whisper_batch b = {.cache = &d->cache, .items = d->items, .n_items = n_attempts,
                       .logit_rows = d->logit_rows, .n_logit_rows = 2 * n_attempts,
                       .logits = d->logits};
    TRY(whisper_decode(&run, &b));
    const kernels *k = d->m->compute.k;
    for (size_t i = 0; i < n_attempts; i++) {
        attempt *a = &d->attempts[i];
        const float *at_start = d->logits + 2 * i * n_vocab;
        float log_sum = speech_log_sum_exp(k, at_start, n_vocab, d->work);
        a->window->no_speech_prob = expf(at_start[d->s->rules.ids->no_speech] - log_sum);
        a->window->n_steps += a->window->n_prompt + a->window->n_forced;
        memmove(d->logits + i * n_vocab, at_start + n_vocab, n_vocab * sizeof *d->logits);
        d->examined[i] = a->first;
        d->owners[i] = a;
    }
    d->n_examined = n_attempts;
    return HONE_OK;
}

/* The last token of every hypothesis that goes on. */
static hone_status feed(speech_decoder *d, size_t n_attempts) {
    whisper_run run = speech_run(d->m, d->s->exact);
    size_t n = 0;
    for (size_t i = 0; i < n_attempts; i++) {
        attempt *a = &d->attempts[i];
        for (size_t j = 0; j < a->n_live && !a->done; j++) {
            hypothesis *h = &d->live[a->first + j];
            if (h->ended) continue;
            d->items[n] = (whisper_item){h->row, a->window->n_prompt + h->n - 1,
                                         &h->tokens[h->n - 1], 1, a->window->cross};
            d->examined[n] = a->first + j;
            d->owners[n] = a;
            d->logit_rows[n] = (uint32_t)n;
            a->window->n_steps++;
            n++;
        }
    }
    d->n_examined = n;
    whisper_batch b = {.cache = &d->cache, .items = d->items, .n_items = n,
                       .logit_rows = d->logit_rows, .n_logit_rows = n, .logits = d->logits};
    return n > 0 ? whisper_decode(&run, &b) : HONE_OK;
}

/* Draws need their own rows from the beginning; beams get theirs when they part. */
static hone_status spread(speech_decoder *d, attempt *a) {
    for (size_t i = 1; i < a->n_wanted; i++) {
        d->live[a->first + i] = d->live[a->first];
        d->live[a->first + i].row = a->first + i;
        TRY(whisper_cache_copy(&d->cache, a->first + i, a->first,
                               a->window->n_prompt + a->window->n_forced));
    }
    a->n_live = a->n_wanted;
    return HONE_OK;
}

/* Each draw begins at the same logits: they are copied, since looking at them changes them. */
static hone_status spread_all(speech_decoder *d, size_t n_attempts) {
    size_t n_vocab = d->m->speech.h.n_vocab, n = 0;
    for (size_t i = 0; i < n_attempts; i++) n += d->attempts[i].n_wanted;
    d->n_examined = n;
    for (size_t i = n_attempts; i > 0; i--) {
        attempt *a = &d->attempts[i - 1];
        TRY(spread(d, a));
        for (size_t j = a->n_wanted; j > 0; j--) {
            n--;
            memmove(d->logits + n * n_vocab, d->logits + (i - 1) * n_vocab,
                    n_vocab * sizeof *d->logits);
            d->examined[n] = a->first + j - 1;
            d->owners[n] = a;
        }
    }
    return HONE_OK;
}

static bool all_done(const speech_decoder *d, size_t n_attempts) {
    for (size_t i = 0; i < n_attempts; i++)
        if (!d->attempts[i].done) return false;
    return true;
}

/* --- the outcome --- */

/* Sum of log-probabilities for a length: plainly, or by the penalty of Wu et al. 2016. */
static double rank(const speech_settings *s, const hypothesis *h) {
    double n = h->n > 0 ? (double)h->n : 1;
    return h->sum / (isnan(s->length_penalty) ? n : pow((5 + n) / 6, (double)s->length_penalty));
}

hone_status speech_add_text(const hone_model *m, const int32_t *tokens, size_t n, buf *out) {
    buf raw;
    buf_init(&raw, SIZE_MAX / 2);
    hone_status status = HONE_OK;
    for (size_t i = 0; i < n && status == HONE_OK; i++) {
        const char *piece;
        size_t n_piece;
        if (tokens[i] >= m->speech_ids.end || (size_t)tokens[i] >= tokenizer_size(m->tokenizer))
            continue;
        status = tokenizer_piece(m->tokenizer, tokens[i], false, &piece, &n_piece);
        if (status == HONE_OK) status = buf_add(&raw, piece, n_piece);
    }
    if (status == HONE_OK && raw.len) status = utf8_add_replaced(out, raw.data, raw.len);
    buf_release(&raw);
    return status;
}

float speech_compression_ratio(const char *text, size_t n) {
    if (n == 0) return 0;
    uLongf packed = compressBound((uLong)n);
    Bytef *out = mem_alloc(packed);
    if (!out) return 0; /* the check is skipped rather than the text lost */
    compress(out, &packed, (const Bytef *)text, (uLong)n);
    mem_free(out);
    return (float)n / (float)packed;
}

static hone_status rate_text(const speech_decoder *d, speech_window *w) {
    buf text;
    buf_init(&text, SIZE_MAX / 2);
    hone_status status = speech_add_text(d->m, w->tokens, w->n_tokens, &text);
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

static hone_status conclude(speech_decoder *d, attempt *a) {
    speech_window *w = a->window;
    bool beams = d->temperature == 0 && a->n_wanted > 1;
    /* The live ones come best first. */
    for (size_t i = 0; beams && i < a->n_live && a->n_finished < a->n_wanted; i++)
        keep_finished(a, &d->live[a->first + i], d->live[a->first + i].sum);
    const hypothesis *list = beams ? a->finished : d->live + a->first, *best = &list[0];
    size_t n = beams ? a->n_finished : a->n_live;
    for (size_t i = 1; i < n; i++)
        if (rank(d->s, &list[i]) > rank(d->s, best)) best = &list[i];
    memcpy(w->tokens, best->tokens, best->n * sizeof *w->tokens);
    w->n_tokens = best->n;
    w->temperature = d->temperature;
    w->avg_logprob = (float)(best->sum / (double)(best->n + 1));
    return rate_text(d, w);
}

static bool needs_another(const speech_settings *s, const speech_window *w) {
    bool unsure = w->avg_logprob < s->logprob_threshold;
    bool silent = w->no_speech_prob > s->no_speech_threshold;
    return (w->compression_ratio > s->compression_ratio_threshold || unsure) && !(silent && unsure);
}

/* --- all of it --- */

static hone_status decode_once(speech_decoder *d, size_t n_attempts, bool is_last) {
    TRY(read_prompts(d, n_attempts));
    if (d->temperature > 0) TRY(spread_all(d, n_attempts));
    for (;;) {
        op_parallel(&d->m->compute, d->n_examined, examine, d);
        for (size_t i = 0; i < n_attempts; i++)
            if (!d->attempts[i].done) TRY(advance(d, &d->attempts[i], is_last));
        if (all_done(d, n_attempts)) break;
        TRY(feed(d, n_attempts));
    }
    for (size_t i = 0; i < n_attempts; i++) TRY(conclude(d, &d->attempts[i]));
    return HONE_OK;
}

static void begin_attempt(speech_decoder *d, size_t index, speech_window *w) {
    size_t first = index * d->width;
    d->attempts[index] = (attempt){
        .window = w, .first = first, .n_live = 1,
        .n_wanted = d->temperature > 0 ? d->s->best_of : d->s->beam_size,
        .finished = d->finished + index * d->most_finished,
        .limit = limit_of(d, w)};
    hypothesis *h = &d->live[first];
    *h = (hypothesis){.row = first, .n = w->n_forced};
    memcpy(h->tokens, w->prompt + w->n_prompt, w->n_forced * sizeof *h->tokens);
}

hone_status speech_decode(speech_decoder *d, speech_window *windows, size_t n_windows) {
    const speech_settings *s = d->s;
    bool again[SPEECH_MAX_WINDOWS];
    for (size_t i = 0; i < n_windows; i++) {
        again[i] = true;
        windows[i].n_steps = 0;
    }
    for (size_t t = 0; t < s->n_temperatures; t++) {
        size_t n_attempts = 0;
        d->temperature = s->temperatures[t];
        for (size_t i = 0; i < n_windows; i++)
            if (again[i]) begin_attempt(d, n_attempts++, &windows[i]);
        if (n_attempts == 0) break;
        TRY(decode_once(d, n_attempts, t + 1 == s->n_temperatures));
        n_attempts = 0;
        for (size_t i = 0; i < n_windows; i++) {
            if (!again[i]) continue;
            bool hopeless = d->attempts[n_attempts++].hopeless;
            again[i] = hopeless || needs_another(s, &windows[i]);
        }
    }
    return HONE_OK;
}

/* --- the language --- */

hone_status speech_languages(hone_model *m, const whisper_cross *cross, bool exact,
                             float *probabilities) {
    const speech_tokens *ids = &m->speech_ids;
    uint32_t row = 0;
    whisper_cache cache;
    whisper_run run = speech_run(m, exact);
    float *logits = mem_alloc_aligned(m->speech.h.n_vocab, sizeof *logits);
    if (!logits) return mem_fail("logits", m->speech.h.n_vocab * sizeof *logits);
    hone_status status = whisper_cache_init(&cache, &m->speech, exact, 1);
    whisper_batch b = {.cache = &cache, .items = &(whisper_item){0, 0, &ids->start, 1, cross},
                       .n_items = 1, .logit_rows = &row, .n_logit_rows = 1, .logits = logits};
    if (status == HONE_OK) {
        pthread_mutex_lock(&m->lock);
        status = whisper_decode(&run, &b);
        pthread_mutex_unlock(&m->lock);
    }
    if (status == HONE_OK) {
        memcpy(probabilities, logits + ids->first_language,
               ids->n_languages * sizeof *probabilities);
        const kernels *k = m->compute.k;
        float max, sum = k->softmax_row(probabilities, ids->n_languages, 1, &max);
        for (size_t i = 0; i < ids->n_languages; i++) probabilities[i] /= sum;
        if (!(sum > 0))
            status = fail(HONE_ERR_NUMERIC, "%s: the logits are not finite numbers: the weights "
                          "may be damaged", m->source.path);
    }
    whisper_cache_release(&cache);
    mem_free(logits);
    return status;
}
