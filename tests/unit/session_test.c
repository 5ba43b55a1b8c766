/* Sessions: forks, rewinds, batches, cache types and the edges of the context. */
#include "hone/hone.h"
#include "base/mem.h"
#include "files.h"
#include "model_files.h"
#include "test.h"

enum { N = 150, ROW = MADE_VOCABULARY };

static hone_model *model; /* random, Q8_0, a context of 256 */
static int32_t ids[300];
static float alone[N * ROW]; /* exact mode: the logits at every position in one step */

static hone_session *open_session(const hone_session_options *options) {
    hone_session *s = NULL;
    CHECK_OK(hone_session_open(&s, model, options));
    return s;
}

static hone_session *exact_session(void) {
    return open_session(&(hone_session_options){.exact = true});
}

static void step(hone_session *s, const int32_t *tokens, size_t n, hone_logits logits) {
    CHECK_OK(hone_step(&(hone_step_item){s, tokens, n, logits}, 1));
}

static bool same_row(const float *a, const float *b) {
    return a && b && memcmp(a, b, ROW * sizeof *a) == 0;
}

static void open_model(void) {
    test_folder folder = test_folder_make();
    const char *path = test_path(folder.path, "model.gguf");
    CHECK_OK(model_write_gguf(&(model_recipe){.type = DTYPE_Q8_0}, path));
    CHECK_OK(hone_model_open(&model, path, &(hone_model_options){.n_threads = 1}));
    test_folder_remove(&folder);
    for (int i = 0; i < 300; i++) ids[i] = (i * 71 + i * i * 13 + 7) % MADE_TOKENS;
    hone_session *s = exact_session();
    step(s, ids, N, HONE_LOGITS_ALL);
    memcpy(alone, hone_session_logits(s, 0), sizeof alone);
    hone_session_close(s);
}

/* --- forks --- */

/* A chain of forks at pages' edges and inside pages; each goes its own way, closed in any order. */
static void forks_of_forks_close_in_any_order(void) {
    static const size_t lengths[] = {1, 63, 64, 65, 100, 128};
    static const int orders[][6] = {{0, 1, 2, 3, 4, 5}, {5, 4, 3, 2, 1, 0}, {3, 0, 5, 1, 4, 2}};
    for (int o = 0; o < 3; o++) {
        hone_session *s[6] = {exact_session()};
        step(s[0], ids, lengths[0], HONE_LOGITS_LAST);
        for (int i = 1; i < 6; i++) {
            CHECK_OK(hone_session_fork(&s[i], s[i - 1]));
            CHECK(same_row(hone_session_logits(s[i], 0), hone_session_logits(s[i - 1], 0)));
            step(s[i], ids + lengths[i - 1], lengths[i] - lengths[i - 1], HONE_LOGITS_LAST);
        }
        for (int i = 0; i < 6; i++) step(s[i], &ids[200 + i], 1, HONE_LOGITS_LAST); /* apart */
        for (int k = 0; k < 6; k++) {
            int i = orders[o][k];
            CHECK_OK(hone_session_rewind(s[i], lengths[i]));
            CHECK_OK(hone_prefill(s[i], ids, N, NULL, NULL, NULL));
            CHECK_MSG(same_row(hone_session_logits(s[i], 0), alone + (N - 1) * ROW), "fork %d", i);
            hone_session_close(s[i]);
        }
    }
}

static void an_empty_session_forks(void) {
    hone_session *a = exact_session(), *b = NULL;
    CHECK_OK(hone_session_fork(&b, a));
    hone_session_close(a);
    step(b, ids, 5, HONE_LOGITS_LAST);
    CHECK(same_row(hone_session_logits(b, 0), alone + 4 * ROW));
    hone_session_close(b);
}

