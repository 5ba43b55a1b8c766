/* Makes a tokenizer of what a file says about it. */
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "text/tokenizer_int.h"
#include "text/unicode.h"

enum { MAX_TOKENS = 1 << 24, MAX_TOKEN_BYTES = 1 << 16 };

/* --- the byte-level alphabet --- */

enum { ALPHABET_END = 0x144 }; /* its last character is U+0143 */

/* The byte that a character of GPT-2's alphabet stands for, or −1: printable Latin-1 characters are
 * themselves, the other 68 bytes follow from U+0100 on in their order. */
static int alphabet_byte(uint32_t code) {
    if ((code >= 33 && code <= 126) || (code >= 161 && code <= 172) ||
        (code >= 174 && code <= 255))
        return (int)code;
    if (code < 0x100 || code >= ALPHABET_END) return -1;
    uint32_t k = code - 0x100; /* bytes 0–32, 127–160, 173 */
    return (int)(k <= 32 ? k : k <= 66 ? k - 33 + 127 : 173);
}

/* Writes the bytes that `text`, valid UTF-8, stands for. False if it has another character. */
static bool from_alphabet(const char *text, size_t n, char *out, size_t *out_n) {
    size_t count = 0;
    for (size_t i = 0; i < n;) {
        uint32_t code;
        i += unicode_decode_valid(text + i, &code);
        int byte = alphabet_byte(code);
        if (byte < 0) return false;
        out[count++] = (char)byte;
    }
    *out_n = count;
    return true;
}

/* --- ▁ and <0xXX> --- */

static const char lower_block[3] = {'\xE2', '\x96', '\x81'}; /* ▁, U+2581 */

