/* The documents of a schema: every value has a number; URIs and anchors lead to subschemas. */
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "base/mem.h"
#include "text/schema_int.h"

/* --- values by address --- */

static size_t slot_of(const schema_index *x, const json_t *json) {
    uint64_t h = (uint64_t)(uintptr_t)json * 0xD6E8FEB86659FD93u;
    size_t at = (size_t)(h >> 20) & (x->n_slots - 1);
    while (x->slots[at] && x->nodes[x->slots[at] - 1].json != json)
        at = (at + 1) & (x->n_slots - 1);
    return at;
}

static hone_status make_room(schema_index *x) {
    TRY(mem_grow(&x->nodes, &x->node_capacity, x->n_nodes + 1, sizeof *x->nodes, "schema"));
    if (2 * x->n_nodes < x->n_slots) return HONE_OK;
    size_t n_slots = x->n_slots ? 2 * x->n_slots : 256;
    uint32_t *slots = mem_calloc(n_slots, sizeof *slots);
    if (!slots) return mem_fail("schema", n_slots * sizeof *slots);
    mem_free(x->slots);
    x->slots = slots;
    x->n_slots = n_slots;
    for (uint32_t i = 0; i < x->n_nodes; i++) x->slots[slot_of(x, x->nodes[i].json)] = i + 1;
    return HONE_OK;
}

/* A value that was met before (true, false and null are one object each) keeps its number. */
static hone_status add_node(schema_compiler *c, const json_t *json, uint32_t parent,
                            const char *token, const char *base, uint32_t *node) {
    schema_index *x = &c->index;
    TRY(make_room(x));
    size_t at = slot_of(x, json);
    if (!x->slots[at]) {
        x->slots[at] = (uint32_t)x->n_nodes + 1;
        x->nodes[x->n_nodes] = (schema_node){json, parent, token, base};
        if (parent == UINT32_MAX) x->nodes[x->n_nodes].parent = (uint32_t)x->n_nodes;
        x->n_nodes++;
    }
    *node = x->slots[at] - 1;
    return HONE_OK;
}

hone_status schema_find_node(schema_compiler *c, const json_t *json, uint32_t *node) {
    size_t at = slot_of(&c->index, json);
    if (!c->index.slots[at]) return add_node(c, json, 0, "", "", node);
    *node = c->index.slots[at] - 1;
    return HONE_OK;
}

/* --- URIs (RFC 3986) --- */

/* Where the authority and the path begin. */
typedef struct uri_parts {
    size_t scheme, authority, path; /* ends of the scheme with ':', the authority, the path */
} uri_parts;

static uri_parts split_uri(const char *uri) {
    size_t n = strcspn(uri, ":/?#");
    uri_parts p = {.scheme = uri[n] == ':' ? n + 1 : 0};
    p.authority = p.scheme;
    if (strncmp(uri + p.authority, "//", 2) == 0)
        p.authority += 2 + strcspn(uri + p.authority + 2, "/?#");
    p.path = strcspn(uri, "#");
    return p;
}

/* Takes "." and ".." out of a path, in place. */
static void remove_dots(char *path) {
    char *out = path;
    for (const char *at = path; *at;) {
        size_t n = strcspn(at + 1, "/") + 1; /* "/segment" */
        if (n == 2 && at[1] == '.') {
            if (!at[n]) *out++ = '/';
        } else if (n == 3 && at[1] == '.' && at[2] == '.') {
            while (out > path && *--out != '/') {}
            if (!at[n]) *out++ = '/';
        } else {
            memmove(out, at, n);
            out += n;
        }
        at += n;
    }
    *out = '\0';
}

/* *out = the reference (without a fragment) as an absolute URI, as far as the base is one. */
static hone_status resolve_uri(schema_compiler *c, const char *base, const char *reference,
                               size_t n, const char **out) {
    size_t n_base = strlen(base);
    char *text, *copy;
    TRY(schema_alloc(c, &copy, n + 1, 1));
    memcpy(copy, reference, n);
    uri_parts r = split_uri(copy), b = split_uri(base);
    *out = copy;
    if (r.scheme) return HONE_OK;
    if (n == 0) {
        *out = base;
        return HONE_OK;
    }
    TRY(schema_alloc(c, &text, n_base + n + 2, 1));
    size_t kept = b.authority; /* of the base */
    if (r.authority) {
        kept = b.scheme;
    } else if (copy[0] != '/') {
        for (kept = b.path; kept > b.authority && base[kept - 1] != '/'; kept--) {}
    }
    memcpy(text, base, kept);
    if (kept == b.authority && !r.authority && b.authority > b.scheme && copy[0] != '/')
        text[kept++] = '/';
    memcpy(text + kept, copy, n);
    size_t path = split_uri(text).authority;
    if (text[path] == '/') remove_dots(text + path);
    *out = text;
    return HONE_OK;
}

