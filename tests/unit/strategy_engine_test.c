/* Strategies on the real engine: what is drawn together is what is drawn alone, and what a draw
 * held is free when it ends. */
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "files.h"
#include "model_files.h"
#include "strategy/draws.h"
#include "test.h"

static hone_model *made_model(void) {
    hone_model *m = NULL;
    test_folder folder = test_folder_make();
    const char *path = test_path(folder.path, "model.gguf");
    if (CHECK_OK(model_write_gguf(&(model_recipe){.type = DTYPE_F32}, path)))
        CHECK_OK(hone_model_open(&m, path, &(hone_model_options){.n_threads = 1}));
    test_folder_remove(&folder);
    return m;
}

static hone_request babble(void) {
    hone_request q = {.prompt = "the one", .prompt_bytes = 7, .sampling = hone_sampling_greedy(),
                      .max_tokens = 12, .ignore_eos = true};
    q.sampling.temperature = 1;
    q.sampling.seed = 5;
    return q;
}

static hone_strategy_result run_real(hone_model *m, const char *expression, const hone_request *q) {
    hone_session *session = NULL;
    hone_strategy *s = NULL;
    hone_strategy_result r = {0};
    CHECK_OK(hone_session_open(&session, m, &(hone_session_options){.exact = true}));
    CHECK_OK(hone_strategy_parse(&s, expression));
    CHECK_OK(hone_strategy_run(s, session, q, NULL, &r));
    hone_strategy_close(s);
    hone_session_close(session);
    return r;
}

/* --- alike, together and alone --- */

static int add_logprob(void *user, const hone_piece *p) {
    double *sum = user;
    if (p->token >= 0) *sum += p->logprob;
    return 0;
}

/* The request as one draw of its own; its mean log-probability. */
static hone_result run_alone(hone_model *m, hone_request q, double *logprob) {
    hone_session *session = NULL;
    hone_result alone = {0};
    double sum = 0;
    q.logprobs = true;
    q.on_piece = add_logprob;
    q.user = &sum;
    CHECK_OK(hone_session_open(&session, m, &(hone_session_options){.exact = true}));
    CHECK_OK(hone_generate(session, &q, &alone));
    hone_session_close(session);
    *logprob = sum / (double)alone.n_tokens;
    return alone;
}

/* Draw k of a batch of forks is what sequence k of the same seed is alone with its own prefill, bit
 * for bit, and the prompt is computed once. */
static void draws_together_are_the_draws_alone(void) {
    hone_model *m = made_model();
    hone_request q = babble();
    hone_strategy_result r = run_real(m, "sample5 & first", &q);
    CHECK(r.n_draws == 5);
    for (size_t i = 0; i < r.n_draws; i++) {
        double logprob;
        q.sequence = (uint32_t)i;
        hone_result alone = run_alone(m, q, &logprob);
        CHECK_MSG(r.draws[i].text && !strcmp(alone.text, r.draws[i].text), "draw %zu", i);
        CHECK_MSG(r.draws[i].logprob == logprob, "draw %zu: %.17g, %.17g", i, r.draws[i].logprob,
                  logprob);
        CHECK(r.draws[i].n_cached_tokens == (i ? r.draws[i].n_prompt_tokens : 0));
        hone_result_release(&alone);
    }
    CHECK(strcmp(r.draws[0].text, r.draws[1].text)); /* and they differ */
    CHECK(r.n_prefill_tokens == r.draws[0].n_prompt_tokens);
    hone_strategy_result_release(&r);
    hone_model_close(m);
}

/* The ladder's temperatures are those that the sampler draws with: each draw is the one that a
 * request with that temperature gives. */
