/* What the parts of the load share: how to ask this server. */
#ifndef LAB_LOAD_INT_H
#define LAB_LOAD_INT_H

#include "base/fs.h"
#include "lab/load.h"

typedef struct load_server {
    fs_path base; /* without "/v1" or "/api" */
    fs_path chat; /* where chats go */
    const char *api_key;
} load_server;

/* Finds the API and the model. Waits for one answer at a time. */
hone_status load_find_server(load *l, load_server *server, const load_settings *settings);

/* The body of a chat with this one message. */
hone_status load_make_body(buf *out, const load *l, const buf *prompt, size_t n_decode, uint64_t seed);

/* GET, whole answer into `out`; *http_status 0 = none. */
hone_status load_get(const load_server *server, const char *url, buf *out, long *http_status);

#endif
