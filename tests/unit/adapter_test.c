/* Adapters say the same in either form and on either form of the base; merged they say it too; what
 * does not belong together is refused with the reason. */
#include <jansson.h>

#include "adapter_files.h"
#include "files.h"
#include "hone/hone.h"
#include "model/lora.h"
#include "model_files.h"
#include "model_folder.h"
#include "test.h"
#include "weights/convert.h"
#include "weights/quantise.h"

static const int32_t ids[] = {5, 9, 200, 33, 9, 5, 77};
enum { N_IDS = sizeof ids / sizeof *ids };

/* A base and an adapter in both forms, in one temporary folder each. */
typedef struct world {
    test_folder folder, adapter, files;
    char base_file[300], adapter_file[300], out[300];
} world;

static world make_world(const model_recipe *base, adapter_recipe *r) {
    world w = {test_folder_make(), test_folder_make(), test_folder_make(), "", "", ""};
    snprintf(w.base_file, sizeof w.base_file, "%s/base.gguf", w.files.path);
    snprintf(w.adapter_file, sizeof w.adapter_file, "%s/adapter.gguf", w.files.path);
    snprintf(w.out, sizeof w.out, "%s/out.gguf", w.files.path);
    r->base = base;
    CHECK(model_write_folder(base, w.folder.path, NULL));
    CHECK_OK(model_write_gguf(base, w.base_file));
    CHECK(adapter_write_folder(r, w.adapter.path));
    CHECK_OK(adapter_write_gguf(r, w.adapter_file));
    return w;
}

static void remove_world(const world *w) {
    test_folder_remove(&w->folder);
    test_folder_remove(&w->adapter);
    test_folder_remove(&w->files);
}

/* Logits of the last id; zeroes where something failed. `adapter` may be NULL. */
static void last_logits(const char *base, const char *adapter, float scale,
                        float logits[MADE_VOCABULARY]) {
    hone_model *model = NULL;
    hone_session *s = NULL;
    hone_adapter *a = NULL;
    memset(logits, 0, MADE_VOCABULARY * sizeof *logits);
    bool fine = CHECK_OK(hone_model_open(&model, base, &(hone_model_options){.n_threads = 2})) &&
                CHECK_OK(hone_session_open(&s, model, &(hone_session_options){.exact = true}));
    if (fine && adapter)
        fine = CHECK_OK(hone_adapter_open(&a, model, adapter)) &&
               CHECK_OK(hone_session_set_adapters(s, &a, &scale, 1));
    if (fine && CHECK_OK(hone_step(&(hone_step_item){s, ids, N_IDS, HONE_LOGITS_LAST}, 1)))
        memcpy(logits, hone_session_logits(s, 0), MADE_VOCABULARY * sizeof *logits);
    hone_session_close(s);
    hone_adapter_close(a);
    hone_model_close(model);
}

static double difference(const float *a, const float *b) {
    double largest = 0;
    for (size_t i = 0; i < MADE_VOCABULARY; i++)
        largest = fmax(largest, fabs((double)a[i] - (double)b[i]));
    return largest;
}

/* --- either form --- */

static void both_forms_say_the_same(const char *architecture) {
    model_recipe base = {.architecture = architecture, .type = DTYPE_F32};
    adapter_recipe r = {.seed = 1};
    world w = make_world(&base, &r);
    float plain[MADE_VOCABULARY], want[MADE_VOCABULARY], have[MADE_VOCABULARY];
    last_logits(w.folder.path, NULL, 1, plain);
    last_logits(w.folder.path, w.adapter.path, 1, want);
    CHECK_MSG(difference(plain, want) > 0.1, "%g", difference(plain, want));
    const char *pairs[][2] = {{w.folder.path, w.adapter_file}, {w.base_file, w.adapter.path},
                              {w.base_file, w.adapter_file}};
    for (int i = 0; i < 3; i++) {
        last_logits(pairs[i][0], pairs[i][1], 1, have);
        CHECK_MSG(difference(want, have) < 2e-5, "%s, pair %d: %g", architecture, i,
                  difference(want, have));
    }
    remove_world(&w);
}

static void llama_rows_are_turned(void) { both_forms_say_the_same("llama"); }
static void qwen2_rows_stay(void) { both_forms_say_the_same("qwen2"); }

/* However the tokens were cut into steps: bit for bit, also with outputs that are no whole number
 * of vectors. */
