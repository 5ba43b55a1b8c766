/* Folders written as GGUF files say what the folders say; quantised files open and are honest. */
#include <jansson.h>

#include "files.h"
#include "hone/hone.h"
#include "model_files.h"
#include "model_folder.h"
#include "test.h"
#include "weights/convert.h"
#include "weights/export.h"
#include "weights/quantise.h"

/* 2.2e-5 was seen, at logits with a deviation of 2.5 */
#define LLAMA_BOUND 5e-5

static const recode_options usual = {.n_threads = 2};

static hone_model *open_model(const char *path) {
    hone_model *model = NULL;
    CHECK_OK(hone_model_open(&model, path, &(hone_model_options){.n_threads = 1}));
    return model;
}

/* --- the same model from either form --- */

typedef struct pair {
    hone_model *folder, *file;
} pair;

static float *logits_of(hone_model *model, const int32_t *ids, size_t n) {
    size_t n_vocab = hone_model_describe(model)->n_vocab;
    float *logits = calloc(n * n_vocab, sizeof *logits);
    hone_session *s = NULL;
    if (CHECK_OK(hone_session_open(&s, model, &(hone_session_options){.exact = true})) &&
        CHECK_OK(hone_step(&(hone_step_item){s, ids, n, HONE_LOGITS_ALL}, 1)))
        memcpy(logits, hone_session_logits(s, 0), n * n_vocab * sizeof *logits);
    hone_session_close(s);
    return logits;
}

/* Bit for bit where the rows stay in their order. Llama's permutation changes the order in which
 * the products of q and k are added up, which shows in the last bits. */
static void same_logits(const pair *p, const int32_t *ids, size_t n) {
    const hone_model_info *info = hone_model_describe(p->folder);
    size_t n_vocab = info->n_vocab;
    double bound = strcmp(info->architecture, "llama") == 0 ? LLAMA_BOUND : 0, largest = 0;
    CHECK(hone_model_describe(p->file)->n_vocab == n_vocab);
    float *a = logits_of(p->folder, ids, n), *b = logits_of(p->file, ids, n);
    for (size_t i = 0; i < n * n_vocab; i++) largest = fmax(largest, fabs((double)(a[i] - b[i])));
    CHECK_MSG(largest <= bound && a[0] != a[1], "%s: %g", info->architecture, largest);
    free(a);
    free(b);
}

static void same_ids(const pair *p, const char *text, size_t n_bytes, bool add_special) {
    int32_t *a = NULL, *b = NULL;
    size_t n_a = 0, n_b = 0;
    CHECK_OK(hone_tokenize(p->folder, text, n_bytes, add_special, &a, &n_a));
    CHECK_OK(hone_tokenize(p->file, text, n_bytes, add_special, &b, &n_b));
    CHECK_MSG(n_a == n_b && (n_a == 0 || memcmp(a, b, n_a * sizeof *a) == 0),
              "\"%s\": %zu ids, expected %zu", text, n_b, n_a);
    hone_free(a);
    hone_free(b);
}

static void same_chat(const pair *p) {
    const hone_part parts[] = {{HONE_PART_TEXT, "How far is Moscow? 12+345", 25},
                               {HONE_PART_TEXT, "Far.", 4}};
    const hone_message messages[] = {{"user", &parts[0], 1}, {"assistant", &parts[1], 1},
                                     {"user", &parts[0], 1}};
    const char *template = hone_model_chat_template(p->folder);
    const char *written = hone_model_chat_template(p->file);
    CHECK(!template == !written);
    if (!template || !written) return;
    char *a = NULL, *b = NULL;
    int32_t *ids_a = NULL, *ids_b = NULL;
    size_t n_a = 0, n_b = 0;
    CHECK_OK(hone_render_chat(p->folder, messages, 3, NULL, NULL, &a, &ids_a, &n_a));
    CHECK_OK(hone_render_chat(p->file, messages, 3, NULL, NULL, &b, &ids_b, &n_b));
    CHECK(a && b && strcmp(a, b) == 0);
    CHECK(n_a > 0 && n_a == n_b && memcmp(ids_a, ids_b, n_a * sizeof *ids_a) == 0);
    hone_free(a);
    hone_free(b);
    hone_free(ids_a);
    hone_free(ids_b);
}

