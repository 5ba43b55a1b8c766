#include "model/lora_file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/strmap.h"
#include "model/source.h"

#define MAX_CONFIG_BYTES (16u << 20)
#define MAX_ALPHA 1e6

/* --- pairs --- */

/* The pairs while they are put together; every matrix of the file is at most one new pair. */
typedef struct pair_list {
    lora_file *f;
    strmap names; /* → index in f->pairs, whose names it borrows */
    size_t room;
} pair_list;

static hone_status pair_list_init(pair_list *list, lora_file *f, size_t n_tensors) {
    *list = (pair_list){.f = f, .room = n_tensors};
    f->pairs = mem_calloc(n_tensors, sizeof *f->pairs);
    if (!f->pairs) return mem_fail("adapter", n_tensors * sizeof *f->pairs);
    return strmap_init(&list->names, n_tensors);
}

/* The pair that changes the weight `name`, made where it is new. */
static hone_status find_pair(pair_list *list, const char *name, lora_pair **pair) {
    lora_file *f = list->f;
    lora_pair *next = &f->pairs[f->n_pairs];
    uint32_t i;
    if (strmap_find(&list->names, name, strlen(name), &i)) {
        *pair = &f->pairs[i];
        return HONE_OK;
    }
    snprintf(next->name, sizeof next->name, "%s", name);
    TRY(strmap_insert(&list->names, next->name, strlen(next->name), (uint32_t)f->n_pairs, NULL));
    f->n_pairs++;
    *pair = next;
    return HONE_OK;
}

/* Puts one matrix of the file, called `name` there, into its pair. */
static hone_status add_matrix(pair_list *list, const char *weight, bool is_b, const tensor *view,
                              const char *name) {
    lora_pair *pair;
    const char *path = list->f->path;
    const dtype_traits *traits = dtype_get(view->type);
    if (view->n_dims != 2 || view->ne[0] == 0 || view->ne[1] == 0)
        return fail(HONE_ERR_FORMAT, "%s: tensor %s is no matrix", path, name);
    if (!traits->is_weight || !view->data)
        return fail(HONE_ERR_UNSUPPORTED, "%s: tensor %s has type %s, which hone cannot compute "
                    "with", path, name, traits->name ? traits->name : "unknown");
    TRY(find_pair(list, weight, &pair));
    tensor *slot = is_b ? &pair->b : &pair->a;
    if (slot->data) return fail(HONE_ERR_FORMAT, "%s: %s is there twice", path, name);
    *slot = *view;
    return HONE_OK;
}

static hone_status check_pairs(const lora_file *f) {
    if (f->n_pairs == 0) return fail(HONE_ERR_FORMAT, "%s: no adapter matrices in it", f->path);
    for (size_t i = 0; i < f->n_pairs; i++) {
        const lora_pair *p = &f->pairs[i];
        if (!p->a.data || !p->b.data)
            return fail(HONE_ERR_FORMAT, "%s: %s has only one of its two matrices", f->path,
                        p->name);
        if (p->a.ne[1] != p->b.ne[0])
            return fail(HONE_ERR_FORMAT, "%s: %s: A has rank %zu, B has %zu", f->path, p->name,
                        p->a.ne[1], p->b.ne[0]);
        if (p->b.ne[0] > LORA_MAX_RANK)
            return fail(HONE_ERR_UNSUPPORTED, "%s: %s has rank %zu, at most %d", f->path, p->name,
                        p->b.ne[0], LORA_MAX_RANK);
    }
    return HONE_OK;
}

static hone_status check_alpha(const lora_file *f, double alpha) {
    if (alpha >= -MAX_ALPHA && alpha <= MAX_ALPHA) return HONE_OK;
    return fail(HONE_ERR_FORMAT, "%s: alpha is %g, expected at most %g", f->path, alpha,
                MAX_ALPHA);
}

/* --- PEFT --- */

#define PEFT_PREFIX "base_model.model."

