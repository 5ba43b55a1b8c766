#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* One sentence per thread. Longer ones are cut: they may hold names from hostile files. */
static _Thread_local char message[1024];

const char *hone_status_name(hone_status status) {
    switch (status) {
    case HONE_OK: return "ok";
    case HONE_ERR_ARGUMENT: return "argument";
    case HONE_ERR_MEMORY: return "memory";
    case HONE_ERR_IO: return "io";
    case HONE_ERR_FORMAT: return "format";
    case HONE_ERR_UNSUPPORTED: return "unsupported";
    case HONE_ERR_NOT_FOUND: return "not found";
    case HONE_ERR_CONTEXT_FULL: return "context full";
    case HONE_ERR_CANCELLED: return "cancelled";
    case HONE_ERR_NUMERIC: return "numeric";
    case HONE_ERR_BUSY: return "busy";
    }
    return "unknown";
}

const char *hone_error_message(void) { return message; }

/* Names in files may hold anything, and what is cut may be cut inside a character: control
 * characters never reach a terminal, nor bytes that are no UTF-8 an answer in JSON. */
static void make_showable(char *text) {
    for (size_t n = strlen(text), step; n > 0; text += step, n -= step) {
        uint32_t code;
        step = utf8_decode(text, n, &code);
        if (code < 0x20 || (code >= 0x7f && code < 0xa0) || code == UTF8_INVALID)
            memset(text, '?', step);
    }
}

hone_status fail(hone_status status, const char *format, ...) {
    char sentence[sizeof message];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    make_showable(sentence);
    memcpy(message, sentence, sizeof message);
    return status;
}

hone_status fail_context(hone_status status, const char *format, ...) {
    char context[256], sentence[sizeof message + sizeof context + 2];
    va_list args;
    va_start(args, format);
    vsnprintf(context, sizeof context, format, args);
    va_end(args);
    snprintf(sentence, sizeof sentence, "%s: %s", context, message);
    sentence[sizeof message - 1] = 0;
    make_showable(sentence);
    memcpy(message, sentence, sizeof message);
    return status;
}
