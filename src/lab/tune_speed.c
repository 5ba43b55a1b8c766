#include "lab/tune_speed.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/system.h"
#include "weights/fidelity.h"
#include "weights/store.h"

enum {
    MAX_STATIONS = RACE_MAX_CONTESTANTS + 1, MAX_SLOTS = 64, MAX_MODELS_OPEN = 64,
    FIRST_TOKENS = 12, LEAST_TOKENS = 8, MOST_TOKENS = 192,
    LEAST_PROMPT = 32, MOST_PROMPT = 1024,
    LOSS_BYTES = 2400, /* of our own text */
};

/* A model with so many threads, mapped or copied, and the text in its tokens. */
typedef struct opened {
    size_t which;
    int n_threads;
    bool copied;
    hone_model *model;
    int32_t *text; /* hone_free */
    size_t n_text;
} opened;

/* The sessions of a configuration; the one used longest ago makes room. */
typedef struct station {
    tune_config config;
    const opened *on;
    hone_session *sessions[MAX_SLOTS];
    size_t n;
    uint64_t used;
} station;

typedef struct known_loss {
    size_t model;
    hone_kv_type kv;
    double nll; /* of the text, nats */
} known_loss;

struct tune_speed {
    tune_speed_settings settings;
    opened opened[MAX_MODELS_OPEN];
    size_t n_opened;
    station stations[MAX_STATIONS];
    uint64_t clock;
    size_t n_prompt, work;
    double guess_ms;
    known_loss losses[TUNE_MAX_MODELS * 3];
    size_t n_losses, n_loss_tokens;
};

/* --- models and sessions --- */

static hone_status open_model(tune_speed *s, size_t which, int n_threads, bool copied,
                              const opened **out) {
    for (size_t i = 0; i < s->n_opened; i++) {
        const opened *o = &s->opened[i];
        if (o->which != which || o->n_threads != n_threads || o->copied != copied) continue;
        *out = o;
        return HONE_OK;
    }
    if (s->n_opened == MAX_MODELS_OPEN) return fail(HONE_ERR_MEMORY, "too many models are open");
    opened *o = &s->opened[s->n_opened];
    const hone_model_options options = {.n_threads = n_threads, .copy_weights = copied};
    const char *text = own_text(0);
    *o = (opened){.which = which, .n_threads = n_threads, .copied = copied};
    TRY(store_open_model(&o->model, s->settings.models[which], &options));
    s->n_opened++;
    if (!hone_model_describe(o->model)->takes_text)
        return fail(HONE_ERR_UNSUPPORTED, "%s is no text model", s->settings.models[which]);
    TRY(hone_tokenize(o->model, text, strlen(text), true, &o->text, &o->n_text));
    *out = o;
    return HONE_OK;
}

static void leave(station *at) {
    for (size_t i = 0; i < at->n; i++) hone_session_close(at->sessions[i]);
    *at = (station){.n = 0};
}

static hone_status settle(tune_speed *s, station *at, const tune_config *c) {
    const hone_session_options options = {.n_context = c->n_context, .kv = c->kv, .exact = c->exact,
                                          .prefill_chunk = c->prefill_chunk};
    TRY(open_model(s, c->model, c->n_threads, c->copied, &at->on));
    at->config = *c;
    for (; at->n < c->n_slots && at->n < MAX_SLOTS; at->n++)
        TRY(hone_session_open(&at->sessions[at->n], at->on->model, &options));
    return HONE_OK;
}

static hone_status find_station(tune_speed *s, const tune_config *c, station **out) {
    station *oldest = &s->stations[0];
    for (size_t i = 0; i < MAX_STATIONS; i++) {
        station *at = &s->stations[i];
        if (at->n && tune_same(&at->config, c)) {
            at->used = ++s->clock;
            *out = at;
            return HONE_OK;
        }
        if (at->used < oldest->used) oldest = at;
    }
    leave(oldest);
    hone_status status = settle(s, oldest, c);
    if (status != HONE_OK) {
        leave(oldest);
        return status;
    }
    oldest->used = ++s->clock;
    *out = oldest;
    return HONE_OK;
}

