/* The description of everything that is served, OpenAPI 3.1: put together from the APIs' parts (the
 * folder api). /openapi.json shows it, and requests are held to it, so that what it forbids is
 * refused, also where no reader would look. */
#ifndef SERVE_DESCRIPTION_H
#define SERVE_DESCRIPTION_H

#include "base/json.h"

typedef struct description description;

hone_status description_open(description **out);
void description_close(description *d);

/* The whole as JSON. */
const char *description_text(const description *d);

/* Whether a request's JSON body fits what is described for that method and path: HONE_ERR_ARGUMENT
 * names the place where it does not. Readers of requests come first where they have better words;
 * this comes before anything is done. Several threads may use one description. */
hone_status description_check(const description *d, const char *method, const char *path,
                              const json_t *body);

#endif
