/* Running a text model: prefill and decode apart, each warmed up once and repeated. */
#include <stdio.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/system.h"
#include "infer/logprobs.h"
#include "lab/bench_bound.h"
#include "lab/energy.h"

typedef struct run {
    bench *b;
    const bench_subject *subject;
    const bench_settings *settings;
    const hone_model_info *info;
    int32_t *tokens; /* the synthetic text, as long as the longest run needs */
    size_t n_tokens;
    hone_session *forks[BENCH_MAX_PARALLEL]; /* that decode together */
    double *values, *others; /* [repeat] each */
    uint64_t seen_memory;    /* most resident behind a row, where the system has no better word */
} run;

/* --- the text to work on --- */

/* Ids drawn evenly from the vocabulary (xorshift64*), without those that end an answer. The speed
 * of prefill and decode does not depend on the words. */
static void make_random_tokens(run *r) {
    uint64_t state = r->settings->seed * 0x9E3779B97F4A7C15u + 1;
    for (size_t i = 0; i < r->n_tokens; i++) {
        int32_t id;
        int tries = 0;
        do {
            state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
            id = (int32_t)((state * 0x2545F4914F6CDD1Du >> 33) % r->info->n_vocab);
        } while (hone_is_stop_token(r->subject->model, id) && ++tries < 100);
        r->tokens[i] = id;
    }
}

/* Speculation lives on text that can be foreseen, so that it is measured on prose. */
static hone_status make_text_tokens(run *r) {
    static const char prose[] =
        "The lighthouse keeper wrote in his book every evening. He wrote down the weather, the "
        "ships that had passed, and the state of the lamp. When the wind came from the north, he "
        "wrote that the wind came from the north. When no ship had passed, he wrote that no ship "
        "had passed. After thirty years the book had four thousand pages, and whoever read it knew "
        "how the weather had been, which ships had passed, and that the lamp had never gone out. ";
    int32_t *ids;
    size_t n_ids;
    TRY(hone_tokenize(r->subject->model, prose, sizeof prose - 1, true, &ids, &n_ids));
    for (size_t i = 0; i < r->n_tokens; i++) r->tokens[i] = ids[i % n_ids];
    hone_free(ids);
    return HONE_OK;
}

/* --- measuring --- */

static int32_t most_probable(const hone_session *session, size_t n_vocab) {
    const float *logits = hone_session_logits(session, 0);
    return logits ? logits_best(logits, n_vocab) : 0;
}

static hone_status tell(const run *r, bench_kind kind, size_t n_tokens, size_t done) {
    const bench_settings *s = r->settings;
    bool go_on = !s->observe || s->observe(s->context, bench_kind_name(kind), n_tokens, done,
                                           s->repeat);
    return go_on ? HONE_OK : HONE_ERR_CANCELLED;
}

static bench_row *add_row(run *r, bench_kind kind, size_t n_tokens, size_t depth, double *values,
                          double joules) {
    const size_t repeat = r->settings->repeat;
    bench_row *row = bench_add(r->b, kind, values, repeat);
    uint64_t resident = system_resident_bytes();
    if (!row) return NULL;
    if (resident > r->seen_memory) r->seen_memory = resident;
    row->n_tokens = n_tokens;
    row->depth = depth;
    row->joules_per_token = joules / (double)(repeat * n_tokens);
    return row;
}

/* One prefill of n tokens behind `depth` others; *ms until the first token is chosen is left in
 * *ttft_ms. */
static hone_status prefill_once(run *r, hone_session *session, size_t depth, size_t n, double *ms,
                                double *ttft_ms) {
    size_t n_reused;
    TRY(hone_session_rewind(session, depth));
    double start_ms = clock_ms();
    TRY(hone_prefill(session, r->tokens, depth + n, &n_reused, NULL, NULL));
    *ms = clock_ms() - start_ms;
    most_probable(session, r->info->n_vocab);
    *ttft_ms = clock_ms() - start_ms;
    validity_judge_reuse(&r->b->validity, n_reused, depth);
    return HONE_OK;
}

