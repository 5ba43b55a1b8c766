/* What a model lost: the formulas on examples small enough for the hand, and models in lock-step
 * against the same figures from logits that were written down first. */
#include "weights/fidelity.h"

#include "base/mem.h"
#include "files.h"
#include "model_files.h"
#include "test.h"
#include "weights/fidelity_record.h"

/* --- formulas --- */

static fidelity_position compare(const double *p, const double *q, int32_t next) {
    float a[3], b[3];
    for (int i = 0; i < 3; i++) {
        a[i] = (float)log(p[i]) + 5.0f; /* logits are known up to a constant */
        b[i] = (float)log(q[i]) - 7.0f;
    }
    return fidelity_compare(a, b, 3, next);
}

static void divergence_is_the_textbooks(void) {
    const double p[] = {0.7, 0.2, 0.1}, q[] = {0.6, 0.3, 0.1};
    fidelity_position there = compare(p, q, 1), back = compare(q, p, 1);
    CHECK_NEAR(there.kl, 0.7 * log(7.0 / 6.0) + 0.2 * log(2.0 / 3.0), 1e-6);
    CHECK_NEAR(back.kl, 0.6 * log(6.0 / 7.0) + 0.3 * log(1.5), 1e-6);
    CHECK_NEAR(there.reference_nll, -log(0.2), 1e-6);
    CHECK_NEAR(there.candidate_nll, -log(0.3), 1e-6);
    CHECK(there.same_top && compare(p, p, 0).kl < 1e-7);
}

static void ties_go_to_the_lower_id_and_impossible_tokens_count_nothing(void) {
    const float a[] = {1, 3, 3}, b[] = {1, 3, 2}, c[] = {1, 2, 3}, d[] = {1, -INFINITY, 3};
    CHECK(fidelity_compare(a, b, 3, 0).same_top);
    CHECK(!fidelity_compare(a, c, 3, 0).same_top);
    CHECK(isfinite(fidelity_compare(d, c, 3, 0).kl));
}

static void summaries_follow_their_definitions(void) {
    const double p[] = {0.5, 0.25, 0.125};
    fidelity_position x[4] = {{0}};
    fidelity f;
    for (int i = 0; i < 3; i++)
        x[i] = (fidelity_position){-log(p[i]), -log(p[i]) + 0.1, (i + 1) * 0.01, true};
    if (!CHECK_OK(fidelity_summarise(&f, x, 3, 512))) return;
    CHECK_NEAR(f.reference, 4.0, 1e-12);
    CHECK_NEAR(f.ratio.value, exp(0.1), 1e-12);
    CHECK_NEAR(f.ratio.low, exp(0.1), 1e-12); /* one block: nothing to draw */
    CHECK_NEAR(f.kl.value, 0.02, 1e-12);
    CHECK_NEAR(f.kl_p50, 0.02, 1e-12);
    CHECK_NEAR(f.kl_max, 0.03, 1e-12);
    CHECK_NEAR(f.right.value, (0.875 * (exp(-0.1) - 1)) / 3, 1e-12);
    x[3] = (fidelity_position){.same_top = false};
    if (!CHECK_OK(fidelity_summarise(&f, x, 4, 512))) return;
    CHECK_NEAR(f.top1.value, 0.75, 1e-12);
    CHECK_NEAR(f.top1.low, 0.301, 5e-4); /* Wilson: four positions say nothing */
    CHECK_NEAR(f.top1.high, 0.954, 5e-4);
}

/* Blocks that differ give an interval as wide as the normal one for their means, within a tenth. */
static void intervals_are_as_wide_as_the_blocks_differ(void) {
    enum { N_BLOCKS = 100, N = N_BLOCKS * FIDELITY_BLOCK };
    static fidelity_position x[N];
    double sum = 0, squares = 0;
    for (int b = 0; b < N_BLOCKS; b++) {
        double level = 0.01 + 0.001 * ((b * 37) % N_BLOCKS);
        sum += level;
        squares += level * level;
        for (int i = 0; i < FIDELITY_BLOCK; i++)
            x[b * FIDELITY_BLOCK + i] = (fidelity_position){1, 1, level, true};
    }
    double mean = sum / N_BLOCKS, half = 1.96 * sqrt((squares / N_BLOCKS - mean * mean) / N_BLOCKS);
    fidelity f, again;
    if (!CHECK_OK(fidelity_summarise(&f, x, N, 512))) return;
    CHECK_OK(fidelity_summarise(&again, x, N, 512));
    CHECK_NEAR(f.kl.value, mean, 1e-12);
    CHECK_NEAR(f.kl.high - f.kl.value, half, 0.1 * half);
    CHECK_NEAR(f.kl.value - f.kl.low, half, 0.1 * half);
    CHECK(f.kl.low == again.kl.low && f.ratio.low == 1 && f.ratio.high == 1);
}

