/* lora: adapters on a tiny base against recorded logits and greedy texts, in the exact mode;
 * scaled, mixed within one batch, forked, swapped. */
#define TEST_SHARED_STATE
#include <jansson.h>

#include "golden.h"
#include "hone/adapter.h"
#include "test.h"

typedef struct lora_world {
    const golden *g;
    char base[4096];
    hone_model *model;
    hone_adapter *plain, *rslora;
    const int32_t *ids; /* [n_ids] the prompt of the recorded logits */
    size_t n_ids, n_vocab;
} lora_world;

static hone_session *open_session(const lora_world *w) {
    hone_session *s = NULL;
    CHECK_OK(hone_session_open(&s, w->model, &(hone_session_options){.exact = true}));
    return s;
}

static hone_adapter *open_adapter(const lora_world *w, const char *name) {
    char path[4200];
    hone_adapter *a = NULL;
    snprintf(path, sizeof path, "%s/%s", w->g->folder, name);
    CHECK_OK(hone_adapter_open(&a, w->model, path));
    return a;
}

static const float *reference(const lora_world *w, const char *name) {
    const safetensors_entry *e = safetensors_find(w->g->tensors, name);
    CHECK_MSG(e && e->view.type == DTYPE_F32, "no tensor %s", name);
    return e ? e->view.data : NULL;
}

/* Logits of the prompt, [n_ids, n_vocab]; freed with free. */
static float *logits_with(const lora_world *w, hone_adapter *const *adapters, const float *scales,
                          size_t n) {
    size_t n_floats = w->n_ids * w->n_vocab;
    float *logits = calloc(n_floats, sizeof *logits);
    hone_session *s = open_session(w);
    CHECK_OK(hone_session_set_adapters(s, adapters, scales, n));
    if (CHECK_OK(hone_step(&(hone_step_item){s, w->ids, w->n_ids, HONE_LOGITS_ALL}, 1)))
        memcpy(logits, hone_session_logits(s, 0), n_floats * sizeof *logits);
    hone_session_close(s);
    return logits;
}

static double tolerance_of(const lora_world *w, const char *which) {
    const json_t *effect = json_object_get(json_object_get(w->g->json, "effect"), which);
    return json_number_value(json_object_get(json_object_get(effect, "tolerance"), "atol"));
}

/* --- against the reference --- */

static void logits_match(const lora_world *w, const char *which, hone_adapter *adapter) {
    char name[64];
    double atol = tolerance_of(w, which);
    static const char *const kinds[] = {"with_adapter", "merged"};
    float *have = logits_with(w, &adapter, NULL, 1);
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "%s.%s", which, kinds[i]);
        const float *want = reference(w, name);
        double difference = want ? largest_difference(have, want, w->n_ids * w->n_vocab) : 0;
        printf("%s: largest difference %.2g, allowed %.2g\n", name, difference, atol);
        CHECK_MSG(atol > 0 && difference <= atol, "%s: %g, allowed %g", name, difference, atol);
    }
    free(have);
}

static void greedy_matches(const lora_world *w, const char *which, hone_adapter *adapter) {
    const json_t *effect = json_object_get(json_object_get(w->g->json, "effect"), which);
    size_t n_prompt, n_greedy;
    int32_t *prompt = golden_ids(json_object_get(effect, "greedy_prompt_ids"), &n_prompt);
    int32_t *greedy = golden_ids(json_object_get(effect, "greedy_ids"), &n_greedy);
    hone_session *s = open_session(w);
    hone_request request = {.prompt_ids = prompt, .n_prompt_ids = n_prompt,
                            .sampling = hone_sampling_greedy(), .max_tokens = n_greedy,
                            .ignore_eos = true};
    hone_result result = {0};
    CHECK_OK(hone_session_set_adapters(s, &adapter, NULL, 1));
    if (CHECK_OK(hone_generate(s, &request, &result)))
        CHECK_MSG(result.n_tokens == n_greedy && n_greedy > 0 &&
                  memcmp(result.tokens, greedy, n_greedy * sizeof *greedy) == 0, "%s", which);
    hone_result_release(&result);
    hone_session_close(s);
    free(prompt);
    free(greedy);
}

