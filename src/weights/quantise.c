#include "weights/quantise.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "format/gguf.h"
#include "weights/merge.h"

enum { QUANTISATION_VERSION = 2, FILE_TYPE_GUESSED = 1024, MAX_TENSOR_NAME = 64 };

typedef struct job {
    const char *in_path, *out_path;
    const quantise_plan *plan;
    const recode_options *options;
    model_source source;
    const gguf *in; /* the source's */
    gguf_writer *writer;
    recoder recoder;
    merge adapters;
    dtype *types; /* [tensors] wanted */
    const char *lossy_type;
    fidelity_record record; /* where the plan has a text */
} job;

/* --- keys --- */

static bool begins_with(gguf_string text, const char *start) {
    size_t n = strlen(start);
    return text.n >= n && memcmp(text.data, start, n) == 0;
}

static bool changes_types(const job *j) { return j->plan->mix || j->plan->types; }

/* What this run makes untrue. */
static bool is_outdated(const job *j, gguf_string key) {
    static const char *const starts[] = {"split.", "hone.fidelity.", "hone.choice.",
                                         "general.file_type", "general.quantization_version",
                                         "quantize.imatrix."};
    size_t n = changes_types(j) ? sizeof starts / sizeof *starts : 2;
    for (size_t i = 0; i < n; i++)
        if (begins_with(key, starts[i])) return true;
    return false;
}

static hone_status put_text(gguf_writer *w, const char *key, const char *text) {
    return gguf_put_string(w, key, text, strlen(text));
}

static hone_status put_importance(gguf_writer *w, const quantise_plan *plan) {
    const imatrix *m = plan->importance;
    if (!m) return HONE_OK;
    if (plan->importance_file)
        TRY(put_text(w, "quantize.imatrix.file", plan->importance_file));
    TRY(put_text(w, "quantize.imatrix.dataset", m->dataset));
    TRY(gguf_put_u32(w, "quantize.imatrix.entries_count", (uint32_t)m->n));
    return gguf_put_u32(w, "quantize.imatrix.chunks_count", m->n_chunks);
}

static hone_status put_choice(gguf_writer *w, const quantise_plan *plan) {
    if (!plan->goal) return HONE_OK;
    TRY(put_text(w, "hone.choice.goal", plan->goal));
    gguf_string *rows = mem_calloc(plan->n_table, sizeof *rows);
    if (!rows) return mem_fail("table", plan->n_table * sizeof *rows);
    for (size_t i = 0; i < plan->n_table; i++)
        rows[i] = (gguf_string){plan->table[i], strlen(plan->table[i])};
    hone_status status = gguf_put_strings(w, "hone.choice.table", rows, plan->n_table);
    mem_free(rows);
    return status;
}

static hone_status put_keys(job *j) {
    for (size_t i = 0; i < gguf_n_kv(j->in); i++) {
        const gguf_kv *kv = gguf_kv_at(j->in, i);
        if (!is_outdated(j, kv->key)) TRY(gguf_put_copy(j->writer, kv));
    }
    if (changes_types(j)) {
        uint32_t file_type = j->plan->mix ? quant_mix_file_type(j->plan->mix) : FILE_TYPE_GUESSED;
        TRY(gguf_put_u32(j->writer, "general.file_type", file_type));
        TRY(gguf_put_u32(j->writer, "general.quantization_version", QUANTISATION_VERSION));
    }
    TRY(put_importance(j->writer, j->plan));
    TRY(put_choice(j->writer, j->plan));
    return j->plan->text ? fidelity_record_put(j->writer, &j->record) : HONE_OK;
}

/* --- tensors --- */

/* The first element where layers have their own; 0 where the key is missing. */
static size_t hyperparameter(const gguf *in, const char *end) {
    gguf_string architecture = {"", 0};
    char key[256];
    uint64_t value = 0;
    gguf_get_string(in, "general.architecture", &architecture);
    snprintf(key, sizeof key, "%.*s.%s", architecture.n < 128 ? (int)architecture.n : 128,
             architecture.data, end);
    const gguf_kv *kv = gguf_find(in, key);
    if (kv && kv->count > 0) gguf_element_u64(kv, 0, &value);
    return (size_t)value;
}

