/* JSON values from strangers held against JSON schemas of our own: those by which the API's
 * description (src/serve/api) says what requests look like. What models' answers are held to is
 * another matter (text/schema.h).
 *
 * Keywords of JSON Schema 2020-12 that are checked: $ref (to a member of `schemas`), type, enum,
 * const, anyOf, properties, required, additionalProperties, propertyNames, maxProperties, items,
 * minItems, maxItems, minLength, maxLength, pattern (what POSIX' extended expressions and ECMA-262
 * have in common), minimum, maximum. `x-error` holds the words for a value of another type,
 * form or choice ("is not supported"). Annotations are passed over; any other keyword is a mistake
 * of ours. */
#ifndef SERVE_JSON_CHECK_H
#define SERVE_JSON_CHECK_H

#include "base/json.h"

#define JSON_CHECK_SCHEMAS "#/components/schemas/" /* what a $ref begins with */

/* HONE_ERR_ARGUMENT names the place and what is wanted there: "tools[0].description is true; it
 * must be a string or null". Of the branches of an anyOf the likeliest one is named.
 * May run on several threads at once. */
hone_status json_check(const json_t *value, const json_t *schema, const json_t *schemas);

#endif
