/* Values held against schemas (serve/json_check.h): for each keyword of a schema its rule. */
#include "serve/json_check.h"

#include <assert.h>
#include <math.h>
#include <regex.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum {
    MAX_PLACE = 200,
    MAX_WORDS = 300,
    MAX_SHOWN = 60,    /* bytes of a stranger's value or name in a sentence */
    MAX_REFERENCES = 8 /* one behind the other: ours are fewer */
};

/* One check, and what is known of the failure that came last. */
typedef struct check {
    const json_t *schemas;
    size_t depth;   /* of its place */
    bool by_choice; /* none of the types or values that the schema names */
} check;

/* Where a value stands: a member `key` of its parent, an element `index`,
 * or (no parent) the whole. */
typedef struct spot {
    check *of;
    const struct spot *parent;
    const char *key; /* NULL: an element */
    size_t index, depth;
} spot;

typedef hone_status rule(const json_t *value, const json_t *wanted, const json_t *schema,
                         const spot *at);

static hone_status check_value(const json_t *value, const json_t *schema, const spot *at);

static spot member_of(const spot *at, const char *key) {
    return (spot){at->of, at, key, 0, at->depth + 1};
}

static spot element_of(const spot *at, size_t i) {
    return (spot){at->of, at, NULL, i, at->depth + 1};
}

/* --- words --- */

static size_t name_place(char out[MAX_PLACE], const spot *at) {
    if (!at->parent) return 0;
    size_t n = name_place(out, at->parent);
    if (!at->key) snprintf(out + n, MAX_PLACE - n, "[%zu]", at->index);
    else
        snprintf(out + n, MAX_PLACE - n, "%s%s", n ? "." : "",
                 strlen(at->key) <= MAX_SHOWN ? at->key : "…");
    return strlen(out);
}

__attribute__((format(printf, 2, 3))) static hone_status refuse(const spot *at, const char *format,
                                                                ...) {
    char place[MAX_PLACE] = "", words[MAX_WORDS];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    name_place(place, at);
    at->of->depth = at->depth;
    at->of->by_choice = false;
    return fail(HONE_ERR_ARGUMENT, "%s%s", *place ? place : "the request", words);
}

/* A value as it is shown; `out` holds MAX_SHOWN + 1. */
static const char *show(const json_t *value, char *out) {
    if (json_is_object(value)) return "an object";
    if (json_is_array(value)) return "a list";
    size_t n = json_dumpb(value, out, MAX_SHOWN, JSON_ENCODE_ANY);
    if (n > MAX_SHOWN) return "a long text";
    out[n] = '\0';
    return out;
}

static const char *type_in_words(const char *type) {
    static const char *const words[][2] = {
        {"string", "a string"}, {"integer", "a whole number"}, {"number", "a number"},
        {"boolean", "true or false"}, {"array", "a list"}, {"object", "an object"}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(type, words[i][0])) return words[i][1];
    return type; /* null */
}

static const json_t *follow(const json_t *schema, const json_t *schemas) {
    for (size_t i = 0; i < MAX_REFERENCES && json_object_get(schema, "$ref"); i++) {
        const char *name = json_string_value(json_object_get(schema, "$ref"));
        schema = json_object_get(schemas, name + strlen(JSON_CHECK_SCHEMAS));
    }
    return schema;
}

static void add_form(char words[MAX_WORDS], const char *form) {
    size_t n = strlen(words);
    snprintf(words + n, MAX_WORDS - n, "%s%s", n ? " or " : "", form);
}

/* What a schema takes, by type or value: "a string or null". */
static void add_forms(char words[MAX_WORDS], const json_t *schema, const json_t *schemas) {
    char shown[MAX_SHOWN + 1];
    size_t i;
    const json_t *one;
    schema = follow(schema, schemas);
    json_array_foreach(json_object_get(schema, "anyOf"), i, one) add_forms(words, one, schemas);
    json_array_foreach(json_object_get(schema, "enum"), i, one) add_form(words, show(one, shown));
    one = json_object_get(schema, "const");
    if (one) add_form(words, show(one, shown));
    const json_t *type = json_object_get(schema, "type");
    if (json_is_string(type)) add_form(words, type_in_words(json_string_value(type)));
    json_array_foreach(type, i, one) add_form(words, type_in_words(json_string_value(one)));
}

