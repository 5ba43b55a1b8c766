/* Building a grammar's syntax tree (text/grammar_tree.h). */
#include "text/grammar_tree.h"

#include <string.h>

#include "base/mem.h"

hone_status grammar_tree_init(grammar_tree *t) {
    *t = (grammar_tree){0};
    uint32_t none;
    hone_status status = strmap_init(&t->rule_numbers, 64);
    if (status == HONE_OK)
        status = grammar_tree_add(t, &none, (grammar_node){.kind = NODE_SEQUENCE});
    if (status != HONE_OK) grammar_tree_release(t);
    return status;
}

void grammar_tree_release(grammar_tree *t) {
    mem_free(t->nodes);
    mem_free(t->ranges);
    mem_free(t->bytes);
    mem_free(t->rules);
    strmap_release(&t->rule_numbers);
    *t = (grammar_tree){0};
}

hone_status grammar_tree_reserve(grammar_tree *t, size_t more_bytes, size_t more_ranges) {
    TRY(mem_grow(&t->bytes, &t->byte_capacity, t->n_bytes + more_bytes, 1, "grammar"));
    return mem_grow(&t->ranges, &t->range_capacity, t->n_ranges + more_ranges, sizeof *t->ranges,
                    "grammar");
}

hone_status grammar_tree_add(grammar_tree *t, uint32_t *number, grammar_node node) {
    if (t->n_nodes == GRAMMAR_MAX_NODES)
        return fail(HONE_ERR_FORMAT, "the grammar is too large: more than %d nodes",
                    GRAMMAR_MAX_NODES);
    TRY(mem_grow(&t->nodes, &t->node_capacity, t->n_nodes + 1, sizeof *t->nodes, "grammar"));
    *number = (uint32_t)t->n_nodes;
    t->nodes[t->n_nodes++] = node;
    return HONE_OK;
}

hone_status grammar_tree_add_bytes(grammar_tree *t, uint32_t *number, const char *bytes, size_t n) {
    TRY(grammar_tree_reserve(t, n, 0));
    uint32_t first = (uint32_t)t->n_bytes;
    if (n) memcpy(t->bytes + first, bytes, n);
    t->n_bytes += n;
    return grammar_tree_add(t, number, (grammar_node){.kind = NODE_BYTES, .first = first,
                                                      .count = (uint32_t)n});
}

hone_status grammar_tree_add_class(grammar_tree *t, uint32_t *number, const code_range *ranges,
                                   size_t n) {
    TRY(grammar_tree_reserve(t, 0, n));
    uint32_t first = (uint32_t)t->n_ranges;
    if (n) memcpy(t->ranges + first, ranges, n * sizeof *ranges);
    t->n_ranges += n;
    return grammar_tree_add(t, number, (grammar_node){.kind = NODE_CLASS, .first = first,
                                                      .count = (uint32_t)n});
}

hone_status grammar_tree_find_rule(grammar_tree *t, const char *name, size_t n, uint32_t *number) {
    if (strmap_find(&t->rule_numbers, name, n, number)) return HONE_OK;
    if (t->n_rules == GRAMMAR_MAX_RULES)
        return fail(HONE_ERR_FORMAT, "the grammar has more than %d rules", GRAMMAR_MAX_RULES);
    TRY(mem_grow(&t->rules, &t->rule_capacity, t->n_rules + 1, sizeof *t->rules, "grammar"));
    *number = (uint32_t)t->n_rules;
    TRY(strmap_insert(&t->rule_numbers, name, n, *number, NULL));
    t->rules[t->n_rules++] = (grammar_rule){.name = name, .name_bytes = (uint32_t)n};
    return HONE_OK;
}
