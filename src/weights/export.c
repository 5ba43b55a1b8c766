/* GGUF → folder: look, plan the files, write them into a folder beside, rename it. */
#include "weights/export.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/mem.h"
#include "format/safetensors_write.h"
#include "format/tokenizer_spec.h"
#include "model/hparams.h"
#include "weights/export_config.h"

#define SHARD_BYTES ((uint64_t)5000000000)

typedef struct exported {
    char name[SOURCE_MAX_NAME]; /* in the folder */
    tensor view;
    size_t halves_of_head; /* recode_change */
    size_t file;           /* which shard */
} exported;

typedef struct job {
    const char *path, *folder;
    const export_options *options;
    model_source source;
    hparams h;
    tokenizer_spec spec;
    recoder recoder;
    exported *tensors; /* [n_tensors] in the order of the file */
    safetensors_new *descriptions;
    size_t n_tensors, n_files, first; /* `first` of the shard that is being written */
    uint64_t bytes;
    dtype forced; /* for all, or DTYPE_LIMIT */
    fs_path temporary;
    char no_tokenizer[256];
} job;

/* --- looking --- */

static hone_status read_type(job *j) {
    static const dtype types[] = {DTYPE_F32, DTYPE_F16, DTYPE_BF16};
    j->forced = DTYPE_LIMIT;
    if (!j->options->type) return HONE_OK;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcasecmp(j->options->type, dtype_get(types[i])->name) == 0) j->forced = types[i];
    if (j->forced != DTYPE_LIMIT) return HONE_OK;
    return fail(HONE_ERR_ARGUMENT, "a folder holds F32, F16 or BF16, not %s", j->options->type);
}

/* An empty folder may be there, so that somebody can make a place for it. */
static hone_status check_folder(const job *j) {
    struct stat st;
    if (stat(j->folder, &st) != 0 || (S_ISDIR(st.st_mode) && rmdir(j->folder) == 0))
        return HONE_OK;
    return fail(HONE_ERR_ARGUMENT, "%s exists already; a folder is not replaced", j->folder);
}

static hone_status look(job *j) {
    TRY(read_type(j));
    TRY(check_folder(j));
    TRY(source_open(&j->source, j->path));
    if (!j->source.gguf)
        return fail(HONE_ERR_ARGUMENT, "%s is a folder already", j->path);
    TRY(hparams_read(&j->h, &j->source));
    return tokenizer_spec_from_gguf(&j->spec, j->source.gguf, j->path);
}

/* --- planning --- */

static dtype type_for(const job *j, dtype from) {
    if (j->forced != DTYPE_LIMIT) return j->forced;
    return from == DTYPE_F32 || from == DTYPE_BF16 ? from : DTYPE_F16;
}

static bool is_turned(const char *name) {
    return strstr(name, ".attn_q.weight") || strstr(name, ".attn_k.weight");
}

static hone_status plan_tensor(job *j, const gguf_tensor *t, uint64_t *in_file) {
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)t->name.n, t->name.data);
    if (strcmp(name, "rope_freqs.weight") == 0) return HONE_OK; /* config.json says it */
    exported *e = &j->tensors[j->n_tensors];
    *e = (exported){.view = t->view};
    if (!source_folder_name(name, 0, e->name, sizeof e->name))
        return fail(HONE_ERR_UNSUPPORTED, "%s: tensor %s has no place in a folder of \"%s\"",
                    j->path, name, j->h.architecture);
    if (j->h.rope.interleaved && is_turned(name)) e->halves_of_head = j->h.head_dim;
    safetensors_new *d = &j->descriptions[j->n_tensors++];
    *d = (safetensors_new){.name = e->name, .type = type_for(j, t->view.type),
                           .n_dims = t->view.n_dims};
    memcpy(d->ne, t->view.ne, sizeof d->ne);
    size_t row;
    if (!dtype_row_bytes(d->type, d->ne[0], &row)) return fail(HONE_ERR_FORMAT, "%s", name);
    uint64_t bytes = (uint64_t)row * d->ne[1] * d->ne[2] * d->ne[3];
    uint64_t most = j->options->shard_bytes ? j->options->shard_bytes : SHARD_BYTES;
    if (*in_file > 0 && *in_file + bytes > most) {
        j->n_files++;
        *in_file = 0;
    }
    *in_file += bytes;
    j->bytes += bytes;
    e->file = j->n_files;
    return HONE_OK;
}

static hone_status plan(job *j) {
    size_t n = gguf_n_tensors(j->source.gguf);
    uint64_t in_file = 0, total = 0;
    j->tensors = mem_calloc(n, sizeof *j->tensors);
    j->descriptions = mem_calloc(n, sizeof *j->descriptions);
    if (!j->tensors || !j->descriptions) return mem_fail("tensors", n * sizeof *j->tensors);
    for (size_t i = 0; i < n; i++) {
        const gguf_tensor *t = gguf_tensor_at(j->source.gguf, i);
        TRY(plan_tensor(j, t, &in_file));
        total += t->bytes;
    }
    j->n_files++;
    return recoder_init(&j->recoder, &j->options->recode, &j->source, total);
}

