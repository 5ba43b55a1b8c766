#include "format/whisper_ggml.h"

#include <string.h>

#define MAGIC 0x67676d6cu

typedef struct reader {
    const uint8_t *at;
    size_t left;
} reader;

static hone_status take(reader *r, size_t n, const uint8_t **bytes) {
    if (n > r->left)
        return fail(HONE_ERR_FORMAT, "the file ends in the middle: %zu bytes wanted, %zu left", n,
                    r->left);
    *bytes = r->at;
    r->at += n;
    r->left -= n;
    return HONE_OK;
}

static uint32_t u32_at(const uint8_t *p) {
    return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

/* A count: 1 … most. */
static hone_status read_count(reader *r, const char *what, uint32_t most, int32_t *value) {
    const uint8_t *p = NULL;
    TRY(take(r, 4, &p));
    uint32_t n = u32_at(p);
    if (n == 0 || n > most)
        return fail(HONE_ERR_FORMAT, "%s is %u, expected 1 to %u", what, n, most);
    *value = (int32_t)n;
    return HONE_OK;
}

bool whisper_ggml_is(const uint8_t *data, size_t size) {
    return size >= 4 && u32_at(data) == MAGIC;
}

static hone_status read_numbers(whisper_ggml *w, reader *r) {
    const struct {
        const char *name;
        int32_t *value;
    } numbers[] = {
        {"n_vocab", &w->n_vocab},
        {"n_audio_ctx", &w->n_audio_context},
        {"n_audio_state", &w->n_audio_width},
        {"n_audio_head", &w->n_audio_heads},
        {"n_audio_layer", &w->n_audio_layers},
        {"n_text_ctx", &w->n_text_context},
        {"n_text_state", &w->n_text_width},
        {"n_text_head", &w->n_text_heads},
        {"n_text_layer", &w->n_text_layers},
        {"n_mels", &w->n_mels},
    };
    const uint8_t *p = NULL;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        TRY(read_count(r, numbers[i].name, 1 << 20, numbers[i].value));
    TRY(take(r, 4, &p));
    w->file_type = (int32_t)(u32_at(p) & INT32_MAX);
    return HONE_OK;
}

static hone_status read_filters(whisper_ggml *w, reader *r) {
    TRY(read_count(r, "mel bands", 1024, &w->n_filter_mels));
    TRY(read_count(r, "frequencies", 4096, &w->n_filter_bins));
    return take(r, (size_t)w->n_filter_mels * (size_t)w->n_filter_bins * 4, &w->filters);
}

static hone_status read_vocabulary(whisper_ggml *w, reader *r) {
    int32_t n = 0;
    TRY(read_count(r, "tokens", 1 << 20, &n));
    for (int32_t i = 0; i < n; i++) {
        const uint8_t *p = NULL;
        TRY(take(r, 4, &p));
        size_t length = u32_at(p);
        TRY(take(r, length, &p));
        TRY(ranked_texts_add(&w->texts, (const char *)p, length));
    }
    return HONE_OK;
}

static hone_status read_tensor(whisper_ggml *w, reader *r) {
    int32_t n_dims = 0, name_bytes = 0;
    size_t sizes[TENSOR_MAX_DIMS], bytes = 0;
    char name[TENSOR_TABLE_MAX_NAME + 1];
    const uint8_t *p = NULL;
    tensor view;
    TRY(read_count(r, "dimensions", TENSOR_MAX_DIMS, &n_dims));
    TRY(read_count(r, "name length", TENSOR_TABLE_MAX_NAME, &name_bytes));
    TRY(take(r, 4, &p));
    uint32_t type = u32_at(p);
    for (int32_t i = 0; i < n_dims; i++) {
        TRY(take(r, 4, &p));
        sizes[n_dims - 1 - i] = u32_at(p); /* the file's order is reversed */
    }
    TRY(take(r, (size_t)name_bytes, &p));
    memcpy(name, p, (size_t)name_bytes);
    name[name_bytes] = 0;
    if (!dtype_get(type)->is_weight)
        return fail(HONE_ERR_UNSUPPORTED, "tensor '%s': type %u", name, type);
    hone_status status = tensor_view_init(&view, (dtype)type, sizes, (size_t)n_dims, &bytes);
    if (status == HONE_OK) status = take(r, bytes, &p);
    if (status != HONE_OK) return fail_context(status, "tensor '%s'", name);
    view.data = p;
    return tensor_table_add(w->tensors, name, &view);
}

static hone_status parse(whisper_ggml *w, const uint8_t *data, size_t size) {
    reader r = {data, size};
    const uint8_t *magic = NULL;
    TRY(take(&r, 4, &magic));
    if (u32_at(magic) != MAGIC) return fail(HONE_ERR_FORMAT, "no model of whisper.cpp");
    TRY(tensor_table_open(&w->tensors));
    TRY(read_numbers(w, &r));
    TRY(read_filters(w, &r));
    TRY(read_vocabulary(w, &r));
    while (r.left > 0) TRY(read_tensor(w, &r));
    return HONE_OK;
}

hone_status whisper_ggml_parse(whisper_ggml *out, const uint8_t *data, size_t size,
                               const char *name) {
    whisper_ggml w = {0};
    hone_status status = parse(&w, data, size);
    if (status != HONE_OK) {
        whisper_ggml_release(&w);
        return fail_context(status, "%s", name);
    }
    *out = w;
    return HONE_OK;
}

void whisper_ggml_release(whisper_ggml *w) {
    ranked_texts_release(&w->texts);
    tensor_table_close(w->tensors);
    *w = (whisper_ggml){0};
}
