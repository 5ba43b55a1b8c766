#include "serve/access_log.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"

enum { MAX_LINE_BYTES = 8192, MAX_PATH_BYTES = 1024 };

static void format_time(char *out, size_t size) {
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    size_t n = gmtime_r(&now.tv_sec, &utc) ? strftime(out, size, "%Y-%m-%dT%H:%M:%S", &utc) : 0;
    snprintf(out + n, size - n, ".%03ldZ", now.tv_nsec / 1000000);
}

/* Paths come from strangers: in words, what is no visible letter is shown as '?'. */
static void show_path(char *out, size_t size, const char *path) {
    snprintf(out, size, "%s", path);
    for (char *at = out; *at; at++)
        if ((unsigned char)*at <= ' ' || *at == 0x7f) *at = '?';
}

static char *in_words(const exchange *x, const char *when, const char *client, const char *path,
                      double milliseconds) {
    buf line;
    buf_init(&line, MAX_LINE_BYTES);
    bool named = strcmp(client, exchange_client(x)) != 0;
    hone_status status = buf_add_format(
        &line, "%s %s%s%s%s %s %s %u %.1f ms %s", when, exchange_client(x), named ? " (" : "",
        named ? client : "", named ? ")" : "", exchange_method(x), path, exchange_status(x),
        milliseconds, exchange_request_id(x));
    char *text = status == HONE_OK ? buf_take(&line) : NULL;
    buf_release(&line);
    return text;
}

char *access_log_line(const exchange *x, const char *client, double milliseconds, bool text) {
    char when[40], path[MAX_PATH_BYTES];
    format_time(when, sizeof when);
    show_path(path, sizeof path, exchange_path(x));
    if (text) return in_words(x, when, client, path, milliseconds);
    bool named = strcmp(client, exchange_client(x)) != 0;
    json_t *line = json_pack("{s:s, s:s, s:s, s:s*, s:s, s:s, s:i, s:f}", "time", when, "id",
                             exchange_request_id(x), "client", exchange_client(x), "key",
                             named ? client : NULL, "method", exchange_method(x), "path", path,
                             "status", (int)exchange_status(x), "ms", milliseconds);
    char *out = line ? json_dumps(line, JSON_COMPACT) : NULL;
    json_decref(line);
    return out;
}
