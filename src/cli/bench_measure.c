/* Running the model: prefill and decode apart, each warmed up once and repeated. */
#include <string.h>

#include "base/system.h"
#include "cli/bench.h"
#include "cli/interrupt.h"

/* --- the text to work on --- */

/* Ids drawn evenly from the vocabulary (xorshift64*), without those that end an answer. The speed
 * of prefill and decode does not depend on the words. */
static hone_status make_random_tokens(bench *b) {
    uint64_t state = (uint64_t)b->settings->seed * 0x9E3779B97F4A7C15u + 1;
    for (size_t i = 0; i < b->n_tokens; i++) {
        int32_t id;
        int tries = 0;
        do {
            state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
            id = (int32_t)((state * 0x2545F4914F6CDD1Du >> 33) % b->info->n_vocab);
        } while (hone_is_stop_token(b->engine.model, id) && ++tries < 100);
        b->tokens[i] = id;
    }
    return HONE_OK;
}

/* Speculation lives on text that can be foreseen, so that it is measured on prose. */
static hone_status make_text_tokens(bench *b) {
    static const char prose[] =
        "The lighthouse keeper wrote in his book every evening. He wrote down the weather, the "
        "ships that had passed, and the state of the lamp. When the wind came from the north, he "
        "wrote that the wind came from the north. When no ship had passed, he wrote that no ship "
        "had passed. After thirty years the book had four thousand pages, and whoever read it knew "
        "how the weather had been, which ships had passed, and that the lamp had never gone out. ";
    int32_t *ids;
    size_t n_ids;
    TRY(hone_tokenize(b->engine.model, prose, sizeof prose - 1, true, &ids, &n_ids));
    for (size_t i = 0; i < b->n_tokens; i++) b->tokens[i] = ids[i % n_ids];
    hone_free(ids);
    return HONE_OK;
}

/* --- measuring --- */

static int32_t most_probable(const hone_session *session, size_t n_vocab) {
    const float *logits = hone_session_logits(session, 0);
    size_t best = 0;
    for (size_t i = 1; logits && i < n_vocab; i++) {
        if (logits[i] > logits[best]) best = i;
    }
    return (int32_t)best;
}

static hone_status check_interrupt(void) {
    return interrupt_seen() ? HONE_ERR_CANCELLED : HONE_OK;
}

/* One prefill of n tokens behind `depth` others; *ms until the first token is chosen is left in
 * ttft_ms. */
static hone_status prefill_once(bench *b, size_t n, double *ms, double *ttft_ms) {
    hone_session *session = b->engine.session;
    size_t n_reused;
    TRY(check_interrupt());
    TRY(hone_session_rewind(session, b->depth));
    double start_ms = clock_ms();
    TRY(hone_prefill(session, b->tokens, b->depth + n, &n_reused, NULL, NULL));
    *ms = clock_ms() - start_ms;
    most_probable(session, b->info->n_vocab);
    *ttft_ms = clock_ms() - start_ms;
    if (n_reused != b->depth) {
        bench_doubt(b, "prefill found %zu tokens in the cache instead of %zu", n_reused, b->depth);
    }
    return HONE_OK;
}

static void add_row(bench *b, bench_kind kind, size_t n, size_t depth) {
    b->rows[b->n_rows++] = (bench_row){
        .kind = kind, .n_tokens = n, .depth = depth, .speed = spread_of(b->values, b->repeat)};
}

static hone_status measure_prefill(bench *b, size_t n) {
    double ttft_values[BENCH_MAX_REPEAT], ms, ttft_ms;
    if (b->depth) {
        TRY(hone_prefill(b->engine.session, b->tokens, b->depth, NULL, NULL, NULL));
    }
    TRY(prefill_once(b, n, &ms, &ttft_ms));
    for (size_t i = 0; i < b->repeat; i++) {
        cli_progress("prefill of %zu tokens: run %zu of %zu", n, i + 1, b->repeat);
        TRY(prefill_once(b, n, &ms, &ttft_ms));
        b->values[i] = 1000 * (double)n / ms;
        ttft_values[i] = ttft_ms;
    }
    add_row(b, BENCH_PREFILL, n, b->depth);
    if (b->ttft_ms == 0) b->ttft_ms = spread_of(ttft_values, b->repeat).median;
    return HONE_OK;
}

