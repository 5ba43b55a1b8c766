/* The two sides of a sandbox: sandbox.c starts, watches and ends it; sandbox_inside.c is what the
 * new process does with itself before it becomes the program. */
#ifndef LAB_SANDBOX_INT_H
#define LAB_SANDBOX_INT_H

#include "lab/sandbox.h"

/* What the new process is told. All memory was taken before: it may only make system calls. */
typedef struct sandbox_plan {
    const sandbox_job *job;
    char root[64];   /* an empty folder on which the new root is put together */
    int go;          /* one byte is read when the ids have been mapped */
    int output;      /* becomes stdout and stderr */
    int report;      /* a sandbox_report, closed without one when the program begins */
    bool as_root;    /* the caller is root: become nobody */
} sandbox_plan;

/* Why the sandbox could not be made, or how the program ended. */
typedef struct sandbox_report {
    int error;       /* errno; 0: `status` is waitpid's */
    int status;
    char step[56];   /* "mount /usr" */
} sandbox_report;

enum { SANDBOX_USER = 65534 }; /* nobody */

/* The first process of the sandbox; never returns. */
_Noreturn void sandbox_inside(const sandbox_plan *plan);

#endif
