#include "serve/ollama_details.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "format/gguf.h"
#include "hone/hone.h"

enum { SHORT_ARRAY = 16, MAX_ELEMENTS = 1000000, REMEMBERED = 256 };

/* --- what is remembered --- */

typedef struct details {
    uint64_t path_hash, bytes;
    int64_t modified;
    char format[16], family[64], size[24], quant[24];
} details;

static struct {
    pthread_mutex_t lock;
    details items[REMEMBERED];
    size_t next;
} memory = {.lock = PTHREAD_MUTEX_INITIALIZER};

static uint64_t hash_of(const char *text) { /* FNV-1a */
    uint64_t h = 14695981039346656037u;
    for (; *text; text++) h = (h ^ (unsigned char)*text) * 1099511628211u;
    return h;
}

static bool same_file(const details *a, const details *b) {
    return a->path_hash == b->path_hash && a->bytes == b->bytes && a->modified == b->modified;
}

static bool recall(details *d) {
    bool found = false;
    pthread_mutex_lock(&memory.lock);
    for (size_t i = 0; i < REMEMBERED && !found; i++)
        if (memory.items[i].format[0] && same_file(&memory.items[i], d)) {
            *d = memory.items[i];
            found = true;
        }
    pthread_mutex_unlock(&memory.lock);
    return found;
}

static void remember(const details *d) {
    pthread_mutex_lock(&memory.lock);
    memory.items[memory.next++ % REMEMBERED] = *d;
    pthread_mutex_unlock(&memory.lock);
}

/* --- from files --- */

static void format_size(char *out, size_t size, uint64_t n) {
    if (n >= 1000000000) snprintf(out, size, "%.1fB", (double)n / 1e9);
    else if (n >= 1000000) snprintf(out, size, "%.2fM", (double)n / 1e6);
    else snprintf(out, size, "%.2fK", (double)n / 1e3);
}

/* llama.cpp's numbers for kinds of files (LLAMA_FTYPE_…). */
static const char *file_type_name(uint64_t type) {
    static const char *const names[] = {
        [0] = "F32", [1] = "F16", [2] = "Q4_0", [3] = "Q4_1", [7] = "Q8_0", [8] = "Q5_0",
        [9] = "Q5_1",
        [10] = "Q2_K", [11] = "Q3_K_S", [12] = "Q3_K_M", [13] = "Q3_K_L", [14] = "Q4_K_S",
        [15] = "Q4_K_M", [16] = "Q5_K_S", [17] = "Q5_K_M", [18] = "Q6_K", [25] = "IQ4_NL",
        [30] = "IQ4_XS", [32] = "BF16"};
    return type < sizeof names / sizeof *names ? names[type] : NULL;
}

static const char *dominant_type(const gguf *file) {
    const gguf_tensor *largest = NULL;
    for (size_t i = 0; i < gguf_n_tensors(file); i++) {
        const gguf_tensor *t = gguf_tensor_at(file, i);
        if (!largest || t->bytes > largest->bytes) largest = t;
    }
    return largest ? dtype_get(largest->view.type)->name : "";
}

static uint64_t n_parameters(const gguf *file) {
    uint64_t sum = 0;
    for (size_t i = 0; i < gguf_n_tensors(file); i++) {
        const tensor *t = &gguf_tensor_at(file, i)->view;
        uint64_t n = 1;
        for (size_t k = 0; k < t->n_dims; k++) n *= t->ne[k];
        sum += n;
    }
    return sum;
}

static void read_gguf(details *d, const gguf *file) {
    gguf_string family = {"", 0};
    uint64_t type;
    const char *quant = NULL;
    gguf_get_string(file, "general.architecture", &family);
    if (gguf_get_u64(file, "general.file_type", &type)) quant = file_type_name(type);
    snprintf(d->format, sizeof d->format, "gguf");
    int n_family = (int)(family.n < sizeof d->family ? family.n : sizeof d->family - 1);
    snprintf(d->family, sizeof d->family, "%.*s", n_family, family.data);
    snprintf(d->quant, sizeof d->quant, "%s", quant ? quant : dominant_type(file));
    format_size(d->size, sizeof d->size, n_parameters(file));
}

static void read_other(details *d, const char *path) {
    hone_model *model;
    if (hone_model_open(&model, path, &(hone_model_options){.describe_only = true}) != HONE_OK) {
        snprintf(d->format, sizeof d->format, "unknown");
        return;
    }
    const hone_model_info *info = hone_model_describe(model);
    snprintf(d->format, sizeof d->format, "safetensors");
    snprintf(d->family, sizeof d->family, "%s", info->architecture);
    snprintf(d->quant, sizeof d->quant, "%s", info->weight_type);
    format_size(d->size, sizeof d->size, info->n_parameters);
    hone_model_close(model);
}

static json_t *to_json(const details *d) {
    return json_pack("{s:s, s:s, s:s, s:[s], s:s, s:s}", "parent_model", "", "format", d->format,
                     "family", d->family, "families", d->family, "parameter_size", d->size,
                     "quantization_level", d->quant);
}

json_t *ollama_details(const char *path) {
    struct stat st;
    gguf *file;
    if (stat(path, &st) != 0) return to_json(&(details){.bytes = 0});
    details d = {.path_hash = hash_of(path), .bytes = (uint64_t)st.st_size,
                 .modified = st.st_mtime};
    if (recall(&d)) return to_json(&d);
    if (S_ISREG(st.st_mode) && gguf_open(&file, path) == HONE_OK) {
        read_gguf(&d, file);
        gguf_close(file);
    } else {
        read_other(&d, path);
    }
    remember(&d);
    return to_json(&d);
}

