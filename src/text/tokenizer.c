#include "text/tokenizer.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "text/tokenizer_int.h"

void token_list_release(token_list *list) {
    mem_free(list->ids);
    *list = (token_list){0};
}

static bool in_range(const tokenizer *t, int32_t id) {
    return id >= 0 && (size_t)id < t->n_tokens;
}

hone_status tokenizer_piece(const tokenizer *t, int32_t id, bool with_control, const char **text,
                            size_t *n) {
    if (!in_range(t, id))
        return fail(HONE_ERR_ARGUMENT, "token %d, but there are %zu", id, t->n_tokens);
    const token_text *token = &t->tokens[id];
    bool control = token->type == TOKEN_CONTROL || token->type == TOKEN_UNKNOWN;
    bool hidden = token->type == TOKEN_UNUSED || (control && !with_control);
    *text = t->text + token->at;
    *n = hidden ? 0 : token->n;
    return HONE_OK;
}

bool tokenizer_drops_first_space(const tokenizer *t) {
    return t->add_prefix_space && t->model != TOKENIZER_BPE_BYTES;
}

hone_status tokenizer_decode(const tokenizer *t, const int32_t *ids, size_t n, bool with_control,
                             char **text, size_t *bytes) {
    buf out;
    buf_init(&out, SIZE_MAX - 1);
    hone_status status = HONE_OK;
    for (size_t i = 0; i < n && status == HONE_OK; i++) {
        const char *piece = NULL;
        size_t piece_n = 0;
        status = tokenizer_piece(t, ids[i], with_control, &piece, &piece_n);
        if (status == HONE_OK) status = buf_add(&out, piece, piece_n);
    }
    if (status == HONE_OK && out.len && out.data[0] == ' ' && tokenizer_drops_first_space(t))
        memmove(out.data, out.data + 1, out.len--); /* the NUL moves along */
    size_t length = out.len;
    char *taken = status == HONE_OK ? buf_take(&out) : NULL;
    if (status == HONE_OK && !taken) status = mem_fail("text", 1);
    buf_release(&out);
    if (status != HONE_OK) return status;
    *text = taken;
    *bytes = length;
    return HONE_OK;
}

size_t tokenizer_size(const tokenizer *t) { return t->n_tokens; }

size_t tokenizer_bytes(const tokenizer *t) {
    size_t text = t->n_tokens ? t->tokens[t->n_tokens - 1].at + t->tokens[t->n_tokens - 1].n : 0;
    return sizeof *t + t->n_tokens * (sizeof *t->tokens + sizeof *t->whole) + text +
           (t->words.n_slots + t->odd_chars.n_slots) * sizeof(strmap_slot) +
           t->merges.n_slots * sizeof *t->merges.slots +
           t->added.capacity * sizeof *t->added.nodes;
}

token_type tokenizer_type_of(const tokenizer *t, int32_t id) {
    return in_range(t, id) ? (token_type)t->tokens[id].type : TOKEN_UNUSED;
}

int32_t tokenizer_bos(const tokenizer *t) { return t->bos; }
bool tokenizer_adds_bos(const tokenizer *t) { return t->add_bos; }

bool tokenizer_is_stop(const tokenizer *t, int32_t id) {
    for (size_t i = 0; i < t->n_stops; i++)
        if (t->stops[i] == id) return true;
    return false;
}

int32_t tokenizer_find(const tokenizer *t, const char *text, size_t n) {
    int32_t id;
    uint32_t word;
    if (n == 0) return -1;
    if (added_tokens_match(&t->added, text, n, n, &id) == n) return id;
    if (strmap_find(&t->words, text, n, &word)) return (int32_t)word;
    return n == 1 ? (int32_t)t->byte_id[(unsigned char)*text] : -1; /* BPE_NONE is −1 */
}
