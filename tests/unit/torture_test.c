/* The 1st, 2nd, 3rd … allocation fails, and all after it: nothing crashes, nothing leaks (that is
 * AddressSanitizer's to see), every failure is HONE_ERR_MEMORY, and what existed before goes on. */
#include <sys/stat.h>

#include "base/mem.h"
#include "files.h"
#include "hone/hone.h"
#include "model_folder.h"
#include "test.h"

enum { ROW = MADE_VOCABULARY, MOST = 200000 };

static test_folder folder;
static char gguf_path[300], folder_path[300];

static void write_models(void) {
    folder = test_folder_make();
    snprintf(gguf_path, sizeof gguf_path, "%.190s/model.gguf", folder.path);
    snprintf(folder_path, sizeof folder_path, "%.190s/hf", folder.path);
    CHECK(mkdir(folder_path, 0777) == 0);
    CHECK_OK(model_write_gguf(&(model_recipe){.type = DTYPE_Q8_0}, gguf_path));
    CHECK(model_write_folder(&(model_recipe){.type = DTYPE_F32}, folder_path, NULL));
}

static void remove_models(void) {
    test_folder inner;
    snprintf(inner.path, sizeof inner.path, "%.190s", folder_path);
    test_folder_remove(&inner);
    test_folder_remove(&folder);
}

/* Counts as a failed check unless the call worked or said that memory is short, in words. */
static bool worked(hone_status status, long n, const char *what) {
    if (status == HONE_OK) return true;
    CHECK_MSG(status == HONE_ERR_MEMORY && *hone_error_message(), "%s, allocation %ld: %s: %s",
              what, n,
              hone_status_name(status), hone_error_message());
    return false;
}

static hone_model *open_model(const char *path) {
    hone_model *model = NULL;
    CHECK_OK(hone_model_open(&model, path, &(hone_model_options){.n_threads = 1}));
    return model;
}

static void fill(int32_t *ids, size_t n) {
    for (size_t i = 0; i < n; i++) ids[i] = (int32_t)(made_hash(i) % MADE_TOKENS);
}

/* --- opening --- */

static void torture_open(const char *path, long stride) {
    bool done = false;
    long n = 1;
    for (; !done && n < MOST; n += n < 100 ? 1 : stride) {
        hone_model *model = NULL;
        mem_fail_from(n);
        hone_status status = hone_model_open(&model, path, &(hone_model_options){.n_threads = 2});
        mem_fail_from(0);
        done = worked(status, n, path);
        CHECK(done == (model != NULL));
        hone_model_close(model);
    }
    CHECK_MSG(done, "%ld allocations", n);
}

static void opening_a_file(void) { torture_open(gguf_path, 1); }
static void opening_a_folder(void) { torture_open(folder_path, 7); }

/* --- sessions --- */

static void opening_and_forking(void) {
    hone_model *model = open_model(gguf_path);
    hone_session *s = NULL, *child = NULL;
    int32_t ids[100];
    fill(ids, 100);
    bool done = false;
    for (long n = 1; !done && n < MOST; n++) {
        mem_fail_from(n);
        done = worked(hone_session_open(&s, model, NULL), n, "session");
    }
    mem_fail_from(0);
    CHECK_OK(hone_prefill(s, ids, 100, NULL, NULL, NULL));
    done = false;
    for (long n = 1; !done && n < MOST; n++) {
        mem_fail_from(n);
        done = worked(hone_session_fork(&child, s), n, "fork");
    }
    mem_fail_from(0);
    CHECK(child != NULL);
    hone_session_close(s);
    hone_session_close(child);
    hone_model_close(model);
}

/* A step of three forks that fails leaves each as it was; when it works, the result is the one that
 * it would have been at once. */
static void stepping_a_batch(void) {
    hone_model *model = open_model(gguf_path);
    hone_session *root = NULL, *s[3], *twin = NULL;
    int32_t ids[100];
    float want[ROW];
    fill(ids, 100);
    CHECK_OK(hone_session_open(&root, model, &(hone_session_options){.exact = true}));
    CHECK_OK(hone_prefill(root, ids, 62, NULL, NULL, NULL));
    for (int i = 0; i < 3; i++) CHECK_OK(hone_session_fork(&s[i], root));
    CHECK_OK(hone_session_fork(&twin, root));
    CHECK_OK(hone_step(&(hone_step_item){twin, ids + 62, 5, HONE_LOGITS_LAST}, 1));
    memcpy(want, hone_session_logits(twin, 0), sizeof want);
    hone_session_close(twin);
    bool done = false;
    long n = 1;
    for (; !done && n < MOST; n++) {
        hone_step_item items[3];
        uint64_t bytes[3];
        for (int i = 0; i < 3; i++) {
            items[i] = (hone_step_item){s[i], ids + 62, 5, i ? HONE_LOGITS_ALL : HONE_LOGITS_LAST};
            bytes[i] = hone_session_kv_bytes(s[i]);
        }
        mem_fail_from(n);
        done = worked(hone_step(items, 3), n, "step");
        mem_fail_from(0);
        for (int i = 0; i < 3 && !done; i++) {
            size_t n_tokens;
            const int32_t *held = hone_session_tokens(s[i], &n_tokens);
            const float *logits = hone_session_logits(s[i], 0);
            CHECK(n_tokens == 62 && memcmp(held, ids, sizeof *ids * 62) == 0);
            CHECK(hone_session_kv_bytes(s[i]) == bytes[i]);
            CHECK(logits && memcmp(logits, hone_session_logits(root, 0), sizeof want) == 0);
        }
    }
    CHECK_MSG(n > 6, "%ld", n); /* some allocation of each kind was tried */
    for (int i = 0; i < 3; i++) {
        const float *logits = hone_session_logits(s[i], i ? 4 : 0);
        CHECK(logits && memcmp(logits, want, sizeof want) == 0);
        hone_session_close(s[i]);
    }
    hone_session_close(root);
    hone_model_close(model);
}