/* Eight timelines in one step, as in eight steps: bit for bit in every mode and cache type. */
static void check_batch(const hone_session_options *o) {
    hone_session *together[8], *apart[8];
    hone_step_item items[8];
    hone_session *root = open_session(o);
    step(root, ids, 70, HONE_LOGITS_LAST);
    for (int i = 0; i < 8; i++) {
        CHECK_OK(hone_session_fork(&together[i], root));
        CHECK_OK(hone_session_fork(&apart[i], root));
    }
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 8; i++) {
            items[i] = (hone_step_item){together[i], &ids[100 + 10 * round + i], 1,
                                        HONE_LOGITS_LAST};
            step(apart[i], items[i].tokens, 1, HONE_LOGITS_LAST);
        }
        CHECK_OK(hone_step(items, 8));
        for (int i = 0; i < 8; i++)
            CHECK_MSG(same_row(hone_session_logits(together[i], 0),
                               hone_session_logits(apart[i], 0)),
                      "round %d, session %d, exact %d, cache %d", round, i, o->exact, o->kv);
    }
    for (int i = 0; i < 8; i++) {
        hone_session_close(together[i]);
        hone_session_close(apart[i]);
    }
    hone_session_close(root);
}

static void a_batch_is_its_parts(void) {
    check_batch(&(hone_session_options){.exact = true});
    for (hone_kv_type kv = HONE_KV_F16; kv <= HONE_KV_Q8_0; kv++)
        check_batch(&(hone_session_options){.kv = kv});
}

/* Up to eight tokens in a step agree bit for bit outside the exact mode, too. */
static void few_tokens_cut_anyhow(void) {
    for (hone_kv_type kv = HONE_KV_F16; kv <= HONE_KV_Q8_0; kv++) {
        hone_session *ones = open_session(&(hone_session_options){.kv = kv});
        hone_session *many = open_session(&(hone_session_options){.kv = kv});
        for (size_t done = 0, n = 1; done + n <= 100; done += n, n = n % 8 + 1) {
            for (size_t i = 0; i < n; i++) step(ones, ids + done + i, 1, HONE_LOGITS_LAST);
            step(many, ids + done, n, HONE_LOGITS_LAST);
            CHECK_MSG(same_row(hone_session_logits(ones, 0), hone_session_logits(many, 0)),
                      "%zu tokens after %zu, cache %d", n, done, (int)kv);
        }
        hone_session_close(ones);
        hone_session_close(many);
    }
}

/* --- rewinding --- */

static void rewinding_anywhere_changes_nothing(void) {
    static const size_t places[] = {149, 128, 127, 65, 64, 63, 1, 0};
    hone_session *s = exact_session(), *fork = NULL;
    step(s, ids, N, HONE_LOGITS_LAST);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        hone_session_close(fork);
        CHECK_OK(hone_session_fork(&fork, s)); /* so that pages are shared */
        CHECK_OK(hone_session_rewind(s, places[i]));
        CHECK(hone_session_logits(s, 0) == NULL);
        step(s, &ids[250], 1, HONE_LOGITS_NONE); /* something else in its place */
        CHECK_OK(hone_session_rewind(s, places[i]));
        size_t reused;
        CHECK_OK(hone_prefill(s, ids, N, &reused, NULL, NULL));
        CHECK(reused == places[i]);
        CHECK(same_row(hone_session_logits(s, 0), alone + (N - 1) * ROW));
    }
    CHECK_OK(hone_prefill(fork, ids, N, NULL, NULL, NULL));
    CHECK(same_row(hone_session_logits(fork, 0), alone + (N - 1) * ROW));
    CHECK(hone_session_rewind(s, N + 1) == HONE_ERR_ARGUMENT);
    hone_session_close(fork);
    hone_session_close(s);
}

static void pages_come_back(void) {
    hone_session *s = exact_session();
    step(s, ids, 130, HONE_LOGITS_LAST);
    uint64_t three_pages = hone_session_kv_bytes(s);
    CHECK_OK(hone_session_rewind(s, 64));
    CHECK(hone_session_kv_bytes(s) * 3 == three_pages);
    CHECK_OK(hone_session_rewind(s, 0));
    CHECK(hone_session_kv_bytes(s) == 0);
    hone_session_close(s);
}

/* --- cache types --- */

