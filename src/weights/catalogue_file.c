/* The user's own entries, and both kinds together. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "weights/catalogue.h"
#include "weights/manifest.h"
#include "weights/origin.h"
#include "weights/paths.h"

enum { MAX_ENTRIES = 10000 };

/* Entries and their files lie in lists that grow; an entry's files are the ones from `first`. */
struct catalogue {
    char *text; /* where all strings of the entries point to: the file, with NULs in it */
    catalogue_entry *entries;
    size_t n_entries, entries_capacity;
    catalogue_file *files;
    size_t n_files, files_capacity;
    size_t line; /* while parsing */
};

/* --- entries --- */

static catalogue_entry *last_entry(catalogue *c) { return &c->entries[c->n_entries - 1]; }
static catalogue_file *last_file(catalogue *c) { return &c->files[c->n_files - 1]; }

static hone_status begin_file(catalogue *c, const char *name) {
    if (last_entry(c)->n_files == CATALOGUE_MAX_FILES)
        return fail(HONE_ERR_FORMAT, "more than %d files", CATALOGUE_MAX_FILES);
    TRY(mem_grow(&c->files, &c->files_capacity, c->n_files + 1, sizeof *c->files,
                 "catalogue"));
    c->files[c->n_files++] = (catalogue_file){.name = name};
    last_entry(c)->n_files++;
    return HONE_OK;
}

/* What an entry or a file needs must be there when the next one begins. */
static hone_status end_file(const catalogue *c) {
    if (c->n_entries == 0) return HONE_OK;
    const catalogue_entry *entry = &c->entries[c->n_entries - 1];
    if (entry->n_files == 0) return fail(HONE_ERR_FORMAT, "[%s] has no source", entry->name);
    if (!c->files[c->n_files - 1].sources[0])
        return fail(HONE_ERR_FORMAT, "[%s]: a file without a source", entry->name);
    return HONE_OK;
}

static hone_status begin_entry(catalogue *c, char *name) {
    model_name parsed;
    if (c->n_entries == MAX_ENTRIES)
        return fail(HONE_ERR_FORMAT, "more than %d entries", MAX_ENTRIES);
    if (model_name_parse(&parsed, name) != HONE_OK || strcmp(parsed.text, name) != 0)
        return fail(HONE_ERR_FORMAT, "[%s]: expected [name:tag]", name);
    for (size_t i = 0; i < c->n_entries; i++)
        if (strcasecmp(c->entries[i].name, name) == 0)
            return fail(HONE_ERR_FORMAT, "[%s] is there twice", name);
    TRY(mem_grow(&c->entries, &c->entries_capacity, c->n_entries + 1, sizeof *c->entries,
                 "catalogue"));
    c->entries[c->n_entries++] =
        (catalogue_entry){.name = name, .description = "", .license = ""};
    return HONE_OK;
}

static hone_status set_alias(catalogue *c, char *value) {
    catalogue_entry *entry = last_entry(c);
    model_name parsed;
    size_t n = 0;
    while (entry->aliases[n]) n++;
    if (n == CATALOGUE_MAX_ALIASES)
        return fail(HONE_ERR_FORMAT, "more than %d aliases", CATALOGUE_MAX_ALIASES);
    if (model_name_parse(&parsed, value) != HONE_OK)
        return fail(HONE_ERR_FORMAT, "alias: expected a name or name:tag");
    entry->aliases[n] = value;
    return HONE_OK;
}

static hone_status set_license(catalogue *c, char *value) {
    last_entry(c)->license = value;
    return strlen(value) < 64 ? HONE_OK : fail(HONE_ERR_FORMAT, "license: longer than 63 bytes");
}

static hone_status set_description(catalogue *c, char *value) {
    last_entry(c)->description = value;
    return HONE_OK;
}

static hone_status set_file(catalogue *c, char *value) {
    if (strchr(value, '/') || value[0] == '.' || strlen(value) >= 256)
        return fail(HONE_ERR_FORMAT, "file: expected a plain file name");
    if (last_entry(c)->n_files) {
        TRY(end_file(c));
        if (!last_file(c)->name)
            return fail(HONE_ERR_FORMAT, "file: must stand before the sources that it has");
    }
    return begin_file(c, value);
}

static hone_status need_file(const catalogue *c, const char *key) {
    if (c->entries[c->n_entries - 1].n_files && c->files[c->n_files - 1].name) return HONE_OK;
    return fail(HONE_ERR_FORMAT, "%s: a line \"file = …\" must stand before it", key);
}

static hone_status set_bytes(catalogue *c, char *value) {
    TRY(need_file(c, "bytes"));
    size_t n = strspn(value, "0123456789");
    if (n == 0 || n > 15 || value[n]) return fail(HONE_ERR_FORMAT, "bytes: expected a number");
    last_file(c)->bytes = strtoull(value, NULL, 10);
    return HONE_OK;
}

static hone_status set_sha256(catalogue *c, char *value) {
    TRY(need_file(c, "sha256"));
    if (!sha256_is_hex(value))
        return fail(HONE_ERR_FORMAT, "sha256: expected 64 hexadecimal digits, lower case");
    last_file(c)->sha256 = value;
    return HONE_OK;
}