static void a_draws_temperature_reaches_the_sampler(void) {
    static const float ladder[] = {0.5f, 0.7f, 0.9f};
    hone_model *m = made_model();
    hone_request q = babble();
    hone_strategy_result r = run_real(m, "diverse3 & first", &q);
    for (uint32_t i = 0; i < 3 && i < r.n_draws; i++) {
        double logprob;
        hone_request alone = q;
        alone.sampling.temperature = ladder[i];
        alone.sequence = i;
        hone_result result = run_alone(m, alone, &logprob);
        CHECK_MSG(!strcmp(result.text, r.draws[i].text), "draw %u", i);
        hone_result_release(&result);
        alone.sampling.temperature = ladder[i] + 1.5f; /* and with another one it is another */
        result = run_alone(m, alone, &logprob);
        CHECK_MSG(strcmp(result.text, r.draws[i].text), "draw %u", i);
        hone_result_release(&result);
    }
    hone_strategy_result_release(&r);
    hone_model_close(m);
}

/* A draw that did not fit into the small context has no text. */
static bool same_draw(const hone_draw *a, const hone_draw *b) {
    bool same_text = a->text && b->text ? !strcmp(a->text, b->text) : a->text == b->text;
    return same_text && a->end == b->end && a->n_tokens == b->n_tokens && a->logprob == b->logprob;
}

static void the_same_seed_gives_the_same_run(void) {
    static const char *const expressions[] = {"sc6", "rsa3", "moa3", "diverse4 & certainty",
                                              "cot-decode3"};
    hone_model *m = made_model();
    hone_request q = babble();
    for (size_t i = 0; i < sizeof expressions / sizeof *expressions; i++) {
        hone_strategy_result a = run_real(m, expressions[i], &q),
                             b = run_real(m, expressions[i], &q);
        CHECK_MSG(a.n_draws == b.n_draws && a.chosen == b.chosen && !strcmp(a.text, b.text), "%s",
                  expressions[i]);
        for (size_t k = 0; k < a.n_draws && k < b.n_draws; k++)
            CHECK_MSG(same_draw(&a.draws[k], &b.draws[k]), "%s, draw %zu", expressions[i], k);
        hone_strategy_result_release(&a);
        hone_strategy_result_release(&b);
    }
    hone_model_close(m);
}

/* --- draws that end --- */

enum { N_DRAWS = 4, KILLED_AT = 3, CANCELLED_AT = 5 };

typedef struct pen {
    struct batch_seen *seen;
    size_t draw, n_tokens;
} pen;

/* What is seen of a batch of draws that share a page of their prompt. */
typedef struct batch_seen {
    hone_session *session;
    pen pens[N_DRAWS];
    size_t tokens[N_DRAWS];        /* of each when it had ended */
    uint64_t before, behind, later; /* the session's share of the cache: before a draw is killed,
                                     * when it has ended, at the next token of another */
    bool kills, cancels;
    size_t n_ended;
} batch_seen;

static int watch_token(void *user, const hone_piece *p) {
    pen *w = user;
    batch_seen *seen = w->seen;
    if (p->token < 0) return 0;
    w->n_tokens++;
    if (seen->cancels && w->draw == 0 && w->n_tokens == CANCELLED_AT)
        hone_session_cancel(seen->session);
    if (!seen->kills) return 0;
    if (w->draw == 1 && w->n_tokens == KILLED_AT + 1)
        seen->later = hone_session_kv_share(seen->session);
    if (w->draw != 0 || w->n_tokens != KILLED_AT) return 0;
    seen->before = hone_session_kv_share(seen->session);
    return 1;
}

static void note_end(void *user, size_t i, hone_status status, hone_result *result) {
    batch_seen *seen = user;
    (void)status;
    seen->tokens[i] = result->n_tokens;
    if (seen->n_ended++ == 0) seen->behind = hone_session_kv_share(seen->session);
    hone_result_release(result);
}

static hone_status run_batch(hone_model *m, batch_seen *seen) {
    static char prompt[101];
    hone_request requests[N_DRAWS];
    local_draws local = {&seen->session, 1};
    draw_service service = local_draws_service(&local);
    memset(prompt, 'q', sizeof prompt - 1); /* a token each: a whole page, and a part of another */
    CHECK_OK(hone_session_open(&seen->session, m, &(hone_session_options){.exact = true}));
    for (size_t i = 0; i < N_DRAWS; i++) {
        seen->pens[i] = (pen){seen, i, 0};
        requests[i] = babble();
        requests[i].prompt = prompt;
        requests[i].prompt_bytes = sizeof prompt - 1;
        requests[i].sequence = (uint32_t)i;
        requests[i].on_piece = watch_token;
        requests[i].user = &seen->pens[i];
    }
    hone_status status = service.run(service.self, 0, requests, N_DRAWS, note_end, seen);
    hone_session_close(seen->session);
    return status;
}