/* --- walking --- */

static hone_status name_node(schema_compiler *c, const char *uri, uint32_t node) {
    return strmap_insert(&c->index.named, uri, strlen(uri), node, NULL);
}

static hone_status name_anchor(schema_compiler *c, const char *base, const char *anchor,
                               uint32_t node) {
    size_t n = strlen(base), more = strlen(anchor);
    char *text;
    TRY(schema_alloc(c, &text, n + more + 2, 1));
    memcpy(text, base, n);
    text[n] = '#';
    memcpy(text + n + 1, anchor, more);
    return name_node(c, text, node);
}

/* $id, id and $anchor of a schema; *base changes with them. */
static hone_status read_names(schema_compiler *c, uint32_t node, const char **base) {
    const json_t *json = c->index.nodes[node].json;
    const char *id = json_string_value(json_object_get(json, "$id"));
    const char *anchor = json_string_value(json_object_get(json, "$anchor"));
    if (!id) id = json_string_value(json_object_get(json, "id"));
    if (id && id[0] == '#') {
        TRY(name_anchor(c, *base, id + 1, node));
    } else if (id && *id) {
        TRY(resolve_uri(c, *base, id, strcspn(id, "#"), base));
        TRY(name_node(c, *base, node));
    }
    if (anchor) TRY(name_anchor(c, *base, anchor, node));
    c->index.nodes[node].base = *base;
    return HONE_OK;
}

/* Keywords whose value is an object of schemas, not a schema. */
static bool is_map(const char *key) {
    static const char *const maps[] = {"properties", "patternProperties", "definitions", "$defs",
                                       "dependencies", "dependentSchemas"};
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++)
        if (!strcmp(key, maps[i])) return true;
    return false;
}

/* Depth is that of the JSON text, which its parser bounds. */
static hone_status walk(schema_compiler *c, json_t *json, uint32_t parent, const char *token,
                        const char *base, bool is_schema) {
    uint32_t node;
    TRY(add_node(c, json, parent, token, base, &node));
    size_t i;
    json_t *value;
    const char *key;
    if (json_is_object(json) && is_schema) TRY(read_names(c, node, &base));
    json_object_foreach(json, key, value) {
        bool data = is_schema && (!strcmp(key, "enum") || !strcmp(key, "const"));
        TRY(walk(c, value, node, key, base, !data && !(is_schema && is_map(key))));
    }
    json_array_foreach(json, i, value) {
        char *number;
        TRY(schema_alloc(c, &number, 24, 1));
        snprintf(number, 24, "%zu", i);
        TRY(walk(c, value, node, number, base, is_schema));
    }
    return HONE_OK;
}

static hone_status parse_document(const char *text, size_t n, const char *name,
                                  json_t **out) {
    if (n > SCHEMA_MAX_BYTES)
        return fail(HONE_ERR_FORMAT, "%s has %zu bytes, at most %d", name, n, SCHEMA_MAX_BYTES);
    /* `true` and `false` are schemas, too: inside an array the parser takes them. */
    char *wrapped = mem_alloc(n + 3);
    json_t *list = NULL;
    if (!wrapped) return mem_fail("schema", n + 3);
    wrapped[0] = '[';
    if (n) memcpy(wrapped + 1, text, n);
    wrapped[n + 1] = ']';
    hone_status status = json_parse(&list, wrapped, n + 2, name);
    mem_free(wrapped);
    if (status != HONE_OK) return status;
    if (json_array_size(list) == 1) *out = json_incref(json_array_get(list, 0));
    else status = fail(HONE_ERR_FORMAT, "%s is not one JSON value", name);
    json_decref(list);
    return status;
}

static hone_status add_document(schema_compiler *c, const char *text, size_t n, const char *uri) {
    json_t *json = NULL;
    uint32_t node;
    TRY(parse_document(text, n, *uri ? uri : "the schema", &json));
    c->documents[c->n_documents++] = json;
    TRY(walk(c, json, UINT32_MAX, "", uri, true));
    TRY(schema_find_node(c, json, &node));
    return name_node(c, uri, node);
}

hone_status schema_index_documents(schema_compiler *c, const char *schema, size_t n) {
    const hone_schema_options *o = c->options;
    uint32_t node;
    TRY(strmap_init(&c->index.named, 16));
    json_use_mem();
    TRY(add_node(c, json_true(), UINT32_MAX, "", "", &node));
    TRY(add_document(c, schema, n, ""));
    if (o->n_documents > SCHEMA_MAX_DOCUMENTS)
        return fail(HONE_ERR_ARGUMENT, "%zu documents beside the schema, at most %d",
                    o->n_documents, SCHEMA_MAX_DOCUMENTS);
    for (size_t i = 0; i < o->n_documents; i++)
        TRY(add_document(c, o->documents[i].text, o->documents[i].n_bytes, o->documents[i].uri));
    return HONE_OK;
}