static const char *const texts[] = {
    "", " ", "   ", "Hello, world!", " leading", "trailing  ", "a\n\nb  c", "I'm 1234567.89",
    "don't DON'T", "na\xc3\xafve caf\xc3\xa9 \xe2\x80\x94 \xe4\xbd\xa0\xe5\xa5\xbd",
    "\xf0\x9f\x99\x82", "e\xcc\x81", "[PAD900]", "<unk></s><|im_end|>", "\x07"
};

static void same_texts(const pair *p) {
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (int special = 0; special < 2; special++)
            same_ids(p, texts[i], strlen(texts[i]), special);
}

/* The prompts and texts that the reference data records beside the folder, if any. */
static void same_cases(const pair *p, const char *folder) {
    json_t *golden = json_load_file(test_path(folder, "golden.json"), JSON_ALLOW_NUL, NULL), *row;
    size_t i;
    json_array_foreach(json_object_get(golden, "cases"), i, row) {
        const json_t *array = json_object_get(row, "ids");
        size_t n = json_array_size(array);
        int32_t *ids = calloc(n, sizeof *ids);
        for (size_t t = 0; t < n; t++)
            ids[t] = (int32_t)json_integer_value(json_array_get(array, t));
        same_logits(p, ids, n);
        free(ids);
    }
    json_array_foreach(json_object_get(golden, "tokenizer"), i, row) {
        const json_t *text = json_object_get(row, "text");
        same_ids(p, json_string_value(text), json_string_length(text), true);
    }
    json_decref(golden);
}

static void same_model(const char *folder, const char *path) {
    pair p = {.folder = open_model(folder), .file = open_model(path)};
    if (p.folder && p.file) {
        const int32_t ids[] = {5, 9, 200, 33, 9, 5, 77};
        same_logits(&p, ids, sizeof ids / sizeof *ids);
        same_texts(&p);
        same_chat(&p);
        same_cases(&p, folder);
    }
    hone_model_close(p.folder);
    hone_model_close(p.file);
}

static void every_mix_opens(const char *in, const char *out) {
    for (size_t i = 0; quant_mix_at(i); i++) {
        const quant_mix *mix = quant_mix_at(i);
        const recode_options options = {.n_threads = 2, .replace = true};
        gguf *file = NULL;
        uint64_t file_type = 99;
        CHECK_OK(quantise_gguf(in, out, mix, &options, NULL));
        hone_model *model = open_model(out);
        if (model) { /* computes as well */
            const int32_t ids[] = {5, 9};
            float *logits = logits_of(model, ids, 2);
            CHECK_MSG(isfinite(logits[0]), "%s", quant_mix_name(mix));
            free(logits);
        }
        hone_model_close(model);
        if (CHECK_OK(gguf_open(&file, out)))
            CHECK(gguf_get_u64(file, "general.file_type", &file_type) &&
                  file_type == quant_mix_file_type(mix));
        gguf_close(file);
    }
}

/* --- and back --- */

/* The file as a folder again, in shards where `shard_bytes` says so. */
static void check_way_back(const char *folder, const char *file, uint64_t shard_bytes) {
    test_folder tmp = test_folder_make();
    const char *back = tmp.path; /* an empty one may be there */
    export_result result = {0};
    const export_options options = {.recode = usual, .shard_bytes = shard_bytes};
    if (CHECK_OK(export_gguf(file, back, &options, &result))) {
        CHECK(result.n_tensors > 0 && !result.no_tokenizer[0]);
        CHECK_MSG((result.n_files > 1) == (shard_bytes > 0), "%zu files", result.n_files);
        same_model(folder, back);
    }
    test_folder_remove(&tmp);
}

static void check_folder(const char *folder, bool every_mix) {
    test_folder tmp = test_folder_make();
    const char *path = test_path(tmp.path, "a.gguf");
    convert_result result = {0};
    if (CHECK_OK(convert_folder(folder, path, NULL, &usual, &result))) {
        CHECK(result.n_tensors > 0 && result.out_bytes > 0);
        same_model(folder, path);
        char in[600];
        snprintf(in, sizeof in, "%s", path);
        check_way_back(folder, in, 0);
        check_way_back(folder, in, 100000);
        if (every_mix) every_mix_opens(in, test_path(tmp.path, "b.gguf"));
    }
    test_folder_remove(&tmp);
}

