#include "cli/store_json.h"

#include <time.h>

#include "cli/output.h"

static json_t *text_or_null(const char *text) { return *text ? cli_json_text(text) : json_null(); }

static json_t *files_json(const manifest *m) {
    json_t *files = json_array();
    for (size_t i = 0; files && i < m->n_files; i++) {
        const manifest_file *f = &m->files[i];
        json_t *file = json_pack("{so so sI so so}", "role", text_or_null(f->role), "file",
                                 text_or_null(f->name), "bytes", (json_int_t)f->bytes, "sha256",
                                 text_or_null(f->sha256.text), "path", text_or_null(f->path));
        if (json_array_append_new(files, file) == 0) continue;
        json_decref(files);
        files = NULL;
    }
    return files;
}

json_t *store_entry_json(const store_entry *entry) {
    const manifest *m = &entry->manifest;
    const manifest_file *file = m->n_files ? m->files : NULL;
    char modified[32] = "";
    time_t when = (time_t)entry->modified;
    struct tm utc;
    if (gmtime_r(&when, &utc)) strftime(modified, sizeof modified, "%Y-%m-%dT%H:%M:%SZ", &utc);
    json_t *files = files_json(m);
    if (!files) return NULL;
    return json_pack("{ss ss so sI so so so so ss so so so}", "name", m->name.text, "origin",
                     entry->keeper ? entry->keeper : "hone", "file",
                     text_or_null(file ? file->name : ""), "bytes", (json_int_t)entry->bytes,
                     "sha256", text_or_null(file ? file->sha256.text : ""), "license",
                     text_or_null(m->license), "source", text_or_null(m->source), "revision",
                     text_or_null(m->revision), "modified", modified, "path",
                     text_or_null(entry->path.text), "problem", text_or_null(entry->problem),
                     "files", files);
}