/* --- models --- */

typedef struct world {
    test_folder tmp;
    hone_model *a, *b;
} world;

static hone_model *make_model(const char *path, dtype type, unsigned seed, float noise) {
    const model_recipe r = {.type = type, .seed = seed, .noise = noise};
    hone_model *model = NULL;
    CHECK_OK(model_write_gguf(&r, path));
    CHECK_OK(hone_model_open(&model, path, &(hone_model_options){.n_threads = 2}));
    return model;
}

static bool world_make(world *w) {
    w->tmp = test_folder_make();
    w->a = make_model(test_path(w->tmp.path, "a.gguf"), DTYPE_F32, 1, 0);
    w->b = make_model(test_path(w->tmp.path, "b.gguf"), DTYPE_F32, 1, 0.1f);
    return w->a && w->b;
}

static void world_release(world *w) {
    hone_model_close(w->a);
    hone_model_close(w->b);
    test_folder_remove(&w->tmp);
}

/* Mean KL and both mean negative log-likelihoods from logits of whole windows. */
typedef struct plain_figures {
    double kl, nll_a, nll_b;
    size_t n;
} plain_figures;

static double log_sum(const float *logits, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += exp((double)logits[i]);
    return log(sum);
}

static void add_plain(plain_figures *f, const float *p, const float *q, size_t n, int32_t next) {
    double zp = log_sum(p, n), zq = log_sum(q, n);
    for (size_t i = 0; i < n; i++) {
        double lp = (double)p[i] - zp, lq = (double)q[i] - zq;
        f->kl += exp(lp) * (lp - lq);
    }
    f->nll_a += zp - (double)p[next];
    f->nll_b += zq - (double)q[next];
    f->n++;
}

static void plainly(const world *w, const char *text, size_t window, plain_figures *f) {
    int32_t *ids = NULL, *start = NULL;
    size_t n = 0, n_start = 0, n_vocab = hone_model_describe(w->a)->n_vocab;
    const hone_session_options exact = {.exact = true};
    CHECK_OK(hone_tokenize(w->a, text, strlen(text), true, &ids, &n));
    CHECK_OK(hone_tokenize(w->a, "", 0, true, &start, &n_start));
    for (size_t at = 0; at + window <= n; at += window) {
        hone_session *a = NULL, *b = NULL;
        if (n_start) ids[at] = start[0];
        CHECK_OK(hone_session_open(&a, w->a, &exact));
        CHECK_OK(hone_session_open(&b, w->b, &exact));
        CHECK_OK(hone_step(&(hone_step_item){a, ids + at, window, HONE_LOGITS_ALL}, 1));
        CHECK_OK(hone_step(&(hone_step_item){b, ids + at, window, HONE_LOGITS_ALL}, 1));
        for (size_t i = window / 2; i + 1 < window; i++)
            add_plain(f, hone_session_logits(a, i), hone_session_logits(b, i), n_vocab,
                      ids[at + i + 1]);
        hone_session_close(a);
        hone_session_close(b);
    }
    hone_free(ids);
    hone_free(start);
}

static void lock_step_gives_the_figures_of_logits_written_down(void) {
    world w;
    fidelity f;
    plain_figures plain = {0};
    const fidelity_options exact = {.exact = true};
    const char *text = own_text(0);
    if (world_make(&w) &&
        CHECK_OK(fidelity_measure(&f, w.a, w.b, text, strlen(text), &exact))) {
        plainly(&w, text, f.window, &plain);
        double n = (double)plain.n;
        CHECK_MSG(f.n_tokens == plain.n && plain.n > 400, "%zu, %zu", f.n_tokens, plain.n);
        CHECK_NEAR(f.kl.value, plain.kl / n, 1e-9);
        CHECK_NEAR(f.reference, exp(plain.nll_a / n), 1e-6 * f.reference);
        CHECK_NEAR(f.candidate, exp(plain.nll_b / n), 1e-6 * f.candidate);
        CHECK_NEAR(f.ratio.value, f.candidate / f.reference, 1e-9);
        CHECK(f.kl.low < f.kl.value && f.kl.value < f.kl.high && f.kl.value > 1e-4);
        CHECK(f.top1.value < 1 && f.kl_p50 <= f.kl_p95 && f.kl_p99 <= f.kl_max);
    }
    world_release(&w);
}