static hone_status measure_prefill(run *r, hone_session *session, size_t n_batch, size_t depth,
                                   size_t n) {
    double ms, ttft_ms;
    energy_look before, after;
    TRY(tell(r, BENCH_PREFILL, n, 0));
    if (depth) TRY(hone_prefill(session, r->tokens, depth, NULL, NULL, NULL));
    TRY(prefill_once(r, session, depth, n, &ms, &ttft_ms));
    energy_look_at(&before, "");
    for (size_t i = 0; i < r->settings->repeat; i++) {
        TRY(tell(r, BENCH_PREFILL, n, i + 1));
        TRY(prefill_once(r, session, depth, n, &ms, &ttft_ms));
        r->values[i] = 1000 * (double)n / ms;
        r->others[i] = ttft_ms;
    }
    energy_look_at(&after, "");
    bench_row *row = add_row(r, BENCH_PREFILL, n, depth, r->values,
                             energy_between(&before, &after));
    if (!row) return HONE_ERR_MEMORY;
    row->n_batch = n_batch;
    row->ttft_ms = spread_of(r->others, r->settings->repeat);
    if (r->b->ttft_ms == 0) r->b->ttft_ms = row->ttft_ms.median;
    return HONE_OK;
}

/* With each batch size; what its session holds is given back. */
static hone_status measure_batches(run *r, size_t depth, size_t n) {
    const bench_settings *s = r->settings;
    if (s->n_batches == 0) return measure_prefill(r, r->subject->session, 0, depth, n);
    for (size_t i = 0; i < s->n_batches; i++) {
        hone_session *session = r->subject->batch_sessions[i];
        TRY(measure_prefill(r, session, s->batches[i], depth, n));
        TRY(hone_session_rewind(session, 0));
    }
    return HONE_OK;
}

/* All forks go n_decode tokens on, each pass over the weights serving all of them. */
static hone_status decode_once(run *r, size_t start, size_t n_parallel, double *ms) {
    hone_step_item items[BENCH_MAX_PARALLEL];
    int32_t next[BENCH_MAX_PARALLEL];
    for (size_t i = 0; i < n_parallel; i++) {
        TRY(hone_session_rewind(r->forks[i], start));
        next[i] = r->tokens[(start + i) % r->n_tokens]; /* each goes its own way */
        items[i] = (hone_step_item){r->forks[i], &next[i], 1, HONE_LOGITS_LAST};
    }
    double start_ms = clock_ms();
    for (size_t step = 0; step < r->settings->n_decode; step++) {
        TRY(hone_step(items, n_parallel));
        for (size_t i = 0; i < n_parallel; i++) {
            next[i] = most_probable(r->forks[i], r->info->n_vocab);
        }
    }
    *ms = clock_ms() - start_ms;
    return HONE_OK;
}

static void close_forks(run *r) {
    for (size_t i = 0; i < BENCH_MAX_PARALLEL; i++) {
        hone_session_close(r->forks[i]);
        r->forks[i] = NULL;
    }
}

/* Milliseconds of every run, and what they took of energy; one row for each number of answers. */
typedef struct decode_runs {
    double *ms;     /* [n_parallels, repeat] */
    double joules[BENCH_MAX_SWEEP];
} decode_runs;

/* In turn, so that a busy machine slows all of them: the first number of answers, the second, …;
 * again. */
static hone_status run_decodes(run *r, size_t start, decode_runs *runs) {
    const bench_settings *s = r->settings;
    energy_look before, after;
    for (size_t i = 0; i <= s->repeat; i++) { /* the first is the warm-up */
        TRY(tell(r, BENCH_DECODE, s->n_decode, i));
        for (size_t k = 0; k < s->n_parallels; k++) {
            double ms;
            energy_look_at(&before, "");
            TRY(decode_once(r, start, s->parallels[k], &ms));
            energy_look_at(&after, "");
            if (i == 0) continue;
            runs->ms[k * s->repeat + i - 1] = ms;
            runs->joules[k] += energy_between(&before, &after);
        }
    }
    return HONE_OK;
}