static void tensor_name(const gguf_tensor *t, char name[MAX_TENSOR_NAME]) {
    snprintf(name, MAX_TENSOR_NAME, "%.*s", (int)t->name.n, t->name.data);
}

quant_mix_model quantise_model_of(const gguf *file, bool has_importance) {
    return (quant_mix_model){
        .n_layers = hyperparameter(file, "block_count"),
        .n_heads = hyperparameter(file, "attention.head_count"),
        .n_kv_heads = hyperparameter(file, "attention.head_count_kv"),
        .has_output = gguf_find_tensor(file, "output.weight") != NULL,
        .has_importance = has_importance,
    };
}

bool quantise_type_by_name(const char *name, dtype *type) {
    int found = dtype_by_name(name);
    if (found < 0 || !dtype_get((uint32_t)found)->is_weight) return false;
    *type = (dtype)found;
    return true;
}

static bool fits(const char *pattern, const char *name) {
    if (strpbrk(pattern, "*?[")) return fnmatch(pattern, name, 0) == 0;
    return strstr(name, pattern) != NULL;
}

static dtype type_for(const job *j, const quant_mix_model *model, size_t index, const char *name) {
    const tensor *view = &gguf_tensor_at(j->in, index)->view;
    const quantise_plan *plan = j->plan;
    if (!dtype_get(view->type)->is_weight) return view->type;
    for (size_t i = 0; i < plan->n_rules && view->n_dims > 1; i++)
        if (fits(plan->rules[i].pattern, name))
            return quant_mix_fall_back(plan->rules[i].type, view->ne[0]);
    if (plan->types && plan->types[index] != (dtype)-1) return plan->types[index];
    return plan->mix ? quant_mix_type(plan->mix, model, name, view) : view->type;
}

static hone_status put_tensors(job *j) {
    const quant_mix_model model = quantise_model_of(j->in, j->plan->importance != NULL);
    for (size_t i = 0; i < gguf_n_tensors(j->in); i++) {
        const gguf_tensor *t = gguf_tensor_at(j->in, i);
        const dtype_traits *from = dtype_get(t->view.type);
        char name[MAX_TENSOR_NAME];
        tensor_name(t, name);
        j->types[i] = type_for(j, &model, i, name);
        bool again = from->block > 1 && j->types[i] != t->view.type;
        if (again && dtype_get(j->types[i])->block > 1 && !j->lossy_type)
            j->lossy_type = from->name;
        TRY(gguf_put_tensor(j->writer, name, j->types[i], t->view.ne, t->view.n_dims));
    }
    return HONE_OK;
}

/* Data of which nothing fits were made from another model. */
static hone_status check_importance(const job *j) {
    const imatrix *m = j->plan->importance;
    size_t n_found = 0;
    for (size_t i = 0; m && i < m->n; i++) {
        const imatrix_entry *e = &m->entries[i];
        const gguf_tensor *t = gguf_find_tensor(j->in, e->name);
        if (!t) continue;
        n_found++;
        if (t->view.ne[0] != e->n_columns || t->view.ne[2] != e->n_matrices)
            return fail(HONE_ERR_ARGUMENT,
                        "the importance data is another model's: '%s' has %zu columns there and "
                        "%zu in %s", e->name, e->n_columns, t->view.ne[0], j->in_path);
    }
    if (!m || n_found > 0) return HONE_OK;
    return fail(HONE_ERR_ARGUMENT,
                "the importance data is another model's: it knows no tensor of %s", j->in_path);
}

static hone_status produce(void *user, size_t index, size_t offset, void *out, size_t bytes) {
    job *j = user;
    const gguf_tensor *t = gguf_tensor_at(j->in, index);
    recode_change change = {.to = j->types[index]};
    merge_sum sum;
    char name[MAX_TENSOR_NAME];
    tensor_name(t, name);
    merge_into(&j->adapters, name, &sum, &change);
    const imatrix_entry *e = j->plan->importance ? imatrix_find(j->plan->importance, name) : NULL;
    if (e) change.importance = e->mean;
    hone_status status = recode_rows(&j->recoder, &t->view, &change, offset, out, bytes);
    return status == HONE_OK ? status : fail_context(status, "%s", j->in_path);
}

/* --- the fidelity record --- */

