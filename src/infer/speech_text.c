/* What tokens say, and in which language (infer/speech_decode.h). */
#include <string.h>
#include <zlib.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "infer/speech_decode.h"

hone_status speech_add_text(const hone_model *m, const int32_t *tokens, size_t n, buf *out) {
    buf raw;
    buf_init(&raw, SIZE_MAX / 2);
    hone_status status = HONE_OK;
    for (size_t i = 0; i < n && status == HONE_OK; i++) {
        const char *piece;
        size_t n_piece;
        if (tokens[i] >= m->speech_ids.end || (size_t)tokens[i] >= tokenizer_size(m->tokenizer))
            continue;
        status = tokenizer_piece(m->tokenizer, tokens[i], false, &piece, &n_piece);
        if (status == HONE_OK) status = buf_add(&raw, piece, n_piece);
    }
    if (status == HONE_OK && raw.len) status = utf8_add_replaced(out, raw.data, raw.len);
    buf_release(&raw);
    return status;
}

float speech_compression_ratio(const char *text, size_t n) {
    if (n == 0) return 0;
    uLongf packed = compressBound((uLong)n);
    Bytef *out = mem_alloc(packed);
    if (!out) return 0; /* the check is skipped rather than the text lost */
    compress(out, &packed, (const Bytef *)text, (uLong)n);
    mem_free(out);
    return (float)n / (float)packed;
}

hone_status speech_languages(hone_model *m, const whisper_cross *cross, bool exact,
                             float *probabilities) {
    const speech_tokens *ids = &m->speech_ids;
    uint32_t row = 0;
    whisper_cache cache;
    whisper_run run = speech_run(m, exact);
    float *logits = mem_alloc_aligned(m->speech.h.n_vocab, sizeof *logits);
    if (!logits) return mem_fail("logits", m->speech.h.n_vocab * sizeof *logits);
    hone_status status = whisper_cache_init(&cache, &m->speech, exact, 1);
    whisper_batch b = {.cache = &cache, .items = &(whisper_item){0, 0, &ids->start, 1, cross},
                       .n_items = 1, .logit_rows = &row, .n_logit_rows = 1, .logits = logits};
    if (status == HONE_OK) {
        speech_turn_begin(m);
        status = whisper_decode(&run, &b);
        speech_turn_end(m);
    }
    if (status == HONE_OK) {
        memcpy(probabilities, logits + ids->first_language,
               ids->n_languages * sizeof *probabilities);
        const kernels *k = m->compute.k;
        float max, sum = k->softmax_row(probabilities, ids->n_languages, 1, &max);
        for (size_t i = 0; i < ids->n_languages; i++) probabilities[i] /= sum;
        if (!(sum > 0))
            status = fail(HONE_ERR_NUMERIC, "%s: the logits are not finite numbers: the weights "
                          "may be damaged", m->source.path);
    }
    whisper_cache_release(&cache);
    mem_free(logits);
    return status;
}