static void halves_and_bytes_stay_near(void) {
    static const struct {
        hone_kv_type kv;
        double bound; /* logits spread over ±3; small changes flip codes of 8-bit activations */
    } types[] = {{HONE_KV_F16, 0.15}, {HONE_KV_Q8_0, 0.3}};
    hone_session *wide = open_session(&(hone_session_options){.kv = HONE_KV_F32});
    step(wide, ids, 8, HONE_LOGITS_NONE);
    for (size_t i = 8; i < 80; i++) step(wide, ids + i, 1, HONE_LOGITS_LAST);
    for (int t = 0; t < 2; t++) {
        hone_session *s = open_session(&(hone_session_options){.kv = types[t].kv});
        step(s, ids, 8, HONE_LOGITS_NONE);
        for (size_t i = 8; i < 80; i++) step(s, ids + i, 1, HONE_LOGITS_LAST);
        const float *a = hone_session_logits(wide, 0), *b = hone_session_logits(s, 0);
        double largest = 0;
        for (int i = 0; i < ROW; i++) largest = fmax(largest, fabs((double)a[i] - b[i]));
        CHECK_MSG(largest > 0 && largest < types[t].bound, "cache %d: %g", (int)types[t].kv,
                  largest);
        uint64_t times_smaller = types[t].kv == HONE_KV_F16 ? 2 : 3;
        CHECK(hone_session_kv_bytes(s) * times_smaller <= hone_session_kv_bytes(wide));
        hone_session_close(s);
    }
    hone_session_close(wide);
}

static void forks_of_every_cache_are_copies(void) {
    for (hone_kv_type kv = HONE_KV_F16; kv <= HONE_KV_Q8_0; kv++) {
        hone_session *whole = open_session(&(hone_session_options){.kv = kv}), *child = NULL;
        hone_session *parent = open_session(&(hone_session_options){.kv = kv});
        for (int i = 0; i < 70; i++) {
            step(whole, ids + i, 1, HONE_LOGITS_LAST);
            step(parent, ids + i, 1, HONE_LOGITS_LAST);
        }
        CHECK_OK(hone_session_fork(&child, parent));
        step(parent, &ids[99], 1, HONE_LOGITS_LAST);
        hone_session_close(parent);
        step(child, ids + 70, 3, HONE_LOGITS_LAST);
        step(whole, ids + 70, 3, HONE_LOGITS_LAST);
        CHECK_OK(hone_session_rewind(whole, 71));
        step(whole, ids + 71, 2, HONE_LOGITS_LAST);
        CHECK(same_row(hone_session_logits(whole, 0), hone_session_logits(child, 0)));
        hone_session_close(whole);
        hone_session_close(child);
    }
}

/* --- the context's edge --- */

static void a_context_fills_to_its_last_place(void) {
    hone_session *s = exact_session();
    size_t n;
    CHECK(hone_session_context(s) == 256);
    step(s, ids, 255, HONE_LOGITS_LAST);
    CHECK(hone_step(&(hone_step_item){s, ids, 2, HONE_LOGITS_LAST}, 1) == HONE_ERR_CONTEXT_FULL);
    step(s, ids + 255, 1, HONE_LOGITS_LAST);
    long before = mem_count();
    CHECK(hone_step(&(hone_step_item){s, ids, 1, HONE_LOGITS_LAST}, 1) == HONE_ERR_CONTEXT_FULL);
    CHECK(mem_count() - before <= 8); /* the step's own lists, no page */
    CHECK(strstr(hone_error_message(), "256") != NULL);
    CHECK(hone_session_logits(s, 0) != NULL);
    hone_session_tokens(s, &n);
    CHECK(n == 256);
    CHECK(hone_prefill(s, ids, 257, NULL, NULL, NULL) == HONE_ERR_CONTEXT_FULL);
    hone_session_tokens(s, &n);
    CHECK(n == 256); /* a prompt that cannot fit leaves the session as it was */
    double logprobs[2];
    CHECK(hone_score(s, ids, 1, logprobs) == HONE_ERR_CONTEXT_FULL);
    hone_session_close(s);
    CHECK(hone_session_open(&s, model, &(hone_session_options){.n_context = 257}) ==
          HONE_ERR_ARGUMENT);
    s = open_session(&(hone_session_options){.n_context = 10, .exact = true});
    step(s, ids, 10, HONE_LOGITS_LAST);
    CHECK(same_row(hone_session_logits(s, 0), alone + 9 * ROW));
    CHECK(hone_step(&(hone_step_item){s, ids, 1, HONE_LOGITS_LAST}, 1) == HONE_ERR_CONTEXT_FULL);
    hone_session_close(s);
}