static hone_status add_decode_row(run *r, size_t start, const decode_runs *runs, size_t k,
                                  size_t one) {
    const bench_settings *s = r->settings;
    const size_t n = s->n_decode, n_parallel = s->parallels[k];
    const double *ms = runs->ms + k * s->repeat, *of_one = runs->ms + one * s->repeat;
    for (size_t i = 0; i < s->repeat; i++) {
        r->values[i] = 1000 * (double)(n * n_parallel) / ms[i];
        r->others[i] = ms[i] / of_one[i];
    }
    bench_row *row = add_row(r, BENCH_DECODE, n, start, r->values, runs->joules[k]);
    if (!row) return HONE_ERR_MEMORY;
    row->n_parallel = n_parallel;
    row->joules_per_token /= (double)n_parallel;
    if (n_parallel > s->parallels[one]) row->times_one = spread_of(r->others, s->repeat);
    return HONE_OK;
}

static hone_status measure_decodes(run *r, size_t depth) {
    const bench_settings *s = r->settings;
    size_t start = depth ? depth : 1, most = 1, one = 0;
    decode_runs runs = {.ms = mem_calloc(s->n_parallels * s->repeat, sizeof *runs.ms)};
    if (!runs.ms) return mem_fail("runs", s->n_parallels * s->repeat * sizeof *runs.ms);
    for (size_t k = 0; k < s->n_parallels; k++) {
        if (s->parallels[k] > most) most = s->parallels[k];
        if (s->parallels[k] < s->parallels[one]) one = k;
    }
    hone_status status = hone_prefill(r->subject->session, r->tokens, start, NULL, NULL, NULL);
    for (size_t i = 0; i < most && status == HONE_OK; i++)
        status = hone_session_fork(&r->forks[i], r->subject->session);
    if (status == HONE_OK) status = run_decodes(r, start, &runs);
    for (size_t k = 0; k < s->n_parallels && status == HONE_OK; k++)
        status = add_decode_row(r, start, &runs, k, one);
    close_forks(r);
    mem_free(runs.ms);
    return status;
}

/* Writing an answer through the same call that answers questions, with or without drafts. */
static hone_status answer_once(run *r, size_t n_prompt, hone_draft_kind draft,
                               double *tokens_per_s) {
    const size_t n = r->settings->n_decode;
    const hone_request request = {
        .prompt_ids = r->tokens,
        .n_prompt_ids = n_prompt,
        .sampling = hone_sampling_greedy(),
        .max_tokens = n,
        .ignore_eos = true,
        .draft_kind = draft,
        .draft = draft == HONE_DRAFT_NONE ? NULL : r->subject->draft_session,
        .n_draft = draft == HONE_DRAFT_NONE ? 0 : r->subject->n_draft,
    };
    hone_result answer;
    TRY(hone_generate(r->subject->session, &request, &answer));
    validity_judge_length(&r->b->validity, answer.n_tokens, n);
    *tokens_per_s = answer.n_tokens > 1 && answer.decode_ms > 0
                        ? 1000 * (double)(answer.n_tokens - 1) / answer.decode_ms : 0;
    r->b->n_drafted += answer.n_drafted;
    r->b->n_accepted += answer.n_accepted;
    bool cancelled = answer.finish == HONE_FINISH_CANCELLED;
    hone_result_release(&answer);
    return cancelled ? HONE_ERR_CANCELLED : HONE_OK;
}

/* The same answer without and with drafts, in turn, so that a busy machine slows both. */
static hone_status measure_speculation(run *r, size_t depth) {
    size_t n_prompt = depth ? depth : 64 < r->n_tokens ? 64 : r->n_tokens;
    size_t n = r->settings->n_decode;
    double warm_up;
    TRY(make_text_tokens(r));
    TRY(answer_once(r, n_prompt, HONE_DRAFT_NONE, &warm_up));
    TRY(answer_once(r, n_prompt, r->subject->draft_kind, &warm_up));
    r->b->n_drafted = r->b->n_accepted = 0;
    for (size_t i = 0; i < r->settings->repeat; i++) {
        TRY(tell(r, BENCH_DECODE, n, i + 1));
        TRY(answer_once(r, n_prompt, HONE_DRAFT_NONE, &r->others[i]));
        TRY(answer_once(r, n_prompt, r->subject->draft_kind, &r->values[i]));
    }
    bool added = add_row(r, BENCH_SPECULATION, n, n_prompt, r->values, 0) &&
                 add_row(r, BENCH_DECODE, n, n_prompt, r->others, 0);
    return added ? HONE_OK : HONE_ERR_MEMORY;
}