/* The page that the session and all forks share counts a part of it in each: one owner less, and
 * the part of the others is larger, before anything else is computed. */
static void a_killed_draw_frees_its_cache_at_once(void) {
    hone_model *m = made_model();
    batch_seen seen = {.kills = true};
    CHECK_OK(run_batch(m, &seen));
    CHECK(seen.n_ended == N_DRAWS && seen.tokens[0] == KILLED_AT && seen.tokens[1] == 12);
    CHECK_MSG(seen.behind > seen.before && seen.later == seen.behind, "%llu, %llu, %llu",
              (unsigned long long)seen.before, (unsigned long long)seen.behind,
              (unsigned long long)seen.later);
    hone_model_close(m);
}

static void cancelling_ends_all_draws_within_one_step(void) {
    hone_model *m = made_model();
    batch_seen seen = {.cancels = true};
    CHECK(run_batch(m, &seen) == HONE_ERR_CANCELLED);
    CHECK(seen.n_ended == N_DRAWS);
    for (size_t i = 0; i < N_DRAWS; i++)
        CHECK_MSG(seen.tokens[i] >= CANCELLED_AT - 1 && seen.tokens[i] <= CANCELLED_AT + 1,
                  "%zu tokens", seen.tokens[i]);
    hone_model_close(m);
}

/* --- thoughts in stretches --- */

/* What was thought is not computed again, but for a last token, neither for the probe nor for what
 * follows it, and the stretches together are as probable as the one draw that they are. */
static void thoughts_are_computed_once(void) {
    static const char prompt[] = "so <think>\n";
    hone_model *m = made_model();
    hone_request q = babble();
    q.prompt = prompt;
    q.prompt_bytes = sizeof prompt - 1;
    q.max_tokens = 200;
    q.sampling.temperature = 0;
    hone_strategy_result r = run_real(m, "think-cap4", &q);
    size_t n_prompt = r.n_draws ? r.draws[0].n_prompt_tokens : 0;
    bool as_planned = r.n_draws == 3 && r.draws[0].n_tokens == 128 && r.draws[2].n_tokens == 72;
    CHECK_MSG(as_planned, "%zu draws", r.n_draws);
    if (as_planned) {
        CHECK(!strcmp(r.draws[1].stage, "probe"));
        CHECK(r.draws[1].n_cached_tokens == n_prompt + 127);
        CHECK(r.draws[2].n_prompt_tokens == n_prompt + 128);
        CHECK(r.draws[2].n_cached_tokens == n_prompt + 127); /* the last one's logits are gone */
        double logprob;
        hone_result alone = run_alone(m, q, &logprob);
        CHECK_NEAR(128 * r.draws[0].logprob + 72 * r.draws[2].logprob, 200 * logprob, 1e-9);
        hone_result_release(&alone);
    }
    hone_strategy_result_release(&r);
    hone_model_close(m);
}

/* --- with a template that opens the thought --- */

static const char smol[] = "golden/llama-smol", qwq[] = "data/vectors/templates/Qwen-QwQ-32B.jinja";

/* The tiny model of the reference data with another model's template; NULL where they lack. */
static hone_model *open_thinker(void) {
    static const char *const files[] = {"model.safetensors", "tokenizer.json",
                                        "tokenizer_config.json", "config.json"};
    hone_model *m = NULL;
    test_folder folder = test_folder_make();
    char from[PATH_MAX + 128], shared[PATH_MAX];
    bool linked = realpath(test_shared(), shared) != NULL;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(from, sizeof from, "%s/%s/%s", shared, smol, files[i]);
        linked = linked && access(from, R_OK) == 0 &&
                 symlink(from, test_path(folder.path, files[i])) == 0;
    }
    snprintf(from, sizeof from, "%s/%s", shared, qwq);
    linked = linked && access(from, R_OK) == 0 &&
             symlink(from, test_path(folder.path, "chat_template.jinja")) == 0;
    if (linked) CHECK_OK(hone_model_open(&m, folder.path, &(hone_model_options){.n_threads = 1}));
    test_folder_remove(&folder);
    return m;
}

