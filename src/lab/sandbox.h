/* Runs programs that nobody has read: what models write, and what the tests of tasks do with it.
 *
 * A program gets namespaces of its own (user, mount, process, network, IPC: Linux's, as bubblewrap
 * and containers use them): no network, not even loopback; of the file system only the system's
 * programs and libraries, read-only, and its own small temporary folders in memory; no /proc; no
 * other process to be seen or signalled. It has no privileges and cannot gain any, many system
 * calls are refused (seccomp), and time, memory, processes, files and output are limited. When the
 * call returns nothing of it runs any more.
 *
 * Works as an ordinary user and as root; needs user namespaces, which some containers and systems
 * forbid: then nothing is run at all. Linux only. Thread-safe. */
#ifndef LAB_SANDBOX_H
#define LAB_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { SANDBOX_MAX_SHOWN = 4096, SANDBOX_MAX_ARGUMENTS = 16 };

/* Where things are for the program. */
#define SANDBOX_PROGRAM "/program" /* the caller's folder */
#define SANDBOX_WORK "/work"       /* its own, empty: current folder, HOME and TMPDIR */

typedef struct sandbox_limits {
    double wall_s;
    uint64_t memory_bytes;  /* of a process' own pages, and of all processes together */
    uint64_t file_bytes;    /* of one file, and of all its temporary files together */
    unsigned n_processes;   /* threads count, too */
    uint64_t output_bytes;  /* of stdout and stderr together; more ends it */
} sandbox_limits;

/* 10 s, 1 GiB, 64 MiB, 64, 1 MiB. */
extern const sandbox_limits sandbox_usual_limits;

typedef enum sandbox_end {
    SANDBOX_EXITED,    /* with `code` */
    SANDBOX_SIGNALLED, /* by signal `code` */
    SANDBOX_TIME, SANDBOX_MEMORY, SANDBOX_OUTPUT /* ended at a limit */
} sandbox_end;

typedef struct sandbox_job {
    const char *const *argv;  /* argv[0] is a path inside; NULL ends; no shell */
    const char *folder;       /* the caller's, seen as SANDBOX_PROGRAM; NULL = none */
    bool may_write;           /* into that folder, too (compilers) */
    const char *tools; /* a folder outside of the system's own with what the program needs, at
                          the same path, read-only; NULL = none */
    sandbox_limits limits;    /* all set */
    /* Results. */
    sandbox_end end;
    int code;
    double seconds;
    char output[SANDBOX_MAX_SHOWN]; /* the beginning of what it wrote, NUL-terminated, any bytes */
} sandbox_job;

/* HONE_ERR_UNSUPPORTED, with the reason, where there can be no sandbox;
 * tried once and remembered. */
hone_status sandbox_check(void);

/* The same as words, which stay; NULL where there is a sandbox. */
const char *sandbox_why_not(void);

/* Runs the program to its end. HONE_OK whatever came of it; HONE_ERR_UNSUPPORTED as above, and
 * HONE_ERR_IO where the sandbox could not be made: the program has not run then. */
hone_status sandbox_run(sandbox_job *job);

/* "exited with 1", "ended by signal 11", "ran out of time"; fills and returns `text`. */
const char *sandbox_end_words(const sandbox_job *job, char *text, size_t size);

#endif
