/* Keywords of any type, of numbers and of strings; constants. */
#include <string.h>

#include "base/mem.h"
#include "text/schema_int.h"

/* Work of all combinations together: pathological schemas end with a word. */
enum { MAX_COMBINED = 1 << 21 };

hone_status schema_combine(schema_compiler *c, const automaton **out, const automaton *a,
                           const automaton *b, automaton_operation operation) {
    c->n_combined += a->n_states + b->n_states;
    if (c->n_combined > MAX_COMBINED)
        return fail(HONE_ERR_UNSUPPORTED,
                    "the schema's patterns and ranges are too large together");
    return automaton_combine(out, &c->arena, a, b, operation);
}

/* --- sets --- */

hone_status branch_keep_strings(schema_compiler *c, branch *b, const automaton *set,
                                automaton_operation operation) {
    const automaton *before = b->string;
    if (!(b->types & TYPE_STRING)) return HONE_OK;
    if (!before && operation == AUTOMATON_AND) {
        b->string = set;
    } else {
        if (!before) TRY(automaton_all(&before, &c->arena));
        TRY(schema_combine(c, &b->string, before, set, operation));
    }
    if (automaton_is_empty(b->string)) b->types &= ~(unsigned)TYPE_STRING;
    return HONE_OK;
}

static hone_status keep_numbers(schema_compiler *c, branch *b, const automaton *set,
                                automaton_operation operation) {
    const automaton *before = b->number ? b->number : c->numbers;
    if (!(b->types & TYPE_NUMBER)) return HONE_OK;
    if (!b->number && operation == AUTOMATON_AND) b->number = set;
    else if (b->number != set || operation != AUTOMATON_AND)
        TRY(schema_combine(c, &b->number, before, set, operation));
    if (automaton_is_empty(b->number)) b->types &= ~(unsigned)TYPE_NUMBER;
    return HONE_OK;
}

static void keep_lengths(branch *b, uint64_t min, uint64_t max) {
    if (min > b->min_length) b->min_length = min;
    if (max < b->max_length) b->max_length = max;
    if (b->min_length > b->max_length) b->types &= ~(unsigned)TYPE_STRING;
}

/* --- type --- */

static hone_status read_types(schema_compiler *c, const keyword *k, const json_t *name,
                              unsigned *types, bool *integer) {
    static const struct { const char *name; unsigned types; } known[] = {
        {"null", TYPE_NULL}, {"boolean", TYPE_BOOLEAN}, {"number", TYPE_NUMBER},
        {"string", TYPE_STRING}, {"array", TYPE_ARRAY}, {"object", TYPE_OBJECT}};
    const char *text = json_string_value(name);
    if (!text) return keyword_fail(c, k, HONE_ERR_FORMAT, "must be a string or a list of strings");
    if (!strcmp(text, "integer")) return *integer = true, HONE_OK;
    if (!strcmp(text, "any")) return keyword_fail(c, k, HONE_ERR_UNSUPPORTED, "any is of draft 3");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(text, known[i].name) != 0) continue;
        *types |= known[i].types;
        return HONE_OK;
    }
    return keyword_fail(c, k, HONE_ERR_FORMAT, "is not a type that JSON schemas know");
}

static hone_status all_types(schema_compiler *c, const keyword *k, unsigned *types, bool *integer) {
    size_t i;
    json_t *name;
    *types = 0;
    *integer = false;
    if (!json_is_array(k->value)) TRY(read_types(c, k, k->value, types, integer));
    json_array_foreach(k->value, i, name) TRY(read_types(c, k, name, types, integer));
    if (*types & TYPE_NUMBER) *integer = false;
    return HONE_OK;
}

static hone_status apply_type(schema_compiler *c, branch *b, const keyword *k) {
    unsigned types;
    bool integer;
    TRY(all_types(c, k, &types, &integer));
    b->types &= types | (integer ? TYPE_NUMBER : 0);
    return integer ? keep_numbers(c, b, c->integers, AUTOMATON_AND) : HONE_OK;
}

