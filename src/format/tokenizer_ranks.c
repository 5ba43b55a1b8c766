#include "format/tokenizer_ranks.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/strmap.h"
#include "base/utf8.h"
#include "format/speech_languages.h"

enum { MAX_TEXTS = 250000, MAX_TEXT_BYTES = 256, N_TIMESTAMPS = 1501 };

void ranked_texts_release(ranked_texts *texts) {
    mem_free(texts->items);
    mem_free(texts->memory);
    *texts = (ranked_texts){0};
}

hone_status ranked_texts_add(ranked_texts *texts, const char *bytes, size_t n) {
    if (texts->n >= MAX_TEXTS || n > MAX_TEXT_BYTES)
        return fail(HONE_ERR_FORMAT, "token %zu of %zu bytes: at most %d tokens of %d bytes",
                    texts->n, n, MAX_TEXTS, MAX_TEXT_BYTES);
    TRY(mem_grow(&texts->items, &texts->room, texts->n + 1, sizeof *texts->items, "vocabulary"));
    texts->items[texts->n++] = (gguf_string){bytes, n};
    return HONE_OK;
}

/* --- tiktoken's files --- */

static int base64_value(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Bytes written to out[3 · n / 4], or −1. */
static ptrdiff_t decode_base64(const char *text, size_t n, char *out) {
    uint32_t bits = 0;
    size_t n_bits = 0, used = 0, n_out = 0;
    if (n % 4) return -1;
    while (used < n && text[n - 1] == '=' && used < 2) n--, used++;
    for (size_t i = 0; i < n; i++) {
        int value = base64_value(text[i]);
        if (value < 0) return -1;
        bits = bits << 6 | (uint32_t)value;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            out[n_out++] = (char)(bits >> n_bits);
        }
    }
    return (ptrdiff_t)n_out;
}

/* One line "base64 rank"; an empty text is written as "=" by some. */
static hone_status parse_line(ranked_texts *texts, const char *line, size_t n, char **to) {
    const char *space = memchr(line, ' ', n);
    size_t n_text = space ? (size_t)(space - line) : n, rank = 0;
    for (const char *p = space ? space + 1 : line + n; p < line + n; p++) {
        if (*p < '0' || *p > '9' || rank > MAX_TEXTS) rank = MAX_TEXTS + 1;
        else rank = rank * 10 + (size_t)(*p - '0');
    }
    bool empty = n_text == 0 || (n_text == 1 && line[0] == '=');
    ptrdiff_t n_bytes = empty ? 0 : decode_base64(line, n_text, *to);
    if (!space || n_bytes < 0 || rank != texts->n)
        return fail(HONE_ERR_FORMAT, "line %zu: expected base64 and the rank %zu", texts->n + 1,
                    texts->n);
    TRY(ranked_texts_add(texts, *to, (size_t)n_bytes));
    *to += n_bytes;
    return HONE_OK;
}

hone_status ranked_texts_parse(ranked_texts *texts, const char *file, size_t n, const char *name) {
    *texts = (ranked_texts){0};
    texts->memory = mem_alloc(n);
    if (!texts->memory) return mem_fail("vocabulary", n);
    char *to = texts->memory;
    hone_status status = HONE_OK;
    while (n > 0 && status == HONE_OK) {
        const char *end = memchr(file, '\n', n);
        size_t length = end ? (size_t)(end - file) : n, step = end ? length + 1 : length;
        if (length > 0 && file[length - 1] == '\r') length--;
        if (length > 0) status = parse_line(texts, file, length, &to);
        file += step;
        n -= step;
    }
    if (status != HONE_OK) {
        ranked_texts_release(texts);
        return fail_context(status, "%s", name);
    }
    return HONE_OK;
}

/* --- merges --- */

/* Finds the two texts that byte-pair encoding joins last on its way to `whole`: merges of lower
 * ranks are made, the lowest first, until two parts are left. False where it does not get there. */
static bool find_halves(const strmap *ranks, gguf_string whole, uint32_t rank, size_t *left) {
    uint16_t begin[MAX_TEXT_BYTES + 1]; /* of each part, and the end */
    size_t n = whole.n;
    for (size_t i = 0; i <= n; i++) begin[i] = (uint16_t)i;
    while (n > 2) {
        size_t best = 0;
        uint32_t lowest = rank, found;
        for (size_t i = 0; i + 1 < n; i++) {
            size_t length = (size_t)(begin[i + 2] - begin[i]);
            if (strmap_find(ranks, whole.data + begin[i], length, &found) && found < lowest) {
                lowest = found;
                best = i;
            }
        }
        if (lowest == rank) return false;
        memmove(begin + best + 1, begin + best + 2, (n - best - 1) * sizeof *begin);
        n--;
    }
    *left = begin[1];
    return n == 2;
}

/* --- the spec --- */