static hone_status set_source(catalogue *c, char *value) {
    origin parsed;
    size_t n = 0;
    if (last_entry(c)->n_files == 0) TRY(begin_file(c, NULL));
    catalogue_file *file = last_file(c);
    while (file->sources[n]) n++;
    if (n == CATALOGUE_MAX_SOURCES)
        return fail(HONE_ERR_FORMAT, "more than %d sources", CATALOGUE_MAX_SOURCES);
    file->sources[n] = value;
    /* A path need not be there yet; what is wrong with it is said by the pull. */
    if (!origin_is_meant(value)) {
        if (value[0] == '/' || value[0] == '~') return HONE_OK;
        return fail(HONE_ERR_FORMAT, "source: %.200s is none that hone knows", value);
    }
    return origin_parse(&parsed, value) == HONE_OK ? HONE_OK : HONE_ERR_FORMAT;
}

/* --- lines --- */

static const struct {
    const char *key;
    hone_status (*set)(catalogue *c, char *value);
} keys[] = {
    {"alias", set_alias},   {"description", set_description}, {"license", set_license},
    {"licence", set_license}, {"file", set_file},             {"bytes", set_bytes},
    {"sha256", set_sha256}, {"source", set_source},
};

/* Without spaces at both ends. */
static char *trim(char *text) {
    text += strspn(text, " \t\r");
    size_t n = strlen(text);
    while (n > 0 && strchr(" \t\r", text[n - 1])) n--;
    text[n] = 0;
    return text;
}

static hone_status parse_line(catalogue *c, char *line) {
    line = trim(line);
    size_t n = strlen(line);
    if (n == 0 || line[0] == '#') return HONE_OK;
    if (line[0] == '[') {
        TRY(end_file(c));
        if (line[n - 1] != ']') return fail(HONE_ERR_FORMAT, "expected [name:tag]");
        line[n - 1] = 0;
        return begin_entry(c, trim(line + 1));
    }
    char *equals = strchr(line, '=');
    if (!equals) return fail(HONE_ERR_FORMAT, "expected [name:tag] or key = value");
    *equals = 0;
    const char *key = trim(line);
    char *value = trim(equals + 1);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (strcmp(key, keys[i].key) != 0) continue;
        if (c->n_entries == 0)
            return fail(HONE_ERR_FORMAT, "%s: a line [name:tag] must stand before it", key);
        if (!*value) return fail(HONE_ERR_FORMAT, "%s: no value", key);
        return keys[i].set(c, value);
    }
    return fail(HONE_ERR_FORMAT, "%.60s: no such key (alias, description, license, file, bytes, "
                                 "sha256, source)", key);
}

static hone_status parse_lines(catalogue *c) {
    for (char *line = c->text; line;) {
        char *end = strchr(line, '\n');
        if (end) *end = 0;
        c->line++;
        TRY(parse_line(c, line));
        line = end ? end + 1 : NULL;
    }
    return end_file(c);
}

/* The lists are complete and no longer move. */
static void connect_files(catalogue *c) {
    const catalogue_file *next = c->files;
    for (size_t i = 0; i < c->n_entries; i++) {
        catalogue_entry *entry = &c->entries[i];
        bool known = true;
        entry->files = next;
        next += entry->n_files;
        for (size_t k = 0; k < entry->n_files; k++) {
            known = known && entry->files[k].bytes;
            entry->bytes += entry->files[k].bytes;
        }
        if (!known) entry->bytes = 0;
    }
}

hone_status catalogue_parse(catalogue **out, const char *text, size_t n, const char *name) {
    if (memchr(text, 0, n) || !utf8_is_valid(text, n))
        return fail(HONE_ERR_FORMAT, "%s: not text in UTF-8", name);
    catalogue *c = mem_calloc(1, sizeof *c);
    if (!c) return mem_fail("catalogue", sizeof *c);
    c->text = mem_copy_string(text, n);
    hone_status status = c->text ? parse_lines(c) : mem_fail("catalogue", n);
    if (status != HONE_OK) {
        if (status != HONE_ERR_MEMORY) fail_context(status, "%s:%zu", name, c->line);
        catalogue_close(c);
        return status;
    }
    connect_files(c);
    *out = c;
    return HONE_OK;
}

hone_status catalogue_open(catalogue **c) {
    fs_path folder, path;
    buf text;
    TRY(paths_folder(&folder, PATHS_CONFIG));
    TRY(fs_path_format(&path, "%s/models.conf", folder.text));
    buf_init(&text, CATALOGUE_MAX_TEXT_BYTES);
    hone_status status = fs_read_file(&text, path.text);
    if (status == HONE_OK || status == HONE_ERR_NOT_FOUND)
        status = catalogue_parse(c, text.data ? text.data : "", text.len, path.text);
    buf_release(&text);
    return status;
}

void catalogue_close(catalogue *c) {
    if (!c) return;
    mem_free(c->files);
    mem_free(c->entries);
    mem_free(c->text);
    mem_free(c);
}

/* --- both kinds --- */

const catalogue_entry *catalogue_at(const catalogue *c, size_t index) {
    return index < c->n_entries ? &c->entries[index] : catalogue_built_in(index - c->n_entries);
}

const catalogue_entry *catalogue_find(const catalogue *c, const char *name) {
    const catalogue_entry *entry;
    for (size_t i = 0; (entry = catalogue_at(c, i)); i++) {
        if (strcasecmp(entry->name, name) == 0) return entry;
        for (const char *const *alias = entry->aliases; *alias; alias++)
            if (strcasecmp(*alias, name) == 0) return entry;
    }
    return NULL;
}
