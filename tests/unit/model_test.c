/* Models in every type and file: the same weights give the same logits, whatever holds them. */
#include <unistd.h>

#include "hone/hone.h"
#include "model_folder.h"
#include "test.h"

enum { PROMPT = 40 };

static const dtype weight_types[] = {
    DTYPE_F32,  DTYPE_F16,  DTYPE_BF16, DTYPE_Q4_0, DTYPE_Q4_1, DTYPE_Q5_0,   DTYPE_Q5_1,
    DTYPE_Q8_0, DTYPE_Q2_K, DTYPE_Q3_K, DTYPE_Q4_K, DTYPE_Q5_K, DTYPE_Q6_K,   DTYPE_IQ4_NL,
    DTYPE_IQ4_XS};
enum { N_TYPES = sizeof weight_types / sizeof *weight_types };

/* --- helpers --- */

static const char *golden_folder(const char *name) {
    static char path[4][512];
    static int next;
    if (!test_shared()) return NULL;
    char *out = path[next++ % 4];
    snprintf(out, sizeof path[0], "%s/golden/%s", test_shared(), name);
    return out;
}

static hone_model *open_model(const char *path) {
    hone_model *model = NULL;
    CHECK_OK(hone_model_open(&model, path, &(hone_model_options){.n_threads = 1}));
    return model;
}

/* Writes the recipe, opens it and removes the file: the mapping stays. Where `decoded` is not NULL,
 * it becomes a second model that holds the same values as F32. */
static hone_model *made_models(const model_recipe *r, hone_model **decoded) {
    test_folder folder = test_folder_make();
    const char *path = test_path(folder.path, "model.gguf");
    const char *copy = test_path(folder.path, "f32.gguf");
    hone_model *model = CHECK_OK(model_write_gguf(r, path)) ? open_model(path) : NULL;
    if (model && decoded && CHECK_OK(model_write_gguf(&(model_recipe){.from = path}, copy)))
        *decoded = open_model(copy);
    test_folder_remove(&folder);
    return model;
}

static hone_model *made_model(const model_recipe *r) { return made_models(r, NULL); }

static void fill_prompt(const hone_model *model, int32_t *ids, size_t n) {
    size_t n_vocab = hone_model_describe(model)->n_vocab;
    for (size_t i = 0; i < n; i++) ids[i] = (int32_t)((i * 131 + 57) % n_vocab);
}

/* The logits of the last of n_tokens and, with `all`, of all positions. Free them. */
static float *logits_of(hone_model *model, const hone_session_options *options, size_t n_tokens,
                        bool all) {
    size_t n_vocab = hone_model_describe(model)->n_vocab, n_rows = all ? n_tokens : 1;
    hone_logits which = all ? HONE_LOGITS_ALL : HONE_LOGITS_LAST;
    int32_t ids[PROMPT];
    hone_session *s = NULL;
    float *out = calloc(n_rows * n_vocab, sizeof *out);
    fill_prompt(model, ids, n_tokens);
    if (CHECK_OK(hone_session_open(&s, model, options)) &&
        CHECK_OK(hone_step(&(hone_step_item){s, ids, n_tokens, which}, 1)))
        memcpy(out, hone_session_logits(s, 0), n_rows * n_vocab * sizeof *out);
    hone_session_close(s);
    return out;
}

static double largest_gap(const float *a, const float *b, size_t n) {
    double largest = 0;
    for (size_t i = 0; i < n; i++) {
        double gap = fabs((double)a[i] - (double)b[i]);
        if (!(gap <= largest)) largest = isnan(gap) ? INFINITY : gap;
    }
    return largest;
}

/* KL(softmax(a) ‖ softmax(b)) in nats. */
static double divergence(const float *a, const float *b, size_t n) {
    double total_a = 0, total_b = 0, kl = 0;
    for (size_t i = 0; i < n; i++) {
        total_a += exp(a[i]);
        total_b += exp(b[i]);
    }
    for (size_t i = 0; i < n; i++)
        kl += exp(a[i]) / total_a * ((double)a[i] - b[i] - log(total_a) + log(total_b));
    return kl;
}