void schema_index_release(schema_compiler *c) {
    for (size_t i = 0; i < c->n_documents; i++) json_decref(c->documents[i]);
    mem_free(c->index.nodes);
    mem_free(c->index.slots);
    strmap_release(&c->index.named);
}

/* --- literals --- */

enum { MAX_HOPS = 32 };

hone_status schema_literal(schema_compiler *c, const json_t *json, uint32_t parent, literal *out) {
    uint32_t node;
    if (json_is_true(json) || (json_is_object(json) && json_object_size(json) == 0)) {
        *out = LITERAL_TRUE;
        return HONE_OK;
    }
    if (json_is_false(json)) {
        *out = LITERAL_FALSE;
        return HONE_OK;
    }
    if (!json_is_object(json))
        return schema_fail(c, HONE_ERR_FORMAT, parent, "a schema is an object or a boolean, not %s",
                           json_type_name(json));
    TRY(schema_find_node(c, json, &node));
    *out = node << 2;
    /* What is a reference and nothing else is what it refers to: places that refer to the same are
     * the same. A circle is found when it is brought into alternatives. */
    const char *reference = json_string_value(json_object_get(json, "$ref"));
    if (!reference || json_object_size(json) > 1 || c->n_hops == MAX_HOPS) return HONE_OK;
    c->n_hops++;
    hone_status status = schema_resolve(c, node, reference, out);
    c->n_hops--;
    return status;
}

hone_status schema_constant(schema_compiler *c, const json_t *json, literal *out) {
    uint32_t node;
    TRY(schema_find_node(c, json, &node));
    *out = node << 2 | LITERAL_CONSTANT;
    return HONE_OK;
}

/* --- references --- */

/* One token of a pointer in a fragment: %XX, then ~1 and ~0. Returns its length in `at`. */
static size_t read_token(char *token, const char *at) {
    size_t n = strcspn(at, "/"), kept = 0;
    for (size_t i = 0; i < n; i++) {
        char d = at[i];
        if (d == '%' && i + 2 < n && hex_value(at[i + 1]) >= 0 && hex_value(at[i + 2]) >= 0) {
            d = (char)(hex_value(at[i + 1]) << 4 | hex_value(at[i + 2]));
            i += 2;
        }
        bool escaped = kept && token[kept - 1] == '~' && (d == '0' || d == '1');
        if (escaped) token[kept - 1] = d == '0' ? '\001' : '/'; /* \001: a ~ that is done */
        else token[kept++] = d;
    }
    for (size_t i = 0; i < kept; i++)
        if (token[i] == '\001') token[i] = '~';
    token[kept] = '\0';
    return n;
}

static const json_t *follow_pointer(const json_t *json, const char *pointer, char *token) {
    while (*pointer == '/' && json) {
        pointer += 1 + read_token(token, pointer + 1);
        if (json_is_array(json)) {
            char *end;
            unsigned long i = strtoul(token, &end, 10);
            json = *token >= '0' && *token <= '9' && !*end ? json_array_get(json, i) : NULL;
        } else {
            json = json_object_get(json, token);
        }
    }
    return *pointer ? NULL : json;
}

hone_status schema_resolve(schema_compiler *c, uint32_t node, const char *reference, literal *out) {
    const schema_index *x = &c->index;
    const char *uri, *fragment = strchr(reference, '#');
    size_t n = fragment ? (size_t)(fragment - reference) : strlen(reference);
    fragment = fragment ? fragment + 1 : "";
    TRY(resolve_uri(c, x->nodes[node].base, reference, n, &uri));
    uint32_t target = 0;
    bool found = strmap_find(&x->named, uri, strlen(uri), &target);
    if (!found)
        return schema_fail(c, HONE_ERR_UNSUPPORTED, node, "$ref %s is in a document that is not "
                           "given; nothing is fetched", reference);
    if (*fragment && *fragment != '/') {
        char *key;
        TRY(schema_alloc(c, &key, strlen(uri) + strlen(fragment) + 2, 1));
        sprintf(key, "%s#%s", uri, fragment);
        if (!strmap_find(&x->named, key, strlen(key), &target))
            return schema_fail(c, HONE_ERR_FORMAT, node, "$ref %s leads nowhere", reference);
        return schema_literal(c, x->nodes[target].json, node, out);
    }
    char *token;
    TRY(schema_alloc(c, &token, strlen(fragment) + 1, 1));
    const json_t *json = follow_pointer(x->nodes[target].json, fragment, token);
    if (!json) return schema_fail(c, HONE_ERR_FORMAT, node, "$ref %s leads nowhere", reference);
    return schema_literal(c, json, node, out);
}
