/* Filters on lists, dicts and numbers, and those that take filters and tests; the ones on strings
 * are in jinja_filters_text.c. positional[0] is the filtered value. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/jinja_int.h"

static bool given(value v) { return v.type != V_MISSING; }

/* ---- attributes: "name", "a.b.0", 0, -1 ---- */

static bool all_digits(const text *t) {
    size_t i = 0;
    while (i < t->n && t->bytes[i] >= '0' && t->bytes[i] <= '9') i++;
    return i && i == t->n;
}

static hone_status item_attribute(interp *in, value item, value attribute, value *out) {
    static const text dot = {.bytes = ".", .n = 1};
    if (attribute.type != V_TEXT) return get_item(in, item, attribute, out);
    const text *path = attribute.text;
    for (size_t begin = 0; begin <= path->n;) {
        size_t end = text_find(path, begin, &dot);
        if (end > path->n) end = path->n;
        text part = {.bytes = path->bytes + begin, .n = end - begin};
        int64_t number;
        bool is_index = all_digits(&part) && text_to_integer(&part, 10, &number);
        TRY(get_item(in, item, is_index ? INT_VALUE(number) : TEXT_VALUE(&part), &item));
        begin = end + 1;
    }
    *out = item;
    return HONE_OK;
}

/* What an item is compared by: its attribute if one is named, letters in one case unless told. */
static hone_status sort_key(interp *in, value item, value attribute, value case_sensitive,
                            value *out) {
    *out = item;
    if (given(attribute) && attribute.type != V_NONE)
        TRY(item_attribute(in, item, attribute, out));
    if (out->type == V_TEXT && !truth(case_sensitive))
        return text_to_case(in, out->text, CASE_LOWER, out);
    return HONE_OK;
}

/* "a,b" sorts by a, then by b: the key is a tuple. */
static hone_status sort_keys(interp *in, value item, value attribute, value case_sensitive,
                             value *out) {
    static const text comma = {.bytes = ",", .n = 1};
    if (attribute.type != V_TEXT || text_find(attribute.text, 0, &comma) > attribute.text->n)
        return sort_key(in, item, attribute, case_sensitive, out);
    TRY(list_new(in, V_TUPLE, 2, out));
    for (size_t begin = 0; begin <= attribute.text->n;) {
        value part, key;
        size_t end = text_find(attribute.text, begin, &comma);
        if (end > attribute.text->n) end = attribute.text->n;
        TRY(text_slice(in, attribute.text, begin, end, &part));
        TRY(sort_key(in, item, part, case_sensitive, &key));
        TRY(list_add(in, out->list, key));
        begin = end + 1;
    }
    return HONE_OK;
}

static hone_status keys_of(interp *in, const list *items, value attribute, value case_sensitive,
                           value **out) {
    *out = arena_alloc(&in->arena, items->n, sizeof **out);
    if (!*out) return HONE_ERR_MEMORY;
    for (size_t i = 0; i < items->n; i++)
        TRY(sort_keys(in, items->items[i], attribute, case_sensitive, *out + i));
    return HONE_OK;
}

/* ---- whole lists ---- */

static hone_status filter_list(interp *in, const call_args *args, value *out) {
    value v;
    list *items;
    TRY(ARGS_BIND(args, "list", 1, &v, "value"));
    TRY(iterate(in, v, &items));
    *out = (value){.type = V_LIST, .list = items};
    return HONE_OK;
}

static hone_status filter_length(interp *in, const call_args *args, value *out) {
    value v;
    int64_t n;
    TRY(ARGS_BIND(args, "length", 1, &v, "object"));
    TRY(value_length(v, &n));
    *out = INT_VALUE(n);
    return v.type == V_TEXT ? spend(in, v.text->n / 8) : HONE_OK;
}

static hone_status filter_first(interp *in, const call_args *args, value *out) {
    list *items;
    TRY(iterate(in, args->positional[0], &items));
    *out = items->n ? items->items[0] : UNDEFINED_VALUE("first item of an empty list");
    return HONE_OK;
}

static hone_status filter_last(interp *in, const call_args *args, value *out) {
    list *items;
    TRY(iterate(in, args->positional[0], &items));
    *out = items->n ? items->items[items->n - 1] : UNDEFINED_VALUE("last item of an empty list");
    return HONE_OK;
}

