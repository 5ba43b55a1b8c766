#include "weights/fidelity_record.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* The numbers, by key. */
typedef struct number_key {
    const char *key;
    size_t at; /* of the double within fidelity */
} number_key;

#define NUMBER(name, field) {"hone.fidelity." name, offsetof(fidelity, field)}

static const number_key numbers[] = {
    NUMBER("perplexity.reference", reference),
    NUMBER("perplexity.candidate", candidate),
    NUMBER("perplexity.ratio", ratio.value),
    NUMBER("perplexity.low", ratio.low),
    NUMBER("perplexity.high", ratio.high),
    NUMBER("kl.mean", kl.value),
    NUMBER("kl.low", kl.low),
    NUMBER("kl.high", kl.high),
    NUMBER("kl.p50", kl_p50),
    NUMBER("kl.p95", kl_p95),
    NUMBER("kl.p99", kl_p99),
    NUMBER("kl.max", kl_max),
    NUMBER("top1.value", top1.value),
    NUMBER("top1.low", top1.low),
    NUMBER("top1.high", top1.high),
    NUMBER("right_token_change.value", right.value),
    NUMBER("right_token_change.low", right.low),
    NUMBER("right_token_change.high", right.high),
};
enum { N_NUMBERS = sizeof numbers / sizeof *numbers };

static hone_status put_text(gguf_writer *w, const char *key, const char *text) {
    return gguf_put_string(w, key, text, strlen(text));
}

hone_status fidelity_record_put(gguf_writer *w, const fidelity_record *r) {
    TRY(put_text(w, "hone.fidelity.reference", r->reference));
    TRY(put_text(w, "hone.fidelity.reference_type", r->reference_type));
    TRY(gguf_put_u64(w, "hone.fidelity.reference_bytes", r->reference_bytes));
    TRY(put_text(w, "hone.fidelity.text", r->text));
    TRY(put_text(w, "hone.fidelity.text_sha256", r->text_sha256.text));
    TRY(gguf_put_u64(w, "hone.fidelity.n_tokens", r->f.n_tokens));
    TRY(gguf_put_u64(w, "hone.fidelity.window", r->f.window));
    for (size_t i = 0; i < N_NUMBERS; i++) {
        double value;
        memcpy(&value, (const char *)&r->f + numbers[i].at, sizeof value);
        TRY(gguf_put_f32(w, numbers[i].key, (float)value));
    }
    return HONE_OK;
}

static void get_text(const gguf *file, const char *key, char *out, size_t size) {
    gguf_string text = {"", 0};
    gguf_get_string(file, key, &text);
    snprintf(out, size, "%.*s", (int)(text.n < size ? text.n : size - 1), text.data);
}

static bool get_record(fidelity_record *r, const gguf *file) {
    uint64_t n_tokens, window;
    fidelity_record got = {.reference_bytes = 0};
    if (!gguf_get_u64(file, "hone.fidelity.n_tokens", &n_tokens) || n_tokens == 0 ||
        !gguf_get_u64(file, "hone.fidelity.window", &window))
        return false;
    for (size_t i = 0; i < N_NUMBERS; i++) {
        double value;
        if (!gguf_get_f64(file, numbers[i].key, &value)) return false;
        memcpy((char *)&got.f + numbers[i].at, &value, sizeof value);
    }
    got.f.n_tokens = (size_t)n_tokens;
    got.f.window = (size_t)window;
    gguf_get_u64(file, "hone.fidelity.reference_bytes", &got.reference_bytes);
    get_text(file, "hone.fidelity.reference", got.reference, sizeof got.reference);
    get_text(file, "hone.fidelity.reference_type", got.reference_type, sizeof got.reference_type);
    get_text(file, "hone.fidelity.text", got.text, sizeof got.text);
    get_text(file, "hone.fidelity.text_sha256", got.text_sha256.text, sizeof got.text_sha256.text);
    *r = got;
    return true;
}

hone_status fidelity_record_read(fidelity_record *r, bool *found, const char *path) {
    gguf *file;
    TRY(gguf_open(&file, path));
    *found = get_record(r, file);
    gguf_close(file);
    return HONE_OK;
}