static hone_strategy_result think(hone_model *m, const char *expression, const char *variables) {
    static const hone_part part = {HONE_PART_TEXT, "What is 17 + 25?", 16};
    static const hone_message question = {.role = "user", .parts = &part, .n_parts = 1};
    hone_request q = babble();
    q.prompt = NULL;
    q.prompt_bytes = 0;
    q.messages = &question;
    q.n_messages = 1;
    q.variables_json = variables;
    q.max_tokens = 100;
    q.ignore_eos = strcmp(expression, "sample2 & ptrue") != 0;
    q.limit_thinking = !q.ignore_eos;
    q.thinking_budget = 3;
    return run_real(m, expression, &q);
}

/* Whether an answer is right is asked behind a thought that is closed already. */
static void a_judge_is_not_made_to_think(void) {
    hone_model *m = open_thinker();
    if (!m) SKIP("%s or %s is not in %s", smol, qwq, test_shared());
    hone_strategy_result r = think(m, "sample2 & ptrue", "{\"enable_thinking\": true}");
    size_t n_asked = 0;
    for (size_t i = 0; i < r.n_draws; i++) {
        bool judges = !strcmp(r.draws[i].stage, "P(True)");
        n_asked += judges;
        CHECK_MSG((r.draws[i].n_thought_tokens > 0) != judges, "draw %zu", i);
    }
    CHECK_MSG(n_asked > 0, "%zu draws", r.n_draws);
    hone_strategy_result_release(&r);
    hone_model_close(m);
}

/* The cap's 64 tokens are thoughts, then the thought is closed and the rest is the answer. */
static void a_template_that_opens_a_thought_has_it_capped(void) {
    hone_model *m = open_thinker();
    if (!m) SKIP("%s or %s is not in %s", smol, qwq, test_shared());
    hone_strategy_result r = think(m, "think-cap1", "{\"enable_thinking\": true}"),
                         again = think(m, "think-cap1", "{\"enable_thinking\": true}"),
                         plain = think(m, "think-cap1", "{\"enable_thinking\": false}");
    CHECK(r.n_draws == 2);
    if (r.n_draws == 2) {
        CHECK(!strcmp(r.draws[0].stage, "thoughts") && !strcmp(r.draws[1].stage, "answer"));
        CHECK(r.draws[0].n_tokens == 64 && r.draws[0].n_thought_tokens == 64);
        CHECK(r.draws[1].n_tokens == 36 && r.draws[1].n_thought_tokens < 10); /* the closing */
    }
    const char *closing = strstr(r.text, "\n</think>\n\n");
    CHECK(closing && closing > r.text && closing[12] && !strstr(closing + 12, "</think>"));
    CHECK(!strcmp(r.text, again.text));
    CHECK(plain.n_draws > 0 && plain.draws[0].n_thought_tokens == 0 &&
          !strcmp(plain.draws[0].stage, "answer") && !strstr(plain.text, "</think>"));
    hone_strategy_result_release(&r);
    hone_strategy_result_release(&again);
    hone_strategy_result_release(&plain);
    hone_model_close(m);
}

int main(void) {
    RUN(draws_together_are_the_draws_alone);
    RUN(a_draws_temperature_reaches_the_sampler);
    RUN(the_same_seed_gives_the_same_run);
    RUN(a_killed_draw_frees_its_cache_at_once);
    RUN(cancelling_ends_all_draws_within_one_step);
    RUN(thoughts_are_computed_once);
    RUN(a_template_that_opens_a_thought_has_it_capped);
    RUN(a_judge_is_not_made_to_think);
    return test_summary();
}
