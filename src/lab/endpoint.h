/* A server of models: where it is, which of the two APIs it speaks, which model it has. */
#ifndef LAB_ENDPOINT_H
#define LAB_ENDPOINT_H

#include <stdbool.h>

#include "base/fs.h"

typedef enum endpoint_api { ENDPOINT_OPENAI, ENDPOINT_OLLAMA } endpoint_api;

const char *endpoint_api_name(endpoint_api api); /* "openai", "ollama" */

typedef struct endpoint {
    fs_path base;        /* its URL without "/v1" or "/api" */
    const char *api_key; /* borrowed; NULL = none */
    endpoint_api api;
    char model[256];     /* as the server calls it */
} endpoint;

/* Borrowed. Zero-initialise and set what you need. */
typedef struct endpoint_wish {
    const char *url;     /* "http://127.0.0.1:11435", with or without "/v1" or "/api" */
    const char *api_key; /* NULL = none */
    const char *model;   /* NULL = the server's first */
    bool api_is_known;   /* else it is found out; where a server has both, OpenAI's is taken */
    endpoint_api api;
} endpoint_wish;

/* Asks the server for its models. HONE_ERR_ARGUMENT for what is no URL, HONE_ERR_IO where nobody
 * answers or a key is wanted, HONE_ERR_UNSUPPORTED where neither API is spoken, HONE_ERR_NOT_FOUND
 * where there is no model. */
hone_status endpoint_find(endpoint *e, const endpoint_wish *wish);

#endif
