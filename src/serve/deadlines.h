/* An end for connections that take too long: heads and bodies that trickle in, readers that do not
 * read (slow loris and its kin).
 *
 * Whatever a client does, whole, may take `patience_ms`, and beyond that a millisecond for every
 * BYTES_PER_MS bytes that moved: trickling does not extend it, moving does. Time in which the
 * server works does not count. A thread looks four times as often as the patience lasts and shuts
 * the sockets of those that are over it. */
#ifndef SERVE_DEADLINES_H
#define SERVE_DEADLINES_H

#include <stddef.h>

#include "base/status.h"

typedef struct deadlines deadlines;
typedef struct deadline deadline; /* of one connection */

hone_status deadlines_open(deadlines **out, int patience_ms);
void deadlines_close(deadlines *d); /* all connections have left */

/* A connection on this socket, which stays open until it leaves. NULL when memory is short. */
deadline *deadlines_enter(deadlines *d, int socket);
void deadlines_leave(deadlines *d, deadline *c);

/* Below, c may be NULL: a connection without a deadline.
 *
 * The client's turn begins: for a head, or for a body, or to read. The first of a request forgets
 * what was before. */
void deadline_expect_head(deadlines *d, deadline *c);
void deadline_expect_more(deadlines *d, deadline *c);
/* Our turn. */
void deadline_pause(deadlines *d, deadline *c);
/* n bytes have come, or are on their way to the reader. */
void deadline_add_bytes(deadlines *d, deadline *c, size_t n);

#endif