/* --- refused steps --- */

static void refused_steps_leave_all_sessions_alone(void) {
    hone_session *a = exact_session(), *b = exact_session(), *other = open_session(NULL);
    step(a, ids, 20, HONE_LOGITS_LAST);
    step(b, ids, 30, HONE_LOGITS_LAST);
    step(other, ids, 3, HONE_LOGITS_LAST);
    int32_t bad[] = {3, MADE_VOCABULARY}, negative = -1;
    const struct {
        hone_step_item second;
        hone_status status;
    } cases[] = {
        {{b, bad, 2, HONE_LOGITS_LAST}, HONE_ERR_ARGUMENT},
        {{b, &negative, 1, HONE_LOGITS_LAST}, HONE_ERR_ARGUMENT},
        {{b, ids, 0, HONE_LOGITS_LAST}, HONE_ERR_ARGUMENT},
        {{a, ids, 1, HONE_LOGITS_LAST}, HONE_ERR_ARGUMENT},
        {{other, ids, 1, HONE_LOGITS_LAST}, HONE_ERR_ARGUMENT},
        {{b, ids, 227, HONE_LOGITS_LAST}, HONE_ERR_CONTEXT_FULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hone_step_item items[] = {{a, ids + 20, 1, HONE_LOGITS_LAST}, cases[i].second};
        CHECK_MSG(hone_step(items, 2) == cases[i].status, "case %zu", i);
        CHECK(same_row(hone_session_logits(a, 0), alone + 19 * ROW));
        CHECK(same_row(hone_session_logits(b, 0), alone + 29 * ROW));
    }
    CHECK(hone_step(NULL, 0) == HONE_ERR_ARGUMENT);
    hone_session_cancel(b);
    CHECK(hone_step((hone_step_item[]){{a, ids + 20, 1, HONE_LOGITS_LAST},
                                       {b, ids + 30, 1, HONE_LOGITS_LAST}}, 2) ==
          HONE_ERR_CANCELLED);
    hone_session_uncancel(b);
    CHECK_OK(hone_step((hone_step_item[]){{a, ids + 20, 1, HONE_LOGITS_LAST},
                                          {b, ids + 30, 1, HONE_LOGITS_LAST}}, 2));
    CHECK(same_row(hone_session_logits(a, 0), alone + 20 * ROW));
    CHECK(same_row(hone_session_logits(b, 0), alone + 30 * ROW));
    hone_session_close(a);
    hone_session_close(b);
    hone_session_close(other);
}

static void top_logprobs_are_sorted(void) {
    hone_session *s = exact_session();
    int32_t top[ROW];
    double logprobs[ROW], sum = 0;
    CHECK(hone_top_logprobs(s, 3, top, logprobs) == HONE_ERR_ARGUMENT);
    step(s, ids, 20, HONE_LOGITS_LAST);
    CHECK(hone_top_logprobs(s, ROW + 1, top, logprobs) == HONE_ERR_ARGUMENT);
    CHECK_OK(hone_top_logprobs(s, ROW, top, logprobs));
    for (int i = 0; i < ROW; i++) {
        sum += exp(logprobs[i]);
        CHECK(i == 0 || logprobs[i] < logprobs[i - 1] ||
              (logprobs[i] == logprobs[i - 1] && top[i] > top[i - 1]));
    }
    CHECK_NEAR(sum, 1, 1e-9);
    hone_session_close(s);
}

int main(void) {
    RUN(open_model);
    RUN(forks_of_forks_close_in_any_order);
    RUN(an_empty_session_forks);
    RUN(a_batch_is_its_parts);
    RUN(few_tokens_cut_anyhow);
    RUN(rewinding_anywhere_changes_nothing);
    RUN(pages_come_back);
    RUN(halves_and_bytes_stay_near);
    RUN(forks_of_every_cache_are_copies);
    RUN(a_context_fills_to_its_last_place);
    RUN(refused_steps_leave_all_sessions_alone);
    RUN(top_logprobs_are_sorted);
    hone_model_close(model);
    return test_summary();
}