static hone_status deny_type(schema_compiler *c, const branch *b, const keyword *k) {
    unsigned types;
    bool integer;
    branch *copy;
    TRY(all_types(c, k, &types, &integer));
    TRY(branch_copy_type(c, b, ~types & (integer ? ~(unsigned)TYPE_NUMBER : TYPE_ALL), &copy));
    if (!integer) return HONE_OK;
    TRY(branch_copy_type(c, b, TYPE_NUMBER, &copy));
    return keep_numbers(c, copy, c->integers, AUTOMATON_MINUS);
}

/* --- constants --- */

static unsigned type_of(const json_t *value) {
    switch (json_typeof(value)) {
    case JSON_NULL: return TYPE_NULL;
    case JSON_TRUE: return TYPE_TRUE;
    case JSON_FALSE: return TYPE_FALSE;
    case JSON_INTEGER:
    case JSON_REAL: return TYPE_NUMBER;
    case JSON_STRING: return TYPE_STRING;
    case JSON_ARRAY: return TYPE_ARRAY;
    case JSON_OBJECT: return TYPE_OBJECT;
    }
    return 0;
}

/* The numbers and the strings of a list as sets, the other types of its plain values. */
typedef struct constants {
    const automaton *numbers, *strings;
    unsigned types;  /* all that occur */
    unsigned digits; /* of the longest number */
} constants;

static hone_status read_constants(schema_compiler *c, constants *out, json_t *const *values,
                                  size_t n) {
    automaton_word *words = mem_calloc(n, sizeof *words);
    if (!words) return mem_fail("schema", n * sizeof *words);
    hone_status status = HONE_OK;
    out->types = out->digits = 0;
    for (int strings = 0; strings < 2 && status == HONE_OK; strings++) {
        size_t n_words = 0;
        for (size_t i = 0; i < n && status == HONE_OK; i++) {
            unsigned type = type_of(values[i]);
            out->types |= type;
            if (strings && type == TYPE_STRING)
                words[n_words++] = (automaton_word){json_string_value(values[i]),
                                                    json_string_length(values[i])};
            if (!strings && type == TYPE_NUMBER) {
                status = number_text(c, values[i], &words[n_words++]);
                if (words[n_words - 1].n > out->digits)
                    out->digits = (unsigned)words[n_words - 1].n;
            }
        }
        if (status == HONE_OK)
            status = automaton_words(strings ? &out->strings : &out->numbers, &c->arena, words,
                                     n_words);
    }
    mem_free(words);
    return status;
}

static hone_status keep_constants(schema_compiler *c, branch *b, const constants *k,
                                  automaton_operation operation) {
    if (operation == AUTOMATON_AND || (k->types & TYPE_NUMBER)) {
        TRY(keep_numbers(c, b, k->numbers, operation));
        b->number_is_literal = true;
        if (k->digits > b->number_digits) b->number_digits = k->digits;
    }
    if (operation == AUTOMATON_AND || (k->types & TYPE_STRING))
        TRY(branch_keep_strings(c, b, k->strings, operation));
    return HONE_OK;
}

enum { PLAIN = TYPE_NULL | TYPE_BOOLEAN | TYPE_NUMBER | TYPE_STRING };

hone_status branch_apply_constant(schema_compiler *c, branch *b, const json_t *value) {
    constants k;
    json_t *one = (json_t *)value;
    b->types &= type_of(value);
    if (!b->types) return HONE_OK;
    if (!(b->types & PLAIN)) return branch_apply_members(c, b, value);
    TRY(read_constants(c, &k, &one, 1));
    return keep_constants(c, b, &k, AUTOMATON_AND);
}