/* Every allocation of a fresh model and session: scratch, logits, pages, tables. */
static void first_steps(void) {
    int32_t ids[100];
    fill(ids, 100);
    bool done = false;
    for (long n = 1; !done && n < MOST; n++) {
        hone_model *model = open_model(gguf_path);
        hone_session *s = NULL;
        CHECK_OK(hone_session_open(&s, model, NULL));
        mem_fail_from(n);
        done = worked(hone_prefill(s, ids, 100, NULL, NULL, NULL), n, "prefill");
        mem_fail_from(0);
        CHECK_OK(hone_prefill(s, ids, 100, NULL, NULL, NULL));
        double logprobs[20];
        CHECK_OK(hone_score(s, ids, 20, logprobs));
        hone_session_close(s);
        hone_model_close(model);
    }
}

/* --- requests --- */

static hone_status allow_all(void *user, const int32_t *generated, size_t n, uint64_t *mask) {
    (void)user, (void)generated, (void)n;
    memset(mask, 0xff, (ROW + 63) / 64 * sizeof *mask);
    return HONE_OK;
}

static int ignore_piece(void *user, const hone_piece *piece) {
    (void)user, (void)piece;
    return 0;
}

static bool same_answer(const hone_result *a, const hone_result *b) {
    return a->n_tokens == b->n_tokens && a->n_bytes == b->n_bytes &&
           memcmp(a->tokens, b->tokens, a->n_tokens * sizeof *a->tokens) == 0 &&
           memcmp(a->text, b->text, a->n_bytes) == 0;
}

static void torture_generate(hone_request r, hone_model *model) {
    hone_session *s = NULL;
    hone_result want = {0};
    CHECK_OK(hone_session_open(&s, model, NULL));
    CHECK_OK(hone_generate(s, &r, &want));
    hone_session_close(s);
    bool done = false;
    for (long n = 1; !done && n < MOST; n += n < 400 ? 1 : 11) {
        hone_result have = {0};
        CHECK_OK(hone_session_open(&s, model, NULL));
        mem_fail_from(n);
        done = worked(hone_generate(s, &r, &have), n, "generate");
        mem_fail_from(0);
        CHECK(done || (!have.text && !have.tokens));
        if (!done) CHECK_OK(hone_generate(s, &r, &have)); /* the same session, now with memory */
        CHECK_MSG(same_answer(&have, &want), "after allocation %ld", n);
        hone_result_release(&have);
        hone_session_close(s);
    }
    hone_result_release(&want);
}

static void generating(void) {
    static const char *const stops[] = {"never there", "nor this"};
    hone_model *model = open_model(gguf_path);
    hone_logit_bias bias = {7, -1};
    hone_request r = {.prompt = "the one on the one on the", .prompt_bytes = 25, .max_tokens = 12,
                      .sampling = hone_sampling_greedy(), .ignore_eos = true, .stop = stops,
                      .n_stop = 2, .logprobs = true, .n_top_logprobs = 3, .token_mask = allow_all,
                      .on_piece = ignore_piece, .draft_kind = HONE_DRAFT_NGRAM};
    r.sampling.temperature = 0.8f;
    r.sampling.top_p = 0.9f;
    r.sampling.repetition_penalty = 1.1f;
    r.sampling.repeat_last_n = -1;
    r.sampling.biases = &bias;
    r.sampling.n_biases = 1;
    torture_generate(r, model);
    r.draft_kind = HONE_DRAFT_MODEL;
    CHECK_OK(hone_session_open(&r.draft, model, NULL));
    torture_generate(r, model);
    hone_session_close(r.draft);
    hone_model_close(model);
}

static void chatting(void) {
    hone_model *model = open_model(folder_path);
    hone_part part = {HONE_PART_TEXT, "on the one", 10};
    hone_message messages[] = {{"system", &part, 1}, {"user", &part, 1}};
    hone_request r = {.messages = messages, .n_messages = 2, .max_tokens = 3, .tools_json = "[{}]",
                      .sampling = hone_sampling_greedy()};
    torture_generate(r, model);
    hone_model_close(model);
}

static void texts_and_ids(void) {
    hone_model *model = open_model(gguf_path);
    bool done = false;
    for (long n = 1; !done && n < MOST; n++) {
        int32_t *ids = NULL;
        char *text = NULL;
        size_t n_ids, n_bytes;
        mem_fail_from(n);
        done = worked(hone_tokenize(model, "the one \xc3\xa9", 10, true, &ids, &n_ids), n,
                      "tokenize") &&
               worked(hone_detokenize(model, ids, n_ids, true, &text, &n_bytes), n, "detokenize");
        mem_fail_from(0);
        if (done) CHECK(strcmp(text, "the one \xc3\xa9") == 0);
        hone_free(ids);
        hone_free(text);
    }
    hone_model_close(model);
}

int main(void) {
    RUN(write_models);
    RUN(opening_a_file);
    RUN(opening_a_folder);
    RUN(opening_and_forking);
    RUN(stepping_a_batch);
    RUN(first_steps);
    RUN(texts_and_ids);
    RUN(generating);
    RUN(chatting);
    remove_models();
    return test_summary();
}