static void reference_folders_stay_what_they_are(void) {
    static const char *const names[] = {"golden/llama-smol",  "golden/llama-spm",
                                        "golden/llama3-rope", "golden/qwen2-tied",
                                        "golden/qwen2-untied", "models/tinystories-656k"};
    const char *shared = test_shared();
    if (!shared) SKIP("no reference data");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char folder[600];
        snprintf(folder, sizeof folder, "%s/%s", shared, names[i]);
        check_folder(folder, true);
    }
}

/* --- folders of our own --- */

static int make_folder(const test_folder *tmp, const model_recipe *r, const char *changes) {
    return model_write_folder(r, tmp->path, changes);
}

static void made_folders_stay_what_they_are(void) {
    static const dtype types[] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16};
    static const char *const architectures[] = {"llama", "qwen2"};
    for (size_t i = 0; i < 6; i++) {
        test_folder tmp = test_folder_make();
        model_recipe r = {.architecture = architectures[i % 2], .type = types[i / 2]};
        CHECK(make_folder(&tmp, &r, NULL));
        check_folder(tmp.path, false);
        test_folder_remove(&tmp);
    }
}

/* What the file says of the rotation is what the folder says. */
static void rope_scaling_is_carried_over(void) {
    static const char *const changes[] = {
        "{\"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": 4.0}}",
        "{\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0, \"low_freq_factor\": 1.0,"
        " \"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 64}}",
        "{\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4.0,"
        " \"original_max_position_embeddings\": 64}}",
        "{\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4.0, \"beta_fast\": 24,"
        " \"attention_factor\": 1.5, \"original_max_position_embeddings\": 64}}",
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        test_folder tmp = test_folder_make();
        model_recipe r = {.type = DTYPE_F32};
        model_source folder = {0}, file = {0};
        hparams a, b;
        float want[16], have[16], amplitude_want, amplitude_have;
        const char *path = test_path(tmp.path, "a.gguf");
        CHECK(make_folder(&tmp, &r, changes[i]));
        if (CHECK_OK(convert_folder(tmp.path, path, NULL, &usual, NULL)) &&
            CHECK_OK(source_open(&folder, tmp.path)) && CHECK_OK(source_open(&file, path)) &&
            CHECK_OK(hparams_read(&a, &folder)) && CHECK_OK(hparams_read(&b, &file))) {
            CHECK(a.rope.scaling != ROPE_PLAIN && b.rope.n_dims == 32);
            rope_frequencies(&a.rope, want, &amplitude_want);
            rope_frequencies(&b.rope, have, &amplitude_have);
            CHECK_NEAR(amplitude_have, amplitude_want, 1e-6);
            for (int k = 0; k < 16; k++)
                CHECK_MSG(fabsf(have[k] - want[k]) <= 2e-7f * want[k], "%zu: pair %d: %g, not %g",
                          i, k, (double)have[k], (double)want[k]);
            check_way_back(tmp.path, path, 0);
        }
        source_release(&folder);
        source_release(&file);
        test_folder_remove(&tmp);
    }
}

static void converting_to_a_type_is_quantising_what_was_converted(void) {
    test_folder tmp = test_folder_make();
    model_recipe r = {.type = DTYPE_BF16, .width = 256};
    const quant_mix *mix = quant_mix_by_name("Q4_K_M");
    char plain[600], later[600], once[600];
    snprintf(plain, sizeof plain, "%s", test_path(tmp.path, "plain.gguf"));
    snprintf(later, sizeof later, "%s", test_path(tmp.path, "later.gguf"));
    snprintf(once, sizeof once, "%s", test_path(tmp.path, "once.gguf"));
    CHECK(make_folder(&tmp, &r, NULL));
    CHECK_OK(convert_folder(tmp.path, plain, NULL, &usual, NULL));
    CHECK_OK(quantise_gguf(plain, later, mix, &usual, NULL));
    CHECK_OK(convert_folder(tmp.path, once, mix, &(recode_options){.n_threads = 1}, NULL));
    gguf *a = NULL, *b = NULL;
    if (CHECK_OK(gguf_open(&a, later)) && CHECK_OK(gguf_open(&b, once))) {
        CHECK(gguf_n_tensors(a) == gguf_n_tensors(b) && gguf_n_tensors(a) > 0);
        for (size_t i = 0; i < gguf_n_tensors(a); i++) {
            const gguf_tensor *x = gguf_tensor_at(a, i), *y = gguf_tensor_at(b, i);
            CHECK_MSG(x->bytes == y->bytes && x->view.type == y->view.type &&
                      memcmp(x->view.data, y->view.data, x->bytes) == 0, "%.*s", (int)x->name.n,
                      x->name.data);
        }
    }
    gguf_close(a);
    gguf_close(b);
    test_folder_remove(&tmp);
}