hone_status branch_deny_constant(schema_compiler *c, const branch *b, const json_t *value) {
    constants k;
    branch *copy;
    json_t *one = (json_t *)value;
    unsigned type = type_of(value);
    TRY(branch_copy(c, b, &copy));
    if (type == TYPE_NUMBER || type == TYPE_STRING) {
        TRY(read_constants(c, &k, &one, 1));
        return keep_constants(c, copy, &k, AUTOMATON_MINUS);
    }
    copy->types &= ~type;
    return type & PLAIN ? HONE_OK : branch_deny_members(c, b, value);
}

static hone_status check_values(const schema_compiler *c, const keyword *k) {
    if (json_is_array(k->value)) return HONE_OK;
    return keyword_fail(c, k, HONE_ERR_FORMAT, "must be a list of values");
}

static hone_status read_enum(schema_compiler *c, const keyword *k, constants *out) {
    size_t n = json_array_size(k->value);
    json_t **values = mem_calloc(n, sizeof *values);
    if (!values) return mem_fail("schema", n * sizeof *values);
    for (size_t i = 0; i < n; i++) values[i] = json_array_get(k->value, i);
    hone_status status = read_constants(c, out, values, n);
    mem_free(values);
    return status;
}

/* Plain values together, each array and each object by itself. */
static hone_status split_enum(schema_compiler *c, const branch *b, const keyword *k) {
    constants all;
    branch *copy;
    for (size_t i = json_array_size(k->value); i-- > 0;) {
        const json_t *value = json_array_get(k->value, i);
        literal what;
        if (type_of(value) & PLAIN) continue;
        branch one = *b;
        TRY(schema_constant(c, value, &what));
        TRY(branch_add(c, &one, what, k->from));
        TRY(branch_copy(c, &one, &copy));
    }
    TRY(read_enum(c, k, &all));
    TRY(branch_copy_type(c, b, all.types & PLAIN, &copy));
    return keep_constants(c, copy, &all, AUTOMATON_AND);
}

static hone_status apply_enum(schema_compiler *c, branch *b, const keyword *k) {
    TRY(check_values(c, k));
    return branch_fork(c, b, k, split_enum);
}

static hone_status deny_enum(schema_compiler *c, const branch *b, const keyword *k) {
    constants all;
    branch *copy, none = *b;
    TRY(check_values(c, k));
    for (size_t i = 0; i < json_array_size(k->value); i++) {
        const json_t *value = json_array_get(k->value, i);
        literal what;
        if (type_of(value) & PLAIN) continue;
        TRY(schema_constant(c, value, &what));
        TRY(branch_add(c, &none, what ^ LITERAL_NEGATED, k->from));
    }
    TRY(read_enum(c, k, &all));
    none.types &= ~(all.types & (TYPE_NULL | TYPE_BOOLEAN));
    TRY(keep_constants(c, &none, &all, AUTOMATON_MINUS));
    return none.types ? branch_copy(c, &none, &copy) : HONE_OK;
}

static hone_status apply_const(schema_compiler *c, branch *b, const keyword *k) {
    literal what;
    TRY(schema_constant(c, k->value, &what));
    return branch_add(c, b, what, k->from);
}

static hone_status deny_const(schema_compiler *c, const branch *b, const keyword *k) {
    return branch_deny_constant(c, b, k->value);
}

/* --- numbers --- */

/* The set that minimum, maximum and their exclusive forms (draft 4: a boolean beside) name; *set
 * NULL: nothing is asked. */
static hone_status bound_set(schema_compiler *c, const keyword *k, const automaton **set) {
    bool exclusive = !strncmp(k->name, "exclusive", 9);
    bool lower = strstr(k->name, "inimum") != NULL;
    *set = NULL;
    if (exclusive && json_is_boolean(k->value)) return HONE_OK; /* a word beside minimum, maximum */
    if (!json_is_number(k->value)) return keyword_fail(c, k, HONE_ERR_FORMAT, "must be a number");
    if (!exclusive)
        exclusive = json_is_true(json_object_get(k->schema, lower ? "exclusiveMinimum"
                                                                  : "exclusiveMaximum"));
    unsigned sides = lower ? NUMBER_ABOVE : NUMBER_BELOW;
    return number_compared(c, set, k->value, sides | (exclusive ? 0 : NUMBER_EQUAL));
}

