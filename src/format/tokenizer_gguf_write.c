/* tokenizer_spec → tokenizer.* keys of a GGUF file: the inverse of tokenizer_gguf.c. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/strmap.h"
#include "format/tokenizer_spec.h"

#define KEY(name) "tokenizer.ggml." name
#define MAX_TEXT_BYTES ((size_t)1 << 30)

typedef struct token_rows {
    size_t n;
    gguf_string *texts;
    int32_t *types;
    float *scores;
    char (*paddings)[24]; /* texts of rows that the tokenizer does not have */
} token_rows;

static hone_status token_rows_init(token_rows *rows, size_t n) {
    *rows = (token_rows){.n = n};
    rows->texts = mem_calloc(n, sizeof *rows->texts);
    rows->types = mem_calloc(n, sizeof *rows->types);
    rows->scores = mem_calloc(n, sizeof *rows->scores);
    rows->paddings = mem_calloc(n, sizeof *rows->paddings);
    bool fine = rows->texts && rows->types && rows->scores && rows->paddings;
    return fine ? HONE_OK : mem_fail("tokens", n * sizeof *rows->paddings);
}

static void token_rows_release(token_rows *rows) {
    mem_free(rows->texts);
    mem_free(rows->types);
    mem_free(rows->scores);
    mem_free(rows->paddings);
}

static void fill_texts(token_rows *rows, const tokenizer_spec *spec) {
    for (size_t i = 0; i < rows->n; i++) {
        const token_entry *t = i < spec->n_tokens ? &spec->tokens[i] : NULL;
        if (t && (t->type != TOKEN_UNUSED || t->n > 0)) {
            rows->texts[i] = (gguf_string){t->text, t->n};
            rows->types[i] = t->type;
            rows->scores[i] = t->score;
            continue;
        }
        int n = snprintf(rows->paddings[i], sizeof *rows->paddings, "[PAD%zu]", i);
        rows->texts[i] = (gguf_string){rows->paddings[i], (size_t)n};
        rows->types[i] = TOKEN_UNUSED;
    }
}

/* The SentencePiece form of tokens beside the vocabulary, as other converters write it: control
 * tokens, the unknown one among them, that no merge can make. */
static void set_added_apart(token_rows *rows) {
    for (size_t i = 0; i < rows->n; i++) {
        if (rows->types[i] == TOKEN_UNKNOWN) rows->types[i] = TOKEN_CONTROL;
        if (rows->types[i] == TOKEN_CONTROL || rows->types[i] == TOKEN_USER_DEFINED)
            rows->scores[i] = -1000;
    }
}

/* --- scores --- */

/* Finds the token that a merge makes; false where there is none, and the merge has no effect. */
static hone_status find_product(const strmap *ids, const token_merge *merge, buf *text,
                                uint32_t *id, bool *found) {
    text->len = 0;
    TRY(buf_add(text, merge->left.data, merge->left.n));
    TRY(buf_add(text, merge->right.data, merge->right.n));
    *found = strmap_find(ids, text->data, text->len, id);
    return HONE_OK;
}

/* SentencePiece joins the pair whose result has the highest score, BPE the pair that comes first in
 * its list. They agree when the list has all pairs of one result side by side, as every conversion
 * of a SentencePiece model has; then the results' places, counted down, are the scores. Tokens that
 * no pair makes go behind them. */
static hone_status rank_products(token_rows *rows, const tokenizer_spec *spec, const strmap *ids,
                                 bool *ranked, const char *name) {
    buf text;
    uint32_t id = 0, last = UINT32_MAX;
    size_t place = 0;
    hone_status status = HONE_OK;
    buf_init(&text, MAX_TEXT_BYTES);
    for (size_t i = 0; i < spec->n_merges && status == HONE_OK; i++) {
        bool found;
        status = find_product(ids, &spec->merges[i], &text, &id, &found);
        if (status != HONE_OK || !found || id == last) continue;
        if (ranked[id])
            status = fail(HONE_ERR_UNSUPPORTED, "%s: the merges of token %u are not side by side, "
                          "which scores cannot say", name, id);
        ranked[id] = true;
        rows->scores[id] = -(float)place++;
        last = id;
    }
    for (size_t i = 0; i < spec->n_tokens; i++)
        if (!ranked[i] && rows->types[i] == TOKEN_NORMAL) rows->scores[i] = -(float)place++;
    buf_release(&text);
    return status;
}

static hone_status score_by_merges(token_rows *rows, const tokenizer_spec *spec,
                                   const char *name) {
    strmap ids;
    TRY(strmap_init(&ids, rows->n));
    bool *ranked = mem_calloc(rows->n, sizeof *ranked);
    hone_status status = ranked ? HONE_OK : mem_fail("scores", rows->n);
    for (size_t i = 0; i < rows->n && status == HONE_OK; i++)
        status = strmap_insert(&ids, rows->texts[i].data, rows->texts[i].n, (uint32_t)i, NULL);
    if (status == HONE_OK) status = rank_products(rows, spec, &ids, ranked, name);
    mem_free(ranked);
    strmap_release(&ids);
    return status;
}

/* --- the keys --- */

static hone_status put_text(gguf_writer *w, const char *key, const char *text) {
    return gguf_put_string(w, key, text, strlen(text));
}