/* With the schema's own words where it has some, else by what it wants. */
static hone_status refuse_value(const json_t *value, const json_t *schema, const char *wanted,
                                const spot *at) {
    const char *own = json_string_value(json_object_get(schema, "x-error"));
    char shown[MAX_SHOWN + 1];
    if (own) return refuse(at, " %s", own);
    return refuse(at, " is %s; it must be %s", show(value, shown), wanted);
}

/* The value is none of what the schema names. */
static hone_status refuse_choice(const json_t *value, const json_t *schema, const spot *at) {
    char forms[MAX_WORDS] = "";
    add_forms(forms, schema, at->of->schemas);
    hone_status status = refuse_value(value, schema, forms, at);
    at->of->by_choice = true;
    return status;
}

/* --- any value --- */

static bool is_of_type(const json_t *value, const char *type) {
    switch (json_typeof(value)) {
    case JSON_OBJECT: return !strcmp(type, "object");
    case JSON_ARRAY: return !strcmp(type, "array");
    case JSON_STRING: return !strcmp(type, "string");
    case JSON_TRUE: case JSON_FALSE: return !strcmp(type, "boolean");
    case JSON_NULL: return !strcmp(type, "null");
    case JSON_INTEGER: return !strcmp(type, "integer") || !strcmp(type, "number");
    case JSON_REAL:
        return !strcmp(type, "number") || (!strcmp(type, "integer") &&
                                           floor(json_real_value(value)) == json_real_value(value));
    }
    return false;
}

static hone_status check_type(const json_t *value, const json_t *wanted, const json_t *schema,
                              const spot *at) {
    size_t i;
    const json_t *one;
    if (json_is_string(wanted) && is_of_type(value, json_string_value(wanted))) return HONE_OK;
    json_array_foreach(wanted, i, one)
        if (is_of_type(value, json_string_value(one))) return HONE_OK;
    return refuse_choice(value, schema, at);
}

/* 1 and 1.0 are one number. */
static bool are_same(const json_t *a, const json_t *b) {
    if (json_is_number(a) && json_is_number(b)) return json_number_value(a) == json_number_value(b);
    return json_equal(a, b);
}

static hone_status check_const(const json_t *value, const json_t *wanted, const json_t *schema,
                               const spot *at) {
    return are_same(value, wanted) ? HONE_OK : refuse_choice(value, schema, at);
}

static hone_status check_enum(const json_t *value, const json_t *wanted, const json_t *schema,
                              const spot *at) {
    size_t i;
    const json_t *one;
    json_array_foreach(wanted, i, one) if (are_same(value, one)) return HONE_OK;
    return refuse_choice(value, schema, at);
}

static hone_status check_reference(const json_t *value, const json_t *wanted, const json_t *schema,
                                   const spot *at) {
    (void)wanted;
    return check_value(value, follow(schema, at->of->schemas), at);
}

/* Where every branch fails, one says most in which the value is of the right kind, but wrong; among
 * those the one where the failure lies deepest. */
static hone_status check_any(const json_t *value, const json_t *wanted, const json_t *schema,
                             const spot *at) {
    char words[MAX_PLACE + MAX_WORDS] = "";
    check furthest = {at->of->schemas, 0, true};
    size_t i;
    const json_t *branch;
    json_array_foreach(wanted, i, branch) {
        hone_status status = check_value(value, branch, at);
        if (status != HONE_ERR_ARGUMENT) return status;
        const check *now = at->of;
        if (*words && (now->by_choice > furthest.by_choice ||
                       (now->by_choice == furthest.by_choice && now->depth <= furthest.depth)))
            continue;
        furthest = *now;
        snprintf(words, sizeof words, "%s", hone_error_message());
    }
    if (furthest.depth == at->depth && furthest.by_choice) return refuse_choice(value, schema, at);
    *at->of = furthest;
    return fail(HONE_ERR_ARGUMENT, "%s", words);
}

