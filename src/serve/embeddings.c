/* Embeddings as JSON (serve/embeddings.h). */
#include "serve/embeddings.h"

#include <math.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/mem.h"

hone_status embeddings_plan(hone_request **out, const prompts *p) {
    hone_request *list = mem_calloc(p->n, sizeof *list);
    if (!list) return mem_fail("request", p->n * sizeof *list);
    for (size_t i = 0; i < p->n; i++) {
        list[i].sampling = hone_sampling_greedy();
        list[i].embedding = true;
        list[i].prompt_ids = p->items[i].ids;
        list[i].n_prompt_ids = p->items[i].n;
    }
    *out = list;
    return HONE_OK;
}

void embeddings_shorten(float *out, size_t n, const float *embedding, size_t n_all) {
    double squares = 0;
    memcpy(out, embedding, n * sizeof *out);
    if (n == n_all) return;
    for (size_t i = 0; i < n; i++) squares += (double)out[i] * (double)out[i];
    for (size_t i = 0; i < n && squares > 0; i++) out[i] = (float)((double)out[i] / sqrt(squares));
}

json_t *embeddings_numbers(const float *embedding, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) json_array_append_new(list, json_real((double)embedding[i]));
    return list;
}

static void put_little_endian(unsigned char *out, float number) {
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    for (int k = 0; k < 4; k++) out[k] = (unsigned char)(bits >> 8 * k);
}

json_t *embeddings_base64(const float *embedding, size_t n) {
    size_t n_bytes = 4 * n;
    unsigned char *bytes = mem_alloc(n_bytes), *text = mem_alloc((n_bytes + 2) / 3 * 4 + 1);
    json_t *value = NULL;
    if (bytes && text) {
        for (size_t i = 0; i < n; i++) put_little_endian(bytes + 4 * i, embedding[i]);
        EVP_EncodeBlock(text, bytes, (int)n_bytes);
        value = json_string((const char *)text);
    }
    mem_free(bytes);
    mem_free(text);
    return value;
}