/* "base_model.model.model.layers.0.mlp.up_proj.lora_A.weight" → "model.layers.0.mlp.up_proj" */
static bool split_peft_name(const char *name, char module[128], bool *is_b) {
    static const char *const ends[] = {".lora_A.weight", ".lora_B.weight"};
    size_t n = strlen(name), start = strlen(PEFT_PREFIX);
    if (strncmp(name, PEFT_PREFIX, start) != 0) return false;
    for (int i = 0; i < 2; i++) {
        size_t end = strlen(ends[i]);
        if (n <= start + end || strcmp(name + n - end, ends[i]) != 0) continue;
        if (n - start - end >= 128) return false;
        snprintf(module, 128, "%.*s", (int)(n - start - end), name + start);
        *is_b = i == 1;
        return true;
    }
    return false;
}

/* A key of rank_pattern or alpha_pattern means the modules whose name ends in it, from a point on.
 * (PEFT takes it for a regular expression; plain names are what people write.) */
static hone_status check_pattern_keys(const lora_file *f, const json_t *patterns,
                                      const char *which) {
    const char *key;
    json_t *value;
    if (patterns && !json_is_null(patterns) && !json_is_object(patterns))
        return fail(HONE_ERR_FORMAT, "%s: \"%s\": expected an object", f->path, which);
    json_object_foreach((json_t *)patterns, key, value) {
        if (strpbrk(key, "^$*+?()[]{}|\\"))
            return fail(HONE_ERR_UNSUPPORTED, "%s: \"%s\": \"%.100s\" is a regular expression; "
                        "hone takes names of modules", f->path, which, key);
        if (!json_is_number(value))
            return fail(HONE_ERR_FORMAT, "%s: \"%s\": \"%.100s\": expected a number", f->path,
                        which, key);
    }
    return HONE_OK;
}

/* The first pattern that fits the module, or `usual`. */
static double by_pattern(const json_t *patterns, const char *module, double usual) {
    const char *key;
    json_t *value;
    size_t n = strlen(module);
    json_object_foreach((json_t *)patterns, key, value) {
        size_t n_key = strlen(key);
        if (n_key > n || strcmp(module + n - n_key, key) != 0) continue;
        if (n_key == n || module[n - n_key - 1] == '.') return json_number_value(value);
    }
    return usual;
}

/* What changes the answer and is not built. */
static hone_status refuse_peft_features(const json_t *config) {
    static const char *const flags[] = {"use_dora", "fan_in_fan_out", "lora_bias", "use_qalora",
                                        "use_bdlora"};
    static const char *const objects[] = {"modules_to_save", "layer_replication",
                                          "trainable_token_indices", "target_parameters",
                                          "alora_invocation_tokens", "megatron_config",
                                          "kasa_config", "velora_config", "monteclora_config"};
    const char *type = "", *bias = "none";
    TRY(json_get_string(config, "peft_type", &type));
    TRY(json_get_string(config, "bias", &bias));
    if (strcmp(type, "LORA") != 0)
        return fail(HONE_ERR_UNSUPPORTED, "an adapter of type \"%.40s\"; hone takes LORA", type);
    if (strcmp(bias, "none") != 0)
        return fail(HONE_ERR_UNSUPPORTED, "\"bias\" is \"%.40s\"; hone takes adapters of matrices "
                    "alone", bias);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        bool set = false;
        TRY(json_get_bool(config, flags[i], &set));
        if (set) return fail(HONE_ERR_UNSUPPORTED, "\"%s\" is not supported", flags[i]);
    }
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++) {
        const json_t *value = json_object_get(config, objects[i]);
        bool empty = !value || json_is_null(value) || json_is_false(value) ||
                     (json_is_array(value) && json_array_size(value) == 0) ||
                     (json_is_object(value) && json_object_size(value) == 0);
        if (!empty) return fail(HONE_ERR_UNSUPPORTED, "\"%s\" is not supported", objects[i]);
    }
    return HONE_OK;
}

typedef struct peft_numbers {
    double alpha;
    uint64_t rank;
    bool rslora;
    const json_t *ranks, *alphas; /* patterns */
} peft_numbers;