static const hone_session_options exact = {.exact = true};

/* --- types --- */

/* In the exact mode a quantised file is its dequantised values; 8-bit activations stay near (random
 * deep networks amplify rounding: 0.015 nats were seen). */
static void check_type(const char *from, dtype type) {
    const char *name = dtype_get(type)->name;
    hone_model *decoded = NULL, *coded = made_models(&(model_recipe){.from = from, .type = type},
                                                     &decoded);
    size_t n_vocab = coded ? hone_model_describe(coded)->n_vocab : 0;
    static const size_t lengths[] = {1, PROMPT};
    for (size_t i = 0; coded && decoded && i < 2; i++) {
        float *a = logits_of(coded, &exact, lengths[i], true);
        float *b = logits_of(decoded, &exact, lengths[i], true);
        float *c = logits_of(coded, NULL, lengths[i], false);
        double gap = largest_gap(a, b, lengths[i] * n_vocab);
        CHECK_MSG(gap <= 1e-4, "%s, %zu tokens: %g", name, lengths[i], gap);
        double kl = divergence(b + (lengths[i] - 1) * n_vocab, c, n_vocab);
        CHECK_MSG(kl >= -1e-6 && kl < 0.05, "%s, %zu tokens: divergence %g", name, lengths[i], kl);
        free(a);
        free(b);
        free(c);
    }
    hone_model_close(coded);
    hone_model_close(decoded);
}

static void every_type_is_its_decoded_values(void) {
    const char *from = golden_folder("qwen2-untied");
    if (!from) SKIP("no reference data");
    for (int i = 0; i < N_TYPES; i++) check_type(from, weight_types[i]);
}

static void rows_of_192_take_blocks_of_32(void) {
    const char *tied = golden_folder("qwen2-tied"), *smol = golden_folder("llama-smol");
    if (!tied) SKIP("no reference data");
    for (int i = 0; i < N_TYPES; i++)
        if (dtype_get(weight_types[i])->block <= 32)
            check_type(i % 2 ? tied : smol, weight_types[i]);
}

static void random_models_of_both_families_in_every_type(void) {
    for (int i = 0; i < N_TYPES; i++) {
        hone_model *decoded = NULL, *coded =
            made_models(&(model_recipe){.type = weight_types[i], .width = 256, .n_layers = 1,
                                        .architecture = i % 2 ? "llama" : "qwen2"}, &decoded);
        if (!decoded) continue;
        float *a = logits_of(coded, &exact, PROMPT, true);
        float *b = logits_of(decoded, &exact, PROMPT, true);
        double gap = largest_gap(a, b, PROMPT * MADE_VOCABULARY);
        CHECK_MSG(gap <= 1e-4, "%s: %g", dtype_get(weight_types[i])->name, gap);
        free(a);
        free(b);
        hone_model_close(coded);
        hone_model_close(decoded);
    }
}

/* --- folder and file --- */

/* Reference weights are exact in F16 and BF16: all copies mean the same numbers. */
static void folder_and_its_gguf_agree(void) {
    static const char *const names[] = {"llama-smol", "llama-spm", "qwen2-tied", "qwen2-untied"};
    if (!test_shared()) SKIP("no reference data");
    for (int n = 0; n < 4; n++) {
        const char *folder = golden_folder(names[n]);
        hone_model *model = open_model(folder);
        size_t n_vocab = hone_model_describe(model)->n_vocab;
        float *want = logits_of(model, &exact, PROMPT, true);
        for (dtype type = DTYPE_F32;; type = type == DTYPE_F32 ? DTYPE_F16 : DTYPE_BF16) {
            hone_model *copy = made_model(&(model_recipe){.from = folder, .type = type});
            float *have = logits_of(copy, &exact, PROMPT, true);
            double gap = largest_gap(have, want, PROMPT * n_vocab); /* sums in another order */
            CHECK_MSG(gap <= 1e-4, "%s as %s: %g", names[n], dtype_get(type)->name, gap);
            free(have);
            hone_model_close(copy);
            if (type == DTYPE_BF16) break;
        }
        free(want);
        hone_model_close(model);
    }
}