static void without_it_is_the_base(const lora_world *w) {
    const float *want = reference(w, "before");
    float *none = logits_with(w, NULL, NULL, 0);
    float *zero = logits_with(w, &w->plain, (float[]){0}, 1);
    double difference = want ? largest_difference(none, want, w->n_ids * w->n_vocab) : 1;
    CHECK_MSG(difference <= tolerance_of(w, "plain"), "%g", difference);
    CHECK(memcmp(none, zero, w->n_ids * w->n_vocab * sizeof *none) == 0);
    free(none);
    free(zero);
}

/* --- against itself --- */

/* Twice at half its scale is once at the whole; at half it is neither the whole nor nothing. */
static void halves_add_up(const lora_world *w) {
    size_t n = w->n_ids * w->n_vocab;
    hone_adapter *twice[] = {w->plain, w->plain};
    float *whole = logits_with(w, &w->plain, NULL, 1), *none = logits_with(w, NULL, NULL, 0);
    float *half = logits_with(w, &w->plain, (float[]){0.5f}, 1);
    float *sum = logits_with(w, twice, (float[]){0.5f, 0.5f}, 2);
    CHECK_MSG(largest_difference(sum, whole, n) <= tolerance_of(w, "plain"), "%g",
              largest_difference(sum, whole, n));
    CHECK(largest_difference(half, whole, n) > 1);
    CHECK(largest_difference(half, none, n) > 1);
    free(whole);
    free(none);
    free(half);
    free(sum);
}

typedef struct row {
    hone_adapter *adapters[2];
    float scales[2];
    size_t n;
} row;

enum { N_ROWS = 7 };

/* Each row of a batch is, bit for bit, what it is alone, whatever the others use. */
static void mixed_batches_answer_each_row(const lora_world *w) {
    const row rows[N_ROWS] = {
        {{w->plain}, {1}, 1},   {{NULL}, {0}, 0},        {{w->rslora}, {1}, 1},
        {{w->plain}, {0.5f}, 1}, {{w->plain}, {1}, 1},
        {{w->plain, w->rslora}, {1, -0.25f}, 2},        {{w->rslora}, {1}, 1},
    };
    hone_session *sessions[N_ROWS];
    hone_step_item items[N_ROWS];
    for (size_t i = 0; i < N_ROWS; i++) {
        sessions[i] = open_session(w);
        CHECK_OK(hone_session_set_adapters(sessions[i], rows[i].adapters, rows[i].scales,
                                           rows[i].n));
        items[i] = (hone_step_item){sessions[i], w->ids, w->n_ids - i, HONE_LOGITS_ALL};
    }
    CHECK_OK(hone_step(items, N_ROWS));
    for (size_t i = 0; i < N_ROWS; i++) {
        float *alone = logits_with(w, rows[i].adapters, rows[i].scales, rows[i].n);
        for (size_t t = 0; t < items[i].n_tokens; t++) {
            const float *have = hone_session_logits(sessions[i], t);
            CHECK_MSG(have && memcmp(have, alone + t * w->n_vocab, w->n_vocab * sizeof *have) == 0,
                      "row %zu, position %zu", i, t);
        }
        free(alone);
    }
    for (size_t i = 0; i < N_ROWS; i++) hone_session_close(sessions[i]);
}

static void a_fork_inherits_and_a_change_drops_the_cache(const lora_world *w) {
    hone_session *s = open_session(w), *child = NULL;
    size_t n = 0, reused = 0, last = w->n_ids - 1;
    float *with = logits_with(w, &w->plain, NULL, 1), *none = logits_with(w, NULL, NULL, 0);
    CHECK_OK(hone_session_set_adapters(s, &w->plain, NULL, 1));
    CHECK_OK(hone_prefill(s, w->ids, w->n_ids - 1, NULL, NULL, NULL));
    CHECK_OK(hone_session_fork(&child, s));
    CHECK_OK(hone_session_set_adapters(child, &w->plain, (float[]){1}, 1)); /* no change */
    CHECK_OK(hone_prefill(child, w->ids, w->n_ids, &reused, NULL, NULL));
    CHECK(reused == w->n_ids - 1);
    CHECK(memcmp(hone_session_logits(child, 0), with + last * w->n_vocab,
                 w->n_vocab * sizeof *with) == 0);
    CHECK_OK(hone_session_set_adapters(s, NULL, NULL, 0));
    hone_session_tokens(s, &n);
    CHECK(n == 0 && !hone_session_logits(s, 0));
    CHECK_OK(hone_prefill(s, w->ids, w->n_ids, &reused, NULL, NULL));
    CHECK(reused == 0);
    CHECK(memcmp(hone_session_logits(s, 0), none + last * w->n_vocab,
                 w->n_vocab * sizeof *none) == 0);
    hone_session_close(child);
    hone_session_close(s);
    free(with);
    free(none);
}

