/* causal_lm_real: a real model file against recorded ids, logits, greedy texts and perplexity.
 *
 * In the exact mode logits agree to 1e-4 and every greedy text is the same. With 8-bit activations
 * the argmax is the same wherever its margin exceeds 0.5, the KL divergence is at most 0.01 and the
 * perplexity within 1 %. */
#define TEST_SHARED_STATE
#include <sys/stat.h>

#include "golden.h"
#include "infer/engine.h"
#include "infer/logprobs.h"
#include "test.h"

#define EXACT_BOUND 1e-4

typedef struct real {
    const golden *g;
    hone_model *model;
    size_t n_vocab;
    bool exact;
    double largest, kl_sum;
    size_t n_kl, n_forced, n_missed;
} real;

static hone_session *session_of(const real *r) {
    hone_session *s = NULL;
    CHECK_OK(hone_session_open(&s, r->model, &(hone_session_options){.exact = r->exact}));
    return s;
}

static void ids_match(real *r, const json_t *row) {
    const char *text = json_string_value(json_object_get(row, "text"));
    size_t n;
    int32_t *want = golden_ids(json_object_get(row, "ids"), &n);
    token_list have = {0};
    text_span all = {0, strlen(text)};
    CHECK_OK(tokenizer_encode(r->model->tokenizer, text, all.end, &all,
                              json_object_get(row, "messages") != NULL, 0, &have));
    CHECK_MSG(have.n == n && memcmp(have.ids, want, n * sizeof *want) == 0, "%s",
              json_string_value(json_object_get(row, "name")));
    token_list_release(&have);
    free(want);
}

static void chat_matches(real *r, const json_t *row) {
    const json_t *messages = json_object_get(row, "messages");
    hone_message list[16];
    hone_part parts[16];
    size_t n = json_array_size(messages), n_ids;
    CHECK(n <= 16);
    for (size_t i = 0; i < n && i < 16; i++) {
        const json_t *m = json_array_get(messages, i);
        const char *text = json_string_value(json_object_get(m, "content"));
        parts[i] = (hone_part){HONE_PART_TEXT, text, strlen(text)};
        list[i] = (hone_message){json_string_value(json_object_get(m, "role")), &parts[i], 1};
    }
    char *text;
    int32_t *ids;
    if (!CHECK_OK(hone_render_chat(r->model, list, n, NULL, NULL, &text, &ids, &n_ids))) return;
    CHECK_MSG(strcmp(text, json_string_value(json_object_get(row, "text"))) == 0, "%s", text);
    size_t n_want;
    int32_t *want = golden_ids(json_object_get(row, "ids"), &n_want);
    CHECK(n_ids == n_want && memcmp(ids, want, n_ids * sizeof *ids) == 0);
    free(want);
    hone_free(text);
    hone_free(ids);
}

/* The 20 largest logits after the prompt, in the exact mode. */
static void top_matches(real *r, const json_t *row, const float *logits) {
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(row, "top20"), i, entry) {
        double want = json_number_value(json_object_get(entry, "logit"));
        double have = logits[json_integer_value(json_object_get(entry, "id"))];
        double difference = fabs(have - want);
        if (difference > r->largest) r->largest = difference;
        CHECK_NEAR(have, want, EXACT_BOUND);
    }
}

/* Feeds the reference's own continuation and compares the argmax at each step. */
static void continuation_matches(real *r, const json_t *row) {
    size_t n_ids, n_greedy;
    int32_t *ids = golden_ids(json_object_get(row, "ids"), &n_ids);
    int32_t *greedy = golden_ids(json_object_get(row, "greedy_ids"), &n_greedy);
    const json_t *stop = json_object_get(row, "stop_at");
    if (json_is_integer(stop)) n_greedy = (size_t)json_integer_value(stop) + 1;
    hone_session *s = session_of(r);
    CHECK_OK(hone_prefill(s, ids, n_ids, NULL, NULL, NULL));
    if (r->exact) top_matches(r, row, hone_session_logits(s, 0));
    for (size_t t = 0; t < n_greedy; t++) {
        double margin = json_number_value(json_array_get(json_object_get(row, "greedy_margin"), t));
        int32_t have;
        double logprob;
        CHECK_OK(hone_top_logprobs(s, 1, &have, &logprob));
        r->n_forced++;
        r->n_missed += have != greedy[t];
        CHECK_MSG(have == greedy[t] || (!r->exact && margin <= 0.5),
                  "%s, step %zu: %d, expected %d (margin %g)",
                  json_string_value(json_object_get(row, "name")), t, have, greedy[t], margin);
        CHECK_OK(hone_step(&(hone_step_item){s, &greedy[t], 1, HONE_LOGITS_LAST}, 1));
    }
    hone_session_close(s);
    free(ids);
    free(greedy);
}

static double kl_divergence(const float *p, const float *q, size_t n) {
    double kl = 0;
    double zp = logits_logprob(p, n, 0) - (double)p[0];
    double zq = logits_logprob(q, n, 0) - (double)q[0];
    for (size_t i = 0; i < n; i++) {
        double lp = (double)p[i] + zp;
        kl += exp(lp) * (lp - ((double)q[i] + zq));
    }
    return kl;
}

