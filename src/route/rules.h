/* Rules written by hand: which model, settings, strategy and prompt for which kind of prompt.
 *
 *     {"rules": [{"kinds": ["code", "multilingual"], "priorities": ["quality"],
 *                 "model": "qwen2.5:1.5b", "strategy": "re2", "system": "Answer briefly.",
 *                 "settings": {"temperature": 0.1, "top_p": 0.9, "max_tokens": 200},
 *                 "because": "the best at code of those measured here"}]}
 *
 * Every member is optional: without `kinds` or `priorities` a rule is for all of them, what it
 * leaves out is decided otherwise. Unknown members are refused, so that a slip does not go unseen
 * (docs/route.md; docs/route-example.json). */
#ifndef ROUTE_RULES_H
#define ROUTE_RULES_H

#include "base/fs.h"
#include "base/json.h"
#include "route/kind.h"

typedef enum route_priority { ROUTE_SPEED, ROUTE_BALANCED, ROUTE_QUALITY } route_priority;

enum { ROUTE_N_PRIORITIES = 3, ROUTE_MAX_RULES = 256 };

const char *route_priority_name(route_priority p); /* "speed", … */

/* What is not said is NAN or 0: the model's own recommendation holds. */
typedef struct route_settings {
    double temperature, top_p;
    size_t max_tokens;
} route_settings;

/* Strings belong to the rules; NULL = the rule does not say. */
typedef struct route_rule {
    unsigned kinds, priorities; /* bit sets of prompt_kind and route_priority */
    const char *model, *strategy, *system, *because;
    route_settings settings;
} route_rule;

typedef struct route_rules {
    json_t *root;
    route_rule *rules; /* in the order of the file: the first one that fits counts */
    size_t n;
} route_rules;

/* HONE_ERR_FORMAT names `name`, the rule and what is wrong with it. */
hone_status route_rules_parse(route_rules *r, const char *text, size_t n, const char *name);

/* HONE_ERR_NOT_FOUND where the file is missing. */
hone_status route_rules_read(route_rules *r, const char *path);

/* Where the rules are looked for, route.json in the settings folder, and those that are there: none
 * where it is missing. */
hone_status route_rules_usual_path(fs_path *path);
hone_status route_rules_read_usual(route_rules *r);
void route_rules_release(route_rules *r); /* a zeroed one is allowed */

bool route_rule_fits(const route_rule *rule, prompt_kind kind, route_priority priority);

#endif
