/* infer/text_stream.h with arbitrary bytes, stop strings and cuts, against the definition applied
 * to the whole text. Input: flags; up to two stop strings, each with its length before it; the rest
 * is the text, cut into pieces whose lengths follow from its bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "infer/text_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct input {
    char stops[2][16];
    const char *stop_list[2];
    size_t n_stops;
    bool drop_first_space;
    const char *text;
    size_t n;
} input;

static bool read_input(input *in, const uint8_t *data, size_t size) {
    if (size < 1) return false;
    *in = (input){.n_stops = data[0] % 3, .drop_first_space = data[0] & 4};
    size_t at = 1;
    for (size_t i = 0; i < in->n_stops; i++) {
        if (at >= size) return false;
        size_t n = data[at++] % 16;
        if (n > size - at) return false;
        memcpy(in->stops[i], data + at, n);
        in->stop_list[i] = in->stops[i];
        at += n;
    }
    in->text = (const char *)data + at;
    in->n = size - at;
    return true;
}

/* With the first space dropped and U+FFFD for what is invalid. */
static void plain_repair(const input *in, buf *text) {
    for (size_t i = 0; i < in->n;) {
        uint32_t code;
        size_t n = utf8_decode(in->text + i, in->n - i, &code);
        if (code == UTF8_INVALID) {
            n = utf8_invalid_bytes(in->text + i, in->n - i);
            if (buf_add(text, "\xEF\xBF\xBD", 3)) abort();
        } else if (!(i == 0 && code == ' ' && in->drop_first_space)) {
            if (buf_add(text, in->text + i, n)) abort();
        }
        i += n;
    }
}

static size_t plain_stop(const input *in, const buf *text, bool *stopped) {
    *stopped = true;
    for (size_t i = 0; i < text->len; i++) {
        for (size_t j = 0; j < in->n_stops; j++) {
            size_t n = strlen(in->stop_list[j]);
            if (n <= text->len - i && memcmp(text->data + i, in->stop_list[j], n) == 0) return i;
        }
    }
    *stopped = false;
    return text->len;
}

static void run_stream(const input *in, text_stream *s, buf *text, bool *stopped) {
    for (size_t at = 0; at < in->n;) {
        size_t n = 1 + (unsigned char)in->text[at] % 7;
        if (n > in->n - at) n = in->n - at;
        if (text_stream_push(s, in->text + at, n, text, stopped)) abort();
        if (!utf8_is_valid(text->data, text->len)) abort();
        at += n;
    }
    if (text_stream_finish(s, text, stopped)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input in;
    if (!read_input(&in, data, size)) return 0;
    text_stream *s;
    if (text_stream_open(&s, in.stop_list, in.n_stops, in.drop_first_space)) return 0;
    buf text, expected;
    buf_init(&text, 1 << 20);
    buf_init(&expected, 1 << 20);
    bool stopped, expect_stop;
    run_stream(&in, s, &text, &stopped);
    plain_repair(&in, &expected);
    size_t n = plain_stop(&in, &expected, &expect_stop);
    if (text.len != n || stopped != expect_stop) abort();
    if (n && memcmp(text.data, expected.data, n) != 0) abort();
    buf_release(&text);
    buf_release(&expected);
    text_stream_close(s);
    return 0;
}