static hone_status measure_at_depth(run *r, size_t depth) {
    const bench_settings *s = r->settings;
    for (size_t i = 0; i < s->n_prompts; i++) {
        if (s->prompts[i]) TRY(measure_batches(r, depth, s->prompts[i]));
    }
    if (s->n_decode == 0) return HONE_OK;
    if (r->subject->draft_kind != HONE_DRAFT_NONE) return measure_speculation(r, depth);
    return s->n_parallels ? measure_decodes(r, depth) : HONE_OK;
}

/* --- judging --- */

static void judge_row(run *r, bench_row *row) {
    char what[120];
    int used = snprintf(what, sizeof what, "%s of %zu tokens at depth %zu",
                        bench_kind_name(row->kind), row->n_tokens, row->depth);
    if (row->n_batch) {
        snprintf(what + used, sizeof what - (size_t)used, " by %zu", row->n_batch);
    } else if (row->n_parallel > 1) {
        snprintf(what + used, sizeof what - (size_t)used, ", %zu together", row->n_parallel);
    }
    validity_judge_spread(&r->b->validity, what, spread_width(&row->speed));
    if (row->kind == BENCH_SPECULATION) return; /* drafted tokens are not computed one by one */
    bench_bound_row(row, r->subject, &r->b->limits);
    validity_judge_share(&r->b->validity, what, row->share_of_limit,
                         row->bound_by_memory ? "memory" : "processor");
}

/* --- all of it --- */

static size_t largest(const size_t *values, size_t n) {
    size_t most = 0;
    for (size_t i = 0; i < n; i++) {
        if (values[i] > most) most = values[i];
    }
    return most;
}

static hone_status reserve(run *r) {
    const bench_settings *s = r->settings;
    r->n_tokens = largest(s->depths, s->n_depths) + largest(s->prompts, s->n_prompts) +
                  largest(s->parallels, s->n_parallels) + 64;
    r->tokens = mem_calloc(r->n_tokens, sizeof *r->tokens);
    r->values = mem_calloc(2 * s->repeat, sizeof *r->values);
    if (!r->tokens || !r->values) return mem_fail("the benchmark's text", r->n_tokens * 4);
    r->others = r->values + s->repeat;
    return HONE_OK;
}

static void note_energy(bench *b) {
    energy_look look;
    energy_look_at(&look, "");
    snprintf(b->energy, sizeof b->energy, "%s", energy_source_words(&look, ""));
}

static hone_status measure(run *r) {
    bench *b = r->b;
    machine_state before, after;
    double rate_before, rate_after;
    TRY(reserve(r));
    make_random_tokens(r);
    TRY(bench_look_at_limits(b, r->info->n_threads, &rate_before));
    bool forgotten = system_forget_peak(); /* looking at the limits took memory, too */
    machine_look(&before);
    for (size_t i = 0; i < r->settings->n_depths; i++) {
        TRY(measure_at_depth(r, r->settings->depths[i]));
    }
    machine_look(&after);
    machine_look_at_memory(&b->memory);
    note_energy(b);
    b->peak_memory_bytes = forgotten ? system_peak_resident_bytes() : r->seen_memory;
    TRY(bench_look_at_limits(b, r->info->n_threads, &rate_after));
    validity_judge_machine(&b->validity, &before, &after, r->info->n_threads, cpu_usable_count());
    validity_judge_limits(&b->validity, rate_before, rate_after);
    validity_judge_repetitions(&b->validity, r->settings->repeat);
    for (size_t i = 0; i < b->n_rows; i++) judge_row(r, &b->rows[i]);
    return HONE_OK;
}

hone_status bench_text(bench *b, const bench_subject *subject, const bench_settings *settings) {
    run *r = mem_calloc(1, sizeof *r);
    if (!r) return mem_fail("the benchmark", sizeof *r);
    *r = (run){.b = b, .subject = subject, .settings = settings,
               .info = hone_model_describe(subject->model)};
    hone_status status = measure(r);
    close_forks(r);
    mem_free(r->tokens);
    mem_free(r->values);
    mem_free(r);
    return status;
}