static void steps_agree_bit_for_bit(void) {
    enum { N = 150 };
    model_recipe base = {.type = DTYPE_F32, .width = 320};
    adapter_recipe r = {.seed = 3, .rank = 5};
    world w = make_world(&base, &r);
    float one_go[MADE_VOCABULARY] = {0}, one_by_one[MADE_VOCABULARY] = {1};
    hone_model *model = NULL;
    hone_adapter *a = NULL;
    int32_t tokens[N];
    for (int i = 0; i < N; i++) tokens[i] = (i * 37 + 11) % 260;
    CHECK_OK(hone_model_open(&model, w.base_file, &(hone_model_options){.n_threads = 2}));
    if (model) CHECK_OK(hone_adapter_open(&a, model, w.adapter_file));
    for (int way = 0; a && way < 2; way++) {
        hone_session *s = NULL;
        CHECK_OK(hone_session_open(&s, model, &(hone_session_options){.exact = true}));
        CHECK_OK(hone_session_set_adapters(s, &a, NULL, 1));
        size_t step = way ? 1 : N;
        for (size_t i = 0; i < N; i += step)
            CHECK_OK(hone_step(&(hone_step_item){s, tokens + i, step, HONE_LOGITS_LAST}, 1));
        memcpy(way ? one_by_one : one_go, hone_session_logits(s, 0), sizeof one_go);
        hone_session_close(s);
    }
    CHECK_MSG(memcmp(one_go, one_by_one, sizeof one_go) == 0, "%g", difference(one_go, one_by_one));
    hone_adapter_close(a);
    hone_model_close(model);
    remove_world(&w);
}

/* --- scales --- */

static const lora_pair *pair_named(const lora_file *f, const char *name) {
    for (size_t i = 0; i < f->n_pairs; i++)
        if (strcmp(f->pairs[i].name, name) == 0) return &f->pairs[i];
    return NULL;
}

