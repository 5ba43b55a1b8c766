/* Quantising with more to say than a type: rules, importance, the fidelity record, goals. */
#include "weights/quantise.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "files.h"
#include "model_files.h"
#include "test.h"
#include "weights/calibrate.h"
#include "weights/quantise_goal.h"

static const recode_options usual = {.n_threads = 2, .replace = true};

/* A folder with a model of width 256 in F16, `in.gguf`. */
typedef struct world {
    test_folder tmp;
    char in[600], out[600];
} world;

static world world_make(void) {
    world w = {.tmp = test_folder_make()};
    const model_recipe r = {.type = DTYPE_F16, .width = 256, .n_layers = 5};
    snprintf(w.in, sizeof w.in, "%s", test_path(w.tmp.path, "in.gguf"));
    snprintf(w.out, sizeof w.out, "%s", test_path(w.tmp.path, "out.gguf"));
    CHECK_OK(model_write_gguf(&r, w.in));
    return w;
}

static uint64_t file_bytes(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static dtype type_in(const gguf *file, const char *name) {
    const gguf_tensor *t = gguf_find_tensor(file, name);
    return t ? t->view.type : (dtype)-1;
}

static void the_first_rule_that_fits_decides(void) {
    world w = world_make();
    const quantise_rule rules[] = {
        {"blk.0.*", DTYPE_Q8_0}, {"attn_v", DTYPE_Q6_K}, {"blk.?.attn_k.weight", DTYPE_F32}};
    const quantise_plan plan = {.mix = quant_mix_by_name("Q4_0"), .rules = rules, .n_rules = 3};
    gguf *file = NULL;
    CHECK_OK(quantise_gguf_by(w.in, w.out, &plan, &usual, NULL));
    if (CHECK_OK(gguf_open(&file, w.out))) {
        CHECK(type_in(file, "blk.0.attn_v.weight") == DTYPE_Q8_0);
        CHECK(type_in(file, "blk.1.attn_v.weight") == DTYPE_Q6_K);
        CHECK(type_in(file, "blk.1.attn_k.weight") == DTYPE_F32);
        CHECK(type_in(file, "blk.1.attn_q.weight") == DTYPE_Q4_0);
        CHECK(type_in(file, "blk.0.attn_norm.weight") == DTYPE_F32); /* vectors obey no rule */
    }
    gguf_close(file);
    test_folder_remove(&w.tmp);
}

static hone_status calibrate(imatrix *m, const char *path) {
    hone_model *model;
    TRY(hone_model_open(&model, path, NULL));
    const calibrate_options options = {.n_tokens = 400, .dataset = "own"};
    hone_status status = calibrate_model(m, model, own_text(1), strlen(own_text(1)), &options);
    hone_model_close(model);
    return status;
}

/* Σ importance · error² of one tensor in two files. */
static double loss_of(const char *in, const char *out, const imatrix *m, const char *name) {
    gguf *a = NULL, *b = NULL;
    double loss = 0;
    if (CHECK_OK(gguf_open(&a, in)) && CHECK_OK(gguf_open(&b, out))) {
        const tensor *x = &gguf_find_tensor(a, name)->view, *y = &gguf_find_tensor(b, name)->view;
        const imatrix_entry *e = imatrix_find(m, name);
        float *p = malloc(x->ne[0] * sizeof *p), *q = malloc(x->ne[0] * sizeof *q);
        for (size_t r = 0; r < x->ne[1]; r++) {
            quant_decode_row(x->type, p, tensor_row(x, r), x->ne[0]);
            quant_decode_row(y->type, q, tensor_row(y, r), x->ne[0]);
            for (size_t i = 0; i < x->ne[0]; i++) {
                double d = (double)p[i] - (double)q[i];
                loss += (double)e->mean[i] * d * d;
            }
        }
        free(p);
        free(q);
    }
    gguf_close(a);
    gguf_close(b);
    return loss;
}

static void importance_lowers_the_weighted_error_and_is_named(void) {
    world w = world_make();
    imatrix m;
    const char *name = "blk.1.ffn_down.weight";
    gguf *file = NULL;
    if (CHECK_OK(calibrate(&m, w.in))) {
        const quantise_plan with = {.mix = quant_mix_by_name("Q4_K_S"), .importance = &m,
                                    .importance_file = "own.imatrix"};
        CHECK_OK(quantise_gguf(w.in, w.out, with.mix, &usual, NULL));
        double plain = loss_of(w.in, w.out, &m, name);
        CHECK_OK(quantise_gguf_by(w.in, w.out, &with, &usual, NULL));
        double weighted = loss_of(w.in, w.out, &m, name);
        CHECK_MSG(weighted < plain && weighted > 0, "%g, plain %g", weighted, plain);
        gguf_string text = {0};
        if (CHECK_OK(gguf_open(&file, w.out)))
            CHECK(gguf_get_string(file, "quantize.imatrix.file", &text) && text.n == 11);
        gguf_close(file);
        imatrix_release(&m);
    }
    test_folder_remove(&w.tmp);
}

static void anothers_importance_is_refused(void) {
    world w = world_make();
    const model_recipe narrow = {.type = DTYPE_F16, .width = 128};
    const char *other = test_path(w.tmp.path, "other.gguf");
    imatrix m;
    CHECK_OK(model_write_gguf(&narrow, other));
    if (CHECK_OK(calibrate(&m, other))) {
        const quantise_plan plan = {.mix = quant_mix_by_name("Q4_0"), .importance = &m};
        CHECK(quantise_gguf_by(w.in, w.out, &plan, &usual, NULL) == HONE_ERR_ARGUMENT);
        CHECK_MSG(strstr(hone_error_message(), "another model"), "%s", hone_error_message());
        CHECK(file_bytes(w.out) == 0);
        imatrix_release(&m);
    }
    test_folder_remove(&w.tmp);
}

/* --- the record --- */

static hone_status measure(fidelity *f, const char *a, const char *b) {
    hone_model *reference, *candidate;
    const fidelity_options options = {.n_tokens = 0};
    TRY(hone_model_open(&reference, a, NULL));
    TRY(hone_model_open(&candidate, b, NULL));
    hone_status status =
        fidelity_measure(f, reference, candidate, own_text(0), strlen(own_text(0)), &options);
    hone_model_close(reference);
    hone_model_close(candidate);
    return status;
}

static void the_file_says_what_measuring_it_says(void) {
    world w = world_make();
    const quantise_text text = {.text = own_text(0), .name = "own", .n_bytes = strlen(own_text(0)),
                                .must_work = true};
    const quantise_plan plan = {.mix = quant_mix_by_name("Q2_K"), .text = &text};
    quantise_result done = {.in_bytes = 0};
    fidelity_record r;
    fidelity f;
    bool found = false;
    CHECK_OK(quantise_gguf_by(w.in, w.out, &plan, &usual, &done));
    CHECK(done.has_fidelity && test_folder_count(&w.tmp, NULL) == 2);
    CHECK_OK(fidelity_record_read(&r, &found, w.out));
    CHECK(found && strcmp(r.reference, "in.gguf") == 0 && strcmp(r.reference_type, "F16") == 0);
    if (CHECK_OK(measure(&f, w.in, w.out))) {
        CHECK_NEAR(r.f.kl.value, f.kl.value, 1e-3 * f.kl.value);
        CHECK_NEAR(r.f.ratio.value, f.ratio.value, 1e-4);
        CHECK(f.kl.value > 0 && r.f.n_tokens == f.n_tokens);
    }
    /* Quantised again without a text: the old record is no longer true. */
    char again[600];
    snprintf(again, sizeof again, "%s", test_path(w.tmp.path, "again.gguf"));
    CHECK_OK(quantise_gguf(w.out, again, quant_mix_by_name("Q4_0"), &usual, NULL));
    CHECK_OK(fidelity_record_read(&r, &found, again));
    CHECK(!found);
    test_folder_remove(&w.tmp);
}

static bool stop_at_once(void *context, size_t done, size_t total) {
    (void)context, (void)done, (void)total;
    return false;
}

static void interrupted_measuring_leaves_nothing(void) {
    world w = world_make();
    const quantise_text text = {.text = own_text(0), .name = "own", .n_bytes = strlen(own_text(0)),
                                .observe = stop_at_once};
    const quantise_plan plan = {.mix = quant_mix_by_name("Q8_0"), .text = &text};
    CHECK(quantise_gguf_by(w.in, w.out, &plan, &usual, NULL) == HONE_ERR_CANCELLED);
    CHECK(test_folder_count(&w.tmp, NULL) == 1);
    test_folder_remove(&w.tmp);
}

static bool die_half_way(void *context, uint64_t done, uint64_t total) {
    (void)context;
    if (done > total / 2) raise(SIGKILL);
    return true;
}

static void a_killed_writer_leaves_no_file_of_that_name(void) {
    world w = world_make();
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        const recode_options dies = {.n_threads = 1, .observe = die_half_way};
        quantise_gguf(w.in, w.out, quant_mix_by_name("Q8_0"), &dies, NULL);
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK(file_bytes(w.out) == 0);
    test_folder_remove(&w.tmp);
}

/* --- goals --- */

static quantise_goal own_goal(void) {
    return (quantise_goal){.text = own_text(1), .text_name = "own", .n_bytes = strlen(own_text(1))};
}

static void a_size_is_kept_and_used(void) {
    world w = world_make();
    const quantise_plan plan = {.mix = NULL};
    const uint64_t whole = file_bytes(w.in);
    double last = INFINITY;
    for (int percent = 30; percent <= 60; percent += 15) {
        quantise_goal goal = own_goal();
        quantise_result done;
        quant_choice choice;
        goal.target_bytes = whole * (uint64_t)percent / 100;
        if (!CHECK_OK(quantise_to_goal(w.in, w.out, &goal, &plan, &usual, &done, &choice)))
            continue;
        CHECK_MSG(file_bytes(w.out) <= goal.target_bytes, "%d %%", percent);
        CHECK_MSG(file_bytes(w.out) > goal.target_bytes * 9 / 10, "%d %%: %llu", percent,
                  (unsigned long long)file_bytes(w.out));
        CHECK(quant_choice_loss(&choice) < last);
        last = quant_choice_loss(&choice);
        quant_choice_release(&choice);
    }
    gguf *file = NULL;
    if (CHECK_OK(gguf_open(&file, w.out))) {
        const gguf_kv *table = gguf_find(file, "hone.choice.table");
        CHECK(table && table->count == 5 * 7 + 2);
    }
    gguf_close(file);
    quantise_goal tiny = own_goal();
    quantise_result done;
    quant_choice choice;
    tiny.target_bytes = 1000;
    CHECK(quantise_to_goal(w.in, w.out, &tiny, &plan, &usual, &done, &choice) == HONE_ERR_NOT_FOUND);
    test_folder_remove(&w.tmp);
}

static void a_loss_is_kept(void) {
    const char *shared = test_shared();
    if (!shared) SKIP("no reference data");
    world w = world_make();
    const quantise_text text = {.text = own_text(0), .name = "own", .n_bytes = strlen(own_text(0))};
    const quantise_plan plan = {.text = &text};
    quantise_goal goal = own_goal();
    quantise_result done;
    quant_choice choice;
    const char *in = test_path(shared, "models/stories260K.gguf");
    goal.max_loss = 0.02;
    if (CHECK_OK(quantise_to_goal(in, w.out, &goal, &plan, &usual, &done, &choice))) {
        CHECK_MSG(done.has_fidelity && done.fidelity.kl.value <= 0.02 &&
                  done.fidelity.kl.value > 0.01, "%g", done.fidelity.kl.value);
        CHECK(file_bytes(w.out) < file_bytes(in) / 2);
        quant_choice_release(&choice);
    }
    goal.max_loss = 1e-9;
    CHECK(quantise_to_goal(in, w.out, &goal, &plan, &usual, &done, &choice) == HONE_ERR_NOT_FOUND);
    test_folder_remove(&w.tmp);
}

int main(void) {
    RUN(the_first_rule_that_fits_decides);
    RUN(importance_lowers_the_weighted_error_and_is_named);
    RUN(anothers_importance_is_refused);
    RUN(the_file_says_what_measuring_it_says);
    RUN(interrupted_measuring_leaves_nothing);
    RUN(a_killed_writer_leaves_no_file_of_that_name);
    RUN(a_size_is_kept_and_used);
    RUN(a_loss_is_kept);
    return test_summary();
}
