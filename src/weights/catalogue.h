/* The models that hone knows by name: what they are and where they are to be had. */
#ifndef WEIGHTS_CATALOGUE_H
#define WEIGHTS_CATALOGUE_H

#include <stddef.h>
#include <stdint.h>

enum { CATALOGUE_MAX_ALIASES = 3, CATALOGUE_MAX_SOURCES = 4 };

typedef struct catalogue_entry {
    const char *name;                                /* "smollm2:135m" */
    const char *aliases[CATALOGUE_MAX_ALIASES + 1];  /* other names for it; NULL ends */
    const char *description;                         /* one line */
    const char *license;                             /* SPDX */
    const char *file;                                /* what the file is called elsewhere */
    uint64_t bytes;
    const char *sha256;                              /* of the file */
    const char *sources[CATALOGUE_MAX_SOURCES + 1];  /* in weights/origin.h's form, best first */
} catalogue_entry;

/* By name or alias, whatever the case; NULL when unknown. */
const catalogue_entry *catalogue_find(const char *name);

/* Entry 0 is the default model. NULL behind the last one. */
const catalogue_entry *catalogue_at(size_t index);

#endif