/* --- objects --- */

static hone_status check_properties(const json_t *value, const json_t *wanted, const json_t *schema,
                                    const spot *at) {
    const char *key;
    json_t *one;
    (void)schema;
    json_object_foreach((json_t *)(uintptr_t)value, key, one) {
        const json_t *own = json_object_get(wanted, key);
        spot below = member_of(at, key);
        if (own) TRY(check_value(one, own, &below));
    }
    return HONE_OK;
}

static hone_status check_required(const json_t *value, const json_t *wanted, const json_t *schema,
                                  const spot *at) {
    size_t i;
    const json_t *key;
    (void)schema;
    if (!json_is_object(value)) return HONE_OK;
    json_array_foreach(wanted, i, key) {
        spot below = member_of(at, json_string_value(key));
        if (!json_object_get(value, below.key)) return refuse(&below, " is missing");
    }
    return HONE_OK;
}

static hone_status check_additional(const json_t *value, const json_t *wanted, const json_t *schema,
                                    const spot *at) {
    const json_t *known = json_object_get(schema, "properties");
    const char *key;
    json_t *one;
    json_object_foreach((json_t *)(uintptr_t)value, key, one) {
        spot below = member_of(at, key);
        if (json_object_get(known, key)) continue;
        if (json_is_false(wanted)) return refuse(&below, ": there is no such field");
        TRY(check_value(one, wanted, &below));
    }
    return HONE_OK;
}

static hone_status check_names(const json_t *value, const json_t *wanted, const json_t *schema,
                               const spot *at) {
    const char *key;
    json_t *one;
    (void)schema;
    json_object_foreach((json_t *)(uintptr_t)value, key, one) {
        spot below = member_of(at, key);
        json_t *name = json_string(key);
        if (!name) return mem_fail("name", strlen(key));
        hone_status status = check_value(name, wanted, &below);
        json_decref(name);
        TRY(status);
    }
    return HONE_OK;
}

/* --- bounds --- */

static hone_status check_least(size_t n, const json_t *wanted, const char *of, const spot *at) {
    size_t least = (size_t)json_integer_value(wanted);
    if (n >= least) return HONE_OK;
    return refuse(at, " has %zu %s, at least %zu are needed", n, of, least);
}

static hone_status check_most(size_t n, const json_t *wanted, const char *of, const spot *at) {
    size_t most = (size_t)json_integer_value(wanted);
    if (n <= most) return HONE_OK;
    return refuse(at, " has %zu %s, at most %zu", n, of, most);
}

static hone_status check_max_properties(const json_t *value, const json_t *wanted,
                                        const json_t *schema, const spot *at) {
    (void)schema;
    return check_most(json_object_size(value), wanted, "members", at);
}

static hone_status check_min_items(const json_t *value, const json_t *wanted, const json_t *schema,
                                   const spot *at) {
    (void)schema;
    return json_is_array(value) ? check_least(json_array_size(value), wanted, "elements", at)
                                : HONE_OK;
}

static hone_status check_max_items(const json_t *value, const json_t *wanted, const json_t *schema,
                                   const spot *at) {
    (void)schema;
    return check_most(json_array_size(value), wanted, "elements", at);
}

static size_t n_characters(const json_t *string) {
    const char *text = json_string_value(string);
    size_t count = 0;
    for (size_t i = 0; i < json_string_length(string); i++)
        count += ((unsigned char)text[i] & 0xC0) != 0x80;
    return count;
}

static hone_status check_min_length(const json_t *value, const json_t *wanted, const json_t *schema,
                                    const spot *at) {
    (void)schema;
    return json_is_string(value) ? check_least(n_characters(value), wanted, "characters", at)
                                 : HONE_OK;
}

