#include "weights/model_matrices.h"

#include <stdio.h>
#include <string.h>

static bool name_in_gguf(const gguf *file, const void *data, char name[MATRIX_NAME_BYTES]) {
    for (size_t i = 0; i < gguf_n_tensors(file); i++) {
        const gguf_tensor *t = gguf_tensor_at(file, i);
        if (t->view.data != data) continue;
        snprintf(name, MATRIX_NAME_BYTES, "%.*s", (int)t->name.n, t->name.data);
        return true;
    }
    return false;
}

static bool name_in_folder(const safetensors *folder, const void *data,
                           char name[MATRIX_NAME_BYTES]) {
    for (size_t i = 0; i < safetensors_count(folder); i++) {
        const safetensors_entry *e = safetensors_at(folder, i);
        if (e->view.data == data) return source_gguf_name(e->name, name, MATRIX_NAME_BYTES);
    }
    return false;
}

bool matrix_name(const model_source *s, const tensor *w, char name[MATRIX_NAME_BYTES]) {
    if (!w->data) return false;
    return s->gguf ? name_in_gguf(s->gguf, w->data, name)
                   : name_in_folder(s->folder, w->data, name);
}

/* --- thrift --- */

#define FORGET_BYTES ((uint64_t)96 << 20)

static void count_bytes(void *user, const tensor *w, const activations *x) {
    page_thrift *t = user;
    (void)x;
    if (t->bytes >= FORGET_BYTES) {
        source_forget(&t->model->source);
        t->bytes = 0;
    }
    t->bytes += w->ne[1] * w->row_bytes;
}

void page_thrift_begin(page_thrift *t, hone_model *model) {
    *t = (page_thrift){.model = model};
    model->compute.observe = count_bytes;
    model->compute.observe_user = t;
}

void page_thrift_end(page_thrift *t) {
    t->model->compute.observe = NULL;
    source_forget(&t->model->source);
}