static hone_status filter_reverse(interp *in, const call_args *args, value *out) {
    list *items;
    value v = args->positional[0];
    TRY(iterate(in, v, &items));
    for (size_t i = 0, j = items->n; i + 1 < j; i++) {
        value swapped = items->items[--j];
        items->items[j] = items->items[i];
        items->items[i] = swapped;
    }
    *out = (value){.type = V_GENERATOR, .list = items};
    if (v.type != V_TEXT) return HONE_OK;
    text_builder made;
    builder_init(&made, in);
    for (size_t i = 0; i < items->n; i++) TRY(builder_add_text(&made, items->items[i].text));
    return builder_finish(&made, out);
}

static hone_status filter_join(interp *in, const call_args *args, value *out) {
    value a[3];
    list *items;
    text_builder made;
    TRY(ARGS_BIND(args, "join", 1, a, "value", "d", "attribute"));
    TRY(iterate(in, a[0], &items));
    builder_init(&made, in);
    for (size_t i = 0; i < items->n; i++) {
        value item = items->items[i];
        if (i && given(a[1])) TRY(print_value(&made, a[1]));
        if (given(a[2])) TRY(item_attribute(in, item, a[2], &item));
        TRY(print_value(&made, item));
    }
    return builder_finish(&made, out);
}

static hone_status filter_sort(interp *in, const call_args *args, value *out) {
    value a[4], *keys;
    list *items;
    TRY(ARGS_BIND(args, "sort", 1, a, "value", "reverse", "case_sensitive", "attribute"));
    TRY(iterate(in, a[0], &items));
    TRY(keys_of(in, items, a[3], a[2], &keys));
    TRY(sort_by_keys(in, items->items, keys, items->n, truth(a[1])));
    *out = (value){.type = V_LIST, .list = items};
    return HONE_OK;
}

static hone_status best(interp *in, const call_args *args, const char *what, int sign, value *out) {
    value a[3], *keys;
    list *items;
    size_t chosen = 0;
    TRY(ARGS_BIND(args, what, 1, a, "value", "case_sensitive", "attribute"));
    TRY(iterate(in, a[0], &items));
    TRY(keys_of(in, items, a[2], a[1], &keys));
    for (size_t i = 1; i < items->n; i++) {
        int order;
        TRY(values_order(in, keys[i], keys[chosen], &order));
        if (order == sign) chosen = i;
    }
    *out = items->n ? items->items[chosen] : UNDEFINED_VALUE("the best of an empty list");
    return HONE_OK;
}

static hone_status filter_min(interp *in, const call_args *args, value *out) {
    return best(in, args, "min", -1, out);
}

static hone_status filter_max(interp *in, const call_args *args, value *out) {
    return best(in, args, "max", 1, out);
}

static hone_status filter_sum(interp *in, const call_args *args, value *out) {
    value a[3];
    list *items;
    TRY(ARGS_BIND(args, "sum", 1, a, "iterable", "attribute", "start"));
    TRY(iterate(in, a[0], &items));
    value total = given(a[2]) ? a[2] : INT_VALUE(0);
    for (size_t i = 0; i < items->n; i++) {
        value item = items->items[i];
        if (given(a[1]) && a[1].type != V_NONE) TRY(item_attribute(in, item, a[1], &item));
        TRY(binary(in, T_ADD, total, item, &total));
    }
    *out = total;
    return HONE_OK;
}

static hone_status filter_unique(interp *in, const call_args *args, value *out) {
    value a[3], seen, *keys;
    list *items;
    TRY(ARGS_BIND(args, "unique", 1, a, "value", "case_sensitive", "attribute"));
    TRY(iterate(in, a[0], &items));
    TRY(keys_of(in, items, a[2], a[1], &keys));
    TRY(dict_new(in, &seen));
    TRY(list_new(in, V_GENERATOR, 0, out));
    for (size_t i = 0; i < items->n; i++) {
        dict_entry *before;
        TRY(dict_find(in, seen.dict, keys[i], &before));
        if (before) continue;
        TRY(dict_put(in, seen.dict, keys[i], NONE_VALUE));
        TRY(list_add(in, out->list, items->items[i]));
    }
    return HONE_OK;
}