static bool goes_on(const tune_speed *s) {
    return !s->settings.go_on || s->settings.go_on(s->settings.context);
}

static int on_piece(void *user, const hone_piece *piece) {
    (void)piece;
    return goes_on(user) ? 0 : 1;
}

/* --- the text --- */

/* `n` tokens of it from `start` on, round and round. */
static void take_text(const opened *on, int32_t *ids, size_t start, size_t n) {
    for (size_t i = 0; i < n; i++) ids[i] = on->text[(start + i) % on->n_text];
}

/* --- runs: the milliseconds of each, and what it is worth --- */

static hone_request make_request(tune_speed *s, const station *at, const int32_t *ids, size_t round,
                                 size_t sequence) {
    hone_request r = {.prompt_ids = ids, .n_prompt_ids = s->n_prompt, .max_tokens = s->work,
                      .ignore_eos = true, .sequence = (uint32_t)sequence, .on_piece = on_piece,
                      .user = s, .sampling = hone_sampling_default(at->on->model)};
    r.sampling.seed = round;
    if (at->config.n_draft) {
        r.draft_kind = HONE_DRAFT_NGRAM;
        r.n_draft = at->config.n_draft;
    }
    return r;
}

static hone_status run_decode(tune_speed *s, const station *at, size_t round, double *value) {
    int32_t ids[MOST_PROMPT];
    hone_result answer;
    take_text(at->on, ids, 0, s->n_prompt);
    const hone_request request = make_request(s, at, ids, round, 0);
    TRY(hone_generate(at->sessions[0], &request, &answer));
    bool cancelled = answer.finish == HONE_FINISH_CANCELLED;
    if (answer.n_tokens > 1 && answer.decode_ms > 0)
        *value = log(1000 * (double)(answer.n_tokens - 1) / answer.decode_ms);
    hone_result_release(&answer);
    return cancelled ? fail(HONE_ERR_CANCELLED, "stopped") : HONE_OK;
}

static hone_status run_ttft(tune_speed *s, const station *at, size_t round, double *value) {
    int32_t ids[MOST_PROMPT];
    hone_session *session = at->sessions[0];
    int32_t first;
    double logprob;
    take_text(at->on, ids, round, s->work);
    TRY(hone_session_rewind(session, 0));
    double start = clock_ms();
    TRY(hone_prefill(session, ids, s->work, NULL, NULL, NULL));
    TRY(hone_top_logprobs(session, 1, &first, &logprob));
    *value = log(1000 / (clock_ms() - start));
    return HONE_OK;
}

static hone_status step_all(tune_speed *s, hone_answer *const *answers, size_t n) {
    hone_answer *running[MAX_SLOTS];
    for (;;) {
        size_t n_running = 0;
        for (size_t i = 0; i < n; i++)
            if (!hone_answer_finished(answers[i])) running[n_running++] = answers[i];
        if (n_running == 0) return HONE_OK;
        if (!goes_on(s)) return fail(HONE_ERR_CANCELLED, "stopped");
        TRY(hone_answers_step(running, n_running, 0));
    }
}

static hone_status run_throughput(tune_speed *s, const station *at, size_t round, double *value) {
    hone_answer *answers[MAX_SLOTS] = {NULL};
    hone_request requests[MAX_SLOTS];
    int32_t *ids = mem_calloc(at->n * s->n_prompt, sizeof *ids);
    hone_status status = ids ? HONE_OK : mem_fail("prompts", at->n * s->n_prompt * sizeof *ids);
    double start = clock_ms();
    for (size_t i = 0; i < at->n && status == HONE_OK; i++) {
        int32_t *own = ids + i * s->n_prompt;
        take_text(at->on, own, 1 + 31 * (round * at->n + i), s->n_prompt);
        requests[i] = make_request(s, at, own, round, i);
        status = hone_session_rewind(at->sessions[i], 0);
        if (status == HONE_OK)
            status = hone_answer_open(&answers[i], at->sessions[i], &requests[i]);
    }
    if (status == HONE_OK) status = step_all(s, answers, at->n);
    double ms = clock_ms() - start;
    for (size_t i = 0; i < at->n; i++) hone_answer_close(answers[i]);
    mem_free(ids);
    *value = log(1000 * (double)(at->n * s->work) / ms);
    return status;
}

