/* The machine under a server that is measured from outside, where that is this machine: what the
 * server's processes use, and what others use beside them. Linux tells it; elsewhere, and of a
 * server that cannot be seen (another user's, another machine's), nothing is said. */
#ifndef LAB_SERVER_MACHINE_H
#define LAB_SERVER_MACHINE_H

#include "lab/validity.h"

typedef struct server_machine {
    bool is_here; /* the address is this machine's (http_is_loopback) */
    int process;  /* who listens there; 0 = cannot be seen */
} server_machine;

/* `url` is the server's: where it is, and whose port. */
void server_machine_find(server_machine *s, const char *url);

/* One look: as machine_look, but "this process" is the server with all that it has started: its
 * swapped bytes and major faults, and others_cpu_ms is neither its work nor ours. Without a process
 * the faults are 0 and its work is among that of the others. */
typedef struct server_look {
    machine_state state;
    double server_cpu_ms;
} server_look;

void server_machine_look(const server_machine *s, server_look *look);

/* While requests were under way, from `before` to `after`. What the others used is judged only
 * where the server is seen to do its work itself: behind a proxy (a container's)
 * it is among them. */
void server_machine_judge_run(validity *v, const server_machine *s, const server_look *before,
                              const server_look *after);

/* Looks for a moment (a third of a second) at a server that has nothing to do: whatever works then
 * works beside the requests, too. Nothing where that is known already. */
void server_machine_judge_rest(validity *v, const server_machine *s);

#endif