static void full_logits_match(real *r, size_t i, const json_t *row) {
    if (!json_is_true(json_object_get(row, "full_tensors"))) return;
    size_t n;
    int32_t *ids = golden_ids(json_object_get(row, "ids"), &n);
    const float *want = golden_floats(r->g, "logits", i);
    hone_session *s = session_of(r);
    if (want && CHECK_OK(hone_step(&(hone_step_item){s, ids, n, HONE_LOGITS_ALL}, 1)))
        for (size_t t = 0; t < n; t++) {
            const float *have = hone_session_logits(s, t), *row_want = want + t * r->n_vocab;
            double difference = largest_difference(have, row_want, r->n_vocab);
            if (r->exact) CHECK_MSG(difference <= EXACT_BOUND, "position %zu: %g", t, difference);
            if (r->exact && difference > r->largest) r->largest = difference;
            r->kl_sum += kl_divergence(row_want, have, r->n_vocab);
            r->n_kl++;
        }
    hone_session_close(s);
    free(ids);
}

static void perplexity_matches(real *r) {
    const json_t *p = json_object_get(r->g->json, "perplexity");
    size_t n, window = (size_t)json_integer_value(json_object_get(p, "window"));
    int32_t *ids = golden_ids(json_object_get(p, "ids"), &n);
    const safetensors_entry *nll = safetensors_find(r->g->tensors, "wiki.nll");
    double want = json_number_value(json_object_get(p, "perplexity")), sum = 0, largest = 0;
    double *logprobs = malloc(window * sizeof *logprobs);
    CHECK(nll && n % window == 0);
    for (size_t w = 0; nll && w < n / window; w++) {
        hone_session *s = session_of(r);
        const float *reference = (const float *)nll->view.data + w * (window - 1);
        CHECK_OK(hone_prefill(s, ids + w * window, 1, NULL, NULL, NULL));
        CHECK_OK(hone_score(s, ids + w * window + 1, window - 1, logprobs));
        for (size_t t = 0; t < window - 1; t++) {
            sum -= logprobs[t];
            largest = fmax(largest, fabs(-logprobs[t] - (double)reference[t]));
        }
        hone_session_close(s);
    }
    double have = exp(sum / (double)(n - n / window));
    printf("perplexity %.4f, reference %.4f (%+.3f %%); largest difference of a token %.3g\n", have,
           want, (have / want - 1) * 100, largest);
    if (r->exact) CHECK_MSG(largest <= 5e-4, "a token's score differs by %g", largest);
    CHECK_NEAR(have / want, 1, r->exact ? 1e-5 : 0.01);
    free(logprobs);
    free(ids);
}

static void mean_kl_is_small(real *r) {
    double mean = r->kl_sum / (double)r->n_kl;
    printf("KL divergence %.2g over %zu positions; argmax equal at %zu of %zu steps\n", mean,
           r->n_kl,
           r->n_forced - r->n_missed, r->n_forced);
    CHECK_MSG(r->n_kl > 0 && mean <= (r->exact ? 1e-8 : 0.01), "mean KL divergence %g", mean);
}

static const char *find_file(const golden *g, char *path, size_t n) {
    const char *folder = getenv("HONE_TEST_MODELS"), *inner = "";
    json_get_string(json_object_get(g->json, "model"), "path_in_wheel", &inner);
    const char *base = strrchr(inner, '/') ? strrchr(inner, '/') + 1 : inner;
    snprintf(path, n, "%s/%s", folder ? folder : ".", base);
    struct stat st;
    return stat(path, &st) == 0 ? path : NULL;
}

void check_real_model(const golden *g) {
    char path[4096];
    if (!find_file(g, path, sizeof path)) {
        printf("FAILED %s: %s is missing (tests/fetch_model.sh puts it there)\n", g->folder, path);
        test_failed++;
        return;
    }
    real r = {.g = g};
    bool opened = false;
    RUN_NAMED("opens", opened = CHECK_OK(hone_model_open(&r.model, path, NULL)));
    if (!opened) return;
    r.n_vocab = hone_model_describe(r.model)->n_vocab;
    const json_t *cases = json_object_get(g->json, "cases");
    size_t i;
    json_t *row;
#define EACH_ROW(name, call) RUN_NAMED(name, json_array_foreach(cases, i, row) call)
    EACH_ROW("token ids", ids_match(&r, row));
    EACH_ROW("chats", if (json_object_get(row, "messages")) chat_matches(&r, row));
    for (int exact = 1; exact >= 0; exact--) {
        r = (real){.g = g, .model = r.model, .n_vocab = r.n_vocab, .exact = exact};
        printf("%s\n", exact ? "float activations (exact)" : "8-bit activations");
        EACH_ROW("greedy continuations", continuation_matches(&r, row));
        EACH_ROW("logits at every position", full_logits_match(&r, i, row));
        RUN_NAMED("KL divergence", mean_kl_is_small(&r));
        RUN_NAMED("perplexity", perplexity_matches(&r));
        if (exact) printf("largest deviation of a logit: %.3g (allowed %.3g)\n", r.largest,
                          EXACT_BOUND);
    }
    hone_model_close(r.model);
}
