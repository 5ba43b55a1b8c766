/* The schema compiler from outside (text/schema.h). */
#include "text/schema.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/schema_int.h"

hone_status schema_alloc(schema_compiler *c, void *out, size_t count, size_t size) {
    size_t bytes;
    if (!size_mul(count, size, &bytes) || bytes > c->arena.max - c->arena.used ||
        c->arena.max - c->arena.used - bytes < 64)
        return fail(HONE_ERR_UNSUPPORTED, "the schema takes more than %zu MB to compile",
                    c->arena.max >> 20);
    void *memory = arena_alloc(&c->arena, count, size);
    if (!memory) return HONE_ERR_MEMORY;
    *(void **)out = memory;
    return HONE_OK;
}

/* --- errors --- */

/* The JSON pointer of a node, from behind. */
static void write_pointer(const schema_compiler *c, uint32_t node, char *out, size_t size) {
    const char *tokens[64];
    size_t n = 0, at = 0;
    for (; c->index.nodes[node].parent != node && n < 64; node = c->index.nodes[node].parent)
        tokens[n++] = c->index.nodes[node].token;
    out[at++] = '#';
    while (n--) {
        if (at + 2 < size) out[at++] = '/';
        for (const char *p = tokens[n]; *p && at + 3 < size; p++) {
            if (*p == '~' || *p == '/') {
                out[at++] = '~';
                out[at++] = *p == '~' ? '0' : '1';
            } else {
                out[at++] = *p;
            }
        }
    }
    out[at] = '\0';
}

hone_status schema_fail(const schema_compiler *c, hone_status status, uint32_t node,
                        const char *format, ...) {
    char pointer[256], words[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    write_pointer(c, node, pointer, sizeof pointer);
    return fail(status, "%s: %s", pointer, words);
}

/* `what` NULL: the sentence that is stored already. */
hone_status keyword_fail(const schema_compiler *c, const keyword *k, hone_status status,
                         const char *what) {
    char pointer[256];
    if (what) return schema_fail(c, status, k->node, "%s %s", k->name, what);
    write_pointer(c, k->node, pointer, sizeof pointer);
    return *k->name ? fail_context(status, "%s: %s", pointer, k->name)
                    : fail_context(status, "%s", pointer);
}

/* --- the whole --- */

static hone_status find_draft(schema_compiler *c) {
    static const struct { const char *part; int draft; } drafts[] = {
        {"draft-03", 3}, {"draft-04", 4}, {"draft-06", 6}, {"draft-07", 7}, {"2019-09", 2019},
        {"2020-12", 2020}};
    const char *said = json_string_value(json_object_get(c->documents[0], "$schema"));
    c->draft = c->options->draft ? c->options->draft : 2020;
    for (size_t i = 0; said && i < sizeof drafts / sizeof *drafts; i++)
        if (strstr(said, drafts[i].part)) c->draft = drafts[i].draft;
    return c->draft == 3 ? fail(HONE_ERR_UNSUPPORTED, "$schema: draft 3 is not supported")
                         : HONE_OK;
}

static hone_status build(schema_compiler *c, const char *schema, size_t n) {
    literal root;
    TRY(grammar_tree_init(&c->tree));
    TRY(schema_index_documents(c, schema, n));
    TRY(find_draft(c));
    TRY(number_common(c));
    TRY(schema_literal(c, c->documents[0], 0, &root));
    return schema_rules(c, root);
}

static void release(schema_compiler *c) {
    schema_index_release(c);
    automaton_names_release(&c->sets);
    automaton_names_release(&c->written);
    automaton_names_release(&c->pairs);
    mem_free(c->set_rules);
    mem_free(c->written_rules);
    mem_free(c->excluded);
    arena_release(&c->arena);
}

/* The tree's names lie in the compiler's arena: both are released together. */
static hone_status build_tree(schema_compiler *c, const char *schema, size_t n,
                              const hone_schema_options *options) {
    static const hone_schema_options defaults;
    *c = (schema_compiler){.options = options ? options : &defaults,
                           .arena = {.max = SCHEMA_MAX_MEMORY}};
    c->exact = c->options->exact;
    c->root_name = c->options->root ? c->options->root : "root";
    return build(c, schema, n);
}

hone_status schema_compile(grammar **out, const char *schema, size_t n,
                           const hone_schema_options *options) {
    hone_schema_options own = options ? *options : (hone_schema_options){0};
    schema_compiler *c = mem_alloc(sizeof *c);
    *out = NULL;
    if (!c) return mem_fail("schema", sizeof *c);
    own.root = NULL;
    hone_status status = build_tree(c, schema, n, &own);
    if (status == HONE_OK) status = grammar_compile_tree(out, &c->tree);
    if (status == HONE_ERR_FORMAT && !strcmp(hone_error_message(), "nothing can match the grammar"))
        status = fail(HONE_ERR_FORMAT, "nothing can satisfy the schema");
    grammar_tree_release(&c->tree);
    release(c);
    mem_free(c);
    return status;
}

hone_status schema_print(buf *out, const char *schema, size_t n,
                         const hone_schema_options *options) {
    schema_compiler *c = mem_alloc(sizeof *c);
    if (!c) return mem_fail("schema", sizeof *c);
    hone_status status = build_tree(c, schema, n, options);
    if (status == HONE_OK) status = grammar_print(out, &c->tree);
    grammar_tree_release(&c->tree);
    release(c);
    mem_free(c);
    return status;
}
