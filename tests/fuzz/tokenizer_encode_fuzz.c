/* Any text through every split of a byte-level vocabulary: what is encoded decodes to itself, no
 * control token comes of it, and spans change nothing where they hold no token. The first byte
 * chooses the split. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "format/tokenizer_spec.h"
#include "text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { N_BYTES = 256, N_MERGED = 6, N_TOKENS = N_BYTES + N_MERGED + 2 };
enum { CONTROL = N_TOKENS - 2, USER = N_TOKENS - 1 };

static tokenizer *tokenizers[SPLIT_DEFAULT + 1];

/* The 256 bytes, a few merges, a control and a user-defined token. */
static void open_all(void) {
    static char letters[N_BYTES][4];
    static token_entry tokens[N_TOKENS];
    static const char *const merged[N_MERGED] = {"Ġt", "he", "aa", "aaaa", "Ġthe", "ĠĠ"};
    static const token_merge merges[N_MERGED] = {
        {{"Ġ", 2}, {"t", 1}},   {{"h", 1}, {"e", 1}},   {{"a", 1}, {"a", 1}},
        {{"aa", 2}, {"aa", 2}}, {{"Ġt", 3}, {"he", 2}}, {{"Ġ", 2}, {"Ġ", 2}}};
    uint32_t next = 0x100;
    for (uint32_t b = 0; b < N_BYTES; b++) {
        bool printable = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
        size_t n = utf8_write(letters[b], printable ? b : next++);
        tokens[b] = (token_entry){.text = letters[b], .n = (uint32_t)n, .type = TOKEN_NORMAL};
    }
    for (size_t i = 0; i < N_MERGED; i++)
        tokens[N_BYTES + i] = (token_entry){.text = merged[i], .n = (uint32_t)strlen(merged[i]),
                                            .type = TOKEN_NORMAL};
    tokens[CONTROL] = (token_entry){.text = "<s>", .n = 3, .type = TOKEN_CONTROL};
    tokens[USER] = (token_entry){.text = "<t>", .n = 3, .type = TOKEN_USER_DEFINED};
    for (int rule = 0; rule <= SPLIT_DEFAULT; rule++) {
        tokenizer_spec spec = {.split = (tokenizer_split)rule, .tokens = tokens,
                               .n_tokens = N_TOKENS, .merges = (token_merge *)merges,
                               .n_merges = N_MERGED, .bos = -1, .eos = -1, .unk = -1, .pad = -1};
        if (tokenizer_open(&tokenizers[rule], &spec) != HONE_OK) abort();
    }
}

static void check(const tokenizer *t, const char *text, size_t n, bool control) {
    token_list ids = {0};
    text_span all = {0, n};
    char *back = NULL;
    size_t back_n = 0;
    hone_status status = tokenizer_encode(t, text, n, &all, control, 0, &ids);
    if ((status == HONE_OK) != utf8_is_valid(text, n)) abort();
    if (status == HONE_OK) {
        if (tokenizer_decode(t, ids.ids, ids.n, true, &back, &back_n) != HONE_OK) abort();
        if (back_n != n || memcmp(back, text, n) != 0) abort();
        for (size_t i = 0; i < ids.n && !control; i++)
            if (ids.ids[i] == CONTROL) abort();
        mem_free(back);
    }
    token_list_release(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!tokenizers[0]) open_all();
    if (size == 0) return 0;
    const tokenizer *t = tokenizers[data[0] % (SPLIT_DEFAULT + 1)];
    char *text = mem_copy_string((const char *)data + 1, size - 1);
    check(t, text, size - 1, false);
    check(t, text, size - 1, true);
    mem_free(text);
    return 0;
}
