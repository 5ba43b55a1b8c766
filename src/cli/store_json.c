#include "cli/store_json.h"

#include <time.h>

static json_t *text_or_null(const char *text) { return *text ? json_string(text) : json_null(); }

json_t *store_entry_json(const store_entry *entry) {
    const manifest *m = &entry->manifest;
    const manifest_file *file = m->n_files ? m->files : NULL;
    char modified[32] = "";
    time_t when = (time_t)entry->modified;
    struct tm utc;
    if (gmtime_r(&when, &utc)) strftime(modified, sizeof modified, "%Y-%m-%dT%H:%M:%SZ", &utc);
    return json_pack("{ss so sI so so so ss so so}", "name", m->name.text, "file",
                     text_or_null(file ? file->name : ""), "bytes", (json_int_t)entry->bytes,
                     "sha256", text_or_null(file ? file->sha256.text : ""), "license",
                     text_or_null(m->license), "source", text_or_null(m->source), "modified",
                     modified, "path", text_or_null(entry->path.text), "problem",
                     text_or_null(entry->problem));
}
