#include "lab/model_files.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"

typedef hone_status each_function(void *context, const char *path, const char *name);

typedef struct walk {
    each_function *each;
    void *context;
    const char *name; /* of the part that was asked for, or NULL: everything */
} walk;

enum { PART_ENDING_BYTES = sizeof "-00001-of-00001.gguf" - 1 };

/* Length of the name that all parts share; 0 where the name is none of a part's. */
static size_t shared_part(const char *name) {
    unsigned part, n;
    size_t length = strlen(name), ending = PART_ENDING_BYTES;
    int used = 0;
    if (length <= ending) return 0;
    sscanf(name + length - ending, "-%5u-of-%5u.gguf%n", &part, &n, &used);
    return (size_t)used == ending ? length - ending : 0;
}

static hone_status give(void *context, const char *path, const char *name) {
    const walk *w = context;
    struct stat s;
    if (w->name) {
        size_t n = shared_part(w->name);
        if (shared_part(name) != n || strncmp(name, w->name, n) != 0) return HONE_OK;
    }
    if (stat(path, &s) != 0 || !S_ISREG(s.st_mode)) return HONE_OK;
    return w->each(w->context, path, name);
}

hone_status model_files_each(const char *path, each_function *each, void *context) {
    struct stat s;
    fs_path folder;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    walk w = {.each = each, .context = context};
    if (stat(path, &s) != 0) return fail(HONE_ERR_NOT_FOUND, "%s: no such file", path);
    if (S_ISDIR(s.st_mode)) return fs_each(path, give, &w);
    if (!shared_part(name)) return each(context, path, name);
    w.name = name;
    TRY(fs_path_format(&folder, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : "."));
    return fs_each(folder.text, give, &w);
}
