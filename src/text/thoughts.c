/* The tags of thoughts (text/thoughts.h). */
#include "text/thoughts.h"

#include <string.h>

static const thought_tags known[] = {{"<think>", "</think>"}, {"[THINK]", "[/THINK]"}};
enum { N_KNOWN = sizeof known / sizeof *known };

static bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

const thought_tags *thoughts_opened_by(const char *text, size_t n) {
    while (n > 0 && is_blank(text[n - 1])) n--;
    for (size_t i = 0; i < N_KNOWN; i++) {
        size_t length = strlen(known[i].open);
        if (n >= length && !memcmp(text + n - length, known[i].open, length)) return &known[i];
    }
    return NULL;
}

const thought_tags *thoughts_begin_in(const char *text, size_t n, bool *maybe) {
    *maybe = false;
    while (n > 0 && is_blank(*text)) text++, n--;
    for (size_t i = 0; i < N_KNOWN; i++) {
        size_t length = strlen(known[i].open), most = n < length ? n : length;
        if (most && memcmp(text, known[i].open, most) != 0) continue;
        if (n >= length) return &known[i];
        *maybe = true;
    }
    return NULL;
}

const char *thoughts_end_in(const char *text, size_t n) {
    const char *behind = NULL, *end = text + n;
    for (size_t i = 0; i < N_KNOWN; i++) {
        const size_t length = strlen(known[i].close);
        const char *at = behind ? behind : text;
        while ((at = memmem(at, (size_t)(end - at), known[i].close, length))) behind = at += length;
    }
    return behind;
}

bool thoughts_stand_in(const char *text, size_t n) {
    for (size_t i = 0; i < N_KNOWN; i++)
        if (memmem(text, n, known[i].open, strlen(known[i].open))) return true;
    return false;
}

bool thoughts_closed_by(const char *text, size_t n) {
    for (size_t i = 0; i < N_KNOWN; i++) {
        size_t length = strlen(known[i].close);
        if (n >= length && !memcmp(text + n - length, known[i].close, length)) return true;
    }
    return false;
}

const thought_tags *thoughts_of_template(const char *source) {
    for (size_t i = 0; i < N_KNOWN; i++)
        if (strstr(source, known[i].open) || strstr(source, known[i].close)) return &known[i];
    return NULL;
}
