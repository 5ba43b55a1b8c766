/* What the parts of the load share. */
#ifndef LAB_LOAD_INT_H
#define LAB_LOAD_INT_H

#include "lab/load.h"

/* The body of a chat with this one message. */
hone_status load_make_body(buf *out, const load *l, const buf *prompt, size_t n_decode,
                           uint64_t seed);

#endif