/* Digits in front of the point. */
static hone_status note_digits(schema_compiler *c, branch *b, const json_t *number) {
    automaton_word w;
    TRY(number_text(c, number, &w));
    const char *point = memchr(w.text, '.', w.n);
    unsigned digits = (unsigned)(point ? (size_t)(point - w.text) : w.n);
    if (digits > b->number_digits) b->number_digits = digits;
    return HONE_OK;
}

static hone_status apply_bound(schema_compiler *c, branch *b, const keyword *k) {
    const automaton *set;
    TRY(bound_set(c, k, &set));
    if (!set) return HONE_OK;
    TRY(note_digits(c, b, k->value));
    return keep_numbers(c, b, set, AUTOMATON_AND);
}

static hone_status deny_bound(schema_compiler *c, const branch *b, const keyword *k) {
    const automaton *set;
    branch *copy;
    TRY(bound_set(c, k, &set));
    if (!set) return HONE_OK;
    TRY(branch_copy_type(c, b, TYPE_NUMBER, &copy));
    return keep_numbers(c, copy, set, AUTOMATON_MINUS);
}

static hone_status multiple_set(schema_compiler *c, const keyword *k, const automaton **set) {
    if (!json_is_number(k->value) || !(json_number_value(k->value) > 0))
        return keyword_fail(c, k, HONE_ERR_FORMAT, "must be a number above 0");
    hone_status status = number_multiples(c, set, k->value);
    return status == HONE_OK ? status : keyword_fail(c, k, status, NULL);
}

static hone_status apply_multiple(schema_compiler *c, branch *b, const keyword *k) {
    const automaton *set;
    TRY(multiple_set(c, k, &set));
    return keep_numbers(c, b, set, AUTOMATON_AND);
}

static hone_status deny_multiple(schema_compiler *c, const branch *b, const keyword *k) {
    const automaton *set;
    branch *copy;
    TRY(multiple_set(c, k, &set));
    TRY(branch_copy_type(c, b, TYPE_NUMBER, &copy));
    return keep_numbers(c, copy, set, AUTOMATON_MINUS);
}

/* --- strings --- */

static hone_status apply_min_length(schema_compiler *c, branch *b, const keyword *k) {
    uint64_t n;
    TRY(keyword_count(c, k, &n));
    keep_lengths(b, n, UINT64_MAX);
    return HONE_OK;
}

static hone_status apply_max_length(schema_compiler *c, branch *b, const keyword *k) {
    uint64_t n;
    TRY(keyword_count(c, k, &n));
    keep_lengths(b, 0, n);
    return HONE_OK;
}

static hone_status deny_length(schema_compiler *c, const branch *b, const keyword *k) {
    uint64_t n;
    branch *copy;
    bool minimum = !strcmp(k->name, "minLength");
    TRY(keyword_count(c, k, &n));
    if (minimum && n == 0) return HONE_OK;
    TRY(branch_copy_type(c, b, TYPE_STRING, &copy));
    if (minimum) keep_lengths(copy, 0, n - 1);
    else keep_lengths(copy, n + 1, UINT64_MAX);
    return HONE_OK;
}

static hone_status pattern_set(schema_compiler *c, const keyword *k, const char *pattern,
                               const automaton **set) {
    hone_status status = automaton_pattern(set, &c->arena, pattern, strlen(pattern));
    return status == HONE_OK ? status : keyword_fail(c, k, status, NULL);
}

/* Formats of numbers, which OpenAPI writes beside a type: ranges, or nothing that JSON could
 * tell. */
