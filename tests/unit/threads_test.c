/* One model, many threads: each with its own sessions, all answers as in a single thread. */
#include <pthread.h>

#include "files.h"
#include "hone/hone.h"
#include "model_files.h"
#include "test.h"

enum { N_THREADS = 4, N_ROUNDS = 3 };

static test_folder folder;
static hone_model *model;

static void open_model(void) {
    folder = test_folder_make();
    const char *path = test_path(folder.path, "model.gguf");
    CHECK_OK(model_write_gguf(&(model_recipe){.type = DTYPE_Q8_0}, path));
    CHECK_OK(hone_model_open(&model, path, &(hone_model_options){.n_threads = 2}));
}

/* A chat of its own for each number, forked in the middle. */
static bool chat(int number, hone_result *out) {
    char text[32];
    int n = snprintf(text, sizeof text, "on the one %d", number);
    hone_part part = {HONE_PART_TEXT, text, (size_t)n};
    hone_message message = {"user", &part, 1};
    hone_request r = {.messages = &message, .n_messages = 1, .sampling = hone_sampling_greedy(),
                      .max_tokens = 6, .ignore_eos = true, .draft_kind = HONE_DRAFT_NGRAM};
    r.sampling.temperature = 0.9f;
    r.sampling.seed = (uint64_t)number;
    hone_session *s = NULL, *child = NULL;
    hone_result first = {0};
    bool fine = hone_session_open(&s, model, NULL) == HONE_OK &&
                hone_generate(s, &r, &first) == HONE_OK &&
                hone_session_fork(&child, s) == HONE_OK;
    hone_session_close(s);
    hone_result_release(&first);
    fine = fine && hone_session_rewind(child, 4) == HONE_OK &&
           hone_generate(child, &r, out) == HONE_OK;
    hone_session_close(child);
    return fine;
}

typedef struct worker {
    int number;
    const hone_result *want;
    int n_wrong;
} worker;

static void *work(void *user) {
    worker *w = user;
    for (int i = 0; i < N_ROUNDS; i++) {
        hone_result have = {0};
        bool same = chat(w->number, &have) && have.n_tokens == w->want->n_tokens &&
                    !memcmp(have.tokens, w->want->tokens, have.n_tokens * sizeof *have.tokens) &&
                    strcmp(have.text, w->want->text) == 0;
        w->n_wrong += !same;
        hone_result_release(&have);
    }
    return NULL;
}

static void answers_do_not_depend_on_the_neighbours(void) {
    hone_result want[N_THREADS] = {{0}};
    worker workers[N_THREADS];
    pthread_t threads[N_THREADS];
    for (int i = 0; i < N_THREADS; i++) CHECK(chat(i, &want[i]));
    for (int i = 0; i < N_THREADS; i++) {
        workers[i] = (worker){i, &want[i], 0};
        CHECK(pthread_create(&threads[i], NULL, work, &workers[i]) == 0);
    }
    for (int i = 0; i < N_THREADS; i++) {
        pthread_join(threads[i], NULL);
        CHECK_MSG(workers[i].n_wrong == 0, "thread %d: %d", i, workers[i].n_wrong);
        hone_result_release(&want[i]);
    }
}

/* Errors are each thread's own. */
static void *fail_here(void *user) {
    hone_session *s = NULL;
    size_t n = 1000 + *(size_t *)user;
    char number[16];
    snprintf(number, sizeof number, "%zu", n);
    hone_status status = hone_session_open(&s, model, &(hone_session_options){.n_context = n});
    bool fine = status == HONE_ERR_ARGUMENT && strstr(hone_error_message(), number);
    return fine ? user : NULL;
}

static void words_belong_to_their_thread(void) {
    pthread_t threads[N_THREADS];
    size_t numbers[N_THREADS];
    for (size_t i = 0; i < N_THREADS; i++) {
        numbers[i] = i;
        pthread_create(&threads[i], NULL, fail_here, &numbers[i]);
    }
    for (int i = 0; i < N_THREADS; i++) {
        void *fine;
        pthread_join(threads[i], &fine);
        CHECK(fine != NULL);
    }
}

static void *cancel_and_return(void *user) {
    for (int i = 0; i < 50; i++) {
        hone_session_cancel(user);
        hone_session_uncancel(user);
    }
    return NULL;
}

static void cancelling_races_with_nothing(void) {
    hone_session *s = NULL;
    pthread_t thread;
    int32_t token = 9;
    CHECK_OK(hone_session_open(&s, model, NULL));
    CHECK(pthread_create(&thread, NULL, cancel_and_return, s) == 0);
    for (int i = 0; i < 20; i++) {
        hone_status status = hone_step(&(hone_step_item){s, &token, 1, HONE_LOGITS_LAST}, 1);
        CHECK(status == HONE_OK || status == HONE_ERR_CANCELLED);
    }
    pthread_join(thread, NULL);
    CHECK_OK(hone_step(&(hone_step_item){s, &token, 1, HONE_LOGITS_LAST}, 1));
    hone_session_close(s);
}

static void *open_and_close(void *user) {
    for (int i = 0; i < 5; i++) {
        hone_model *own = NULL;
        hone_session *s = NULL;
        int32_t token = 9;
        if (hone_model_open(&own, user, &(hone_model_options){.n_threads = 2}) != HONE_OK ||
            hone_session_open(&s, own, NULL) != HONE_OK ||
            hone_step(&(hone_step_item){s, &token, 1, HONE_LOGITS_LAST}, 1) != HONE_OK)
            return NULL;
        hone_session_close(s);
        hone_model_close(own);
    }
    return user;
}

static void models_open_and_close_beside_each_other(void) {
    pthread_t threads[N_THREADS];
    char path[300];
    snprintf(path, sizeof path, "%.200s/model.gguf", folder.path);
    for (int i = 0; i < N_THREADS; i++) pthread_create(&threads[i], NULL, open_and_close, path);
    for (int i = 0; i < N_THREADS; i++) {
        void *fine;
        pthread_join(threads[i], &fine);
        CHECK(fine != NULL);
    }
}

int main(void) {
    RUN(open_model);
    RUN(answers_do_not_depend_on_the_neighbours);
    RUN(words_belong_to_their_thread);
    RUN(cancelling_races_with_nothing);
    RUN(models_open_and_close_beside_each_other);
    hone_model_close(model);
    test_folder_remove(&folder);
    return test_summary();
}
