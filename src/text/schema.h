/* JSON schemas to grammars: each text that the grammar matches is a JSON text that the schema
 * allows.
 *
 * A schema is read as a formula over its keywords. For each set of subschemas that must hold (or
 * must not) at one place, the formula is brought into alternatives, each a list of facets by type:
 * a set of strings, a set of numbers, what the items of an array are, what the members of an object
 * are (schema_branch.c). An alternative becomes rules; the sets at the places inside it are met
 * again under the same number, so that recursion in the schema becomes recursion in the grammar.
 * Whatever cannot be said exactly is refused by name and JSON pointer.
 *
 * Files: schema_index (documents, $id, $ref), schema_branch (alternatives, allOf … if),
 * schema_scalar (type, enum, numbers and strings), schema_members (keywords of arrays and objects),
 * schema_number (sets of numbers), schema_format, schema_rules (values to rules), schema_text
 * (automata to rules), schema_array, schema_object; automaton.h and pattern.h beneath them. Drafts
 * 4 to 2020-12: docs/schemas.md. */
#ifndef TEXT_SCHEMA_H
#define TEXT_SCHEMA_H

#include "hone/grammar.h"
#include "text/grammar_tree.h"

enum {
    SCHEMA_MAX_BYTES = 1 << 20,
    SCHEMA_MAX_DOCUMENTS = 64,
    SCHEMA_MAX_MEMORY = 64 << 20,
    SCHEMA_MAX_STEPS = 200000,  /* subschemas applied, in all alternatives together */
    SCHEMA_MAX_BRANCHES = 2048, /* alternatives of one place */
    SCHEMA_MAX_STATES = 1 << 15 /* rules that count the items or members of one place */
};

/* `options` may be NULL. HONE_ERR_FORMAT: no JSON or no schema, with JSON pointer; or nothing can
 * satisfy it. HONE_ERR_UNSUPPORTED: a keyword that cannot be promised, or work beyond the
 * limits. */
hone_status schema_compile(grammar **out, const char *schema, size_t n,
                           const hone_schema_options *options);

/* The same as GBNF, appended to *out. */
hone_status schema_print(buf *out, const char *schema, size_t n,
                         const hone_schema_options *options);

#endif