/* Items of equal keys, sorted by key: tuples (key, list). */
static hone_status filter_groupby(interp *in, const call_args *args, value *out) {
    value a[4], *keys;
    list *items;
    TRY(ARGS_BIND(args, "groupby", 2, a, "value", "attribute", "default", "case_sensitive"));
    TRY(iterate(in, a[0], &items));
    TRY(keys_of(in, items, a[1], a[3], &keys));
    for (size_t i = 0; i < items->n; i++)
        if (keys[i].type == V_UNDEFINED && given(a[2])) keys[i] = a[2];
    TRY(sort_by_keys(in, items->items, keys, items->n, false));
    TRY(list_new(in, V_LIST, 0, out));
    value group = NONE_VALUE;
    for (size_t i = 0; i < items->n; i++) {
        bool same = false;
        if (i) TRY(values_equal(in, keys[i], keys[i - 1], &same));
        if (!same) {
            value pair, key;
            TRY(item_attribute(in, items->items[i], a[1], &key));
            if (key.type == V_UNDEFINED && given(a[2])) key = a[2];
            TRY(list_new(in, V_LIST, 0, &group));
            TRY(list_new(in, V_TUPLE, 2, &pair));
            TRY(list_add(in, pair.list, key));
            TRY(list_add(in, pair.list, group));
            TRY(list_add(in, out->list, pair));
        }
        TRY(list_add(in, group.list, items->items[i]));
    }
    return HONE_OK;
}

static hone_status filter_batch(interp *in, const call_args *args, value *out) {
    value a[3], row = NONE_VALUE;
    list *items;
    int64_t width;
    TRY(ARGS_BIND(args, "batch", 2, a, "value", "linecount", "fill_with"));
    TRY(expect_integer(a[1], "batch", &width));
    if (width < 1) return misuse("batch of %lld items", (long long)width);
    TRY(iterate(in, a[0], &items));
    TRY(list_new(in, V_GENERATOR, 0, out));
    for (size_t i = 0; i < items->n; i++) {
        if (i % (size_t)width == 0) {
            TRY(list_new(in, V_LIST, 0, &row));
            TRY(list_add(in, out->list, row));
        }
        TRY(list_add(in, row.list, items->items[i]));
    }
    bool fill = items->n && given(a[2]) && a[2].type != V_NONE;
    while (fill && row.list->n < (size_t)width) TRY(list_add(in, row.list, a[2]));
    return HONE_OK;
}

static hone_status filter_slice(interp *in, const call_args *args, value *out) {
    value a[3];
    list *items;
    int64_t slices;
    TRY(ARGS_BIND(args, "slice", 2, a, "value", "slices", "fill_with"));
    TRY(expect_integer(a[1], "slice", &slices));
    if (slices < 1) return misuse("slice into %lld parts", (long long)slices);
    TRY(iterate(in, a[0], &items));
    TRY(list_new(in, V_GENERATOR, 0, out));
    size_t n = (size_t)slices, longer = items->n % n, at = 0;
    for (size_t i = 0; i < n; i++) {
        value part;
        TRY(list_new(in, V_LIST, 0, &part));
        for (size_t j = 0; j < items->n / n + (i < longer); j++)
            TRY(list_add(in, part.list, items->items[at++]));
        if (given(a[2]) && a[2].type != V_NONE && i >= longer && longer)
            TRY(list_add(in, part.list, a[2]));
        TRY(list_add(in, out->list, part));
    }
    return HONE_OK;
}

/* ---- dicts ---- */

static hone_status filter_items(interp *in, const call_args *args, value *out) {
    value v = args->positional[0];
    TRY(list_new(in, V_GENERATOR, 0, out));
    if (v.type == V_UNDEFINED) return HONE_OK;
    if (v.type != V_DICT) return misuse("items: expected a dict, found %s", type_name(v));
    for (size_t i = 0; i < v.dict->n; i++) {
        value pair;
        TRY(list_new(in, V_TUPLE, 2, &pair));
        TRY(list_add(in, pair.list, v.dict->entries[i].key));
        TRY(list_add(in, pair.list, v.dict->entries[i].item));
        TRY(list_add(in, out->list, pair));
    }
    return HONE_OK;
}

