/* What the kinds of sources share, for origin*.c only. */
#ifndef WEIGHTS_ORIGIN_INT_H
#define WEIGHTS_ORIGIN_INT_H

#include "base/http.h"
#include "weights/origin.h"

/* One kind. */
typedef struct origin_type {
    const char *prefixes[5]; /* what its texts begin with; NULL ends */
    /* `rest` is s->text behind the prefix; s->text and s->kind are set. */
    hone_status (*parse)(origin *s, const char *rest);
    hone_status (*list)(const origin_job *job, wanted_list *list);
    hone_status (*fetch)(const origin_job *job, const char *path, sha256_hex *sha256);
    hone_status (*name)(const origin *s, model_name *name);
} origin_type;

extern const origin_type origin_url, origin_hub, origin_ollama, origin_pip, origin_path;

/* --- parsing --- */

/* Copies n bytes that are all in `allowed` or alphanumeric; false otherwise. */
bool origin_copy_word(char *out, size_t size, const char *text, size_t n, const char *allowed);
/* A relative path of plain names: nothing that could climb, and nothing that is an option. */
bool origin_copy_path(char *out, size_t size, const char *text, size_t n);
/* s->file from the end of `path`; false where that is no plain name. */
bool origin_take_file_name(origin *s, const char *path);
/* The name that origin_model_name makes of a file's, for kinds that have nothing better. */
hone_status origin_name_from_file(const origin *s, model_name *name);

/* --- split files --- */

enum { ORIGIN_MAX_SPLIT = 512 };

/* Number of parts that a split GGUF file's name tells ("x-00001-of-00003.gguf"), or 1. */
size_t origin_count_split(const char *file);
/* `text`, which ends in the name of a part, with part `nth` (from 1) instead. Same length. */
void origin_set_split(char *text, size_t nth);

/* --- model folders --- */

/* Whether a file belongs to a model folder: weights in forms that hone reads, configuration,
 * tokenizer. */
bool origin_is_folder_file(const char *name);

/* --- fetching --- */

/* Tells the observer, if there is one; false = cancel. */
bool origin_tell(const origin_job *job, const pull_event *event);

/* The list that holds the origin itself. */
hone_status origin_list_itself(const origin_job *job, wanted_list *list);

/* Fills the download from the job, runs it, and hashes the file. */
hone_status origin_download(const origin_job *job, http_download *download, sha256_hex *sha256);

/* Reads a small document for `job`; http_status (may be NULL) as in http_get. */
hone_status origin_get(const origin_job *job, http_document *document, buf *body);

/* sha256_of_file with the observer's eyes on it. */
hone_status origin_hash_file(const origin_job *job, const char *path, sha256_hex *sha256);

#endif
