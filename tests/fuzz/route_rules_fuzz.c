/* Rules for choosing a model, and the kinds of prompts: any bytes are read or refused. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "route/rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    route_rules r;
    kind_guess g = kind_of((const char *)data, size);
    if (g.n_signs > KIND_MAX_SIGNS || !(g.probabilities[g.kind] > 0)) abort();
    if (route_rules_parse(&r, (const char *)data, size, "fuzz") != HONE_OK) return 0;
    if (r.n > ROUTE_MAX_RULES) abort();
    for (size_t i = 0; i < r.n; i++) route_rule_fits(&r.rules[i], g.kind, ROUTE_SPEED);
    route_rules_release(&r);
    return 0;
}