/* --- quantising --- */

static void split_files_are_joined_and_keys_kept(void) {
    test_folder tmp = test_folder_make();
    model_recipe r = {.type = DTYPE_F16, .n_parts = 3, .text_key = "general.license",
                      .text = "MIT"};
    char parts[3][600], out[600];
    for (r.part = 1; r.part <= 3; r.part++) {
        snprintf(parts[r.part - 1], sizeof parts[0], "%s/m-%05d-of-00003.gguf", tmp.path, r.part);
        CHECK_OK(model_write_gguf(&r, parts[r.part - 1]));
    }
    snprintf(out, sizeof out, "%s", test_path(tmp.path, "whole.gguf"));
    quantise_result result = {0};
    gguf *in = NULL, *file = NULL;
    CHECK_OK(quantise_gguf(parts[1], out, quant_mix_by_name("q8_0"), &usual, &result));
    CHECK(result.lossy_type == NULL && result.out_bytes < result.in_bytes);
    if (CHECK_OK(gguf_open(&in, parts[0])) && CHECK_OK(gguf_open(&file, out))) {
        gguf_string license = {0};
        uint64_t version = 0;
        CHECK(gguf_n_tensors(file) == gguf_n_tensors(in));
        CHECK(!gguf_find(file, "split.count"));
        CHECK(gguf_get_string(file, "general.license", &license) && license.n == 3);
        CHECK(gguf_get_u64(file, "general.quantization_version", &version) && version == 2);
        CHECK(gguf_find_tensor(file, "blk.0.attn_q.weight")->view.type == DTYPE_Q8_0);
    }
    gguf_close(in);
    gguf_close(file);
    hone_model_close(open_model(out));
    test_folder_remove(&tmp);
}

static void a_second_loss_is_told(void) {
    test_folder tmp = test_folder_make();
    model_recipe r = {.type = DTYPE_Q8_0};
    quantise_result result = {0};
    const char *in = test_path(tmp.path, "in.gguf"), *out = test_path(tmp.path, "out.gguf");
    CHECK_OK(model_write_gguf(&r, in));
    CHECK_OK(quantise_gguf(in, out, quant_mix_by_name("Q4_0"), &usual, &result));
    CHECK(result.lossy_type && strcmp(result.lossy_type, "Q8_0") == 0);
    test_folder_remove(&tmp);
}

static void spoil_with_nan(const char *name, dtype type, void *bytes, size_t n_bytes) {
    (void)type;
    uint32_t nan = 0x7fc00000;
    if (strcmp(name, "blk.1.ffn_up.weight") == 0)
        memcpy((char *)bytes + n_bytes / 2, &nan, sizeof nan);
}

static void nan_is_named(void) {
    test_folder tmp = test_folder_make();
    model_recipe r = {.type = DTYPE_F32, .spoil = spoil_with_nan};
    const char *in = test_path(tmp.path, "in.gguf"), *out = test_path(tmp.path, "out.gguf");
    CHECK_OK(model_write_gguf(&r, in));
    static const char *const types[] = {"Q4_0", "F16", "F32"};
    for (int i = 0; i < 3; i++) {
        CHECK(quantise_gguf(in, out, quant_mix_by_name(types[i]), &usual, NULL) ==
              HONE_ERR_NUMERIC);
        CHECK_MSG(strstr(hone_error_message(), "blk.1.ffn_up.weight"), "%s", hone_error_message());
    }
    CHECK(test_folder_count(&tmp, NULL) == 1);
    test_folder_remove(&tmp);
}