static const char *file_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* All but the numbers, which take their room as zeros until they are known. */
static hone_status begin_record(job *j) {
    const quantise_text *text = j->plan->text;
    uint64_t bytes[DTYPE_LIMIT] = {0};
    size_t widest = 0;
    if (!text) return HONE_OK;
    for (size_t i = 0; i < gguf_n_tensors(j->in); i++)
        bytes[gguf_tensor_at(j->in, i)->view.type] += gguf_tensor_at(j->in, i)->bytes;
    for (size_t i = 0; i < DTYPE_LIMIT; i++) widest = bytes[i] > bytes[widest] ? i : widest;
    fidelity_record *r = &j->record;
    snprintf(r->reference, sizeof r->reference, "%s", file_name(j->in_path));
    snprintf(r->reference_type, sizeof r->reference_type, "%s", dtype_get((uint32_t)widest)->name);
    snprintf(r->text, sizeof r->text, "%s", file_name(text->name));
    r->reference_bytes = source_file_bytes(&j->source);
    sha256_hash hash;
    TRY(sha256_init(&hash));
    hone_status status = sha256_add(&hash, text->text, text->n_bytes);
    if (status == HONE_OK) status = sha256_finish(&hash, &r->text_sha256);
    sha256_release(&hash);
    return status;
}

static hone_status measure(job *j, const char *path) {
    const quantise_text *text = j->plan->text;
    const hone_model_options options = {.n_threads = j->options->n_threads};
    const fidelity_options how = {.n_tokens = text->n_tokens, .lean = true,
                                  .observe = text->observe, .context = text->context};
    hone_model *reference = NULL, *candidate = NULL;
    hone_status status = hone_model_open(&reference, j->in_path, &options);
    if (status == HONE_OK) status = hone_model_open(&candidate, path, &options);
    if (status == HONE_OK)
        status = fidelity_measure(&j->record.f, reference, candidate, text->text, text->n_bytes,
                                  &how);
    hone_model_close(reference);
    hone_model_close(candidate);
    return status;
}

/* A fresh writer, with all that stands before the data. */
static hone_status put_head(job *j) {
    gguf_writer_close(j->writer);
    j->writer = NULL;
    TRY(gguf_writer_open(&j->writer));
    TRY(put_keys(j));
    return put_tensors(j);
}

/* The file is measured under another name, and its head written again with what came out. */
static hone_status write_measured(job *j, const char *path, quantise_result *result) {
    TRY(gguf_write(j->writer, path, produce, j));
    hone_status status = measure(j, path);
    result->has_fidelity = status == HONE_OK;
    if (status == HONE_ERR_CANCELLED || (status != HONE_OK && j->plan->text->must_work))
        return status;
    if (status == HONE_OK) {
        TRY(put_head(j));
        TRY(gguf_write_head(j->writer, path));
        result->fidelity = j->record.f;
        double most = j->plan->text->max_kl;
        result->rejected = most > 0.0 && j->record.f.kl.value > most;
    } else {
        snprintf(result->no_fidelity, sizeof result->no_fidelity, "%s", hone_error_message());
    }
    if (result->rejected) {
        unlink(path);
        return HONE_OK;
    }
    if (rename(path, j->out_path) == 0) return HONE_OK;
    return fail(HONE_ERR_IO, "%s: cannot rename into place", j->out_path);
}

static hone_status write_and_measure(job *j, quantise_result *result) {
    fs_path path;
    TRY(fs_path_format(&path, "%s.%ld-measured.part", j->out_path, (long)getpid()));
    hone_status status = write_measured(j, path.text, result);
    if (status != HONE_OK) unlink(path.text);
    else fs_sync_folder_of(j->out_path);
    return status;
}

/* --- all of it --- */

