/* The road that every folder takes; what differs is in the families (convert_int.h). */
#include "weights/convert.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "weights/convert_int.h"

enum { QUANTISATION_VERSION = 2 };

static const convert_family *const families[] = {&convert_llama, &convert_whisper};

/* --- tensors --- */

hone_status convert_add(convert_job *j, const char *name, const tensor *view,
                        size_t pairs_of_head) {
    TRY(mem_grow(&j->tensors, &j->room, j->n_tensors + 1, sizeof *j->tensors, "tensors"));
    convert_tensor *t = &j->tensors[j->n_tensors++];
    *t = (convert_tensor){.view = *view, .type = view->n_dims > 1 ? view->type : DTYPE_F32,
                          .pairs_of_head = pairs_of_head};
    snprintf(t->name, sizeof t->name, "%s", name);
    return HONE_OK;
}

hone_status convert_add_named(convert_job *j, const char *name, size_t n_out, size_t n_in,
                              size_t pairs_of_head) {
    tensor view;
    TRY(source_tensor(&j->source, name, n_out, n_in, &view));
    return convert_add(j, name, &view, pairs_of_head);
}

static bool is_planned(const convert_job *j, const tensor *view) {
    for (size_t i = 0; i < j->n_tensors; i++)
        if (j->tensors[i].view.data == view->data) return true;
    return false;
}

/* A tensor that GGUF has no place for would be lost without a word. */
static hone_status refuse_leftovers(const convert_job *j) {
    for (size_t i = 0; j->source.folder && i < safetensors_count(j->source.folder); i++) {
        const safetensors_entry *e = safetensors_at(j->source.folder, i);
        if (j->family->is_redundant(e->name) || is_planned(j, &e->view)) continue;
        return fail(HONE_ERR_UNSUPPORTED, "%s: tensor %s has no place in a GGUF file of \"%s\"",
                    j->folder, e->name, j->architecture);
    }
    return HONE_OK;
}

static hone_status put_tensors(convert_job *j) {
    for (size_t i = 0; i < j->n_tensors; i++) {
        convert_tensor *t = &j->tensors[i];
        if (j->mix) t->type = quant_mix_type(j->mix, &j->shape, t->name, &t->view);
        TRY(gguf_put_tensor(j->writer, t->name, t->type, t->view.ne, t->view.n_dims));
    }
    return HONE_OK;
}

static hone_status produce(void *user, size_t index, size_t offset, void *out, size_t bytes) {
    convert_job *j = user;
    const convert_tensor *t = &j->tensors[index];
    recode_change change = {.to = t->type, .pairs_of_head = t->pairs_of_head};
    merge_sum sum;
    merge_into(&j->adapters, t->name, &sum, &change);
    return recode_rows(&j->recoder, &t->view, &change, offset, out, bytes);
}

/* --- keys --- */

static hone_status put_text(gguf_writer *w, const char *key, const char *text) {
    return gguf_put_string(w, key, text, strlen(text));
}

/* "llama" + ".block_count" */
static const char *full_key(const convert_job *j, const char *end, char key[96]) {
    snprintf(key, 96, "%s.%s", j->architecture, end);
    return key;
}

hone_status convert_put_count(convert_job *j, const char *end, size_t value) {
    char key[96];
    return gguf_put_u32(j->writer, full_key(j, end, key), (uint32_t)value);
}

hone_status convert_put_real(convert_job *j, const char *end, double value) {
    char key[96];
    return gguf_put_f32(j->writer, full_key(j, end, key), (float)value);
}

hone_status convert_put_text(convert_job *j, const char *end, const char *value) {
    char key[96];
    return put_text(j->writer, full_key(j, end, key), value);
}