/* All sessions go n_decode tokens on, each pass over the weights serving all of them. */
static hone_status decode_once(bench *b, double *ms) {
    hone_step_item items[BENCH_MAX_PARALLEL];
    int32_t next[BENCH_MAX_PARALLEL];
    size_t start = b->depth ? b->depth : 1;
    for (size_t i = 0; i < b->parallel; i++) {
        TRY(hone_session_rewind(b->sessions[i], start));
        next[i] = b->tokens[(start + i) % b->n_tokens]; /* each goes its own way */
        items[i] = (hone_step_item){b->sessions[i], &next[i], 1, HONE_LOGITS_LAST};
    }
    double start_ms = clock_ms();
    for (size_t step = 0; step < b->n_decode; step++) {
        TRY(check_interrupt());
        TRY(hone_step(items, b->parallel));
        for (size_t i = 0; i < b->parallel; i++) {
            next[i] = most_probable(b->sessions[i], b->info->n_vocab);
        }
    }
    *ms = clock_ms() - start_ms;
    return HONE_OK;
}

static hone_status measure_decode(bench *b) {
    size_t start = b->depth ? b->depth : 1;
    double ms;
    TRY(hone_prefill(b->engine.session, b->tokens, start, NULL, NULL, NULL));
    for (size_t i = 0; i < b->parallel; i++) {
        TRY(hone_session_fork(&b->sessions[i], b->engine.session));
    }
    TRY(decode_once(b, &ms));
    for (size_t i = 0; i < b->repeat; i++) {
        cli_progress("decode of %zu tokens: run %zu of %zu", b->n_decode, i + 1, b->repeat);
        TRY(decode_once(b, &ms));
        b->values[i] = 1000 * (double)(b->n_decode * b->parallel) / ms;
    }
    add_row(b, BENCH_DECODE, b->n_decode, start);
    return HONE_OK;
}

/* Writing an answer through the same call that answers questions, with or without drafts. */
static hone_status answer_once(bench *b, size_t n_prompt, hone_draft_kind draft,
                               double *tokens_per_s) {
    const hone_request request = {
        .prompt_ids = b->tokens,
        .n_prompt_ids = n_prompt,
        .sampling = hone_sampling_greedy(),
        .max_tokens = b->n_decode,
        .ignore_eos = true,
        .draft_kind = draft,
        .draft = draft == HONE_DRAFT_NONE ? NULL : b->engine.draft_session,
        .n_draft = draft == HONE_DRAFT_NONE ? 0 : b->engine.n_draft,
    };
    hone_result result;
    TRY(check_interrupt());
    TRY(hone_generate(b->engine.session, &request, &result));
    if (result.n_tokens < b->n_decode) {
        bench_doubt(b, "an answer ended after %zu of %zu tokens", result.n_tokens, b->n_decode);
    }
    *tokens_per_s = result.n_tokens > 1 && result.decode_ms > 0
                        ? 1000 * (double)(result.n_tokens - 1) / result.decode_ms : 0;
    b->n_drafted += result.n_drafted;
    b->n_accepted += result.n_accepted;
    bool cancelled = result.finish == HONE_FINISH_CANCELLED;
    hone_result_release(&result);
    return cancelled ? HONE_ERR_CANCELLED : HONE_OK;
}

/* The same answer without and with drafts, in turn, so that a busy machine slows both. */
static hone_status measure_speculation(bench *b) {
    size_t n_prompt = b->depth ? b->depth : 64 < b->n_tokens ? 64 : b->n_tokens;
    double plain[BENCH_MAX_REPEAT], warm_up;
    TRY(make_text_tokens(b));
    TRY(answer_once(b, n_prompt, HONE_DRAFT_NONE, &warm_up));
    TRY(answer_once(b, n_prompt, b->engine.draft_kind, &warm_up));
    b->n_drafted = b->n_accepted = 0;
    for (size_t i = 0; i < b->repeat; i++) {
        cli_progress("decode of %zu tokens: run %zu of %zu", b->n_decode, i + 1, b->repeat);
        TRY(answer_once(b, n_prompt, HONE_DRAFT_NONE, &plain[i]));
        TRY(answer_once(b, n_prompt, b->engine.draft_kind, &b->values[i]));
    }
    add_row(b, BENCH_SPECULATION, b->n_decode, n_prompt);
    memcpy(b->values, plain, b->repeat * sizeof *plain);
    add_row(b, BENCH_DECODE, b->n_decode, n_prompt);
    return HONE_OK;
}

hone_status bench_measure(bench *b) {
    TRY(make_random_tokens(b));
    for (size_t i = 0; i < b->n_prompts; i++) {
        if (b->prompts[i]) TRY(measure_prefill(b, b->prompts[i]));
    }
    if (b->n_decode == 0) return HONE_OK;
    return b->engine.draft_kind == HONE_DRAFT_NONE ? measure_decode(b) : measure_speculation(b);
}
