/* Random adapters for the models of model_files.h, as PEFT folders and as GGUF files that say the
 * same: the rows of B of llama's q and k in halves there, in neighbouring pairs here. */
#ifndef TESTS_ADAPTER_FILES_H
#define TESTS_ADAPTER_FILES_H

#include <jansson.h>

#include "files.h"
#include "model_files.h"

typedef struct adapter_recipe {
    const model_recipe *base;
    unsigned seed;
    size_t rank;              /* 0 = 4 */
    double alpha;             /* 0 = 8 */
    const char *config;       /* JSON members that replace or add to adapter_config.json's */
    const char *architecture; /* in GGUF; NULL = the base's */
    const char *extra;        /* one more tensor, by its full name in the file, or NULL */
    const char *leave_out;    /* a tensor that is not written, by its full name in the file */
} adapter_recipe;

typedef struct adapter_matrix {
    char name[160]; /* in the file */
    bool is_b, turned;
    size_t n_in, n_out;
    uint64_t seed;
} adapter_matrix;

typedef struct adapter_maker {
    adapter_matrix matrices[256];
    size_t n, head_dim;
} adapter_maker;

/* All matrices of the layers; their numbers depend on GGUF's names alone. */
static inline void adapter_list(adapter_maker *a, const adapter_recipe *r, const model_maker *m,
                                bool as_file) {
    size_t rank = r->rank ? r->rank : 4;
    *a = (adapter_maker){.head_dim = m->h.head_dim};
    for (size_t i = 0; i < m->n_tensors; i++) {
        const made_tensor *t = &m->tensors[i];
        if (!t->n_out || strncmp(t->name, "blk.", 4) != 0) continue;
        bool turns = strcmp(m->h.architecture, "llama") == 0 &&
                     (strstr(t->name, "attn_q.") || strstr(t->name, "attn_k."));
        for (int is_b = 0; is_b < 2; is_b++) {
            adapter_matrix *x = &a->matrices[a->n++];
            *x = (adapter_matrix){.is_b = is_b, .turned = as_file && turns && is_b,
                                  .n_in = is_b ? rank : t->n_in, .n_out = is_b ? t->n_out : rank,
                                  .seed = made_state(t, (size_t)is_b, r->seed + 77)};
            if (as_file)
                snprintf(x->name, sizeof x->name, "%s.lora_%c", t->name, is_b ? 'b' : 'a');
            else
                snprintf(x->name, sizeof x->name, "base_model.model.%.*s.lora_%c.weight",
                         (int)(strlen(t->folder_name) - strlen(".weight")), t->folder_name,
                         is_b ? 'B' : 'A');
            if (r->leave_out && strcmp(x->name, r->leave_out) == 0) a->n--;
        }
    }
    if (!r->extra) return;
    a->matrices[a->n] = a->matrices[0];
    snprintf(a->matrices[a->n++].name, sizeof a->matrices[0].name, "%s", r->extra);
}

static inline void adapter_row(const adapter_maker *a, const adapter_matrix *x, size_t row,
                               float *out) {
    size_t dim = a->head_dim, in_head = row % dim;
    if (x->turned) row = row - in_head + in_head % 2 * (dim / 2) + in_head / 2;
    uint64_t state = made_hash(x->seed + row) & 0xffffffffffff;
    for (size_t i = 0; i < x->n_in; i++) /* A about 1 / sqrt(n_in), B of some size */
        out[i] = made_normal(&state) * (x->is_b ? 0.1f : 1 / sqrtf((float)x->n_in));
}

static inline hone_status adapter_produce(void *user, size_t index, size_t offset, void *out,
                                          size_t bytes) {
    const adapter_maker *a = user;
    const adapter_matrix *x = &a->matrices[index];
    size_t first = offset / (x->n_in * sizeof(float)), n = bytes / (x->n_in * sizeof(float));
    for (size_t i = 0; i < n; i++)
        adapter_row(a, x, first + i, (float *)out + i * x->n_in);
    return HONE_OK;
}

static inline hone_status adapter_put(gguf_writer *w, const adapter_recipe *r,
                                      const char *architecture, const adapter_maker *a) {
    TRY(gguf_put_string(w, "general.type", "adapter", 7));
    TRY(gguf_put_string(w, "adapter.type", "lora", 4));
    TRY(gguf_put_string(w, "general.architecture", architecture, strlen(architecture)));
    TRY(gguf_put_f32(w, "adapter.lora.alpha", (float)(r->alpha != 0 ? r->alpha : 8)));
    for (size_t i = 0; i < a->n; i++)
        TRY(gguf_put_tensor(w, a->matrices[i].name, DTYPE_F32,
                            (size_t[]){a->matrices[i].n_in, a->matrices[i].n_out}, 2));
    return HONE_OK;
}

static inline hone_status adapter_write_gguf(const adapter_recipe *r, const char *path) {
    model_maker m;
    adapter_maker a;
    gguf_writer *w = NULL;
    hone_status status = made_open(&m, r->base);
    if (status == HONE_OK) status = gguf_writer_open(&w);
    if (status == HONE_OK) {
        adapter_list(&a, r, &m, true);
        status = adapter_put(w, r, r->architecture ? r->architecture : m.h.architecture, &a);
    }
    if (status == HONE_OK) status = gguf_write(w, path, adapter_produce, &a);
    gguf_writer_close(w);
    made_close(&m);
    return status;
}

static inline int adapter_write_config(const adapter_recipe *r, const char *folder) {
    json_t *config = json_pack("{s:s, s:i, s:f, s:s, s:s}", "peft_type", "LORA", "r",
                               (int)(r->rank ? r->rank : 4), "lora_alpha",
                               r->alpha != 0 ? r->alpha : 8.0, "bias", "none",
                               "base_model_name_or_path", "someone/base");
    json_t *changed = r->config ? json_loads(r->config, 0, NULL) : NULL;
    if (changed) json_object_update(config, changed);
    json_decref(changed);
    int fine = json_dump_file(config, test_path(folder, "adapter_config.json"), 0) == 0;
    json_decref(config);
    return fine;
}

/* The folder exists. True when everything was written. */
static inline int adapter_write_folder(const adapter_recipe *r, const char *folder) {
    model_maker m;
    adapter_maker a;
    json_t *header = json_object();
    size_t at = 0;
    if (made_open(&m, r->base) != HONE_OK) return 0;
    adapter_list(&a, r, &m, false);
    made_close(&m);
    for (size_t i = 0; i < a.n; i++) {
        const adapter_matrix *x = &a.matrices[i];
        size_t bytes = x->n_in * x->n_out * sizeof(float);
        json_object_set_new(header, x->name,
                            json_pack("{s:s, s:[I, I], s:[I, I]}", "dtype", "F32", "shape",
                                      (json_int_t)x->n_out, (json_int_t)x->n_in, "data_offsets",
                                      (json_int_t)at, (json_int_t)(at + bytes)));
        at += bytes;
    }
    char *text = json_dumps(header, JSON_COMPACT);
    uint64_t n = strlen(text);
    FILE *file = fopen(test_path(folder, "adapter_model.safetensors"), "wb");
    fwrite(&n, sizeof n, 1, file);
    fwrite(text, 1, n, file);
    for (size_t i = 0; i < a.n; i++) {
        size_t bytes = a.matrices[i].n_in * a.matrices[i].n_out * sizeof(float);
        float *data = malloc(bytes);
        adapter_produce(&a, i, 0, data, bytes);
        fwrite(data, 1, bytes, file);
        free(data);
    }
    json_decref(header);
    free(text);
    return fclose(file) == 0 && adapter_write_config(r, folder);
}

#endif