static hone_status quantise(job *j, quantise_result *result) {
    uint64_t total = 0;
    TRY(recode_check_output(j->out_path, j->in_path, j->options->replace));
    TRY(source_open(&j->source, j->in_path));
    j->in = j->source.gguf;
    if (!j->in)
        return fail(HONE_ERR_ARGUMENT, "%s is a folder; hone convert makes a GGUF file of it",
                    j->in_path);
    size_t n = gguf_n_tensors(j->in);
    if (n == 0) return fail(HONE_ERR_FORMAT, "%s: no tensors in it", j->in_path);
    j->types = mem_calloc(n, sizeof *j->types);
    if (!j->types) return mem_fail("tensor types", n * sizeof *j->types);
    for (size_t i = 0; i < n; i++) total += gguf_tensor_at(j->in, i)->bytes;
    TRY(check_importance(j));
    TRY(merge_open(&j->adapters, j->options, &j->source));
    TRY(recoder_init(&j->recoder, j->options, &j->source, total));
    TRY(begin_record(j));
    TRY(put_head(j));
    if (j->plan->text) TRY(write_and_measure(j, result));
    else TRY(gguf_write(j->writer, j->out_path, produce, j));
    struct stat st;
    result->in_bytes = source_file_bytes(&j->source);
    result->lossy_type = j->lossy_type;
    if (stat(j->out_path, &st) == 0) result->out_bytes = (uint64_t)st.st_size;
    return HONE_OK;
}

hone_status quantise_gguf_by(const char *in, const char *out, const quantise_plan *plan,
                             const recode_options *options, quantise_result *result) {
    job j = {.in_path = in, .out_path = out, .plan = plan, .options = options};
    quantise_result done = {.in_bytes = 0};
    hone_status status = quantise(&j, &done);
    if (status == HONE_OK && result) *result = done;
    gguf_writer_close(j.writer);
    recoder_release(&j.recoder);
    merge_release(&j.adapters);
    mem_free(j.types);
    source_release(&j.source);
    return status;
}

hone_status quantise_gguf(const char *in, const char *out, const quant_mix *mix,
                          const recode_options *options, quantise_result *result) {
    return quantise_gguf_by(in, out, &(quantise_plan){.mix = mix}, options, result);
}

/* --- classes --- */

enum { MAX_CLASSES = 256 };

typedef struct class_row {
    char name[MAX_TENSOR_NAME];
    dtype type;
    size_t n_tensors;
    uint64_t n_bytes;
} class_row;

static void class_of(const gguf_tensor *t, char name[MAX_TENSOR_NAME]) {
    char whole[MAX_TENSOR_NAME];
    int end = 0;
    tensor_name(t, whole);
    char *layer = strstr(whole, "blk."); /* "enc.blk.3.attn_q" is "enc.attn_q" */
    if (layer) sscanf(layer, "blk.%*u.%n", &end);
    if (end > 0) memmove(layer, layer + end, strlen(layer + end) + 1);
    snprintf(name, MAX_TENSOR_NAME, "%s", whole);
    char *weight = strstr(name, ".weight");
    if (weight && weight[7] == 0) *weight = 0;
}

static class_row *find_class(class_row *rows, size_t *n, const char *name, dtype type) {
    for (size_t i = 0; i < *n; i++)
        if (rows[i].type == type && strcmp(rows[i].name, name) == 0) return &rows[i];
    if (*n == MAX_CLASSES) return NULL;
    class_row *row = &rows[(*n)++];
    *row = (class_row){.type = type};
    memcpy(row->name, name, sizeof row->name);
    return row;
}

hone_status quantise_each_class(const char *path,
                                void (*each)(void *user, const char *class_name, const char *type,
                                             size_t n_tensors, uint64_t n_bytes),
                                void *user) {
    gguf *file;
    size_t n = 0;
    TRY(gguf_open(&file, path));
    class_row *rows = mem_calloc(MAX_CLASSES, sizeof *rows);
    for (size_t i = 0; rows && i < gguf_n_tensors(file); i++) {
        const gguf_tensor *t = gguf_tensor_at(file, i);
        char name[MAX_TENSOR_NAME];
        if (t->view.n_dims < 2) continue;
        class_of(t, name);
        class_row *row = find_class(rows, &n, name, t->view.type);
        if (!row) break; /* a file without order: the table shows its beginning */
        row->n_tensors++;
        row->n_bytes += t->bytes;
    }
    for (size_t i = 0; i < n; i++) /* a class's types together */
        for (size_t k = i; k < n; k++) {
            class_row *row = &rows[k];
            if (row->n_tensors == 0 || strcmp(row->name, rows[i].name) != 0) continue;
            each(user, row->name, dtype_get(row->type)->name, row->n_tensors, row->n_bytes);
            row->n_tensors = 0;
        }
    gguf_close(file);
    hone_status status = rows ? HONE_OK : mem_fail("classes", MAX_CLASSES * sizeof *rows);
    mem_free(rows);
    return status;
}