static hone_status filter_dictsort(interp *in, const call_args *args, value *out) {
    value a[4], *keys;
    int64_t by = 0;
    TRY(ARGS_BIND(args, "dictsort", 1, a, "value", "case_sensitive", "by", "reverse"));
    if (a[2].type == V_TEXT && text_equals(a[2].text, "value")) by = 1;
    else if (given(a[2]) && !(a[2].type == V_TEXT && text_equals(a[2].text, "key")))
        return misuse("dictsort: by is neither \"key\" nor \"value\"");
    call_args self = {.positional = a, .n = 1};
    TRY(filter_items(in, &self, out));
    out->type = V_LIST;
    TRY(keys_of(in, out->list, INT_VALUE(by), a[1], &keys));
    return sort_by_keys(in, out->list->items, keys, out->list->n, truth(a[3]));
}

/* ---- filters that apply filters and tests ---- */

/* These take whatever is false for an empty list. */
static hone_status iterate_if_true(interp *in, value v, list **out) {
    return iterate(in, truth(v) ? v : UNDEFINED_VALUE(NULL), out);
}

/* The arguments from `first` on, behind room for the value that they are applied to. */
static hone_status rest_of(interp *in, const call_args *args, size_t first, call_args *out) {
    size_t n = args->n > first ? args->n - first : 0;
    *out = *args;
    out->positional = arena_alloc(&in->arena, n + 1, sizeof *out->positional);
    if (!out->positional) return HONE_ERR_MEMORY;
    if (n) memcpy(out->positional + 1, args->positional + first, n * sizeof *out->positional);
    out->n = n + 1;
    return HONE_OK;
}

static hone_status find_by_value(value name, const char *what, const builtin *(*find)(const char *),
                                 const builtin **out) {
    const text *t;
    char word[32] = {0};
    TRY(expect_text(name, what, &t));
    if (t->n < sizeof word) memcpy(word, t->bytes, t->n);
    *out = find(word);
    return *out ? HONE_OK : fail(HONE_ERR_UNSUPPORTED, "no %s named \"%.*s\"", what,
                                 t->n < 40 ? (int)t->n : 40, t->bytes);
}

static hone_status map_attribute(interp *in, const call_args *args, const list *items, list *out) {
    value a[3];
    TRY(ARGS_BIND(args, "map", 1, a, "value", "attribute", "default"));
    for (size_t i = 0; i < items->n; i++) {
        value item;
        TRY(item_attribute(in, items->items[i], a[1], &item));
        if (item.type == V_UNDEFINED && given(a[2])) item = a[2];
        TRY(list_add(in, out, item));
    }
    return HONE_OK;
}

static hone_status filter_map(interp *in, const call_args *args, value *out) {
    list *items;
    const builtin *filter;
    call_args rest;
    TRY(iterate_if_true(in, args->positional[0], &items));
    TRY(list_new(in, V_GENERATOR, items->n, out));
    if (args->n == 1 && args->n_named) return map_attribute(in, args, items, out->list);
    if (args->n < 2) return misuse("map needs a filter or an attribute");
    TRY(find_by_value(args->positional[1], "filter", filter_find, &filter));
    TRY(rest_of(in, args, 2, &rest));
    for (size_t i = 0; i < items->n; i++) {
        value item;
        TRY(enter(in));
        rest.positional[0] = items->items[i];
        TRY(filter->call(in, &rest, &item));
        leave(in);
        TRY(list_add(in, out->list, item));
    }
    return HONE_OK;
}

/* select, reject and their attr forms: keeps what the test says `wanted` to. */
static hone_status select_items(interp *in, const call_args *args, bool by_attribute, bool wanted,
                                value *out) {
    list *items;
    const builtin *test = NULL;
    call_args rest;
    size_t at = by_attribute ? 2 : 1;
    TRY(iterate_if_true(in, args->positional[0], &items));
    if (by_attribute && args->n < 2) return misuse("selectattr and rejectattr need an attribute");
    if (args->n > at) TRY(find_by_value(args->positional[at], "test", test_find, &test));
    TRY(rest_of(in, args, at + 1, &rest));
    TRY(list_new(in, V_GENERATOR, 0, out));
    for (size_t i = 0; i < items->n; i++) {
        value tested = items->items[i];
        if (by_attribute) TRY(item_attribute(in, tested, args->positional[1], &tested));
        if (test) {
            rest.positional[0] = tested;
            TRY(test->call(in, &rest, &tested));
        }
        if (truth(tested) == wanted) TRY(list_add(in, out->list, items->items[i]));
    }
    return HONE_OK;
}