/* --- all keys --- */

/* Text from a file: invalid UTF-8 shows as "". */
static json_t *text_json(gguf_string s) {
    json_t *text = json_stringn(s.data, s.n);
    return text ? text : json_string("");
}

static json_t *element_json(const gguf_kv *kv, size_t i) {
    double real;
    uint64_t whole;
    if (kv->element == GGUF_F32 || kv->element == GGUF_F64)
        return gguf_element_f64(kv, i, &real) && isfinite(real) ? json_real(real) : json_null();
    if (kv->element == GGUF_BOOL) return json_boolean(kv->data[i] != 0);
    if (gguf_element_u64(kv, i, &whole)) return json_integer((json_int_t)whole);
    return gguf_element_f64(kv, i, &real) ? json_integer((json_int_t)real) : json_null();
}

static json_t *value_json(const gguf_kv *kv, bool verbose, size_t *budget) {
    size_t cursor = 0;
    gguf_string s;
    if (kv->type == GGUF_STRING)
        return gguf_next_string(kv, &cursor, &s) ? text_json(s) : json_null();
    if (kv->type != GGUF_ARRAY) return element_json(kv, 0);
    if (kv->element == GGUF_ARRAY || (kv->count > SHORT_ARRAY && !verbose) || kv->count > *budget)
        return json_null();
    *budget -= kv->count;
    json_t *list = json_array();
    for (size_t i = 0; i < kv->count; i++) {
        if (kv->element != GGUF_STRING) json_array_append_new(list, element_json(kv, i));
        else if (gguf_next_string(kv, &cursor, &s)) json_array_append_new(list, text_json(s));
    }
    return list;
}

static json_t *keys_json(const gguf *file, bool verbose) {
    size_t budget = MAX_ELEMENTS;
    json_t *info = json_object();
    for (size_t i = 0; i < gguf_n_kv(file); i++) {
        const gguf_kv *kv = gguf_kv_at(file, i);
        if (kv->key.n == strlen("tokenizer.chat_template") && /* it is the answer's `template` */
            !memcmp(kv->key.data, "tokenizer.chat_template", kv->key.n))
            continue;
        json_object_setn_new(info, kv->key.data, kv->key.n, value_json(kv, verbose, &budget));
    }
    json_object_set_new(info, "general.parameter_count",
                        json_integer((json_int_t)n_parameters(file)));
    return info;
}

/* A folder's numbers under the names that GGUF has for them. */
static json_t *folder_json(const hone_model *model) {
    const hone_model_info *h = hone_model_describe(model);
    const struct { const char *key; uint64_t value; } rows[] = {
        {"block_count", h->n_layers}, {"context_length", h->n_context},
        {"embedding_length", h->n_embedding}, {"feed_forward_length", h->n_feed_forward},
        {"attention.head_count", h->n_heads}, {"attention.head_count_kv", h->n_kv_heads},
        {"vocab_size", h->n_vocab}};
    json_t *info = json_pack("{s:s, s:I}", "general.architecture", h->architecture,
                             "general.parameter_count", (json_int_t)h->n_parameters);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char key[128];
        snprintf(key, sizeof key, "%s.%s", h->architecture, rows[i].key);
        json_object_set_new(info, key, json_integer((json_int_t)rows[i].value));
    }
    return info;
}

hone_status ollama_model_info(const char *path, bool verbose, json_t **info) {
    struct stat st;
    gguf *file;
    hone_model *model;
    if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && gguf_open(&file, path) == HONE_OK) {
        *info = keys_json(file, verbose);
        gguf_close(file);
    } else {
        TRY(hone_model_open(&model, path, &(hone_model_options){.describe_only = true}));
        *info = folder_json(model);
        hone_model_close(model);
    }
    return *info ? HONE_OK : mem_fail("model_info", 1);
}

static void add_tensor(void *user, const char *name, const char *type, uint64_t n_elements,
                       uint64_t n_bytes) {
    (void)n_bytes;
    json_array_append_new(user, json_pack("{s:s, s:s, s:[I]}", "name", name, "type", type, "shape",
                                          (json_int_t)n_elements));
}

/* The shape of a GGUF tensor, its slowest dimension last, as in the file. */
static json_t *tensors_of_gguf(const gguf *file) {
    json_t *list = json_array();
    for (size_t i = 0; i < gguf_n_tensors(file); i++) {
        const gguf_tensor *t = gguf_tensor_at(file, i);
        json_t *shape = json_array();
        for (size_t k = 0; k < t->view.n_dims; k++)
            json_array_append_new(shape, json_integer((json_int_t)t->view.ne[k]));
        json_array_append_new(list, json_pack("{s:o, s:s, s:o}", "name", text_json(t->name), "type",
                                              dtype_get(t->view.type)->name, "shape", shape));
    }
    return list;
}

hone_status ollama_tensors(const char *path, json_t **list) {
    struct stat st;
    gguf *file;
    hone_model *model;
    if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && gguf_open(&file, path) == HONE_OK) {
        *list = tensors_of_gguf(file);
        gguf_close(file);
    } else {
        TRY(hone_model_open(&model, path, &(hone_model_options){.describe_only = true}));
        *list = json_array();
        hone_model_each_tensor(model, add_tensor, *list);
        hone_model_close(model);
    }
    return *list ? HONE_OK : mem_fail("tensors", 1);
}
