/* Text to ids: cut at added tokens, normalise, split into pieces, merge each piece. */
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "text/split.h"
#include "text/tokenizer_int.h"
#include "text/unicode.h"

/* One call's state. */
typedef struct encoder {
    const tokenizer *t;
    token_list *out;
    bpe_work work;
    char *scratch; /* text with a prefix or without ▁ */
    size_t scratch_capacity;
    bool after_unk; /* the last id was the unknown token, in the same text */
} encoder;

static hone_status append(token_list *list, int32_t id) {
    TRY(mem_grow(&list->ids, &list->capacity, list->n + 1, sizeof *list->ids, "token ids"));
    list->ids[list->n++] = id;
    return HONE_OK;
}

/* --- one piece --- */

/* Text without a token of its own: its bytes' tokens, or the unknown token, or nothing. A few
 * vocabularies (Falcon) lack bytes that text may hold; there is nothing to write for them. */
static hone_status emit_unknown(encoder *e, const char *text, size_t n) {
    const tokenizer *t = e->t;
    bool bytes = t->byte_fallback;
    for (size_t i = 0; i < n && bytes; i++)
        bytes = t->byte_id[(unsigned char)text[i]] != BPE_NONE;
    if (bytes) {
        for (size_t i = 0; i < n; i++)
            TRY(append(e->out, (int32_t)t->byte_id[(unsigned char)text[i]]));
        e->after_unk = false;
    } else if (t->unk >= 0 && !(t->fuse_unk && e->after_unk)) {
        TRY(append(e->out, t->unk));
        e->after_unk = true;
    }
    return HONE_OK;
}

static void fill_symbols(const tokenizer *t, bpe_work *w, const char *piece, size_t n) {
    w->n = 0;
    if (t->model == TOKENIZER_BPE_BYTES) {
        for (size_t i = 0; i < n; i++) {
            w->symbols[i].id = t->byte_id[(unsigned char)piece[i]];
            w->symbols[i].at = (uint32_t)i;
        }
        w->n = n;
        return;
    }
    for (size_t i = 0; i < n;) {
        uint32_t code;
        size_t bytes = unicode_decode_valid(piece + i, &code);
        bpe_symbol *s = &w->symbols[w->n++];
        s->id = code < 128 ? t->ascii_id[code] : tokenizer_char_symbol(t, piece + i, bytes);
        s->at = (uint32_t)i;
        i += bytes;
    }
}

static hone_status merge_piece(encoder *e, const char *piece, size_t n) {
    bpe_work *w = &e->work;
    TRY(bpe_work_reserve(w, n));
    fill_symbols(e->t, w, piece, n);
    TRY(bpe_run(&e->t->merges, w));
    for (size_t i = 0; i < w->n; i++) {
        const bpe_symbol *s = &w->symbols[i];
        if (s->id < e->t->n_tokens) {
            TRY(append(e->out, (int32_t)s->id));
            e->after_unk = false;
        } else {
            size_t end = i + 1 < w->n ? w->symbols[i + 1].at : n;
            TRY(emit_unknown(e, piece + s->at, end - s->at));
        }
    }
    return HONE_OK;
}

/* Most words are tokens, and then merging usually arrives at that token. Whether it does is
 * remembered: it saves nine tenths of the merging in running text. */
static hone_status encode_piece(encoder *e, const char *piece, size_t n) {
    const tokenizer *t = e->t;
    uint32_t word;
    if (n > t->longest || !strmap_find(&t->words, piece, n, &word)) return merge_piece(e, piece, n);

    bool newline_run = t->split == SPLIT_NEWLINES && *piece == '\n';
    uint8_t known = atomic_load_explicit(&t->whole[word], memory_order_relaxed);
    if (known == WHOLE_YES || t->ignore_merges || newline_run) {
        e->after_unk = false;
        return append(e->out, (int32_t)word);
    }
    size_t before = e->out->n;
    TRY(merge_piece(e, piece, n));
    if (known == WHOLE_UNKNOWN) {
        bool same = e->out->n == before + 1 && e->out->ids[before] == (int32_t)word;
        atomic_store_explicit(&t->whole[word], same ? WHOLE_YES : WHOLE_NO, memory_order_relaxed);
    }
    return HONE_OK;
}

/* A piece of a character vocabulary, which may be the whole text: word by word where no merge can
 * cross from one to the next. */
static hone_status encode_words(encoder *e, const char *piece, size_t n) {
    size_t begin = 0;
    for (size_t i = 1; i < n; i++) {
        if (piece[i] != ' ' || piece[i - 1] == ' ') continue;
        TRY(encode_piece(e, piece + begin, i - begin));
        begin = i;
    }
    return encode_piece(e, piece + begin, n - begin);
}

/* --- text between added tokens --- */

static hone_status grow_scratch(encoder *e, size_t n) {
    return mem_grow(&e->scratch, &e->scratch_capacity, n, sizeof *e->scratch, "text");
}

/* *text = the text as the vocabulary sees it: with a space in front where the model wants one, and
 * ▁ as a space, which SentencePiece does not tell apart. */