static hone_status measure(void *context, const tune_config *c, tune_place place, double *values) {
    tune_speed *s = context;
    station *at;
    TRY(find_station(s, c, &at));
    switch (s->settings.goal) {
    case TUNE_TTFT: return run_ttft(s, at, place.round, values);
    case TUNE_THROUGHPUT: return run_throughput(s, at, place.round, values);
    default: return run_decode(s, at, place.round, values);
    }
}

/* --- what is demanded --- */

static hone_status judge_memory(const tune_speed *s, const opened *on, const tune_config *c,
                                bool *allowed, char why[96]) {
    const hone_memory_settings settings = {.n_context = c->n_context, .n_slots = c->n_slots,
                                           .kv = c->kv, .exact = c->exact,
                                           .prefill_chunk = c->prefill_chunk};
    hone_memory needed;
    hone_status status = hone_memory_needed(&needed, on->model, &settings);
    if (status == HONE_ERR_UNSUPPORTED || status == HONE_ERR_ARGUMENT) {
        *allowed = false; /* a cache that the heads cannot have, a context beyond the model's */
        snprintf(why, 96, "%.95s", hone_error_message());
        return HONE_OK;
    }
    TRY(status);
    uint64_t bytes = needed.resident + HONE_PROGRAM_BYTES;
    *allowed = s->settings.memory == 0 || bytes <= s->settings.memory;
    if (!*allowed)
        snprintf(why, 96, "needs %.0f MiB, and there may be %.0f", (double)bytes / 1048576,
                 (double)s->settings.memory / 1048576);
    return HONE_OK;
}

/* How improbable the model finds our own text. */
static hone_status score_text(const opened *on, hone_kv_type kv, double *nll, size_t *n_tokens) {
    const hone_session_options options = {.kv = kv};
    const char *text = own_text(0);
    size_t n_bytes = strlen(text) < LOSS_BYTES ? strlen(text) : LOSS_BYTES, n;
    hone_session *session = NULL;
    int32_t *ids = NULL;
    while (n_bytes > 0 && ((unsigned char)text[n_bytes] & 0xC0) == 0x80) n_bytes--;
    TRY(hone_tokenize(on->model, text, n_bytes, true, &ids, &n));
    size_t most = hone_model_describe(on->model)->n_context;
    if (n > most) n = most;
    double *logprobs = mem_calloc(n, sizeof *logprobs);
    hone_status status = logprobs ? hone_session_open(&session, on->model, &options)
                                  : mem_fail("probabilities", n * sizeof *logprobs);
    if (status == HONE_OK) status = hone_prefill(session, ids, 1, NULL, NULL, NULL);
    if (status == HONE_OK) status = hone_score(session, ids + 1, n - 1, logprobs);
    *nll = 0;
    *n_tokens = n - 1;
    for (size_t i = 0; i + 1 < n && status == HONE_OK; i++) *nll -= logprobs[i];
    hone_session_close(session);
    mem_free(logprobs);
    hone_free(ids);
    return status;
}

static hone_status find_loss(tune_speed *s, const tune_config *c, hone_kv_type kv, double *nll) {
    const opened *on;
    size_t n_tokens;
    for (size_t i = 0; i < s->n_losses; i++)
        if (s->losses[i].model == c->model && s->losses[i].kv == kv) {
            *nll = s->losses[i].nll;
            return HONE_OK;
        }
    TRY(open_model(s, c->model, c->n_threads, false, &on));
    TRY(score_text(on, kv, nll, &n_tokens));
    if (s->n_losses == 0) s->n_loss_tokens = n_tokens;
    s->losses[s->n_losses++] = (known_loss){c->model, kv, *nll};
    return HONE_OK;
}