/* "1.9M", "135M": at least two digits, as llama.cpp rounds it. */
static void size_label(const convert_job *j, char label[32]) {
    static const struct {
        double unit;
        char letter;
    } steps[] = {{1e12, 'T'}, {1e9, 'B'}, {1e6, 'M'}, {1e3, 'K'}};
    double n = 0;
    for (size_t i = 0; i < j->n_tensors; i++) {
        const size_t *ne = j->tensors[i].view.ne;
        n += (double)ne[0] * (double)ne[1] * (double)ne[2] * (double)ne[3];
    }
    size_t i = 0;
    while (i < 3 && n <= steps[i].unit) i++;
    n /= steps[i].unit;
    snprintf(label, 32, "%.*f%c", nearbyint(n) >= 10 ? 0 : nearbyint(n) >= 1 ? 1 : 2, n,
             steps[i].letter);
}

static hone_status put_general(convert_job *j) {
    char label[32];
    char path[PATH_MAX];
    const char *name = realpath(j->folder, path) ? strrchr(path, '/') : NULL;
    uint32_t file_type = j->mix                               ? quant_mix_file_type(j->mix)
                         : j->tensors[0].view.type == DTYPE_F16  ? 1
                         : j->tensors[0].view.type == DTYPE_BF16 ? 32
                                                                 : 0;
    TRY(put_text(j->writer, "general.architecture", j->architecture));
    TRY(put_text(j->writer, "general.type", "model"));
    if (name && name[1]) TRY(put_text(j->writer, "general.name", name + 1));
    size_label(j, label);
    TRY(put_text(j->writer, "general.size_label", label));
    TRY(gguf_put_u32(j->writer, "general.file_type", file_type));
    return gguf_put_u32(j->writer, "general.quantization_version", QUANTISATION_VERSION);
}

/* --- all of it --- */

static hone_status find_family(convert_job *j) {
    const char *type = "";
    hone_status status = json_get_string(j->source.config, "model_type", &type);
    if (status != HONE_OK) return fail_context(status, "%s/config.json", j->folder);
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        for (const char *const *known = families[i]->model_types; *known; known++)
            if (strcmp(type, *known) == 0) {
                j->family = families[i];
                return HONE_OK;
            }
    return fail(HONE_ERR_UNSUPPORTED, "%s: architecture \"%.64s\" is not supported", j->folder,
                type);
}

static hone_status open_folder(convert_job *j) {
    TRY(source_open(&j->source, j->folder));
    if (j->source.gguf)
        return fail(HONE_ERR_ARGUMENT, "%s is a GGUF file already; hone quantize changes its types",
                    j->folder);
    TRY(find_family(j));
    return j->family->open(j);
}

static uint64_t weight_bytes(const convert_job *j) {
    uint64_t total = 0;
    for (size_t i = 0; i < j->n_tensors; i++) {
        const tensor *view = &j->tensors[i].view;
        total += view->ne[1] * view->ne[2] * view->ne[3] * view->row_bytes;
    }
    return total;
}

static hone_status convert(convert_job *j) {
    TRY(open_folder(j));
    TRY(recode_check_output(j->out_path, j->folder, j->options->replace));
    TRY(j->family->plan(j));
    TRY(refuse_leftovers(j));
    TRY(merge_open(&j->adapters, j->options, &j->source));
    TRY(recoder_init(&j->recoder, j->options, &j->source, weight_bytes(j)));
    TRY(gguf_writer_open(&j->writer));
    TRY(put_general(j));
    TRY(j->family->put_keys(j));
    TRY(j->family->put_tokenizer(j));
    TRY(put_tensors(j));
    return gguf_write(j->writer, j->out_path, produce, j);
}

hone_status convert_folder(const char *folder, const char *out, const quant_mix *mix,
                           const recode_options *options, convert_result *result) {
    convert_job j = {.folder = folder, .out_path = out, .mix = mix, .options = options};
    hone_status status = convert(&j);
    if (status == HONE_OK && result) {
        struct stat st;
        *result = (convert_result){.architecture = j.architecture, .n_tensors = j.n_tensors,
                                   .in_bytes = source_file_bytes(&j.source)};
        if (stat(out, &st) == 0) result->out_bytes = (uint64_t)st.st_size;
    }
    gguf_writer_close(j.writer);
    recoder_release(&j.recoder);
    merge_release(&j.adapters);
    if (j.family) j.family->release(&j);
    mem_free(j.tensors);
    source_release(&j.source);
    return status;
}