static hone_status put_tokens(gguf_writer *w, const tokenizer_spec *spec, size_t n_vocab,
                              bool with_scores, const char *name) {
    token_rows rows;
    hone_status status = token_rows_init(&rows, n_vocab);
    if (status == HONE_OK) {
        fill_texts(&rows, spec);
        if (with_scores && spec->model == TOKENIZER_BPE_CHARS)
            status = score_by_merges(&rows, spec, name);
        if (with_scores) set_added_apart(&rows);
    }
    if (status == HONE_OK) status = gguf_put_strings(w, KEY("tokens"), rows.texts, rows.n);
    if (status == HONE_OK && with_scores)
        status = gguf_put_array(w, KEY("scores"), GGUF_F32, rows.scores, rows.n);
    if (status == HONE_OK)
        status = gguf_put_array(w, KEY("token_type"), GGUF_I32, rows.types, rows.n);
    token_rows_release(&rows);
    return status;
}

/* "left right"; `text` holds them one behind the other. */
static hone_status join_merges(const tokenizer_spec *spec, buf *text, gguf_string *joined) {
    size_t total = 0;
    for (size_t i = 0; i < spec->n_merges; i++)
        total += spec->merges[i].left.n + spec->merges[i].right.n + 1;
    TRY(buf_reserve(text, total)); /* so that the views stay where they are */
    for (size_t i = 0; i < spec->n_merges; i++) {
        const token_merge *merge = &spec->merges[i];
        size_t start = text->len;
        TRY(buf_add(text, merge->left.data, merge->left.n));
        TRY(buf_add(text, " ", 1));
        TRY(buf_add(text, merge->right.data, merge->right.n));
        joined[i] = (gguf_string){text->data + start, text->len - start};
    }
    return HONE_OK;
}

static hone_status put_merges(gguf_writer *w, const tokenizer_spec *spec) {
    buf text;
    buf_init(&text, MAX_TEXT_BYTES);
    gguf_string *joined = mem_calloc(spec->n_merges, sizeof *joined);
    hone_status status = joined ? HONE_OK : mem_fail("merges", spec->n_merges * sizeof *joined);
    if (status == HONE_OK) status = join_merges(spec, &text, joined);
    if (status == HONE_OK) status = gguf_put_strings(w, KEY("merges"), joined, spec->n_merges);
    mem_free(joined);
    buf_release(&text);
    return status;
}

static hone_status put_byte_level(gguf_writer *w, const tokenizer_spec *spec, size_t n_vocab,
                                  const char *name) {
    const char *pre = tokenizer_spec_pre_name(spec);
    if (!pre || spec->add_prefix_space)
        return fail(HONE_ERR_UNSUPPORTED, "%s: GGUF has no name for this %s", name,
                    pre ? "ByteLevel with add_prefix_space" : "pre-tokenizer");
    TRY(put_text(w, KEY("model"), "gpt2"));
    TRY(put_text(w, KEY("pre"), pre));
    TRY(put_tokens(w, spec, n_vocab, false, name));
    return put_merges(w, spec);
}

static hone_status put_sentencepiece(gguf_writer *w, const tokenizer_spec *spec, size_t n_vocab,
                                     const char *name) {
    if (spec->split != SPLIT_NONE || !spec->byte_fallback)
        return fail(HONE_ERR_UNSUPPORTED, "%s: GGUF's SentencePiece form is without splits and "
                    "falls back to bytes; this tokenizer is not so", name);
    TRY(put_text(w, KEY("model"), "llama"));
    TRY(put_text(w, KEY("pre"), "default"));
    TRY(put_tokens(w, spec, n_vocab, true, name));
    return gguf_put_bool(w, KEY("add_space_prefix"), spec->add_prefix_space);
}

/* Ends of a turn that a reader would not find by their texts. */
static hone_status put_stops(gguf_writer *w, const tokenizer_spec *spec) {
    static const char *const keys[] = {KEY("eot_token_id"), KEY("eom_token_id")};
    size_t n = 0;
    for (size_t i = 0; i < spec->n_stops; i++) {
        int32_t id = spec->stops[i];
        if (id == spec->eos || token_is_known_stop(&spec->tokens[id])) continue;
        if (n < 2) TRY(gguf_put_u32(w, keys[n++], (uint32_t)id));
    }
    return HONE_OK;
}

static hone_status put_ids(gguf_writer *w, const tokenizer_spec *spec) {
    const struct {
        const char *key;
        int32_t id;
    } ids[] = {{KEY("bos_token_id"), spec->bos}, {KEY("eos_token_id"), spec->eos},
               {KEY("unknown_token_id"), spec->unk}, {KEY("padding_token_id"), spec->pad}};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        if (ids[i].id >= 0) TRY(gguf_put_u32(w, ids[i].key, (uint32_t)ids[i].id));
    TRY(gguf_put_bool(w, KEY("add_bos_token"), spec->add_bos));
    TRY(gguf_put_bool(w, KEY("add_eos_token"), spec->add_eos));
    TRY(put_stops(w, spec));
    return spec->chat_template ? put_text(w, "tokenizer.chat_template", spec->chat_template)
                               : HONE_OK;
}

hone_status tokenizer_spec_to_gguf(gguf_writer *w, const tokenizer_spec *spec, size_t n_vocab,
                                   const char *name) {
    if (spec->n_tokens > n_vocab)
        return fail(HONE_ERR_FORMAT, "%s: %zu tokens, but the model has %zu", name, spec->n_tokens,
                    n_vocab);
    if (spec->model == TOKENIZER_BPE_BYTES) TRY(put_byte_level(w, spec, n_vocab, name));
    else TRY(put_sentencepiece(w, spec, n_vocab, name));
    return put_ids(w, spec);
}