static void a_model_loses_nothing_against_itself(void) {
    world w;
    fidelity f;
    const char *text = own_text(1);
    fidelity_options options = {.lean = true, .n_tokens = 700};
    if (world_make(&w) &&
        CHECK_OK(fidelity_measure(&f, w.a, w.a, text, strlen(text), &options))) {
        CHECK(f.kl.value == 0 && f.kl_max == 0 && f.ratio.value == 1 && f.ratio.high == 1);
        CHECK(f.top1.value == 1 && f.right.value == 0);
        /* Against itself with an F32 cache what the F16 one costs shows. */
        options.exact_reference = true;
        CHECK_OK(fidelity_measure(&f, w.a, w.a, text, strlen(text), &options));
        CHECK_MSG(f.kl.value > 0 && f.kl.value < 1e-6, "%g", f.kl.value);
    }
    world_release(&w);
}

static bool stop_soon(void *context, size_t done, size_t total) {
    *(size_t *)context = total;
    return done < total / 2;
}

static void what_cannot_be_compared_is_refused(void) {
    world w;
    fidelity f;
    size_t total = 0;
    const fidelity_options options = {.n_tokens = 0};
    const fidelity_options stops = {.observe = stop_soon, .context = &total};
    const char *text = own_text(0);
    if (world_make(&w)) {
        CHECK(fidelity_measure(&f, w.a, w.b, "too short", 9, &options) == HONE_ERR_ARGUMENT);
        CHECK(fidelity_measure(&f, w.a, w.b, text, strlen(text), &stops) == HONE_ERR_CANCELLED);
        CHECK(total > 0);
        const char *shared = test_shared(), *path = test_path(shared ? shared : "",
                                                              "models/stories260K.gguf");
        hone_model *other = NULL;
        if (shared && CHECK_OK(hone_model_open(&other, path, NULL)))
            CHECK(fidelity_measure(&f, w.a, other, text, strlen(text), &options) ==
                  HONE_ERR_ARGUMENT);
        hone_model_close(other);
    }
    world_release(&w);
}

static void torn_memory_is_an_error_and_nothing_else(void) {
    world w;
    const fidelity_options options = {.n_tokens = 300};
    if (!world_make(&w)) return;
    for (long n = 1;; n += n / 8 + 1) {
        fidelity f;
        mem_fail_from(n);
        hone_status status = fidelity_measure(&f, w.a, w.b, own_text(0), strlen(own_text(0)),
                                              &options);
        mem_fail_from(0);
        if (status == HONE_OK) break;
        CHECK_MSG(status == HONE_ERR_MEMORY, "%ld: %s", n, hone_error_message());
    }
    world_release(&w);
}

/* --- the record --- */

static void records_come_back_as_they_were_written(void) {
    test_folder tmp = test_folder_make();
    const char *path = test_path(tmp.path, "r.gguf");
    fidelity_record r = {.reference = "model-f16.gguf", .reference_type = "F16",
                         .reference_bytes = 12345, .text = "a text",
                         .f = {.n_tokens = 255, .window = 512, .reference = 8, .candidate = 9,
                               .ratio = {1.125, 1, 1.25}, .kl = {0.5, 0.25, 0.75},
                               .kl_p99 = 1.5, .top1 = {0.5, 0.375, 0.625}}};
    fidelity_record back;
    bool found = true;
    gguf_writer *writer = NULL;
    memset(r.text_sha256.text, 'a', 64);
    CHECK_OK(gguf_writer_open(&writer));
    CHECK_OK(gguf_put_string(writer, "general.architecture", "none", 4));
    CHECK_OK(gguf_write(writer, path, NULL, NULL));
    CHECK_OK(fidelity_record_read(&back, &found, path));
    CHECK(!found);
    CHECK_OK(fidelity_record_put(writer, &r));
    CHECK_OK(gguf_write(writer, path, NULL, NULL));
    CHECK_OK(fidelity_record_read(&back, &found, path));
    CHECK(found && strcmp(back.reference, r.reference) == 0 && back.reference_bytes == 12345);
    CHECK(back.f.n_tokens == 255 && back.f.ratio.high == 1.25 && back.f.kl_p99 == 1.5);
    CHECK(back.f.top1.low == 0.375 && strcmp(back.text_sha256.text, r.text_sha256.text) == 0);
    gguf_writer_close(writer);
    test_folder_remove(&tmp);
}

int main(void) {
    RUN(divergence_is_the_textbooks);
    RUN(ties_go_to_the_lower_id_and_impossible_tokens_count_nothing);
    RUN(summaries_follow_their_definitions);
    RUN(intervals_are_as_wide_as_the_blocks_differ);
    RUN(lock_step_gives_the_figures_of_logits_written_down);
    RUN(a_model_loses_nothing_against_itself);
    RUN(what_cannot_be_compared_is_refused);
    RUN(torn_memory_is_an_error_and_nothing_else);
    RUN(records_come_back_as_they_were_written);
    return test_summary();
}
