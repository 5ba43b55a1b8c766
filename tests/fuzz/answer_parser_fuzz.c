/* text/answer_parser.h with any text, cut anywhere: the spans are those of the whole text. Input: a
 * byte of options; the rest is the text, cut into pieces whose lengths follow from its bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "text/answer_parser.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct record {
    buf line;
    int last;
} record;

static hone_status note(void *user, answer_span_kind kind, const char *text, size_t n) {
    record *r = user;
    if (kind != ANSWER_CALL && n == 0) abort();
    if (kind == ANSWER_CALL || (int)kind != r->last) {
        char head[] = {'\0', (char)('0' + kind)};
        if (buf_add(&r->line, head, sizeof head)) abort();
    }
    r->last = (int)kind;
    return buf_add(&r->line, text, n);
}

static bool knows(void *user, const char *name, size_t n) {
    (void)user, (void)name;
    return n == 1;
}

static void parse(record *r, unsigned flags, const char *text, size_t n, size_t most) {
    answer_parser *p;
    const answer_parser_options options = {
        .calls = flags % 4, .thoughts = flags & 4,
        .opened = flags & 8 ? thoughts_opened_by("<think>", 7) : NULL, .knows = knows, .take = note,
        .user = r};
    buf_init(&r->line, 1 << 24);
    r->last = -1;
    if (answer_parser_open(&p, &options)) abort();
    for (size_t at = 0; at < n;) {
        size_t piece = most ? most : 1 + (unsigned char)text[at] % 7;
        if (piece > n - at) piece = n - at;
        if (answer_parser_push(p, text + at, piece)) abort();
        at += piece;
    }
    if (answer_parser_finish(p)) abort();
    answer_parser_close(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    record whole, cut;
    if (size == 0 || size > 1 << 16) return 0;
    parse(&whole, data[0], (const char *)data + 1, size - 1, size);
    parse(&cut, data[0], (const char *)data + 1, size - 1, 0);
    if (whole.line.len != cut.line.len ||
        (whole.line.len && memcmp(whole.line.data, cut.line.data, cut.line.len) != 0))
        abort();
    buf_release(&whole.line);
    buf_release(&cut.line);
    return 0;
}