static hone_status check_max_length(const json_t *value, const json_t *wanted, const json_t *schema,
                                    const spot *at) {
    (void)schema;
    return check_most(n_characters(value), wanted, "characters", at);
}

static hone_status check_minimum(const json_t *value, const json_t *wanted, const json_t *schema,
                                 const spot *at) {
    char shown[MAX_SHOWN + 1];
    (void)schema;
    if (!json_is_number(value) || json_number_value(value) >= json_number_value(wanted))
        return HONE_OK;
    return refuse(at, " is %s; it must be at least %g", show(value, shown),
                  json_number_value(wanted));
}

static hone_status check_maximum(const json_t *value, const json_t *wanted, const json_t *schema,
                                 const spot *at) {
    char shown[MAX_SHOWN + 1];
    (void)schema;
    if (!json_is_number(value) || json_number_value(value) <= json_number_value(wanted))
        return HONE_OK;
    return refuse(at, " is %s; it must be at most %g", show(value, shown),
                  json_number_value(wanted));
}

/* Stands behind maxLength, so that no stranger decides how long the expression runs. */
static hone_status check_pattern(const json_t *value, const json_t *wanted, const json_t *schema,
                                 const spot *at) {
    const char *pattern = json_string_value(wanted);
    char form[MAX_WORDS];
    regex_t expression;
    if (!json_is_string(value)) return HONE_OK;
    assert(json_object_get(schema, "maxLength"));
    if (regcomp(&expression, pattern, REG_EXTENDED | REG_NOSUB) != 0)
        return mem_fail("pattern", strlen(pattern));
    int found = regexec(&expression, json_string_value(value), 0, NULL, 0);
    regfree(&expression);
    if (found == 0) return HONE_OK;
    snprintf(form, sizeof form, "of the form %s", pattern);
    return refuse_value(value, schema, form, at);
}

static hone_status check_items(const json_t *value, const json_t *wanted, const json_t *schema,
                               const spot *at) {
    size_t i;
    const json_t *one;
    (void)schema;
    json_array_foreach(value, i, one) {
        spot below = element_of(at, i);
        TRY(check_value(one, wanted, &below));
    }
    return HONE_OK;
}

/* --- schemas --- */

static hone_status pass_over(const json_t *value, const json_t *wanted, const json_t *schema,
                             const spot *at) {
    (void)value, (void)wanted, (void)schema, (void)at;
    return HONE_OK;
}

static rule *rule_of(const char *keyword) {
    static const struct {
        const char *keyword;
        rule *check;
    } rules[] = {
        {"$ref", check_reference}, {"type", check_type}, {"enum", check_enum},
        {"const", check_const}, {"anyOf", check_any}, {"properties", check_properties},
        {"required", check_required}, {"additionalProperties", check_additional},
        {"propertyNames", check_names}, {"maxProperties", check_max_properties},
        {"items", check_items}, {"minItems", check_min_items}, {"maxItems", check_max_items},
        {"minLength", check_min_length}, {"maxLength", check_max_length},
        {"pattern", check_pattern}, {"minimum", check_minimum}, {"maximum", check_maximum},
        {"description", pass_over}, {"default", pass_over}, {"examples", pass_over},
        {"x-error", pass_over},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (!strcmp(rules[i].keyword, keyword)) return rules[i].check;
    return NULL;
}

static hone_status check_value(const json_t *value, const json_t *schema, const spot *at) {
    const char *keyword;
    json_t *wanted;
    json_object_foreach((json_t *)(uintptr_t)schema, keyword, wanted) {
        rule *holds = rule_of(keyword);
        assert(holds);
        TRY(holds(value, wanted, schema, at));
    }
    return HONE_OK;
}

hone_status json_check(const json_t *value, const json_t *schema, const json_t *schemas) {
    check of = {schemas, 0, false};
    return check_value(value, schema, &(spot){.of = &of});
}
