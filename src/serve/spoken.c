#include "serve/spoken.h"

#include <openssl/evp.h>
#include <string.h>

#include "base/mem.h"
#include "base/status.h"
#include "hone/transcribe.h"

enum { MAX_SPOKEN_PARTS = 16 };
#define MAX_ENCODED_BYTES ((size_t)64 << 20)

/* --- bytes --- */

/* `*bytes` is the caller's. */
static hone_status decode(const json_t *part, unsigned char **bytes, size_t *n) {
    const json_t *audio = json_object_get(part, "input_audio"),
                 *data = json_object_get(audio, "data");
    const char *text = json_string_value(data), *format = NULL;
    size_t n_text = json_string_length(data);
    TRY(json_get_string(audio, "format", &format)); /* the bytes themselves tell */
    if (!text || n_text == 0 || n_text % 4 != 0 || n_text > MAX_ENCODED_BYTES)
        return fail(HONE_ERR_ARGUMENT, "input_audio has no data in base64 of at most %zu bytes",
                    MAX_ENCODED_BYTES);
    unsigned char *out = mem_alloc(n_text / 4 * 3 + 1);
    if (!out) return mem_fail("audio", n_text);
    int decoded = EVP_DecodeBlock(out, (const unsigned char *)text, (int)n_text);
    if (decoded < 0) {
        mem_free(out);
        return fail(HONE_ERR_ARGUMENT, "input_audio: the data is not base64");
    }
    size_t padding = (text[n_text - 1] == '=') + (text[n_text - 2] == '=');
    *bytes = out;
    *n = (size_t)decoded - padding; /* which OpenSSL counts as zeros */
    return HONE_OK;
}

/* --- who hears --- */

typedef struct ear {
    char name[256];
} ear;

static void consider(void *user, const open_model *open) {
    ear *e = user;
    const char *name = open->served.name;
    if (e->name[0] || !hone_model_describe(open->served.model)->takes_audio) return;
    if (strlen(name) < sizeof e->name) memcpy(e->name, name, strlen(name) + 1);
}

static hone_status borrow_ear(models *m, served_model *out) {
    ear e = {""};
    models_each(m, consider, &e);
    hone_status status = models_borrow(m, e.name[0] ? e.name : "whisper:base", out);
    if (status == HONE_ERR_NOT_FOUND)
        return fail(status, "input_audio needs a model that hears: hone pull whisper:base");
    return status;
}

/* --- a part --- */

static hone_status transcribe(hone_model *model, const void *bytes, size_t n, hone_transcript *t) {
    hone_transcribe_options options;
    hone_audio *audio;
    hone_transcribe_defaults(&options);
    options.background = true;
    TRY(hone_audio_open_bytes(&audio, bytes, n));
    hone_status status = hone_transcribe(model, audio, &options, t);
    hone_audio_close(audio);
    return status;
}

static hone_status replace(json_t *part, const hone_transcript *t) {
    if (!t->text[0]) return fail(HONE_ERR_ARGUMENT, "input_audio: nothing is said in it");
    json_t *text = json_string(t->text);
    if (!text) return mem_fail("message", strlen(t->text));
    json_object_clear(part);
    bool set = json_object_set_new(part, "type", json_string("text")) == 0;
    set &= json_object_set_new(part, "text", text) == 0;
    return set ? HONE_OK : mem_fail("message", 1);
}

static hone_status hear(models *m, json_t *part) {
    unsigned char *bytes = NULL;
    size_t n = 0;
    served_model served;
    hone_transcript t = {0};
    TRY(decode(part, &bytes, &n));
    hone_status status = borrow_ear(m, &served);
    if (status == HONE_OK) {
        status = transcribe(served.model, bytes, n, &t);
        models_return(m, &served);
    }
    if (status == HONE_OK) status = replace(part, &t);
    hone_transcript_release(&t);
    mem_free(bytes);
    return status;
}

static bool is_spoken(const json_t *part) {
    const char *type = json_string_value(json_object_get(part, "type"));
    return type && !strcmp(type, "input_audio");
}

hone_status spoken_parts_hear(models *m, json_t *body) {
    size_t i, k, n_heard = 0;
    json_t *message, *part;
    json_array_foreach(json_object_get(body, "messages"), i, message) {
        json_array_foreach(json_object_get(message, "content"), k, part) {
            if (!is_spoken(part)) continue;
            if (++n_heard > MAX_SPOKEN_PARTS)
                return fail(HONE_ERR_ARGUMENT, "more than %d parts of audio", MAX_SPOKEN_PARTS);
            TRY(hear(m, part));
        }
    }
    return HONE_OK;
}