static void rank_and_alpha_make_the_scale(void) {
    static const struct {
        const char *config;
        double q, down_1; /* of blk.0.attn_q and blk.1.ffn_down */
    } cases[] = {
        {"{}", 2, 2},
        {"{\"use_rslora\": true}", 4, 4},
        {"{\"alpha_pattern\": {\"down_proj\": 2}}", 2, 0.5},
        {"{\"alpha_pattern\": {\"layers.1.mlp.down_proj\": 2, \"down_proj\": 12}}", 2, 0.5},
        {"{\"alpha_pattern\": {\"own_proj\": 2, \"layers.0.mlp.down_proj\": 3}}", 2, 2},
        {"{\"rank_pattern\": {\"self_attn\": 9}}", 2, 2},
        {"{\"r\": 3, \"rank_pattern\": {\"q_proj\": 4, \"k_proj\": 4, \"v_proj\": 4, \"o_proj\": 4,"
         " \"up_proj\": 4, \"gate_proj\": 4, \"down_proj\": 4}}", 2, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        test_folder folder = test_folder_make();
        model_recipe base = {.type = DTYPE_F32};
        adapter_recipe r = {.base = &base, .config = cases[i].config};
        lora_file f;
        CHECK(adapter_write_folder(&r, folder.path));
        if (CHECK_OK(lora_file_open(&f, folder.path))) {
            const lora_pair *q = pair_named(&f, "blk.0.attn_q.weight");
            const lora_pair *down = pair_named(&f, "blk.1.ffn_down.weight");
            CHECK(f.n_pairs == 14 && q && down);
            if (q) CHECK_NEAR(q->scale, cases[i].q, 1e-6);
            if (down) CHECK_NEAR(down->scale, cases[i].down_1, 1e-6);
            lora_file_release(&f);
        }
        test_folder_remove(&folder);
    }
}

/* --- merging --- */

static void merge_to(const world *w, bool folder, float scale, const char *type, float *logits) {
    merge_adapter a = {folder ? w->adapter.path : w->adapter_file, scale};
    recode_options options = {.n_threads = 2, .replace = true, .adapters = &a, .n_adapters = 1};
    const quant_mix *mix = type ? quant_mix_by_name(type) : NULL;
    if (folder) CHECK_OK(convert_folder(w->folder.path, w->out, mix, &options, NULL));
    else CHECK_OK(quantise_gguf(w->base_file, w->out, mix, &options, NULL));
    last_logits(w->out, NULL, 1, logits);
}

static void merged_weights_answer_like_the_adapter(const char *architecture) {
    model_recipe base = {.architecture = architecture, .type = DTYPE_F32};
    adapter_recipe r = {.seed = 2};
    world w = make_world(&base, &r);
    float want[MADE_VOCABULARY], have[MADE_VOCABULARY], plain[MADE_VOCABULARY];
    static const struct {
        const char *type;
        double bound;
    } types[] = {{NULL, 2e-5}, {"F32", 2e-5}, {"F16", 1e-2}, {"Q8_0", 0.1}};
    last_logits(w.folder.path, NULL, 1, plain);
    last_logits(w.folder.path, w.adapter.path, 0.5f, want);
    CHECK(difference(plain, want) > 0.15);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        for (int folder = 0; folder < 2; folder++) {
            merge_to(&w, folder, 0.5f, types[i].type, have);
            CHECK_MSG(difference(want, have) < types[i].bound, "%s %s from %s: %g", architecture,
                      types[i].type ? types[i].type : "as it is", folder ? "folder" : "file",
                      difference(want, have));
        }
    remove_world(&w);
}

static void llama_merges(void) { merged_weights_answer_like_the_adapter("llama"); }
static void qwen2_merges(void) { merged_weights_answer_like_the_adapter("qwen2"); }

/* Types stay where none is asked for, also quantised ones; what no adapter changes keeps its
 * bytes. */
static void a_quantised_base_keeps_its_types(void) {
    model_recipe base = {.type = DTYPE_Q8_0};
    adapter_recipe r = {.base = &base, .seed = 2};
    test_folder files = test_folder_make();
    char in[300], out[300], adapter[300];
    gguf *a = NULL, *b = NULL;
    snprintf(in, sizeof in, "%s/in.gguf", files.path);
    snprintf(out, sizeof out, "%s/out.gguf", files.path);
    snprintf(adapter, sizeof adapter, "%s/adapter.gguf", files.path);
    CHECK_OK(model_write_gguf(&base, in));
    CHECK_OK(adapter_write_gguf(&r, adapter));
    merge_adapter merged = {adapter, 1};
    recode_options options = {.n_threads = 2, .adapters = &merged, .n_adapters = 1};
    CHECK_OK(quantise_gguf(in, out, NULL, &options, NULL));
    if (CHECK_OK(gguf_open(&a, in)) && CHECK_OK(gguf_open(&b, out))) {
        CHECK(gguf_n_kv(a) == gguf_n_kv(b) && gguf_n_tensors(a) == gguf_n_tensors(b));
        for (size_t i = 0; i < gguf_n_tensors(a); i++) {
            const gguf_tensor *x = gguf_tensor_at(a, i), *y = gguf_tensor_at(b, i);
            bool same = memcmp(x->view.data, y->view.data, x->bytes) == 0;
            bool adapted = x->view.n_dims == 2 && strncmp(x->name.data, "blk.", 4) == 0;
            CHECK(x->view.type == y->view.type && same != adapted);
        }
    }
    gguf_close(a);
    gguf_close(b);
    test_folder_remove(&files);
}

/* --- what is refused --- */

/* Opens the PEFT folder of the recipe; the words must hold `word`. */
static void folder_refused(adapter_recipe *r, const char *word) {
    test_folder folder = test_folder_make();
    model_recipe base = {.type = DTYPE_F32};
    lora_file f;
    r->base = &base;
    CHECK(adapter_write_folder(r, folder.path));
    hone_status status = lora_file_open(&f, folder.path);
    CHECK_MSG(status != HONE_OK, "%s", word);
    CHECK_MSG(strstr(hone_error_message(), word), "%s: %s", word, hone_error_message());
    if (status == HONE_OK) lora_file_release(&f);
    test_folder_remove(&folder);
}

static void what_peft_asks_and_hone_does_not_do_is_named(void) {
    static const char *const cases[][2] = {
        {"{\"peft_type\": \"IA3\"}", "IA3"},
        {"{\"bias\": \"all\"}", "bias"},
        {"{\"use_dora\": true}", "use_dora"},
        {"{\"fan_in_fan_out\": true}", "fan_in_fan_out"},
        {"{\"modules_to_save\": [\"lm_head\"]}", "modules_to_save"},
        {"{\"layer_replication\": [[0, 1]]}", "layer_replication"},
        {"{\"rank_pattern\": {\".*q_proj\": 2}}", ".*q_proj"},
        {"{\"alpha_pattern\": {\"q_proj\": \"much\"}}", "q_proj"},
        {"{\"alpha_pattern\": [3]}", "alpha_pattern"},
        {"{\"r\": 5}", "adapter_config.json says 5"},
        {"{\"r\": 0}", "\"r\""},
        {"{\"r\": \"x\"}", "\"r\""},
        {"{\"lora_alpha\": 1e9}", "alpha"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        folder_refused(&(adapter_recipe){.config = cases[i][0]}, cases[i][1]);
    folder_refused(&(adapter_recipe){.extra = "base_model.model.lm_head.weight"}, "lm_head");
    folder_refused(&(adapter_recipe){.extra = "base_model.model.model.layers.0.mlp.router.lora_A."
                                              "weight"}, "mlp.router");
    folder_refused(&(adapter_recipe){.leave_out = "base_model.model.model.layers.0.mlp.up_proj."
                                                  "lora_B.weight"}, "only one");
    folder_refused(&(adapter_recipe){.rank = 5000}, "rank 5000");
}

/* Opens the adapter for a base of llama; the words must hold `word`. */
static void base_refuses(adapter_recipe *r, bool as_file, const char *word) {
    test_folder files = test_folder_make(), folder = test_folder_make();
    char base_file[300], adapter_file[300];
    model_recipe base = {.type = DTYPE_F32};
    hone_model *model = NULL;
    hone_adapter *a = NULL;
    snprintf(base_file, sizeof base_file, "%s/base.gguf", files.path);
    snprintf(adapter_file, sizeof adapter_file, "%s/adapter.gguf", files.path);
    CHECK_OK(model_write_gguf(&base, base_file));
    CHECK_OK(hone_model_open(&model, base_file, &(hone_model_options){.n_threads = 1}));
    if (as_file) CHECK_OK(adapter_write_gguf(r, adapter_file));
    else CHECK(adapter_write_folder(r, folder.path));
    CHECK_MSG(model && hone_adapter_open(&a, model, as_file ? adapter_file : folder.path) ==
              HONE_ERR_UNSUPPORTED, "%s", word);
    CHECK_MSG(strstr(hone_error_message(), word), "%s: %s", word, hone_error_message());
    hone_adapter_close(a);
    hone_model_close(model);
    test_folder_remove(&files);
    test_folder_remove(&folder);
}

static void another_base_is_refused_with_the_reason(void) {
    model_recipe own = {.type = DTYPE_F32}, wide = {.type = DTYPE_F32, .width = 128};
    model_recipe deep = {.type = DTYPE_F32, .n_layers = 3};
    for (int as_file = 0; as_file < 2; as_file++) {
        base_refuses(&(adapter_recipe){.base = &wide}, as_file, "[128, 128], that of");
        base_refuses(&(adapter_recipe){.base = &deep}, as_file, "blk.2.");
    }
    base_refuses(&(adapter_recipe){.base = &wide}, false, "someone/base");
    base_refuses(&(adapter_recipe){.base = &own, .architecture = "qwen2"}, true, "qwen2");
}

static void a_model_is_no_adapter(void) {
    test_folder files = test_folder_make();
    model_recipe base = {.type = DTYPE_F32};
    const char *path = test_path(files.path, "base.gguf");
    lora_file f;
    CHECK_OK(model_write_gguf(&base, path));
    CHECK(lora_file_open(&f, path) == HONE_ERR_FORMAT);
    CHECK_MSG(strstr(hone_error_message(), "is no adapter"), "%s", hone_error_message());
    CHECK(lora_file_open(&f, files.path) == HONE_ERR_FORMAT);
    CHECK_MSG(strstr(hone_error_message(), "adapter_config.json"), "%s", hone_error_message());
    CHECK(lora_file_open(&f, "/nowhere/at all") == HONE_ERR_NOT_FOUND);
    test_folder_remove(&files);
}

/* --- short memory --- */

static void short_memory_leaks_nothing(void) {
    model_recipe base = {.type = DTYPE_F32};
    adapter_recipe r = {.seed = 1};
    world w = make_world(&base, &r);
    const char *paths[] = {w.adapter.path, w.adapter_file};
    hone_model *model = NULL;
    hone_session *s = NULL;
    CHECK_OK(hone_model_open(&model, w.base_file, &(hone_model_options){.n_threads = 1}));
    CHECK_OK(hone_session_open(&s, model, NULL));
    for (int i = 0; i < 2; i++)
        for (long n = 1;; n++) {
            hone_adapter *a = NULL;
            mem_fail_from(n);
            hone_status status = hone_adapter_open(&a, model, paths[i]);
            if (status == HONE_OK) status = hone_session_set_adapters(s, &a, NULL, 1);
            mem_fail_from(0);
            hone_adapter_close(a);
            CHECK(status == HONE_OK || status == HONE_ERR_MEMORY);
            if (status == HONE_OK || n > 100000) break;
        }
    hone_session_close(s);
    hone_model_close(model);
    remove_world(&w);
}

int main(void) {
    RUN(llama_rows_are_turned);
    RUN(qwen2_rows_stay);
    RUN(steps_agree_bit_for_bit);
    RUN(rank_and_alpha_make_the_scale);
    RUN(llama_merges);
    RUN(qwen2_merges);
    RUN(a_quantised_base_keeps_its_types);
    RUN(what_peft_asks_and_hone_does_not_do_is_named);
    RUN(another_base_is_refused_with_the_reason);
    RUN(a_model_is_no_adapter);
    RUN(short_memory_leaks_nothing);
    return test_summary();
}