static size_t blocks_to_spaces(const char *text, size_t n, char *out) {
    size_t count = 0;
    for (size_t i = 0; i < n;) {
        if (n - i >= 3 && memcmp(text + i, lower_block, 3) == 0) {
            out[count++] = ' ';
            i += 3;
        } else {
            out[count++] = text[i++];
        }
    }
    return count;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that "<0xXX>" names, or −1. */
static int named_byte(const token_entry *e) {
    if (e->n != 6 || memcmp(e->text, "<0x", 3) != 0 || e->text[5] != '>') return -1;
    int high = hex_digit(e->text[3]), low = hex_digit(e->text[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* --- tokens --- */

/* Fills the token's text at `out`, which has room for the entry's bytes. */
static hone_status read_token(tokenizer *t, size_t id, const token_entry *e, char *out) {
    token_text *token = &t->tokens[id];
    *token = (token_text){.at = (size_t)(out - t->text), .n = e->n, .type = e->type,
                          .strips_left = e->strips_left, .strips_right = e->strips_right};
    if (e->type < TOKEN_NORMAL || e->type > TOKEN_BYTE)
        return fail(HONE_ERR_FORMAT, "token %zu: type %u, expected 1 to 6", id, e->type);
    if (e->n > MAX_TOKEN_BYTES)
        return fail(HONE_ERR_FORMAT, "token %zu: %u bytes, at most %d", id, e->n, MAX_TOKEN_BYTES);
    if (!utf8_is_valid(e->text, e->n))
        return fail(HONE_ERR_FORMAT, "token %zu is not valid UTF-8", id);

    bool byte_level = t->model == TOKENIZER_BPE_BYTES;
    bool ordinary = e->type == TOKEN_NORMAL || e->type == TOKEN_USER_DEFINED;
    if (e->type == TOKEN_BYTE && !byte_level) {
        int byte = named_byte(e);
        if (byte < 0)
            return fail(HONE_ERR_FORMAT, "token %zu: \"%.*s\" is no byte, expected \"<0xXX>\"", id,
                        e->n < 60 ? (int)e->n : 60, e->text);
        *out = (char)byte;
        token->n = 1;
        t->byte_id[byte] = (uint32_t)id;
    } else if (byte_level && (e->type == TOKEN_NORMAL || e->type == TOKEN_BYTE)) {
        size_t n = 0;
        token->encodable = from_alphabet(e->text, e->n, out, &n);
        if (token->encodable) token->n = (uint32_t)n;
        else memcpy(out, e->text, e->n); /* seen in Command R: literal text that BPE cannot reach */
    } else if (!byte_level && ordinary) {
        /* A space in a piece is out of reach: text has ▁ in its place. */
        token->encodable = e->type == TOKEN_USER_DEFINED || !memchr(e->text, ' ', e->n);
        token->n = (uint32_t)blocks_to_spaces(e->text, e->n, out);
    } else {
        if (e->n) memcpy(out, e->text, e->n);
        token->encodable = ordinary;
    }
    if (token->n == 0) token->encodable = false;
    return HONE_OK;
}

/* Ordinary tokens go first: an added token with the same bytes is matched before BPE anyway. */
static hone_status name_tokens(tokenizer *t, bool added) {
    for (size_t i = 0; i < t->n_tokens; i++) {
        token_text *token = &t->tokens[i];
        if (!token->encodable || (token->type == TOKEN_USER_DEFINED) != added) continue;
        bool was_there;
        TRY(strmap_insert(&t->words, t->text + token->at, token->n, (uint32_t)i, &was_there));
        if (was_there && !added)
            return fail(HONE_ERR_FORMAT, "token %zu: \"%.*s\" is an earlier token's text", i,
                        token->n < 60 ? (int)token->n : 60, t->text + token->at);
        if (was_there) token->encodable = false;
        else if (token->n > t->longest) t->longest = token->n;
    }
    return HONE_OK;
}

static hone_status read_tokens(tokenizer *t, const tokenizer_spec *spec) {
    size_t bytes = 0;
    if (spec->n_tokens == 0 || spec->n_tokens > MAX_TOKENS)
        return fail(HONE_ERR_FORMAT, "%zu tokens, expected 1 to %d", spec->n_tokens, MAX_TOKENS);
    for (size_t i = 0; i < spec->n_tokens; i++) bytes += spec->tokens[i].n;
    t->n_tokens = spec->n_tokens;
    t->tokens = mem_calloc(t->n_tokens, sizeof *t->tokens);
    t->text = mem_alloc(bytes);
    t->whole = mem_calloc(t->n_tokens, sizeof *t->whole);
    if (!t->tokens || !t->text || !t->whole) return mem_fail("vocabulary", bytes);
    memset(t->byte_id, 0xFF, sizeof t->byte_id);

    char *out = t->text;
    for (size_t i = 0; i < t->n_tokens; i++) {
        TRY(read_token(t, i, &spec->tokens[i], out));
        out += t->tokens[i].n;
    }
    TRY(strmap_init(&t->words, t->n_tokens));
    TRY(name_tokens(t, false));
    TRY(name_tokens(t, true));
    if (t->model == TOKENIZER_BPE_BYTES)
        for (unsigned b = 0; b < 256; b++) {
            char byte = (char)b;
            strmap_find(&t->words, &byte, 1, &t->byte_id[b]);
        }
    return HONE_OK;
}

static hone_status read_added(tokenizer *t, const tokenizer_spec *spec) {
    TRY(added_tokens_init(&t->added));
    for (size_t i = 0; i < spec->n_tokens; i++) {
        const token_entry *e = &spec->tokens[i];
        bool control = e->type == TOKEN_CONTROL || e->type == TOKEN_UNKNOWN;
        if (control || e->type == TOKEN_USER_DEFINED)
            TRY(added_tokens_add(&t->added, e->text, e->n, (int32_t)i, control));
    }
    return HONE_OK;
}

/* --- merges --- */

/* The bytes a side of a merge stands for, appended to `out`. */
static hone_status add_side(const tokenizer *t, gguf_string side, buf *out) {
    TRY(buf_reserve(out, side.n));
    char *at = out->data + out->len;
    size_t n = 0;
    if (t->model != TOKENIZER_BPE_BYTES) n = blocks_to_spaces(side.data, side.n, at);
    else if (!utf8_is_valid(side.data, side.n) || !from_alphabet(side.data, side.n, at, &n))
        n = 0; /* then it is no token, which the caller finds */
    out->len += n;
    return HONE_OK;
}

static bool is_control_text(const tokenizer *t, gguf_string text) {
    int32_t id;
    return added_tokens_match(&t->added, text.data, text.n, text.n, &id) == text.n;
}

static hone_status read_merge(tokenizer *t, const token_merge *merge, size_t rank, buf *both) {
    both->len = 0;
    TRY(add_side(t, merge->left, both));
    size_t left_n = both->len;
    TRY(add_side(t, merge->right, both));
    uint32_t left, right, result;
    bool known = strmap_find(&t->words, both->data, left_n, &left) &&
                 strmap_find(&t->words, both->data + left_n, both->len - left_n, &right) &&
                 strmap_find(&t->words, both->data, both->len, &result);
    if (known) {
        bpe_merges_add(&t->merges, left, right, (uint32_t)rank, result);
        return HONE_OK;
    }
    /* A merge of or into a control token could only make control tokens of plain text. */
    gguf_string joined = {both->data, both->len};
    if (is_control_text(t, merge->left) || is_control_text(t, merge->right) ||
        is_control_text(t, joined))
        return HONE_OK;
    return fail(HONE_ERR_FORMAT, "merge %zu: \"%.*s\" + \"%.*s\" is not of three tokens", rank,
                merge->left.n < 60 ? (int)merge->left.n : 60, merge->left.data,
                merge->right.n < 60 ? (int)merge->right.n : 60, merge->right.data);
}

static hone_status read_merges(tokenizer *t, const tokenizer_spec *spec) {
    if (t->model == TOKENIZER_SPM) return spm_derive_merges(t, spec);
    if (spec->n_merges >= BPE_NONE / 4)
        return fail(HONE_ERR_FORMAT, "%zu merges", spec->n_merges);
    TRY(bpe_merges_init(&t->merges, spec->n_merges, t->words.seed));
    buf both;
    buf_init(&both, 2 * MAX_TOKEN_BYTES);
    hone_status status = HONE_OK;
    for (size_t i = 0; i < spec->n_merges && status == HONE_OK; i++) {
        const token_merge *merge = &spec->merges[i];
        status = merge->left.n > MAX_TOKEN_BYTES || merge->right.n > MAX_TOKEN_BYTES
                     ? fail(HONE_ERR_FORMAT, "merge %zu is too long", i)
                     : read_merge(t, merge, i, &both);
    }
    buf_release(&both);
    return status;
}

/* --- the rest --- */

uint32_t tokenizer_char_symbol(const tokenizer *t, const char *text, size_t n) {
    uint32_t symbol = BPE_NONE;
    if (!strmap_find(&t->words, text, n, &symbol)) strmap_find(&t->odd_chars, text, n, &symbol);
    return symbol;
}

/* Where no token has a space behind another character, no merge crosses from a character to a
 * space, and every word can be merged alone. */
static bool words_stand_apart(const tokenizer *t) {
    for (size_t i = 0; i < t->n_tokens; i++) {
        const char *text = t->text + t->tokens[i].at;
        if (!t->tokens[i].encodable) continue;
        for (uint32_t k = 1; k < t->tokens[i].n; k++)
            if (text[k] == ' ' && text[k - 1] != ' ') return false;
    }
    return true;
}

static hone_status check_id(const tokenizer *t, const char *what, int32_t id) {
    if (id < -1 || (id >= 0 && (size_t)id >= t->n_tokens))
        return fail(HONE_ERR_FORMAT, "%s id %d, but there are %zu tokens", what, id, t->n_tokens);
    return HONE_OK;
}

static hone_status read_ids(tokenizer *t, const tokenizer_spec *spec) {
    TRY(check_id(t, "beginning-of-text", spec->bos));
    TRY(check_id(t, "end-of-text", spec->eos));
    TRY(check_id(t, "unknown-token", spec->unk));
    if (spec->n_stops > sizeof t->stops / sizeof *t->stops)
        return fail(HONE_ERR_ARGUMENT, "%zu stop ids", spec->n_stops);
    for (size_t i = 0; i < spec->n_stops; i++) {
        TRY(check_id(t, "stop", spec->stops[i]));
        t->stops[i] = spec->stops[i];
    }
    t->n_stops = spec->n_stops;
    t->bos = spec->bos;
    t->eos = spec->eos;
    /* Byte-level files name some control token and mean nothing by it; SentencePiece's <unk> is one
     * in files of other converters, too, and does stand for what has no token. */
    bool only_named = spec->model == TOKENIZER_BPE_BYTES && spec->unk >= 0 &&
                      t->tokens[spec->unk].type == TOKEN_CONTROL;
    t->unk = only_named ? -1 : spec->unk;
    t->add_bos = spec->add_bos && spec->bos >= 0;
    t->add_eos = spec->add_eos && spec->eos >= 0;
    return HONE_OK;
}

static hone_status fill(tokenizer *t, const tokenizer_spec *spec) {
    t->model = spec->model;
    t->split = spec->split;
    t->normalise_nfc = spec->normalise_nfc;
    t->ignore_merges = spec->ignore_merges;
    t->byte_fallback = spec->byte_fallback;
    t->fuse_unk = spec->fuse_unk;
    t->add_prefix_space = spec->add_prefix_space;
    t->prefix_first_only = spec->prefix_first_only;
    t->prefix_if_missing = spec->prefix_if_missing;
    TRY(read_tokens(t, spec));
    TRY(read_added(t, spec));
    TRY(strmap_init(&t->odd_chars, 16));
    TRY(read_merges(t, spec));
    TRY(read_ids(t, spec));
    t->words_apart = words_stand_apart(t);
    for (unsigned c = 0; c < 128; c++) {
        char ascii = (char)c;
        t->ascii_id[c] = tokenizer_char_symbol(t, &ascii, 1);
    }
    return HONE_OK;
}

hone_status tokenizer_open(tokenizer **out, const tokenizer_spec *spec) {
    tokenizer *t = mem_calloc(1, sizeof *t);
    if (!t) return mem_fail("tokenizer", sizeof *t);
    hone_status status = fill(t, spec);
    if (status != HONE_OK) {
        tokenizer_close(t);
        return status;
    }
    *out = t;
    return HONE_OK;
}

void tokenizer_close(tokenizer *t) {
    if (!t) return;
    mem_free(t->tokens);
    mem_free(t->text);
    mem_free((void *)t->whole);
    strmap_release(&t->words);
    strmap_release(&t->odd_chars);
    bpe_merges_release(&t->merges);
    added_tokens_release(&t->added);
    mem_free(t);
}