/* --- the files --- */

/* Takes what was built since the last one. */
static hone_status write_json(const job *j, const char *name, json_t *root) {
    fs_path path;
    char *text = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
    json_decref(root);
    hone_status status = json_build_end(name);
    if (status == HONE_OK && !text) status = fail(HONE_ERR_FORMAT, "%s: no JSON", name);
    if (status == HONE_OK) status = fs_path_format(&path, "%s/%s", j->temporary.text, name);
    if (status == HONE_OK) status = fs_write_file(path.text, text, strlen(text));
    mem_free(text);
    json_build_begin();
    return status;
}

/* Weights without a tokenizer are still of use: who has the model's own files can add them. */
static hone_status write_tokenizer(job *j) {
    json_t *root;
    hone_status status = tokenizer_spec_to_json(&root, &j->spec, j->path);
    if (status == HONE_ERR_UNSUPPORTED) {
        snprintf(j->no_tokenizer, sizeof j->no_tokenizer, "%s", hone_error_message());
        return HONE_OK;
    }
    return status == HONE_OK ? write_json(j, "tokenizer.json", root) : status;
}

static hone_status write_description(job *j) {
    tensor head;
    json_t *root;
    bool tied = !source_find(&j->source, "output.weight", &head);
    const dtype type = type_for(j, j->tensors[0].view.type);
    const char *word = type == DTYPE_F32    ? "float32"
                       : type == DTYPE_BF16 ? "bfloat16"
                                            : "float16";
    TRY(export_config(&root, &j->h, &j->spec, tied, word, j->path));
    TRY(write_json(j, "config.json", root));
    TRY(write_tokenizer(j));
    TRY(tokenizer_spec_to_config(&root, &j->spec));
    TRY(write_json(j, "tokenizer_config.json", root));
    TRY(tokenizer_spec_to_generation(&root, &j->spec));
    return write_json(j, "generation_config.json", root);
}

static void shard_name(const job *j, size_t file, char name[64]) {
    if (j->n_files == 1) snprintf(name, 64, "model.safetensors");
    else snprintf(name, 64, "model-%05zu-of-%05zu.safetensors", file + 1, j->n_files);
}

static hone_status produce(void *user, size_t index, size_t offset, void *out, size_t bytes) {
    job *j = user;
    size_t i = j->first + index;
    const recode_change change = {.to = j->descriptions[i].type,
                                  .halves_of_head = j->tensors[i].halves_of_head};
    return recode_rows(&j->recoder, &j->tensors[i].view, &change, offset, out, bytes);
}

static hone_status write_shard(job *j, size_t file) {
    fs_path path;
    char name[64];
    size_t end = j->first;
    while (end < j->n_tensors && j->tensors[end].file == file) end++;
    shard_name(j, file, name);
    TRY(fs_path_format(&path, "%s/%s", j->temporary.text, name));
    TRY(safetensors_write(path.text, j->descriptions + j->first, end - j->first, produce, j));
    j->first = end;
    return HONE_OK;
}

static hone_status write_index(const job *j) {
    json_t *map = json_object();
    for (size_t i = 0; i < j->n_tensors; i++) {
        char name[64];
        shard_name(j, j->tensors[i].file, name);
        json_object_set_new(map, j->tensors[i].name, json_string(name));
    }
    json_t *root = json_pack("{s:{s:I}, s:o}", "metadata", "total_size", (json_int_t)j->bytes,
                             "weight_map", map);
    return root ? write_json(j, "model.safetensors.index.json", root) : mem_fail("index", 0);
}

static hone_status write_all(job *j) {
    json_build_begin();
    TRY(write_description(j));
    TRY(fs_check_space(j->temporary.text, j->bytes));
    for (size_t i = 0; i < j->n_files; i++) TRY(write_shard(j, i));
    if (j->n_files > 1) TRY(write_index(j));
    if (rename(j->temporary.text, j->folder) == 0) return HONE_OK;
    return fail(HONE_ERR_IO, "%s: cannot rename into place: %s", j->folder, strerror(errno));
}

static hone_status export(job *j) {
    TRY(look(j));
    TRY(plan(j));
    TRY(fs_path_format(&j->temporary, "%s.%ld.part", j->folder, (long)getpid()));
    TRY(fs_make_folders(j->temporary.text));
    hone_status status = write_all(j);
    if (status != HONE_OK) fs_remove_tree(j->temporary.text);
    return status;
}

hone_status export_gguf(const char *path, const char *folder, const export_options *options,
                        export_result *result) {
    job j = {.path = path, .folder = folder, .options = options};
    hone_status status = export(&j);
    if (status == HONE_OK && result) {
        *result = (export_result){.architecture = j.h.architecture, .n_tensors = j.n_tensors,
                                  .n_files = j.n_files, .out_bytes = j.bytes};
        memcpy(result->no_tokenizer, j.no_tokenizer, sizeof j.no_tokenizer);
    }
    recoder_release(&j.recoder);
    mem_free(j.tensors);
    mem_free(j.descriptions);
    tokenizer_spec_release(&j.spec);
    source_release(&j.source);
    return status;
}
