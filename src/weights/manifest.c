#include "weights/manifest.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"

/* --- names --- */

/* Length of the name part at `text`: letters, digits, ". _ -"; 0 when it is none. */
static size_t name_part(const char *text) {
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    return text[0] == '.' || text[0] == '-' ? 0 : n;
}

hone_status model_name_parse(model_name *name, const char *text) {
    const char *at = text;
    const char *tag = "";
    for (int parts = 1;; parts++) {
        size_t n = name_part(at);
        char end = at[n];
        bool joins = (end == '/' || end == ':') && !*tag; /* nothing follows a tag */
        if (n == 0 || (end && !joins) || (parts > MODEL_NAME_MAX_PARTS && !*tag))
            return fail(HONE_ERR_ARGUMENT, "%.200s: not a model's name (name or name:tag)", text);
        at += n;
        if (!end) break;
        if (end == ':') tag = at;
        at++;
    }
    int n = snprintf(name->text, sizeof name->text, "%s%s", text, *tag ? "" : ":latest");
    if (n < 0 || (size_t)n >= sizeof name->text)
        return fail(HONE_ERR_ARGUMENT, "%.60s…: a model's name has at most %d letters", text,
                    MODEL_NAME_MAX - 1);
    return HONE_OK;
}

/* --- reading --- */

void manifest_release(manifest *m) {
    mem_free(m->files);
    *m = (manifest){0};
}

/* A string that fits; "" when missing. */
static hone_status get_text(const json_t *object, const char *key, char *out, size_t size) {
    const char *text = "";
    TRY(json_get_string(object, key, &text));
    if (strlen(text) >= size)
        return fail(HONE_ERR_FORMAT, "%s: longer than %zu bytes", key, size - 1);
    strcpy(out, text);
    return HONE_OK;
}

static hone_status parse_file(manifest_file *file, const json_t *object) {
    if (!json_is_object(object)) return fail(HONE_ERR_FORMAT, "files: expected objects");
    TRY(get_text(object, "role", file->role, sizeof file->role));
    TRY(get_text(object, "name", file->name, sizeof file->name));
    TRY(get_text(object, "sha256", file->sha256.text, sizeof file->sha256.text));
    TRY(json_get_u64(object, "bytes", &file->bytes));
    TRY(get_text(object, "path", file->path, sizeof file->path));
    bool is_unknown = file->path[0] && !file->sha256.text[0];
    if (!is_unknown && !sha256_is_hex(file->sha256.text))
        return fail(HONE_ERR_FORMAT, "sha256: expected 64 hexadecimal digits");
    if (file->path[0] && file->path[0] != '/')
        return fail(HONE_ERR_FORMAT, "path: expected an absolute one");
    if (strchr(file->name, '/') || file->name[0] == '.')
        return fail(HONE_ERR_FORMAT, "name: expected a plain file name");
    return HONE_OK;
}

bool manifest_is_folder(const manifest *m) {
    size_t n = 0;
    for (size_t i = 0; i < m->n_files; i++) n += strcmp(m->files[i].role, "model") == 0;
    return n > 1;
}

static hone_status parse_files(manifest *m, const json_t *files) {
    size_t n = json_array_size(files);
    if (n == 0 || n > MANIFEST_MAX_FILES)
        return fail(HONE_ERR_FORMAT, "files: expected a list of 1 to %d", MANIFEST_MAX_FILES);
    m->files = mem_calloc(n, sizeof *m->files);
    if (!m->files) return mem_fail("manifest", n * sizeof *m->files);
    m->n_files = n;
    for (size_t i = 0; i < n; i++) TRY(parse_file(&m->files[i], json_array_get(files, i)));
    return HONE_OK;
}

static hone_status parse_root(manifest *m, const json_t *root) {
    uint64_t format = 0, pulled = 0;
    const char *name = "";
    TRY(json_get_u64(root, "format", &format));
    if (format != 1)
        return fail(HONE_ERR_UNSUPPORTED, "format %llu, this version of hone reads format 1",
                    (unsigned long long)format);
    TRY(json_get_string(root, "name", &name));
    TRY(model_name_parse(&m->name, name) == HONE_OK ? HONE_OK : HONE_ERR_FORMAT);
    TRY(get_text(root, "license", m->license, sizeof m->license));
    TRY(get_text(root, "source", m->source, sizeof m->source));
    TRY(get_text(root, "revision", m->revision, sizeof m->revision));
    TRY(json_get_u64(root, "pulled", &pulled));
    m->pulled = pulled < (uint64_t)1 << 40 ? (int64_t)pulled : 0;
    return parse_files(m, json_object_get(root, "files"));
}

hone_status manifest_parse(manifest *m, const char *text, size_t n, const char *path) {
    json_t *root = NULL;
    TRY(json_parse(&root, text, n, path));
    manifest parsed = {0};
    hone_status status = json_is_object(root) ? parse_root(&parsed, root)
                                              : fail(HONE_ERR_FORMAT, "expected an object");
    json_decref(root);
    if (status != HONE_OK) {
        manifest_release(&parsed);
        return fail_context(status, "%s", path);
    }
    *m = parsed;
    return HONE_OK;
}

hone_status manifest_read(manifest *m, const char *path) {
    buf text;
    struct stat st;
    if (stat(path, &st) == 0 && st.st_size > MANIFEST_MAX_BYTES)
        return fail(HONE_ERR_FORMAT, "%s: longer than %d bytes", path, MANIFEST_MAX_BYTES);
    buf_init(&text, MANIFEST_MAX_BYTES);
    hone_status status = fs_read_file(&text, path);
    if (status == HONE_OK)
        status = manifest_parse(m, text.data ? text.data : "", text.len, path);
    buf_release(&text);
    return status;
}

/* --- writing --- */

static json_t *file_to_json(const manifest_file *f) {
    json_t *file = json_pack("{ss ss ss sI}", "role", f->role, "name", f->name, "sha256",
                             f->sha256.text, "bytes", (json_int_t)f->bytes);
    if (file && f->path[0] && json_object_set_new(file, "path", json_string(f->path)) != 0) {
        json_decref(file);
        return NULL;
    }
    return file;
}

static json_t *to_json(const manifest *m) {
    json_t *files = json_array();
    for (size_t i = 0; files && i < m->n_files; i++) {
        if (json_array_append_new(files, file_to_json(&m->files[i])) == 0) continue;
        json_decref(files);
        files = NULL;
    }
    /* "o" takes the reference, also when packing fails. */
    return files ? json_pack("{si ss ss ss ss sI so}", "format", 1, "name", m->name.text,
                             "license", m->license, "source", m->source, "revision", m->revision,
                             "pulled", (json_int_t)m->pulled, "files", files)
                 : NULL;
}

hone_status manifest_write(const manifest *m, const char *path) {
    json_use_mem();
    json_t *root = to_json(m);
    buf text;
    buf_init(&text, MANIFEST_MAX_BYTES);
    size_t n = root ? json_dumpb(root, NULL, 0, JSON_INDENT(1)) : 0;
    hone_status status = n ? buf_reserve(&text, n) : mem_fail("manifest", 0);
    if (status == HONE_OK && json_dumpb(root, text.data, n, JSON_INDENT(1)) != n)
        status = mem_fail("manifest", n);
    if (status == HONE_OK) status = fs_write_file(path, text.data, n);
    buf_release(&text);
    json_decref(root);
    return status;
}