static void written_folders_open_in_three_types(void) {
    static const dtype types[] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16};
    for (int i = 0; i < 3; i++) {
        test_folder folder = test_folder_make();
        model_recipe r = {.type = types[i], .seed = 3};
        CHECK(model_write_folder(&r, folder.path, NULL));
        hone_model *a = open_model(folder.path), *b = made_model(&r);
        float *x = logits_of(a, &exact, PROMPT, true), *y = logits_of(b, &exact, PROMPT, true);
        CHECK(largest_gap(x, y, PROMPT * MADE_VOCABULARY) <= 1e-4);
        CHECK(strcmp(hone_model_describe(a)->weight_type, dtype_get(types[i])->name) == 0);
        CHECK(hone_model_chat_template(a) != NULL);
        free(x);
        free(y);
        hone_model_close(a);
        hone_model_close(b);
        test_folder_remove(&folder);
    }
}

static void split_files_are_one_model(void) {
    test_folder folder = test_folder_make();
    for (int part = 1; part <= 3; part++) {
        char name[64];
        snprintf(name, sizeof name, "m-%05d-of-00003.gguf", part);
        CHECK_OK(model_write_gguf(&(model_recipe){.type = DTYPE_Q8_0, .part = part, .n_parts = 3},
                                  test_path(folder.path, name)));
    }
    hone_model *whole = made_model(&(model_recipe){.type = DTYPE_Q8_0});
    hone_model *split = open_model(test_path(folder.path, "m-00002-of-00003.gguf"));
    float *a = logits_of(whole, NULL, PROMPT, true);
    float *b = split ? logits_of(split, NULL, PROMPT, true) : NULL;
    CHECK(b && memcmp(a, b, PROMPT * MADE_VOCABULARY * sizeof *a) == 0);
    free(a);
    free(b);
    hone_model_close(whole);
    hone_model_close(split);
    test_folder_remove(&folder);
}

/* --- trained models --- */

static void greedy(hone_result *out, const char *path, const char *prompt, size_t n_tokens) {
    hone_model *model = open_model(path);
    hone_session *s = NULL;
    if (!model) return;
    CHECK_OK(hone_session_open(&s, model, &exact));
    CHECK_OK(hone_generate(s, &(hone_request){.prompt = prompt, .prompt_bytes = strlen(prompt),
                                              .sampling = hone_sampling_greedy(),
                                                  .ignore_eos = true,
                                              .max_tokens = n_tokens}, out));
    hone_session_close(s);
    hone_model_close(model);
}

/* The reference texts hold prompt and answer without the blank in front, and a line feed. */
static void stories_tell_their_exact_text(void) {
    static const struct {
        const char *file, *prompt;
        size_t n_tokens;
    } texts[] = {{"stories260K.greedy.txt", "Once upon a time", 196},
                 {"stories260K.greedy.noprompt.txt", "", 200}};
    if (!test_shared()) SKIP("no reference data");
    for (int i = 0; i < 2; i++) {
        char path[512], have[4096];
        size_t n;
        snprintf(path, sizeof path, "%s/models/%s", test_shared(), texts[i].file);
        unsigned char *want = test_read_file(path, &n);
        CHECK(want != NULL);
        if (!want) return;
        snprintf(path, sizeof path, "%s/models/stories260K.gguf", test_shared());
        hone_result result = {0};
        greedy(&result, path, texts[i].prompt, texts[i].n_tokens);
        snprintf(have, sizeof have, "%s%s", texts[i].prompt, result.text ? result.text : "");
        const char *text = have[0] == ' ' ? have + 1 : have;
        CHECK_MSG(strlen(text) == n - 1 && memcmp(text, want, n - 1) == 0, "%s: \"%s\"",
                  texts[i].file, text);
        hone_result_release(&result);
        free(want);
    }
}