static hone_status dress(encoder *e, const char **text, size_t *n, bool first) {
    static const char block[] = "\xE2\x96\x81";
    const tokenizer *t = e->t;
    bool spaces_only = t->model == TOKENIZER_BPE_BYTES || !memmem(*text, *n, block, 3);
    bool wants_prefix = t->add_prefix_space && (first || !t->prefix_first_only);
    if (spaces_only && !wants_prefix) return HONE_OK;
    if (*n > SIZE_MAX / 4) return fail(HONE_ERR_ARGUMENT, "a text of %zu bytes", *n);
    TRY(grow_scratch(e, *n + 1));
    char *out = e->scratch;
    size_t count = 1;
    out[0] = ' ';
    if (spaces_only) {
        memcpy(out + 1, *text, *n);
        count += *n;
    } else {
        for (size_t i = 0; i < *n;) {
            bool is_block = *n - i >= 3 && memcmp(*text + i, block, 3) == 0;
            out[count++] = is_block ? ' ' : (*text)[i];
            i += is_block ? 3 : 1;
        }
    }
    if (!wants_prefix || (t->prefix_if_missing && count > 1 && out[1] == ' ')) {
        out++;
        count--;
    }
    *text = out;
    *n = count;
    return HONE_OK;
}

static hone_status encode_normal(encoder *e, const char *text, size_t n, bool first) {
    const tokenizer *t = e->t;
    TRY(dress(e, &text, &n, first));
    bool by_words = t->model != TOKENIZER_BPE_BYTES && t->words_apart;
    splitter s;
    size_t begin, end;
    split_init(&s, t->split, text, n);
    while (split_next(&s, &begin, &end))
        TRY(by_words ? encode_words(e, text + begin, end - begin)
                     : encode_piece(e, text + begin, end - begin));
    return HONE_OK;
}

static hone_status encode_plain(encoder *e, const char *text, size_t n, bool first) {
    if (n == 0) return HONE_OK;
    e->after_unk = false;
    if (!e->t->normalise_nfc || unicode_is_nfc(text, n)) return encode_normal(e, text, n, first);
    char *normal;
    size_t normal_n;
    TRY(unicode_nfc(text, n, &normal, &normal_n));
    hone_status status = encode_normal(e, normal, normal_n, first);
    mem_free(normal);
    return status;
}

/* --- the whole text --- */

static size_t space_end(const char *text, size_t i, size_t n) {
    uint32_t code;
    while (i < n) {
        size_t bytes = unicode_decode_valid(text + i, &code);
        if (!(unicode_class(code) & CHAR_SPACE)) break;
        i += bytes;
    }
    return i;
}

/* Where white space before text[end] begins, not before `begin`. */
static size_t space_begin(const char *text, size_t begin, size_t end) {
    while (end > begin) {
        size_t last = end - 1;
        while (last > begin && ((unsigned char)text[last] & 0xC0) == 0x80) last--;
        if (space_end(text, last, end) != end) break;
        end = last;
    }
    return end;
}

/* Cuts at added tokens, the leftmost first and of these the longest. Control tokens count only
 * inside a span. */
static hone_status encode_text(encoder *e, const char *text, size_t n, const text_span *spans,
                               size_t n_spans) {
    const tokenizer *t = e->t;
    size_t plain = 0; /* begin of the text not yet encoded */
    for (size_t i = 0; i < n;) {
        if (!t->added.starts[(unsigned char)text[i]]) {
            i++;
            continue;
        }
        while (n_spans && spans->end <= i) spans++, n_spans--;
        size_t control_n = n_spans && spans->begin <= i ? spans->end - i : 0;
        int32_t id = -1;
        size_t length = added_tokens_match(&t->added, text + i, n - i, control_n, &id);
        if (!length) {
            i++;
            continue;
        }
        size_t end = t->tokens[id].strips_left ? space_begin(text, plain, i) : i;
        TRY(encode_plain(e, text + plain, end - plain, plain == 0));
        TRY(append(e->out, id));
        i += length;
        if (t->tokens[id].strips_right) i = space_end(text, i, n);
        plain = i;
    }
    return encode_plain(e, text + plain, n - plain, plain == 0);
}

static hone_status check_utf8(const char *text, size_t n) {
    for (size_t i = 0; i < n;) {
        uint64_t eight;
        if (n - i >= 8 && (memcpy(&eight, text + i, 8), !(eight & 0x8080808080808080u))) {
            i += 8;
            continue;
        }
        uint32_t code;
        size_t bytes = utf8_decode(text + i, n - i, &code);
        if (code == UTF8_INVALID)
            return fail(HONE_ERR_FORMAT, "the text is not valid UTF-8 at byte %zu", i);
        i += bytes;
    }
    return HONE_OK;
}

static hone_status check_spans(size_t n, const text_span *spans, size_t n_spans) {
    size_t end = 0;
    for (size_t i = 0; i < n_spans; i++) {
        if (spans[i].begin < end || spans[i].end < spans[i].begin || spans[i].end > n)
            return fail(HONE_ERR_ARGUMENT, "control span %zu, bytes %zu to %zu, does not fit", i,
                        spans[i].begin, spans[i].end);
        end = spans[i].end;
    }
    return HONE_OK;
}

hone_status tokenizer_encode(const tokenizer *t, const char *text, size_t n,
                             const text_span *spans, size_t n_spans, unsigned flags,
                             token_list *ids) {
    TRY(check_utf8(text, n));
    TRY(check_spans(n, spans, n_spans));
    encoder e = {.t = t, .out = ids};
    size_t before = ids->n;
    bool special = flags & ENCODE_ADD_SPECIAL;
    hone_status status = HONE_OK;
    if (special && t->add_bos) status = append(ids, t->bos);
    if (status == HONE_OK) status = encode_text(&e, text, n, spans, n_spans);
    if (status == HONE_OK && special && t->add_eos) status = append(ids, t->eos);
    if (status != HONE_OK) ids->n = before;
    bpe_work_release(&e.work);
    mem_free(e.scratch);
    return status;
}
