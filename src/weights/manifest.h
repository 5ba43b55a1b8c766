/* A manifest says what a model's name stands for: a small JSON file in the store.
 *
 *     {"format": 1, "name": "smollm2:135m", "license": "Apache-2.0", "source": "hf:…",
 *      "pulled": 1767225600,
 *      "files": [{"role": "model", "name": "SmolLM2-135M-Instruct.Q4_1.gguf",
 *                 "sha256": "b179…", "bytes": 98362432}]}
 *
 * The files themselves are blobs, named by their hash, which several manifests may share; one with
 * a "path" lies elsewhere on this machine and is used there (its "sha256" may be missing). The
 * first file is the one to open; where several have the role "model" they are opened as a folder.
 * "revision" is the commit that the source stood for. Unknown members are ignored, a higher
 * "format" is refused. */
#ifndef WEIGHTS_MANIFEST_H
#define WEIGHTS_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/sha256.h"
#include "base/status.h"

enum { MANIFEST_MAX_BYTES = 1 << 20, MANIFEST_MAX_FILES = 512 };
enum { MODEL_NAME_MAX = 160, MODEL_NAME_MAX_PARTS = 8 };

/* "name:tag" */
typedef struct model_name {
    char text[MODEL_NAME_MAX];
} model_name;

typedef struct manifest_file {
    char role[16];  /* "model", "projector", "adapter", "template", "params", "license", … */
    char name[256]; /* what it is called elsewhere */
    sha256_hex sha256; /* "" = not known, only with a path */
    uint64_t bytes;
    char path[1024]; /* absolute; "" = a blob of the store */
} manifest_file;

typedef struct manifest {
    model_name name;
    char license[64];  /* "" = not known */
    char source[1024]; /* where it came from */
    char revision[128]; /* "" = not known */
    int64_t pulled;    /* seconds since 1970 */
    manifest_file *files;
    size_t n_files; /* at least 1 in a parsed manifest */
} manifest;

void manifest_release(manifest *m);

/* Whether the model is a folder: more than one file of the role "model". */
bool manifest_is_folder(const manifest *m);

/* Pure: `n` bytes of JSON in, a manifest out. HONE_ERR_FORMAT names `path` and what is wrong; every
 * string and number is checked, so that names and hashes can be used in paths. */
hone_status manifest_parse(manifest *m, const char *text, size_t n, const char *path);

hone_status manifest_read(manifest *m, const char *path);
/* Whole or not at all; one writer at a time. */
hone_status manifest_write(const manifest *m, const char *path);

/* "Name" or "name:tag" in its full form: the tag added where missing ("latest"), letters as they
 * are. Parts are letters, digits, '.', '_', '-', do not begin with '.' or '-', and are joined by
 * '/', at most MODEL_NAME_MAX_PARTS of them. HONE_ERR_ARGUMENT otherwise. */
hone_status model_name_parse(model_name *name, const char *text);

#endif