static void tinystories_gives_its_sixty_ids(void) {
    if (!test_shared()) SKIP("no reference data");
    char path[512];
    size_t n;
    snprintf(path, sizeof path, "%s/models/tinystories-656k/greedy60.txt", test_shared());
    unsigned char *file = test_read_file(path, &n);
    CHECK(file != NULL && n > 0);
    if (!file) return;
    char *text = calloc(1, n + 1);
    memcpy(text, file, n);
    while (n && text[n - 1] == '\n') text[--n] = 0;
    char *at = strrchr(text, '\n');
    CHECK(at != NULL);
    snprintf(path, sizeof path, "%s/models/tinystories-656k", test_shared());
    hone_result result = {0};
    greedy(&result, path, "Once upon a time", 60);
    CHECK(result.n_tokens == 60 && result.n_prompt_tokens == 6);
    for (size_t i = 0; at && i < 66; i++) {
        long want = strtol(at + strcspn(at, "0123456789"), &at, 10);
        if (i >= 6 && i - 6 < result.n_tokens)
            CHECK_MSG(result.tokens[i - 6] == want, "token %zu: %d, expected %ld", i - 6,
                      (int)result.tokens[i - 6], want);
    }
    hone_result_release(&result);
    free(text);
    free(file);
}

/* --- the head --- */

static void a_tied_head_stands_under_either_name(void) {
    hone_model *tied = made_model(&(model_recipe){.leave_out = "output.weight"});
    CHECK(tied != NULL);
    hone_model_close(tied);
    test_folder folder = test_folder_make();
    CHECK(model_write_folder(&(model_recipe){.leave_out = "token_embd.weight"}, folder.path, NULL));
    hone_model *head = open_model(folder.path);
    CHECK(head != NULL);
    hone_model_close(head);
    test_folder_remove(&folder);
}

/* --- positions --- */

static void yarn_gives_the_published_values(void) {
    rope_params rope = {.n_dims = 128, .base = 1e6, .scaling = ROPE_YARN, .factor = 4,
                        .original_context = 32768, .beta_fast = 32, .beta_slow = 1,
                        .extrapolation = 1, .round_correction = true};
    float f[64], amplitude;
    rope_frequencies(&rope, f, &amplitude);
    CHECK_NEAR(amplitude, 1.138629, 1e-6);
    static const struct {
        int i;
        double value;
    } want[] = {{0, 1}, {23, 6.978306e-3}, {31, 8.029597e-4}, {40, 4.445699e-5}, {63, 3.102344e-7}};
    for (int i = 0; i < 5; i++) CHECK_NEAR(f[want[i].i] / want[i].value, 1, 1e-6);
    rope.extrapolation = 0; /* then it is linear scaling, and the amplitude stays */
    rope_frequencies(&rope, f, &amplitude);
    CHECK_NEAR(f[31] / (1.240938e-3 / 4), 1, 1e-6);
    CHECK(amplitude == 1);
}

static void linear_scaling_divides(void) {
    rope_params rope = {.n_dims = 64, .base = 10000, .factor = 1};
    float plain[32], scaled[32], amplitude;
    rope_frequencies(&rope, plain, &amplitude);
    rope.scaling = ROPE_LINEAR;
    rope.factor = 4;
    rope_frequencies(&rope, scaled, &amplitude);
    for (int i = 0; i < 32; i++) CHECK(scaled[i] == plain[i] / 4);
    CHECK(amplitude == 1 && plain[0] == 1);
}