static hone_status filter_select(interp *in, const call_args *args, value *out) {
    return select_items(in, args, false, true, out);
}

static hone_status filter_reject(interp *in, const call_args *args, value *out) {
    return select_items(in, args, false, false, out);
}

static hone_status filter_selectattr(interp *in, const call_args *args, value *out) {
    return select_items(in, args, true, true, out);
}

static hone_status filter_rejectattr(interp *in, const call_args *args, value *out) {
    return select_items(in, args, true, false, out);
}

/* ---- single values ---- */

static hone_status filter_default(interp *in, const call_args *args, value *out) {
    value a[3];
    TRY(ARGS_BIND(args, "default", 1, a, "value", "default_value", "boolean"));
    bool replace = a[0].type == V_UNDEFINED || (truth(a[2]) && !truth(a[0]));
    *out = replace ? a[1] : a[0];
    return out->type == V_MISSING ? text_new(in, "", 0, FROM_TEMPLATE, out) : HONE_OK;
}

static hone_status filter_attr(interp *in, const call_args *args, value *out) {
    value a[2];
    const text *name;
    TRY(ARGS_BIND(args, "attr", 2, a, "obj", "name"));
    TRY(expect_text(a[1], "attr", &name));
    char *copy = arena_alloc(&in->arena, name->n + 1, 1);
    if (!copy) return HONE_ERR_MEMORY;
    memcpy(copy, name->bytes, name->n);
    if (a[0].type == V_DICT && !method_find(V_DICT, copy)) { /* no look-up of keys */
        *out = UNDEFINED_VALUE(copy);
        return HONE_OK;
    }
    return get_attribute(in, a[0], copy, out);
}

static hone_status filter_abs(interp *in, const call_args *args, value *out) {
    value v = args->positional[0];
    int64_t i;
    if (as_integer(v, &i)) {
        *out = INT_VALUE(i);
        return i < 0 ? binary(in, T_SUB, INT_VALUE(0), *out, out) : HONE_OK;
    }
    if (v.type != V_FLOAT) return misuse("abs: expected a number, found %s", type_name(v));
    *out = FLOAT_VALUE(fabs(v.real));
    return HONE_OK;
}

static bool real_to_integer(double d, int64_t *out) {
    if (!(d > -9.2e18 && d < 9.2e18)) return false;
    *out = (int64_t)d;
    return true;
}

static hone_status filter_int(interp *in, const call_args *args, value *out) {
    value a[3];
    int64_t i, base = 10;
    double d;
    (void)in;
    TRY(ARGS_BIND(args, "int", 1, a, "value", "default", "base"));
    if (given(a[2])) TRY(expect_integer(a[2], "int", &base));
    if (a[0].type == V_UNDEFINED)
        return misuse("int: '%s' is undefined", a[0].name ? a[0].name : "?");
    bool good = as_integer(a[0], &i) || (a[0].type == V_FLOAT && real_to_integer(a[0].real, &i));
    if (a[0].type == V_TEXT)
        good = (base >= 0 && base <= 36 && text_to_integer(a[0].text, (int)base, &i)) ||
               (text_to_real(a[0].text, &d) && real_to_integer(d, &i));
    *out = good ? INT_VALUE(i) : given(a[1]) ? a[1] : INT_VALUE(0);
    return HONE_OK;
}

static hone_status filter_float(interp *in, const call_args *args, value *out) {
    value a[2];
    double d = 0;
    (void)in;
    TRY(ARGS_BIND(args, "float", 1, a, "value", "default"));
    if (a[0].type == V_UNDEFINED)
        return misuse("float: '%s' is undefined", a[0].name ? a[0].name : "?");
    bool good = is_number(a[0]);
    if (good) d = as_real(a[0]);
    if (a[0].type == V_TEXT) good = text_to_real(a[0].text, &d);
    *out = good ? FLOAT_VALUE(d) : given(a[1]) ? a[1] : FLOAT_VALUE(0);
    return HONE_OK;
}

