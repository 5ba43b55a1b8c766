/* The Hugging Face hub's description of a repository, and which of its files make a model. */
#ifndef WEIGHTS_ORIGIN_HUB_H
#define WEIGHTS_ORIGIN_HUB_H

#include "weights/origin.h"

typedef struct hub_file {
    char path[512]; /* in the repository */
    uint64_t bytes; /* 0 = not told */
    char sha256[65]; /* of a file in LFS, else "" */
} hub_file;

typedef struct hub_repository {
    hub_file *files;
    size_t n;
    char commit[65], license[64]; /* "" = not told */
} hub_repository;

/* Pure: the JSON that GET /api/models/<repository>/revision/<revision>?blobs=true answers. `name`
 * stands for it in errors. Files whose paths are none that may be used here are left out. */
hone_status hub_repository_parse(hub_repository *r, const char *text, size_t n, const char *name);
void hub_repository_release(hub_repository *r);

/* The files that a source on the hub stands for. HONE_ERR_NOT_FOUND says what there is instead. */
hone_status hub_choose(const hub_repository *r, const origin *s, wanted_list *list);

#endif
