/* A GGUF of the architecture "whisper" from hostile bytes: its numbers, lists and tensors are read
 * and looked at, nothing is computed. The fuzzer's bytes replace a part of a small valid file, so
 * that it gets past the header. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "model/whisper.h"

/* Keys of a made model whose numbers begin as the input's first bytes say. */
static hone_status put_numbers(gguf_writer *w, const uint8_t *data, size_t n) {
    static const struct {
        const char *key;
        uint32_t fine;
    } numbers[] = {
        {"whisper.encoder.mel_bands", 8},           {"whisper.encoder.context_length", 4},
        {"whisper.encoder.embedding_length", 32},   {"whisper.encoder.block_count", 1},
        {"whisper.encoder.feed_forward_length", 64}, {"whisper.encoder.attention.head_count", 2},
        {"whisper.decoder.context_length", 8},      {"whisper.decoder.embedding_length", 32},
        {"whisper.decoder.block_count", 1},         {"whisper.decoder.feed_forward_length", 64},
        {"whisper.decoder.attention.head_count", 2},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        uint32_t value = numbers[i].fine;
        if (i < n && data[i] < 64) value = 1u << data[i] % 32;
        TRY(gguf_put_u32(w, numbers[i].key, value));
    }
    return HONE_OK;
}

static hone_status put_lists(gguf_writer *w, const uint8_t *data, size_t n) {
    uint32_t heads[8] = {0};
    for (size_t i = 0; i < 8 && i < n; i++) heads[i] = data[i] % 4;
    TRY(gguf_put_array(w, "whisper.alignment_heads", GGUF_U32, heads, n % 9));
    return gguf_put_array(w, "whisper.suppress_tokens", GGUF_I32, heads, n % 5);
}

typedef struct maker {
    gguf_writer *w;
    const uint8_t *data;
    size_t n, i;
} maker;

static hone_status put_tensor(void *user, const whisper_tensor *t) {
    maker *m = user;
    uint8_t twist = m->i < m->n ? m->data[m->i] : 0;
    m->i++;
    if (twist == 1) return HONE_OK; /* missing */
    size_t ne[4] = {t->is_conv ? 3 : t->n_in, t->is_conv ? t->n_in : t->n_out, t->n_out, 1};
    uint32_t n_dims = t->is_conv ? 3 : t->n_out ? 2 : 1;
    if (twist >= 2 && twist < 6) ne[twist % 3] = twist;
    if (twist == 6) n_dims = 1;
    dtype type = twist >= 16 && twist < 48 ? (dtype)(twist - 16) : DTYPE_F32;
    gguf_put_tensor(m->w, t->name, type, ne, n_dims);
    return HONE_OK;
}

static hone_status zeros(void *user, size_t index, size_t offset, void *out, size_t bytes) {
    (void)user, (void)index, (void)offset;
    memset(out, 0, bytes);
    return HONE_OK;
}

static void look_at(const char *path) {
    model_source s;
    whisper m;
    if (source_open(&s, path) != HONE_OK) return;
    if (whisper_is(&s) && whisper_open(&m, &s) == HONE_OK) whisper_release(&m);
    source_release(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[64];
    snprintf(path, sizeof path, "/tmp/hone-whisper-fuzz-%d.gguf", (int)getpid());
    whisper_hparams h = {.n_mels = 8, .n_vocab = 40,
                         .encoder = {1, 32, 2, 64, 4}, .decoder = {1, 32, 2, 64, 8}};
    gguf_writer *w;
    if (gguf_writer_open(&w) != HONE_OK) return 0;
    maker m = {w, data + (size < 20 ? size : 20), size < 20 ? 0 : size - 20, 0};
    hone_status status = gguf_put_string(w, "general.architecture", "whisper", 7);
    if (status == HONE_OK) status = put_numbers(w, data, size < 11 ? size : 11);
    if (status == HONE_OK && size > 11) status = put_lists(w, data + 11, size - 11);
    if (status == HONE_OK) status = whisper_each_tensor(&h, put_tensor, &m);
    if (status == HONE_OK) status = gguf_write(w, path, zeros, NULL);
    gguf_writer_close(w);
    if (status == HONE_OK) look_at(path);
    unlink(path);
    return 0;
}