static hone_status filter_round(interp *in, const call_args *args, value *out) {
    value a[3];
    int64_t digits = 0;
    (void)in;
    TRY(ARGS_BIND(args, "round", 1, a, "value", "precision", "method"));
    if (given(a[1])) TRY(expect_integer(a[1], "round", &digits));
    if (!is_number(a[0])) return misuse("round: expected a number, found %s", type_name(a[0]));
    if (digits < -15 || digits > 15) return misuse("round: precision %lld", (long long)digits);
    bool up = a[2].type == V_TEXT && text_equals(a[2].text, "ceil");
    bool down = a[2].type == V_TEXT && text_equals(a[2].text, "floor");
    double d = as_real(a[0]), scale = pow(10, (double)digits);
    *out = a[0];
    if (up || down) *out = FLOAT_VALUE((up ? ceil(d * scale) : floor(d * scale)) / scale);
    if (up || down || a[0].type != V_FLOAT || !isfinite(d)) return HONE_OK;
    char exact[400]; /* printf rounds the exact value, as Python does */
    snprintf(exact, sizeof exact, "%.*f", digits > 0 ? (int)digits : 0,
             digits < 0 ? d * scale : d);
    *out = FLOAT_VALUE(strtod(exact, NULL) / (digits < 0 ? scale : 1));
    return HONE_OK;
}

/* ---- JSON ---- */

static hone_status json_indent(interp *in, value v, const text **out) {
    value made;
    int64_t width;
    *out = NULL;
    if (!given(v) || v.type == V_NONE) return HONE_OK;
    if (v.type == V_TEXT) {
        *out = v.text;
        return HONE_OK;
    }
    static const text blank = {.bytes = " ", .n = 1};
    TRY(expect_integer(v, "tojson indent", &width));
    TRY(text_repeat(in, &blank, width, &made));
    *out = made.text;
    return HONE_OK;
}

static hone_status filter_tojson(interp *in, const call_args *args, value *out) {
    static const text comma = {.bytes = ",", .n = 1}, comma_blank = {.bytes = ", ", .n = 2},
                      colon_blank = {.bytes = ": ", .n = 2};
    value a[5];
    TRY(ARGS_BIND(args, "tojson", 1, a, "value", "ensure_ascii", "indent", "separators",
                  "sort_keys"));
    json_style style = {.ensure_ascii = truth(a[1]), .sort_keys = truth(a[4]),
                        .key_separator = &colon_blank};
    TRY(json_indent(in, a[2], &style.indent));
    style.item_separator = style.indent ? &comma : &comma_blank;
    if (given(a[3]) && a[3].type != V_NONE) {
        bool two = (a[3].type == V_TUPLE || a[3].type == V_LIST) && a[3].list->n == 2;
        if (!two) return misuse("tojson: separators are two strings");
        TRY(expect_text(a[3].list->items[0], "tojson separators", &style.item_separator));
        TRY(expect_text(a[3].list->items[1], "tojson separators", &style.key_separator));
    }
    text_builder made;
    builder_init(&made, in);
    TRY(json_print(&made, a[0], &style));
    return builder_finish(&made, out);
}

static const builtin filters[] = {
    {"abs", filter_abs},         {"attr", filter_attr},       {"batch", filter_batch},
    {"count", filter_length},    {"d", filter_default},       {"default", filter_default},
    {"dictsort", filter_dictsort}, {"first", filter_first},   {"float", filter_float},
    {"groupby", filter_groupby}, {"int", filter_int},         {"items", filter_items},
    {"join", filter_join},       {"last", filter_last},       {"length", filter_length},
    {"list", filter_list},       {"map", filter_map},         {"max", filter_max},
    {"min", filter_min},         {"reject", filter_reject},   {"rejectattr", filter_rejectattr},
    {"reverse", filter_reverse}, {"round", filter_round},     {"select", filter_select},
    {"selectattr", filter_selectattr}, {"slice", filter_slice}, {"sort", filter_sort},
    {"sum", filter_sum},         {"tojson", filter_tojson},   {"unique", filter_unique},
    {NULL, NULL},
};

const builtin *builtin_find(const builtin *table, const char *name) {
    for (; table->name; table++)
        if (strcmp(table->name, name) == 0) return table;
    return NULL;
}

const builtin *filter_find(const char *name) {
    const builtin *found = builtin_find(filters, name);
    return found ? found : builtin_find(text_filters, name);
}