/* --- nothing half, nothing lost --- */

static bool stop_half_way(void *context, uint64_t done, uint64_t total) {
    (void)context;
    return done < total / 2;
}

static void interrupted_work_leaves_nothing(void) {
    test_folder tmp = test_folder_make(), to = test_folder_make();
    model_recipe r = {.type = DTYPE_F32};
    const recode_options options = {.n_threads = 1, .observe = stop_half_way};
    const char *out = test_path(to.path, "out.gguf"), *in = test_path(tmp.path, "in.gguf");
    CHECK(make_folder(&tmp, &r, NULL));
    CHECK_OK(model_write_gguf(&r, in));
    CHECK(convert_folder(tmp.path, out, NULL, &options, NULL) == HONE_ERR_CANCELLED);
    CHECK(quantise_gguf(in, out, quant_mix_by_name("Q8_0"), &options, NULL) ==
          HONE_ERR_CANCELLED);
    CHECK(test_folder_count(&to, NULL) == 0);
    test_folder_remove(&tmp);
    test_folder_remove(&to);
}

static void outputs_are_not_overwritten_unasked(void) {
    test_folder tmp = test_folder_make();
    model_recipe r = {.type = DTYPE_F32};
    const quant_mix *mix = quant_mix_by_name("Q8_0");
    const recode_options replace = {.n_threads = 1, .replace = true};
    const char *in = test_path(tmp.path, "in.gguf"), *out = test_path(tmp.path, "out.gguf");
    CHECK_OK(model_write_gguf(&r, in));
    CHECK(quantise_gguf(in, in, mix, &replace, NULL) == HONE_ERR_ARGUMENT);
    CHECK(quantise_gguf(in, tmp.path, mix, &replace, NULL) == HONE_ERR_ARGUMENT);
    CHECK_OK(quantise_gguf(in, out, mix, &usual, NULL));
    CHECK(quantise_gguf(in, out, mix, &usual, NULL) == HONE_ERR_ARGUMENT);
    CHECK(strstr(hone_error_message(), "--force"));
    CHECK_OK(quantise_gguf(in, out, mix, &replace, NULL));
    test_folder_remove(&tmp);
}

static void torn_memory_leaves_nothing(void) {
    test_folder tmp = test_folder_make(), to = test_folder_make();
    model_recipe r = {.type = DTYPE_F16};
    const char *out = test_path(to.path, "out.gguf");
    CHECK(make_folder(&tmp, &r, NULL));
    long n = 1;
    for (;; n += n / 16 + 1) {
        mem_fail_from(n);
        hone_status status = convert_folder(tmp.path, out, quant_mix_by_name("Q8_0"),
                                            &(recode_options){.n_threads = 1}, NULL);
        mem_fail_from(0);
        if (status == HONE_OK) break;
        CHECK(status == HONE_ERR_MEMORY);
        CHECK(test_folder_count(&to, NULL) == 0);
        if (n > 100000000) break;
    }
    CHECK(n > 10);
    test_folder_remove(&tmp);
    test_folder_remove(&to);
}

/* --- what cannot be said --- */

static void refused(const char *changes, const char *word) {
    test_folder tmp = test_folder_make();
    model_recipe r = {.type = DTYPE_F32};
    CHECK(make_folder(&tmp, &r, changes));
    CHECK(convert_folder(tmp.path, test_path(tmp.path, "a.gguf"), NULL, &usual, NULL) != HONE_OK);
    CHECK_MSG(strstr(hone_error_message(), word), "%s", hone_error_message());
    CHECK(access(test_path(tmp.path, "a.gguf"), F_OK) != 0);
    test_folder_remove(&tmp);
}

static void what_gguf_cannot_say_is_refused(void) {
    refused("{\"num_hidden_layers\": 1}", "model.layers.1");
    refused("{\"model_type\": \"mamba\"}", "mamba");
    refused("{\"num_hidden_layers\": 3}", "blk.2");
    refused("{\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4, \"truncate\": false}}",
            "truncate");
}

/* --- GGUF to folder --- */

typedef struct made_file {
    test_folder from, to;
    char file[300], folder[300];
} made_file;