static hone_status read_peft_numbers(const lora_file *f, const json_t *config, peft_numbers *n) {
    *n = (peft_numbers){.ranks = json_object_get(config, "rank_pattern"),
                        .alphas = json_object_get(config, "alpha_pattern")};
    TRY(json_get_u64(config, "r", &n->rank));
    TRY(json_get_f64(config, "lora_alpha", &n->alpha));
    TRY(json_get_bool(config, "use_rslora", &n->rslora));
    if (n->rank == 0) return fail(HONE_ERR_FORMAT, "\"r\" is missing or 0");
    TRY(check_pattern_keys(f, n->ranks, "rank_pattern"));
    return check_pattern_keys(f, n->alphas, "alpha_pattern");
}

/* The scale of a pair whose matrices are both there; the file's rank must be the config's. */
static hone_status set_peft_scale(const lora_file *f, const peft_numbers *n, lora_pair *pair) {
    char folder_name[128];
    if (!source_folder_name(pair->name, 0, folder_name, sizeof folder_name)) folder_name[0] = 0;
    size_t length = strlen(folder_name), end = strlen(".weight");
    folder_name[length > end ? length - end : 0] = 0;
    double rank = by_pattern(n->ranks, folder_name, (double)n->rank);
    double alpha = by_pattern(n->alphas, folder_name, n->alpha);
    TRY(check_alpha(f, alpha));
    if (rank != (double)pair->a.ne[1])
        return fail(HONE_ERR_FORMAT, "%s: %s has rank %zu, adapter_config.json says %g", f->path,
                    folder_name, pair->a.ne[1], rank);
    pair->scale = (float)(n->rslora ? alpha / sqrt(rank) : alpha / rank);
    return HONE_OK;
}

static hone_status add_peft_tensors(pair_list *list, const safetensors *weights) {
    for (size_t i = 0; i < safetensors_count(weights); i++) {
        const safetensors_entry *e = safetensors_at(weights, i);
        char module[128], folder_name[160], name[64];
        bool is_b;
        if (!split_peft_name(e->name, module, &is_b))
            return fail(HONE_ERR_UNSUPPORTED, "%s: tensor %.200s is no matrix of a LoRA adapter",
                        list->f->path, e->name);
        snprintf(folder_name, sizeof folder_name, "%s.weight", module);
        if (!source_gguf_name(folder_name, name, sizeof name))
            return fail(HONE_ERR_UNSUPPORTED, "%s: hone knows no module %.200s", list->f->path,
                        module);
        TRY(add_matrix(list, name, is_b, &e->view, e->name));
    }
    return HONE_OK;
}

hone_status lora_file_read_peft(lora_file *f, const json_t *config, const safetensors *weights) {
    peft_numbers numbers;
    const char *base = "";
    pair_list list;
    if (!json_is_object(config))
        return fail(HONE_ERR_FORMAT, "%s: adapter_config.json: expected an object", f->path);
    hone_status status = refuse_peft_features(config);
    if (status == HONE_OK) status = read_peft_numbers(f, config, &numbers);
    if (status == HONE_OK) status = json_get_string(config, "base_model_name_or_path", &base);
    if (status != HONE_OK) return fail_context(status, "%s/adapter_config.json", f->path);
    snprintf(f->base_name, sizeof f->base_name, "%s", base);
    status = pair_list_init(&list, f, safetensors_count(weights));
    if (status == HONE_OK) status = add_peft_tensors(&list, weights);
    strmap_release(&list.names);
    TRY(status);
    TRY(check_pairs(f));
    for (size_t i = 0; i < f->n_pairs; i++) TRY(set_peft_scale(f, &numbers, &f->pairs[i]));
    return HONE_OK;
}

/* --- GGUF --- */

static bool says(const gguf *file, const char *key, const char *word) {
    gguf_string text;
    return gguf_get_string(file, key, &text) && text.n == strlen(word) &&
           memcmp(text.data, word, text.n) == 0;
}

static hone_status check_gguf_kind(lora_file *f, const gguf *file) {
    gguf_string architecture;
    if (!says(file, "general.type", "adapter"))
        return fail(HONE_ERR_FORMAT, "%s is no adapter: its general.type is not \"adapter\"",
                    f->path);
    if (!says(file, "adapter.type", "lora"))
        return fail(HONE_ERR_UNSUPPORTED, "%s: adapter.type is not \"lora\"", f->path);
    if (gguf_find(file, "adapter.alora.invocation_tokens"))
        return fail(HONE_ERR_UNSUPPORTED, "%s: activated LoRA (adapter.alora.*) is not supported",
                    f->path);
    if (gguf_get_string(file, "general.architecture", &architecture))
        snprintf(f->architecture, sizeof f->architecture, "%.*s",
                 (int)(architecture.n < 63 ? architecture.n : 63), architecture.data);
    return HONE_OK;
}

