#include "weights/quantise.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "format/gguf.h"
#include "weights/merge.h"

enum { QUANTISATION_VERSION = 2, MAX_TENSOR_NAME = 64 };

typedef struct job {
    const char *in_path, *out_path;
    const quant_mix *mix;
    const recode_options *options;
    model_source source;
    const gguf *in; /* the source's */
    gguf_writer *writer;
    recoder recoder;
    merge adapters;
    dtype *types; /* [tensors] wanted */
    const char *lossy_type;
} job;

/* --- keys --- */

static bool begins_with(gguf_string text, const char *start) {
    size_t n = strlen(start);
    return text.n >= n && memcmp(text.data, start, n) == 0;
}

/* What this run makes untrue. */
static bool is_outdated(const job *j, gguf_string key) {
    static const char *const starts[] = {"split.", "general.file_type",
                                         "general.quantization_version", "quantize.imatrix."};
    size_t n = j->mix ? sizeof starts / sizeof *starts : 1;
    for (size_t i = 0; i < n; i++)
        if (begins_with(key, starts[i])) return true;
    return false;
}

static hone_status put_keys(job *j) {
    for (size_t i = 0; i < gguf_n_kv(j->in); i++) {
        const gguf_kv *kv = gguf_kv_at(j->in, i);
        if (!is_outdated(j, kv->key)) TRY(gguf_put_copy(j->writer, kv));
    }
    if (!j->mix) return HONE_OK;
    TRY(gguf_put_u32(j->writer, "general.file_type", quant_mix_file_type(j->mix)));
    return gguf_put_u32(j->writer, "general.quantization_version", QUANTISATION_VERSION);
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

static hone_status put_tensors(job *j) {
    const quant_mix_model model = {
        .n_layers = hyperparameter(j->in, "block_count"),
        .n_heads = hyperparameter(j->in, "attention.head_count"),
        .n_kv_heads = hyperparameter(j->in, "attention.head_count_kv"),
        .has_output = gguf_find_tensor(j->in, "output.weight") != NULL,
    };
    for (size_t i = 0; i < gguf_n_tensors(j->in); i++) {
        const gguf_tensor *t = gguf_tensor_at(j->in, i);
        const dtype_traits *from = dtype_get(t->view.type);
        char name[MAX_TENSOR_NAME];
        tensor_name(t, name);
        j->types[i] = j->mix && from->is_weight ? quant_mix_type(j->mix, &model, name, &t->view)
                                      : t->view.type;
        bool again = from->block > 1 && j->types[i] != t->view.type;
        if (again && dtype_get(j->types[i])->block > 1 && !j->lossy_type)
            j->lossy_type = from->name;
        TRY(gguf_put_tensor(j->writer, name, j->types[i], t->view.ne, t->view.n_dims));
    }
    return HONE_OK;
}

static hone_status produce(void *user, size_t index, size_t offset, void *out, size_t bytes) {
    job *j = user;
    const gguf_tensor *t = gguf_tensor_at(j->in, index);
    recode_change change = {.to = j->types[index]};
    merge_sum sum;
    char name[MAX_TENSOR_NAME];
    tensor_name(t, name);
    merge_into(&j->adapters, name, &sum, &change);
    hone_status status = recode_rows(&j->recoder, &t->view, &change, offset, out, bytes);
    return status == HONE_OK ? status : fail_context(status, "%s", j->in_path);
}

/* --- all of it --- */

static hone_status quantise(job *j) {
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
    TRY(merge_open(&j->adapters, j->options, &j->source));
    TRY(recoder_init(&j->recoder, j->options, &j->source, total));
    TRY(gguf_writer_open(&j->writer));
    TRY(put_keys(j));
    TRY(put_tensors(j));
    return gguf_write(j->writer, j->out_path, produce, j);
}

hone_status quantise_gguf(const char *in, const char *out, const quant_mix *mix,
                          const recode_options *options, quantise_result *result) {
    job j = {.in_path = in, .out_path = out, .mix = mix, .options = options};
    hone_status status = quantise(&j);
    if (status == HONE_OK && result) {
        struct stat st;
        *result = (quantise_result){.in_bytes = source_file_bytes(&j.source), .lossy_type = j.lossy_type};
        if (stat(out, &st) == 0) result->out_bytes = (uint64_t)st.st_size;
    }
    gguf_writer_close(j.writer);
    recoder_release(&j.recoder);
    merge_release(&j.adapters);
    mem_free(j.types);
    source_release(&j.source);
    return status;
}