/* A byte's character in GPT-2's alphabet (text/vocabulary.c has the way back). */
static uint32_t alphabet_character(uint8_t byte) {
    if ((byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174) return byte;
    uint32_t k = byte <= 32 ? byte : byte <= 160 ? byte - 127u + 33 : 67;
    return 0x100 + k;
}

/* Everything that the spec points to lies in one buffer, which must not move: first the texts. */
typedef struct builder {
    tokenizer_spec *spec;
    const ranked_texts *texts;
    size_t n_ranked; /* texts used */
    buf memory;
} builder;

static hone_status add_token(builder *b, const char *text, size_t n, token_type type) {
    if (b->memory.len + n > b->memory.max) return mem_fail("vocabulary", n);
    b->spec->tokens[b->spec->n_tokens++] = (token_entry){
        .text = b->memory.data + b->memory.len, .n = (uint32_t)n, .type = (uint8_t)type};
    return buf_add(&b->memory, text, n);
}

static hone_status add_ranked(builder *b) {
    char text[2 * MAX_TEXT_BYTES];
    for (size_t i = 0; i < b->n_ranked; i++) {
        size_t n = 0;
        const gguf_string *bytes = &b->texts->items[i];
        for (size_t k = 0; k < bytes->n; k++)
            n += utf8_write(text + n, alphabet_character((uint8_t)bytes->data[k]));
        TRY(add_token(b, text, n, TOKEN_NORMAL));
    }
    return HONE_OK;
}

static hone_status add_special(builder *b, const char *word) {
    char text[64];
    int n = snprintf(text, sizeof text, "<|%s|>", word);
    return add_token(b, text, (size_t)n, TOKEN_CONTROL);
}

static hone_status add_all_special(builder *b, size_t n_languages) {
    static const char *const before[] = {"endoftext", "startoftranscript"},
        *const after[] = {"translate", "transcribe", "startoflm", "startofprev", "nospeech",
                          "notimestamps"};
    for (size_t i = 0; i < 2; i++) TRY(add_special(b, before[i]));
    for (size_t i = 0; i < n_languages; i++) TRY(add_special(b, speech_language_code(i)));
    for (size_t i = 0; i < 6; i++) TRY(add_special(b, after[i]));
    return HONE_OK;
}

/* In the alphabet, a text's first bytes are its first characters: one or two bytes each. */
static size_t alphabet_bytes(const char *bytes, size_t n) {
    size_t total = 0;
    for (size_t i = 0; i < n; i++) total += alphabet_character((uint8_t)bytes[i]) < 0x80 ? 1 : 2;
    return total;
}

static hone_status add_merges(builder *b) {
    tokenizer_spec *spec = b->spec;
    strmap ranks;
    TRY(strmap_init(&ranks, b->n_ranked));
    hone_status status = HONE_OK;
    for (size_t i = 0; i < b->n_ranked && status == HONE_OK; i++)
        status = strmap_insert(&ranks, b->texts->items[i].data, b->texts->items[i].n, (uint32_t)i,
                               NULL);
    for (size_t i = 0; i < b->n_ranked && status == HONE_OK; i++) {
        gguf_string whole = b->texts->items[i];
        size_t left = 1;
        if (whole.n < 2 || !find_halves(&ranks, whole, (uint32_t)i, &left)) continue;
        const token_entry *t = &spec->tokens[i];
        size_t n_left = alphabet_bytes(whole.data, left);
        spec->merges[spec->n_merges++] =
            (token_merge){{t->text, n_left}, {t->text + n_left, t->n - n_left}};
    }
    strmap_release(&ranks);
    return status;
}

static hone_status build(builder *b, size_t n_languages) {
    size_t n_special = n_languages + 8, bytes = 64 * n_special;
    for (size_t i = 0; i < b->n_ranked; i++) bytes += 2 * b->texts->items[i].n;
    buf_init(&b->memory, bytes);
    TRY(buf_reserve(&b->memory, bytes));
    b->spec->tokens = mem_calloc(b->n_ranked + n_special, sizeof *b->spec->tokens);
    b->spec->merges = mem_calloc(b->n_ranked, sizeof *b->spec->merges);
    if (!b->spec->tokens || !b->spec->merges) return mem_fail("vocabulary", bytes);
    TRY(add_ranked(b));
    TRY(add_all_special(b, n_languages));
    return add_merges(b);
}

hone_status tokenizer_spec_from_whisper_ranks(tokenizer_spec *spec, const ranked_texts *texts,
                                              size_t n_vocab, const char *name) {
    size_t n_languages = n_vocab == 51866 ? 100 : 99, beyond = n_languages + 8 + N_TIMESTAMPS;
    if (n_vocab <= beyond || n_vocab - beyond > texts->n)
        return fail(HONE_ERR_FORMAT, "%s: a vocabulary of %zu texts does not fit a model of %zu "
                    "tokens", name, texts->n, n_vocab);
    tokenizer_spec made = {.model = TOKENIZER_BPE_BYTES, .split = SPLIT_GPT2,
                           .bos = -1, .eos = -1, .unk = -1, .pad = -1};
    builder b = {.spec = &made, .texts = texts, .n_ranked = n_vocab - beyond};
    hone_status status = build(&b, n_languages);
    made.texts = b.memory.data;
    if (status == HONE_OK) {
        made.eos = (int32_t)b.n_ranked;
        status = tokenizer_spec_add_stop(&made, made.eos);
    }
    if (status != HONE_OK) {
        tokenizer_spec_release(&made);
        return fail_context(status, "%s", name);
    }
    *spec = made;
    return HONE_OK;
}