static made_file make_file(const model_recipe *r) {
    made_file m = {test_folder_make(), test_folder_make(), "", ""};
    snprintf(m.file, sizeof m.file, "%s/in.gguf", m.from.path);
    snprintf(m.folder, sizeof m.folder, "%s/out", m.to.path);
    CHECK_OK(model_write_gguf(r, m.file));
    return m;
}

static void remove_made(const made_file *m) {
    test_folder out;
    snprintf(out.path, sizeof out.path, "%.199s", m->folder);
    test_folder_remove(&out);
    test_folder_remove(&m->from);
    test_folder_remove(&m->to);
}

/* A quantised file in F32 says what the file says, bit for bit in the exact mode but for the order
 * of llama's rows. */
static void quantised_files_become_folders(void) {
    static const char *const architectures[] = {"llama", "qwen2"};
    for (int i = 0; i < 2; i++) {
        model_recipe r = {.architecture = architectures[i], .type = DTYPE_Q8_0};
        made_file m = make_file(&r);
        export_result result;
        CHECK_OK(export_gguf(m.file, m.folder,
                             &(export_options){.recode = usual, .type = "f32"}, &result));
        pair p = {.folder = open_model(m.folder), .file = open_model(m.file)};
        if (p.folder && p.file) {
            const int32_t ids[] = {5, 9, 200, 33, 9, 5, 77};
            same_logits(&p, ids, sizeof ids / sizeof *ids);
            same_texts(&p);
            same_chat(&p);
            CHECK(strcmp(hone_model_describe(p.folder)->weight_type, "F32") == 0);
        }
        hone_model_close(p.folder);
        hone_model_close(p.file);
        remove_made(&m);
    }
}

static void interrupted_exports_leave_nothing(void) {
    model_recipe r = {.type = DTYPE_F32};
    made_file m = make_file(&r);
    const export_options stop = {.recode = {.n_threads = 1, .observe = stop_half_way}};
    CHECK(export_gguf(m.file, m.folder, &stop, NULL) == HONE_ERR_CANCELLED);
    CHECK(test_folder_count(&m.to, NULL) == 0);
    for (long n = 1;; n += n / 16 + 1) {
        mem_fail_from(n);
        hone_status status = export_gguf(m.file, m.folder,
                                         &(export_options){.recode = {.n_threads = 1}}, NULL);
        mem_fail_from(0);
        if (status == HONE_OK || n > 10000000) break;
        CHECK_MSG(status == HONE_ERR_MEMORY, "%s", hone_error_message());
        CHECK(test_folder_count(&m.to, NULL) == 0);
    }
    remove_made(&m);
}

static void folders_are_not_replaced(void) {
    model_recipe r = {.type = DTYPE_F32};
    made_file m = make_file(&r);
    const export_options usual_export = {.recode = {.n_threads = 1, .replace = true}};
    CHECK(export_gguf(m.file, m.from.path, &usual_export, NULL) == HONE_ERR_ARGUMENT);
    CHECK(export_gguf(m.file, m.file, &usual_export, NULL) == HONE_ERR_ARGUMENT);
    CHECK(export_gguf(m.to.path, m.folder, &usual_export, NULL) != HONE_OK);
    CHECK(export_gguf(m.file, m.folder, &(export_options){.type = "Q8_0"}, NULL) ==
          HONE_ERR_ARGUMENT);
    CHECK(test_folder_count(&m.from, NULL) == 1 && test_folder_count(&m.to, NULL) == 0);
    remove_made(&m);
}

int main(void) {
    RUN(quantised_files_become_folders);
    RUN(interrupted_exports_leave_nothing);
    RUN(folders_are_not_replaced);
    RUN(reference_folders_stay_what_they_are);
    RUN(made_folders_stay_what_they_are);
    RUN(rope_scaling_is_carried_over);
    RUN(converting_to_a_type_is_quantising_what_was_converted);
    RUN(split_files_are_joined_and_keys_kept);
    RUN(a_second_loss_is_told);
    RUN(nan_is_named);
    RUN(interrupted_work_leaves_nothing);
    RUN(outputs_are_not_overwritten_unasked);
    RUN(torn_memory_leaves_nothing);
    RUN(what_gguf_cannot_say_is_refused);
    return test_summary();
}