static void scaled_models_open_and_differ(void) {
    static const char *const changes[] = {
        NULL, "{\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2.0}}",
        "{\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4.0, "
        "\"original_max_position_embeddings\": 64}}",
        "{\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0, \"low_freq_factor\": 1.0, "
        "\"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 64}}"};
    float *rows[4] = {NULL};
    for (int i = 0; i < 4; i++) {
        test_folder folder = test_folder_make();
        CHECK(model_write_folder(&(model_recipe){0}, folder.path, changes[i]));
        hone_model *model = open_model(folder.path);
        if (model) rows[i] = logits_of(model, &exact, PROMPT, false);
        hone_model_close(model);
        test_folder_remove(&folder);
        if (i && rows[i]) CHECK(largest_gap(rows[0], rows[i], MADE_VOCABULARY) > 1e-4);
    }
    for (int i = 0; i < 4; i++) free(rows[i]);
}

static void unknown_scalings_are_refused_by_name(void) {
    static const char *const words[] = {"longrope", "dynamic", "su", "something"};
    for (int i = 0; i < 4; i++) {
        char changes[200];
        hone_model *model = NULL;
        test_folder folder = test_folder_make();
        snprintf(changes, sizeof changes,
                 "{\"rope_scaling\": {\"rope_type\": \"%s\", \"factor\": 2.0}}",
                 words[i]);
        CHECK(model_write_folder(&(model_recipe){0}, folder.path, changes));
        CHECK(hone_model_open(&model, folder.path, NULL) == HONE_ERR_UNSUPPORTED);
        CHECK(strstr(hone_error_message(), words[i]) != NULL);
        test_folder_remove(&folder);
        folder = test_folder_make();
        const char *path = test_path(folder.path, "m.gguf");
        CHECK_OK(model_write_gguf(&(model_recipe){.text_key = "llama.rope.scaling.type",
                                                  .text = words[i]}, path));
        CHECK(hone_model_open(&model, path, NULL) == HONE_ERR_UNSUPPORTED);
        CHECK(strstr(hone_error_message(), words[i]) != NULL);
        test_folder_remove(&folder);
    }
}

/* In memory of our own, of a folder of files, too; and the file may go. */
static void copied_weights_are_the_mapped_ones(void) {
    const hone_session_options usual = {.n_context = 64};
    test_folder folder = test_folder_make();
    const char *path = test_path(folder.path, "model.gguf"), *smol = golden_folder("llama-smol");
    CHECK_OK(model_write_gguf(&(model_recipe){.type = DTYPE_Q4_0, .width = 512, .n_layers = 4}, path));
    const char *const paths[] = {path, smol};
    for (size_t i = 0; i < 2 && paths[i]; i++) {
        hone_model *mapped = open_model(paths[i]), *copied = NULL;
        CHECK_OK(hone_model_open(&copied, paths[i],
                                 &(hone_model_options){.n_threads = 1, .copy_weights = true}));
        float *a = mapped ? logits_of(mapped, &usual, PROMPT, false) : NULL;
        hone_model_close(mapped);
        if (i == 0) CHECK(truncate(path, 0) == 0); /* what is mapped would be gone */
        float *b = copied ? logits_of(copied, &usual, PROMPT, false) : NULL;
        if (a && b) CHECK(largest_gap(a, b, hone_model_describe(copied)->n_vocab) == 0);
        free(a);
        free(b);
        hone_model_close(copied);
    }
    test_folder_remove(&folder);
}

int main(void) {
    RUN(every_type_is_its_decoded_values);
    RUN(rows_of_192_take_blocks_of_32);
    RUN(random_models_of_both_families_in_every_type);
    RUN(folder_and_its_gguf_agree);
    RUN(written_folders_open_in_three_types);
    RUN(split_files_are_one_model);
    RUN(stories_tell_their_exact_text);
    RUN(tinystories_gives_its_sixty_ids);
    RUN(a_tied_head_stands_under_either_name);
    RUN(yarn_gives_the_published_values);
    RUN(linear_scaling_divides);
    RUN(scaled_models_open_and_differ);
    RUN(unknown_scalings_are_refused_by_name);
    RUN(copied_weights_are_the_mapped_ones);
    return test_summary();
}
