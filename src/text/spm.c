/* SentencePiece's BPE merges by score: of all adjacent pairs whose concatenation is a piece, the
 * one whose piece has the highest score. That is merging by rank, with a merge for each way to cut
 * a piece in two and its score's place among all scores as the rank; so it becomes just that. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/tokenizer_int.h"
#include "text/unicode.h"

enum { MAX_PIECE_BYTES = 1024 }; /* the work below is quadratic in it */

typedef struct cut {
    uint32_t left, right, piece;
} cut;

typedef struct cut_list {
    cut *items;
    size_t n, capacity;
} cut_list;

static hone_status add_cut(cut_list *list, cut item) {
    TRY(mem_grow(&list->items, &list->capacity,
                 list->n + 1, sizeof *list->items, "merges of pieces"));
    list->items[list->n++] = item;
    return HONE_OK;
}

/* The symbol of a part of a piece. A single character that is no piece itself still merges: it
 * gets a symbol above all tokens. BPE_NONE for longer parts that are no pieces. */
static hone_status part_symbol(tokenizer *t, const char *part, size_t n, uint32_t *symbol) {
    *symbol = BPE_NONE;
    if (strmap_find(&t->words, part, n, symbol)) return HONE_OK;
    uint32_t code;
    if (unicode_decode_valid(part, &code) != n) return HONE_OK;
    if (strmap_find(&t->odd_chars, part, n, symbol)) return HONE_OK;
    *symbol = (uint32_t)(t->n_tokens + t->odd_chars.n_used);
    return strmap_insert(&t->odd_chars, part, n, *symbol, NULL);
}

static hone_status cut_piece(tokenizer *t, uint32_t piece, cut_list *cuts) {
    const char *text = t->text + t->tokens[piece].at;
    size_t n = t->tokens[piece].n;
    if (n > MAX_PIECE_BYTES)
        return fail(HONE_ERR_FORMAT, "token %u: a piece of %zu bytes, at most %d", piece, n,
                    MAX_PIECE_BYTES);
    uint32_t code;
    for (size_t i = unicode_decode_valid(text, &code); i < n;) {
        uint32_t left, right;
        TRY(part_symbol(t, text, i, &left));
        TRY(part_symbol(t, text + i, n - i, &right));
        if (left != BPE_NONE && right != BPE_NONE)
            TRY(add_cut(cuts, (cut){left, right, piece}));
        i += unicode_decode_valid(text + i, &code);
    }
    return HONE_OK;
}

static int by_score_descending(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return x > y ? -1 : x < y;
}

/* Place of `score` among scores[n], which descend. */
static uint32_t rank_of(const float *scores, size_t n, float score) {
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (scores[middle] > score) low = middle + 1;
        else high = middle;
    }
    return (uint32_t)low;
}

hone_status spm_derive_merges(tokenizer *t, const tokenizer_spec *spec) {
    cut_list cuts = {0};
    hone_status status = HONE_OK;
    float *scores = mem_calloc(spec->n_tokens, sizeof *scores);
    if (!scores) return mem_fail("token scores", spec->n_tokens * sizeof *scores);
    for (size_t i = 0; i < spec->n_tokens; i++) {
        scores[i] = spec->tokens[i].score;
        if (isnan(scores[i])) {
            status = fail(HONE_ERR_FORMAT, "token %zu: its score is not a number", i);
            goto done;
        }
        if (t->tokens[i].encodable) status = cut_piece(t, (uint32_t)i, &cuts);
        if (status != HONE_OK) goto done;
    }
    qsort(scores, spec->n_tokens, sizeof *scores, by_score_descending);
    status = bpe_merges_init(&t->merges, cuts.n, t->words.seed);
    if (status != HONE_OK) goto done;
    for (size_t i = 0; i < cuts.n; i++) {
        const cut *c = &cuts.items[i];
        bpe_merges_add(&t->merges, c->left, c->right,
                       rank_of(scores, spec->n_tokens, spec->tokens[c->piece].score), c->piece);
    }
done:
    mem_free(cuts.items);
    mem_free(scores);
    return status;
}