/* The whole text's improbability, over the tokens of the first model: vocabularies may differ. */
static hone_status judge_loss(tune_speed *s, const tune_config *c, bool *allowed, char why[96]) {
    tune_config first = *c;
    double before, after;
    first.model = 0;
    TRY(find_loss(s, &first, HONE_KV_F16, &before));
    TRY(find_loss(s, c, c->kv, &after));
    double loss = expm1((after - before) / (double)s->n_loss_tokens);
    *allowed = loss <= s->settings.max_loss;
    if (!*allowed) snprintf(why, 96, "perplexity grows by %.1f %%", 100 * loss);
    return HONE_OK;
}

/* The mapped file stays beside the copy while both are tried. */
static void judge_copy(const opened *on, bool *allowed, char why[96]) {
    uint64_t bytes = hone_model_describe(on->model)->file_bytes;
    *allowed = bytes < system_look_at_memory("").left / 2;
    if (!*allowed)
        snprintf(why, 96, "a copy of %.0f MiB takes more than half of the free memory",
                 (double)bytes / 1048576);
}

static hone_status allow(void *context, const tune_config *c, bool *allowed, char why[96]) {
    tune_speed *s = context;
    const opened *on;
    *allowed = true;
    TRY(open_model(s, c->model, c->n_threads, false, &on));
    TRY(judge_memory(s, on, c, allowed, why));
    if (*allowed && c->copied) judge_copy(on, allowed, why);
    if (*allowed && s->settings.max_loss >= 0) TRY(judge_loss(s, c, allowed, why));
    return HONE_OK;
}

/* --- work --- */

static size_t within(double value, size_t least, size_t most) {
    return value < (double)least ? least : value > (double)most ? most : (size_t)value;
}

hone_status tune_speed_choose_work(tune_speed *s, const tune_config *baseline, double budget_ms,
                                   size_t n_runs) {
    bool reads = s->settings.goal == TUNE_TTFT;
    size_t first = reads ? LEAST_PROMPT : FIRST_TOKENS;
    double value, took[2];
    for (int i = 0; i < 2; i++) { /* the first one opens and warms up */
        double start = clock_ms();
        s->work = first;
        TRY(measure(s, baseline, (tune_place){TUNE_FINAL, 0}, &value));
        took[i] = clock_ms() - start;
    }
    double each = 0.8 * budget_ms / (double)n_runs; /* others are slower, some races longer */
    size_t room = baseline->n_context - (reads ? 1 : s->n_prompt + 1);
    size_t most = reads ? s->n_prompt : MOST_TOKENS;
    size_t least = reads ? LEAST_PROMPT : LEAST_TOKENS;
    tune_speed_set_work(s, within((double)first * each / took[1], least,
                                  most < room ? most : room));
    s->guess_ms = took[1] * fmax(1, (double)s->work / (double)first); /* prompts take their part */
    return HONE_OK;
}

size_t tune_speed_work(const tune_speed *s) { return s->work; }

void tune_speed_set_work(tune_speed *s, size_t n_tokens) { s->work = n_tokens; }

/* --- life --- */

hone_status tune_speed_open(tune_speed **out, const tune_speed_settings *settings) {
    static const size_t usual[] = {128, 512, 64};
    tune_speed *s = mem_calloc(1, sizeof *s);
    if (!s) return mem_fail("measuring", sizeof *s);
    s->settings = *settings;
    s->n_prompt = settings->n_prompt ? settings->n_prompt : usual[settings->goal];
    if (s->n_prompt > MOST_PROMPT) s->n_prompt = MOST_PROMPT;
    s->guess_ms = 1000;
    s->work = FIRST_TOKENS;
    *out = s;
    return HONE_OK;
}

void tune_speed_close(tune_speed *s) {
    if (!s) return;
    for (size_t i = 0; i < MAX_STATIONS; i++) leave(&s->stations[i]);
    for (size_t i = 0; i < s->n_opened; i++) {
        hone_free(s->opened[i].text);
        hone_model_close(s->opened[i].model);
    }
    mem_free(s);
}

static double clock_of(void *context) {
    (void)context;
    return clock_ms();
}

tune_meter tune_speed_meter(tune_speed *s) {
    return (tune_meter){.context = s, .measure = measure, .clock = clock_of, .allow = allow,
                        .n_values = 1, .guess_ms = s->guess_ms};
}