static hone_status add_gguf_tensors(pair_list *list, const gguf *file) {
    static const char *const ends[] = {".lora_a", ".lora_b"};
    for (size_t i = 0; i < gguf_n_tensors(file); i++) {
        const gguf_tensor *t = gguf_tensor_at(file, i);
        char name[64], full[64];
        snprintf(full, sizeof full, "%.*s", (int)(t->name.n < 63 ? t->name.n : 63), t->name.data);
        size_t n = strlen(full), end = strlen(ends[0]);
        int which = n <= end ? 2 : 0;
        while (which < 2 && strcmp(full + n - end, ends[which]) != 0) which++;
        if (which == 2)
            return fail(HONE_ERR_UNSUPPORTED, "%s: tensor %s is no matrix of a LoRA adapter",
                        list->f->path, full);
        snprintf(name, sizeof name, "%.*s", (int)(n - end), full);
        TRY(add_matrix(list, name, which == 1, &t->view, full));
    }
    return HONE_OK;
}

hone_status lora_file_read_gguf(lora_file *f, const gguf *file) {
    double alpha = 0;
    pair_list list;
    f->is_gguf = true;
    TRY(check_gguf_kind(f, file));
    if (gguf_find(file, "adapter.lora.alpha") && !gguf_get_f64(file, "adapter.lora.alpha", &alpha))
        return fail(HONE_ERR_FORMAT, "%s: key adapter.lora.alpha must be a number", f->path);
    TRY(check_alpha(f, alpha));
    hone_status status = pair_list_init(&list, f, gguf_n_tensors(file));
    if (status == HONE_OK) status = add_gguf_tensors(&list, file);
    strmap_release(&list.names);
    TRY(status);
    TRY(check_pairs(f));
    for (size_t i = 0; i < f->n_pairs; i++) /* as llama.cpp reads it: no alpha, no scaling */
        f->pairs[i].scale = alpha != 0 ? (float)(alpha / (double)f->pairs[i].a.ne[1]) : 1;
    return HONE_OK;
}

/* --- files --- */

static hone_status open_folder(lora_file *f) {
    fs_path config, weights, pickled;
    struct stat st;
    TRY(fs_path_format(&config, "%s/adapter_config.json", f->path));
    TRY(fs_path_format(&weights, "%s/adapter_model.safetensors", f->path));
    TRY(fs_path_format(&pickled, "%s/adapter_model.bin", f->path));
    hone_status status = json_parse_file(&f->config, config.text, MAX_CONFIG_BYTES);
    if (status == HONE_ERR_NOT_FOUND)
        return fail(HONE_ERR_FORMAT, "%s: a folder without adapter_config.json is no adapter",
                    f->path);
    TRY(status);
    if (stat(weights.text, &st) != 0 && stat(pickled.text, &st) == 0)
        return fail(HONE_ERR_UNSUPPORTED, "%s is pickled Python, which can run programs; save the "
                    "adapter as safetensors", pickled.text);
    TRY(safetensors_open(&f->weights, weights.text));
    return lora_file_read_peft(f, f->config, f->weights);
}

static hone_status open_file(lora_file *f) {
    TRY(gguf_open(&f->gguf, f->path));
    return lora_file_read_gguf(f, f->gguf);
}

hone_status lora_file_open(lora_file *f, const char *path) {
    struct stat st;
    *f = (lora_file){.path = mem_copy_string(path, strlen(path))};
    if (!f->path) return mem_fail("path", strlen(path));
    bool is_folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    hone_status status = is_folder ? open_folder(f) : open_file(f);
    if (status != HONE_OK) lora_file_release(f);
    return status;
}

void lora_file_release(lora_file *f) {
    gguf_close(f->gguf);
    safetensors_close(f->weights);
    json_decref(f->config);
    mem_free(f->pairs);
    mem_free(f->path);
    *f = (lora_file){0};
}
