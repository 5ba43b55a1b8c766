/* Runs a helper program: an argument vector, no shell; its output is read, its input is empty. */
#ifndef BASE_CHILD_H
#define BASE_CHILD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

typedef struct child {
    const char *const *argv;  /* argv[0] is looked for in PATH; NULL ends */
    const char *temp_folder;  /* its TMPDIR; NULL = ours */
    /* A line of its output (stdout and stderr together, cut at 1000 bytes), without the line's end;
     * NULL several times a second when there is none. False ends the program: HONE_ERR_CANCELLED.
     * The words of a failure set by `observe` itself stay as they are. */
    bool (*observe)(void *context, const char *line);
    void *context;
    char last_words[400]; /* result: its last lines, joined by " | " */
} child;

/* HONE_OK when it ended with exit code 0. HONE_ERR_NOT_FOUND: no such program. HONE_ERR_IO: it
 * could not be started, failed (the words are its own last ones), or was killed. It and what it
 * started (its process group) do not outlive the call. */
hone_status child_run(child *c);

#endif
