#include "text/added_tokens.h"

#include "base/mem.h"

hone_status added_tokens_init(added_tokens *a) {
    *a = (added_tokens){.capacity = 64, .n_nodes = 1};
    a->nodes = mem_calloc(a->capacity, sizeof *a->nodes);
    if (!a->nodes) return mem_fail("added tokens", a->capacity * sizeof *a->nodes);
    a->nodes[0].id = -1;
    return HONE_OK;
}

void added_tokens_release(added_tokens *a) {
    mem_free(a->nodes);
    *a = (added_tokens){0};
}

static uint32_t find_child(const added_tokens *a, uint32_t parent, uint8_t byte) {
    uint32_t node = a->nodes[parent].child;
    while (node && a->nodes[node].byte != byte) node = a->nodes[node].sibling;
    return node;
}

static hone_status add_child(added_tokens *a, uint32_t parent, uint8_t byte, uint32_t *child) {
    if (a->n_nodes == a->capacity) {
        if (a->capacity > UINT32_MAX / 2) return fail(HONE_ERR_FORMAT, "added tokens too long");
        added_node *nodes = mem_realloc(a->nodes, a->capacity * 2, sizeof *nodes);
        if (!nodes) return mem_fail("added tokens", a->capacity * 2 * sizeof *nodes);
        a->nodes = nodes;
        a->capacity *= 2;
    }
    *child = (uint32_t)a->n_nodes++;
    a->nodes[*child] = (added_node){.byte = byte, .id = -1, .sibling = a->nodes[parent].child};
    a->nodes[parent].child = *child;
    return HONE_OK;
}

hone_status added_tokens_add(added_tokens *a, const char *text, size_t n, int32_t id,
                             bool control) {
    if (n == 0) return HONE_OK;
    uint32_t node = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t child = find_child(a, node, (uint8_t)text[i]);
        if (!child) TRY(add_child(a, node, (uint8_t)text[i], &child));
        node = child;
    }
    if (a->nodes[node].id >= 0)
        return fail(HONE_ERR_FORMAT, "tokens %d and %d have the same text \"%.*s\"",
                    a->nodes[node].id, id, n < 60 ? (int)n : 60, text);
    a->nodes[node].id = id;
    a->nodes[node].control = control;
    a->starts[(uint8_t)text[0]] = true;
    return HONE_OK;
}

size_t added_tokens_match(const added_tokens *a, const char *text, size_t n, size_t control_n,
                          int32_t *id) {
    size_t longest = 0;
    uint32_t node = 0;
    for (size_t i = 0; i < n; i++) {
        node = find_child(a, node, (uint8_t)text[i]);
        if (!node) break;
        const added_node *here = &a->nodes[node];
        if (here->id >= 0 && (!here->control || i < control_n)) {
            longest = i + 1;
            *id = here->id;
        }
    }
    return longest;
}
