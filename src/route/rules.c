/* The file of hand-written rules: read strictly, kept as it stands. */
#include "route/rules.h"

#include <math.h>
#include <string.h>

#include "base/fs.h"
#include "base/mem.h"
#include "weights/paths.h"
#include "hone/strategy.h"

enum { MAX_RULES_BYTES = 1 << 20, MAX_ANSWER_TOKENS = 1 << 24 }; /* as in requests to the server */

static const char *const priority_names[ROUTE_N_PRIORITIES] = {"speed", "balanced", "quality"};

const char *route_priority_name(route_priority p) { return priority_names[p]; }

/* Every member of the object is one of names (NULL ends them). */
static hone_status check_members(const json_t *object, const char *const *names) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value) {
        const char *const *name = names;
        while (*name && strcmp(*name, key)) name++;
        if (!*name) return fail(HONE_ERR_FORMAT, "there is no \"%s\" here", key);
    }
    return HONE_OK;
}

static bool find_kind(const char *name, unsigned *bit) {
    prompt_kind kind;
    if (!kind_find(name, &kind)) return false;
    *bit = 1u << kind;
    return true;
}

static bool find_priority(const char *name, unsigned *bit) {
    for (unsigned p = 0; p < ROUTE_N_PRIORITIES; p++)
        if (!strcmp(name, priority_names[p])) {
            *bit = 1u << p;
            return true;
        }
    return false;
}

/* A list of names as a set; without the member all of them. */
static hone_status read_set(const json_t *rule, const char *member,
                            bool (*find)(const char *name, unsigned *bit), unsigned *set) {
    const json_t *list = json_object_get(rule, member);
    *set = list ? 0 : ~0u;
    if (list && !json_is_array(list))
        return fail(HONE_ERR_FORMAT, "\"%s\" is a list, not %s", member, json_type_name(list));
    size_t i;
    json_t *name;
    json_array_foreach((json_t *)list, i, name) {
        unsigned bit;
        if (!json_is_string(name) || !find(json_string_value(name), &bit))
            return fail(HONE_ERR_FORMAT, "\"%s\" has no \"%s\"", member,
                        json_is_string(name) ? json_string_value(name) : json_type_name(name));
        *set |= bit;
    }
    return HONE_OK;
}

static hone_status read_settings(const json_t *rule, route_settings *s) {
    static const char *const members[] = {"temperature", "top_p", "max_tokens", NULL};
    const json_t *object = json_object_get(rule, "settings");
    *s = (route_settings){.temperature = NAN, .top_p = NAN};
    if (!object) return HONE_OK;
    if (!json_is_object(object))
        return fail(HONE_ERR_FORMAT, "\"settings\" is an object, not %s", json_type_name(object));
    TRY(check_members(object, members));
    uint64_t max_tokens = 0;
    TRY(json_get_f64(object, "temperature", &s->temperature));
    TRY(json_get_f64(object, "top_p", &s->top_p));
    TRY(json_get_u64(object, "max_tokens", &max_tokens));
    if (s->temperature < 0 || s->temperature > 2 || s->top_p < 0 || s->top_p > 1 ||
        max_tokens > MAX_ANSWER_TOKENS)
        return fail(HONE_ERR_FORMAT, "\"settings\": temperature is 0 … 2, top_p 0 … 1, "
                                     "max_tokens at most %d", MAX_ANSWER_TOKENS);
    s->max_tokens = (size_t)max_tokens;
    return HONE_OK;
}

static hone_status read_rule(route_rule *rule, const json_t *object) {
    static const char *const members[] = {"kinds",    "priorities", "model",   "strategy",
                                          "settings", "system",     "because", NULL};
    if (!json_is_object(object))
        return fail(HONE_ERR_FORMAT, "a rule is an object, not %s", json_type_name(object));
    TRY(check_members(object, members));
    TRY(read_set(object, "kinds", find_kind, &rule->kinds));
    TRY(read_set(object, "priorities", find_priority, &rule->priorities));
    TRY(json_get_string(object, "model", &rule->model));
    TRY(json_get_string(object, "strategy", &rule->strategy));
    TRY(json_get_string(object, "system", &rule->system));
    TRY(json_get_string(object, "because", &rule->because));
    TRY(read_settings(object, &rule->settings));
    if (rule->model && !*rule->model) return fail(HONE_ERR_FORMAT, "\"model\" is empty");
    if (!rule->strategy) return HONE_OK;
    hone_strategy *parsed;
    hone_status status = hone_strategy_parse(&parsed, rule->strategy);
    if (status == HONE_OK) hone_strategy_close(parsed);
    return status == HONE_ERR_ARGUMENT ? fail(HONE_ERR_FORMAT, "%s", hone_error_message()) : status;
}

static hone_status read_rules(route_rules *r, const char *name) {
    static const char *const members[] = {"rules", NULL};
    if (!json_is_object(r->root)) return fail(HONE_ERR_FORMAT, "%s: not an object", name);
    hone_status status = check_members(r->root, members);
    if (status != HONE_OK) return fail_context(status, "%s", name);
    const json_t *list = json_object_get(r->root, "rules");
    if (!json_is_array(list) || json_array_size(list) > ROUTE_MAX_RULES)
        return fail(HONE_ERR_FORMAT, "%s: \"rules\" is a list of at most %d", name,
                    ROUTE_MAX_RULES);
    r->n = json_array_size(list);
    r->rules = mem_calloc(r->n ? r->n : 1, sizeof *r->rules);
    if (!r->rules) return mem_fail("rules", r->n * sizeof *r->rules);
    for (size_t i = 0; i < r->n; i++) {
        status = read_rule(&r->rules[i], json_array_get(list, i));
        if (status != HONE_OK) return fail_context(status, "%s: rule %zu", name, i + 1);
    }
    return HONE_OK;
}

hone_status route_rules_parse(route_rules *r, const char *text, size_t n, const char *name) {
    route_rules made = {.root = NULL};
    TRY(json_parse(&made.root, text, n, name));
    hone_status status = read_rules(&made, name);
    if (status == HONE_OK) *r = made;
    else route_rules_release(&made);
    return status;
}

hone_status route_rules_read(route_rules *r, const char *path) {
    buf text;
    buf_init(&text, MAX_RULES_BYTES);
    hone_status status = fs_read_file(&text, path);
    if (status == HONE_OK)
        status = route_rules_parse(r, text.data ? text.data : "", text.len, path);
    buf_release(&text);
    return status;
}

hone_status route_rules_usual_path(fs_path *path) {
    fs_path folder;
    TRY(paths_folder(&folder, PATHS_CONFIG));
    return fs_path_format(path, "%s/route.json", folder.text);
}

hone_status route_rules_read_usual(route_rules *r) {
    fs_path usual;
    *r = (route_rules){.n = 0};
    TRY(route_rules_usual_path(&usual));
    hone_status status = route_rules_read(r, usual.text);
    return status == HONE_ERR_NOT_FOUND ? HONE_OK : status;
}

void route_rules_release(route_rules *r) {
    mem_free(r->rules);
    json_decref(r->root);
    *r = (route_rules){.n = 0};
}

bool route_rule_fits(const route_rule *rule, prompt_kind kind, route_priority priority) {
    return (rule->kinds & 1u << kind) && (rule->priorities & 1u << priority);
}