static hone_status number_format(schema_compiler *c, const char *name, const automaton **set,
                                 bool *known) {
    static const struct { const char *name; json_int_t low, high; } integers[] = {
        {"int32", INT32_MIN, INT32_MAX}, {"int64", INT64_MIN, INT64_MAX}};
    *known = !strcmp(name, "float") || !strcmp(name, "double");
    *set = NULL;
    for (size_t i = 0; i < 2; i++) {
        if (strcmp(name, integers[i].name) != 0) continue;
        const automaton *below, *above;
        json_t *low = json_integer(integers[i].low), *high = json_integer(integers[i].high);
        hone_status status = low && high ? HONE_OK : mem_fail("schema", 0);
        if (status == HONE_OK)
            status = number_compared(c, &above, low, NUMBER_ABOVE | NUMBER_EQUAL);
        if (status == HONE_OK)
            status = number_compared(c, &below, high, NUMBER_BELOW | NUMBER_EQUAL);
        if (status == HONE_OK) status = schema_combine(c, set, above, below, AUTOMATON_AND);
        json_decref(low);
        json_decref(high);
        *known = true;
        return status;
    }
    return HONE_OK;
}

/* The strings, or the numbers, that the keyword allows; both NULL: any. */
static hone_status keyword_sets(schema_compiler *c, const keyword *k, const automaton **strings,
                                const automaton **numbers) {
    const char *text = json_string_value(k->value), *pattern = text;
    bool known = true;
    *strings = *numbers = NULL;
    if (!text) return keyword_fail(c, k, HONE_ERR_FORMAT, "must be a string");
    if (!strcmp(k->name, "format")) {
        schema_format(text, &pattern);
        if (!pattern) TRY(number_format(c, text, numbers, &known));
    } else if (!strcmp(k->name, "contentEncoding")) {
        pattern = "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$";
        known = !strcmp(text, "base64");
    }
    if (!known)
        return schema_fail(c, HONE_ERR_UNSUPPORTED, k->node, "%s \"%s\" is not supported", k->name,
                           text);
    return pattern ? pattern_set(c, k, pattern, strings) : HONE_OK;
}

static hone_status apply_pattern(schema_compiler *c, branch *b, const keyword *k) {
    const automaton *strings, *numbers;
    if (!(b->types & (TYPE_STRING | TYPE_NUMBER))) return HONE_OK;
    TRY(keyword_sets(c, k, &strings, &numbers));
    if (strings) TRY(branch_keep_strings(c, b, strings, AUTOMATON_AND));
    return numbers ? keep_numbers(c, b, numbers, AUTOMATON_AND) : HONE_OK;
}

static hone_status deny_pattern(schema_compiler *c, const branch *b, const keyword *k) {
    const automaton *strings, *numbers;
    branch *copy;
    TRY(keyword_sets(c, k, &strings, &numbers));
    if (!strings && !numbers) return HONE_OK;
    TRY(branch_copy_type(c, b, strings ? TYPE_STRING : TYPE_NUMBER, &copy));
    if (strings) return branch_keep_strings(c, copy, strings, AUTOMATON_MINUS);
    return keep_numbers(c, copy, numbers, AUTOMATON_MINUS);
}

const keyword_rule schema_scalar_rules[] = {
    {"type", 0, apply_type, deny_type},
    {"enum", 0, apply_enum, deny_enum},
    {"const", 0, apply_const, deny_const},
    {"minimum", TYPE_NUMBER, apply_bound, deny_bound},
    {"maximum", TYPE_NUMBER, apply_bound, deny_bound},
    {"exclusiveMinimum", TYPE_NUMBER, apply_bound, deny_bound},
    {"exclusiveMaximum", TYPE_NUMBER, apply_bound, deny_bound},
    {"multipleOf", TYPE_NUMBER, apply_multiple, deny_multiple},
    {"minLength", TYPE_STRING, apply_min_length, deny_length},
    {"maxLength", TYPE_STRING, apply_max_length, deny_length},
    {"pattern", TYPE_STRING, apply_pattern, deny_pattern},
    {"format", TYPE_STRING, apply_pattern, deny_pattern},
    {"contentEncoding", TYPE_STRING, apply_pattern, deny_pattern},
    {NULL, 0, NULL, NULL}};