/* The session holds on to what it uses. */
static void an_adapter_may_be_closed_before_its_sessions(const lora_world *w) {
    hone_adapter *a = open_adapter(w, "adapter-plain");
    float *want = logits_with(w, &w->plain, NULL, 1);
    hone_session *s = open_session(w);
    CHECK_OK(hone_session_set_adapters(s, &a, NULL, 1));
    hone_adapter_close(a);
    CHECK_OK(hone_step(&(hone_step_item){s, w->ids, w->n_ids, HONE_LOGITS_LAST}, 1));
    CHECK(memcmp(hone_session_logits(s, 0), want + (w->n_ids - 1) * w->n_vocab,
                 w->n_vocab * sizeof *want) == 0);
    hone_session_close(s);
    free(want);
}

static void another_base_is_refused(const lora_world *w) {
    char path[4200];
    hone_model *other = NULL;
    hone_adapter *a = NULL;
    hone_session *s = NULL;
    snprintf(path, sizeof path, "%s/../qwen2-tied", w->g->folder);
    CHECK_OK(hone_model_open(&other, path, &(hone_model_options){.n_threads = 1}));
    snprintf(path, sizeof path, "%s/adapter-plain", w->g->folder);
    CHECK(hone_adapter_open(&a, other, path) == HONE_ERR_UNSUPPORTED);
    CHECK_MSG(strstr(hone_error_message(), "another base") && a == NULL, "%s",
              hone_error_message());
    CHECK_OK(hone_session_open(&s, other, NULL));
    CHECK(hone_session_set_adapters(s, &w->plain, NULL, 1) == HONE_ERR_ARGUMENT);
    CHECK(hone_session_set_adapters(s, &w->plain, (float[]){NAN}, 1) == HONE_ERR_ARGUMENT);
    hone_session_close(s);
    hone_model_close(other);
}

static void run_checks(const lora_world *w) {
    RUN_NAMED("plain: logits", logits_match(w, "plain", w->plain));
    RUN_NAMED("rslora: logits", logits_match(w, "rslora", w->rslora));
    RUN_NAMED("plain: greedy", greedy_matches(w, "plain", w->plain));
    RUN_NAMED("rslora: greedy", greedy_matches(w, "rslora", w->rslora));
    RUN_NAMED("none", without_it_is_the_base(w));
    RUN_NAMED("halves", halves_add_up(w));
    RUN_NAMED("mixed batches", mixed_batches_answer_each_row(w));
    RUN_NAMED("fork and change", a_fork_inherits_and_a_change_drops_the_cache(w));
    RUN_NAMED("closed early", an_adapter_may_be_closed_before_its_sessions(w));
    RUN_NAMED("another base", another_base_is_refused(w));
}

void check_lora(const golden *g) {
    lora_world w = {.g = g};
    const safetensors_entry *ids = safetensors_find(g->tensors, "ids");
    snprintf(w.base, sizeof w.base, "%s/%s", g->folder,
             json_string_value(json_object_get(g->json, "base")));
    test_bad_checks = 0;
    CHECK_OK(hone_model_open(&w.model, w.base, &(hone_model_options){.n_threads = 2}));
    if (w.model) {
        w.n_vocab = hone_model_describe(w.model)->n_vocab;
        w.plain = open_adapter(&w, "adapter-plain");
        w.rslora = open_adapter(&w, "adapter-rslora");
    }
    int32_t prompt[256];
    w.n_ids = ids && ids->view.type == DTYPE_I64 && ids->view.ne[0] <= 256 ? ids->view.ne[0] : 0;
    for (size_t i = 0; i < w.n_ids; i++) prompt[i] = (int32_t)((const int64_t *)ids->view.data)[i];
    w.ids = prompt;
    CHECK(w.n_ids > 0);
    if (test_bad_checks) test_failed++;
    else run_checks(&w);
    hone_adapter_close(w.plain);
    hone_adapter_close(w.rslora);
    hone_model_close(w.model);
}
