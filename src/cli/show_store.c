#include "cli/show_store.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/store_json.h"
#include "serve/model_settings.h"

enum { MAX_TEXT_BYTES = 1 << 20 };

/* The text of a small file that came with the model; false where the file is none of those. */
static bool read_text(const manifest_file *file, const char *folder, buf *text) {
    static const char *const roles[] = {"system", "params", "license", "template", "messages"};
    char path[4400];
    bool is_text = false;
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        is_text = is_text || strcmp(file->role, roles[i]) == 0;
    if (!is_text || file->bytes > MAX_TEXT_BYTES) return false;
    if (file->path[0])
        snprintf(path, sizeof path, "%s", file->path);
    else
        snprintf(path, sizeof path, "%s/blobs/sha256-%s", folder, file->sha256.text);
    buf_init(text, MAX_TEXT_BYTES);
    bool read = fs_read_file(text, path) == HONE_OK && text->len > 0;
    if (!read) buf_release(text);
    return read;
}

/* Calls `each` for every text that came with the model. */
static void each_text(const store_entry *entry,
                      void (*each)(void *user, const char *role, const char *text), void *user) {
    store *s;
    if (store_open(&s, NULL) != HONE_OK) return;
    for (size_t i = 0; i < entry->manifest.n_files; i++) {
        buf text;
        if (!read_text(&entry->manifest.files[i], store_folder(s), &text)) continue;
        each(user, entry->manifest.files[i].role, text.data);
        buf_release(&text);
    }
    store_close(s);
}

static void add_text_row(void *user, const char *role, const char *text) {
    size_t n = strcspn(text, "\r\n");
    char *printable = cli_printable(text);
    cli_table_add(user, "%s", role);
    cli_table_add(user, "%.*s%s", n < 70 ? (int)n : 70, printable ? printable : "",
                  n < 70 && !text[n] ? "" : " …");
    mem_free(printable);
    if (strcmp(role, "template") != 0 || !model_settings_is_go(text)) return;
    cli_table_add(user, "%s", "");
    cli_table_add(user, "%s", "(in Go's form, which hone does not read: the file's own is used)");
}

void show_store_rows(cli_table *table, const store_entry *entry) {
    const manifest *m = &entry->manifest;
    cli_text size;
    cli_table_add(table, "kept by");
    cli_table_add(table, "%s", entry->keeper ? entry->keeper : "hone");
    if (m->source[0]) {
        cli_table_add(table, "from");
        cli_table_add(table, "%s%s%s", m->source, m->revision[0] ? " at " : "", m->revision);
    }
    for (size_t i = 0; i < m->n_files; i++) {
        cli_table_add(table, "%s", i ? "" : "files");
        cli_table_add(table, "%-9s %s  %s", m->files[i].role, m->files[i].name,
                      cli_format_bytes(&size, m->files[i].bytes));
    }
    each_text(entry, add_text_row, table);
}

static void add_text_member(void *user, const char *role, const char *text) {
    json_object_set_new(user, role, cli_json_text(text));
}

json_t *show_store_json(const store_entry *entry) {
    json_t *root = store_entry_json(entry), *texts = json_object();
    if (!root || !texts) {
        json_decref(root);
        json_decref(texts);
        return NULL;
    }
    each_text(entry, add_text_member, texts);
    json_object_set_new(root, "texts", texts);
    return root;
}
