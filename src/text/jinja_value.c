/* What values are and how they compare, as in Python. */
#include <math.h>
#include <string.h>

#include "text/jinja_int.h"

const char *type_name(value v) {
    switch (v.type) {
    case V_MISSING: break;
    case V_UNDEFINED: return "undefined";
    case V_NONE: return "none";
    case V_BOOL: return "boolean";
    case V_INT: return "integer";
    case V_FLOAT: return "float";
    case V_TEXT: return "string";
    case V_LIST: return "list";
    case V_TUPLE: return "tuple";
    case V_DICT: return "dict";
    case V_GENERATOR: return "generator";
    case V_NAMESPACE: return "namespace";
    case V_LOOP: return "loop";
    case V_MACRO: return "macro";
    case V_FUNCTION: return "function";
    case V_METHOD: return "method";
    }
    return "nothing";
}

bool truth(value v) {
    switch (v.type) {
    case V_MISSING:
    case V_UNDEFINED:
    case V_NONE: return false;
    case V_BOOL: return v.boolean;
    case V_INT: return v.integer != 0;
    case V_FLOAT: return v.real != 0;
    case V_TEXT: return v.text->n > 0;
    case V_LIST:
    case V_TUPLE: return v.list->n > 0;
    case V_DICT: return v.dict->n > 0;
    default: return true;
    }
}

bool is_number(value v) { return v.type == V_BOOL || v.type == V_INT || v.type == V_FLOAT; }

bool as_integer(value v, int64_t *out) {
    if (v.type != V_BOOL && v.type != V_INT) return false;
    *out = v.type == V_BOOL ? v.boolean : v.integer;
    return true;
}

double as_real(value v) {
    int64_t i;
    return as_integer(v, &i) ? (double)i : v.real;
}

hone_status expect_text(value v, const char *what, const text **out) {
    if (v.type == V_UNDEFINED && v.name) return misuse("'%s' is undefined", v.name);
    if (v.type != V_TEXT) return misuse("%s: expected a string, found %s", what, type_name(v));
    *out = v.text;
    return HONE_OK;
}

hone_status expect_integer(value v, const char *what, int64_t *out) {
    if (v.type == V_UNDEFINED && v.name) return misuse("'%s' is undefined", v.name);
    if (!as_integer(v, out)) return misuse("%s: expected an integer, found %s", what, type_name(v));
    return HONE_OK;
}

/* ---- equality and order ---- */

static int compare_numbers(value a, value b) { /* 2: one of them is not a number (NaN) */
    int64_t i, j;
    if (as_integer(a, &i) && as_integer(b, &j)) return (i > j) - (i < j);
    double x = as_real(a), y = as_real(b);
    if (isnan(x) || isnan(y)) return 2;
    return (x > y) - (x < y);
}

static int compare_texts(const text *a, const text *b) {
    size_t n = a->n < b->n ? a->n : b->n;
    int order = n ? memcmp(a->bytes, b->bytes, n) : 0; /* UTF-8 sorts as code points do */
    return order ? (order > 0) - (order < 0) : (a->n > b->n) - (a->n < b->n);
}

static hone_status lists_equal(interp *in, const list *a, const list *b, bool *out) {
    *out = a->n == b->n;
    for (size_t i = 0; *out && i < a->n; i++) TRY(values_equal(in, a->items[i], b->items[i], out));
    return HONE_OK;
}

static hone_status dicts_equal(interp *in, const dict *a, const dict *b, bool *out) {
    *out = a->n == b->n;
    for (size_t i = 0; *out && i < a->n; i++) {
        dict_entry *other;
        TRY(dict_find(in, b, a->entries[i].key, &other));
        *out = other != NULL;
        if (other) TRY(values_equal(in, a->entries[i].item, other->item, out));
    }
    return HONE_OK;
}

hone_status values_equal(interp *in, value a, value b, bool *out) {
    TRY(spend(in, 1));
    if (is_number(a) && is_number(b)) {
        *out = compare_numbers(a, b) == 0;
        return HONE_OK;
    }
    *out = false;
    if (a.type != b.type) return HONE_OK;
    switch (a.type) {
    case V_UNDEFINED:
    case V_NONE: *out = true; return HONE_OK;
    case V_TEXT:
        *out = a.text->n == b.text->n && compare_texts(a.text, b.text) == 0;
        return spend(in, a.text->n / 64);
    case V_LIST:
    case V_TUPLE:
    case V_DICT: break;
    default: *out = a.loop == b.loop; return HONE_OK; /* the same thing, whatever it is */
    }
    TRY(enter(in));
    if (a.type == V_DICT) TRY(dicts_equal(in, a.dict, b.dict, out));
    else TRY(lists_equal(in, a.list, b.list, out));
    leave(in);
    return HONE_OK;
}

hone_status values_order(interp *in, value a, value b, int *out) {
    TRY(spend(in, 1));
    if (is_number(a) && is_number(b)) {
        *out = compare_numbers(a, b);
        return HONE_OK;
    }
    if (a.type == V_TEXT && b.type == V_TEXT) {
        *out = compare_texts(a.text, b.text);
        return spend(in, (a.text->n < b.text->n ? a.text->n : b.text->n) / 64);
    }
    if (a.type == V_UNDEFINED || b.type == V_UNDEFINED) {
        const char *name = a.type == V_UNDEFINED ? a.name : b.name;
        return misuse("'%s' is undefined", name ? name : "?");
    }
    if (a.type != b.type || (a.type != V_LIST && a.type != V_TUPLE))
        return misuse("no order between %s and %s", type_name(a), type_name(b));
    TRY(enter(in));
    size_t i = 0;
    for (bool equal = true; i < a.list->n && i < b.list->n; i++) {
        TRY(values_equal(in, a.list->items[i], b.list->items[i], &equal));
        if (!equal) break;
    }
    if (i < a.list->n && i < b.list->n)
        TRY(values_order(in, a.list->items[i], b.list->items[i], out));
    else
        *out = (a.list->n > b.list->n) - (a.list->n < b.list->n);
    leave(in);
    return HONE_OK;
}

hone_status value_contains(interp *in, value container, value item, bool *out) {
    *out = false;
    switch (container.type) {
    case V_UNDEFINED: return HONE_OK;
    case V_TEXT: {
        const text *needle;
        TRY(expect_text(item, "in", &needle));
        *out = text_find(container.text, 0, needle) <= container.text->n;
        return spend(in, container.text->n / 16);
    }
    case V_LIST:
    case V_TUPLE:
        for (size_t i = 0; !*out && i < container.list->n; i++)
            TRY(values_equal(in, container.list->items[i], item, out));
        return HONE_OK;
    case V_DICT: {
        dict_entry *entry;
        TRY(dict_find(in, container.dict, item, &entry));
        *out = entry != NULL;
        return HONE_OK;
    }
    case V_GENERATOR: {
        list *items;
        TRY(iterate(in, container, &items));
        return value_contains(in, (value){.type = V_LIST, .list = items}, item, out);
    }
    default: return misuse("in: %s contains nothing", type_name(container));
    }
}

hone_status value_length(value v, int64_t *out) {
    switch (v.type) {
    case V_UNDEFINED: *out = 0; return HONE_OK;
    case V_TEXT: *out = (int64_t)text_length(v.text); return HONE_OK;
    case V_LIST:
    case V_TUPLE: *out = (int64_t)v.list->n; return HONE_OK;
    case V_DICT: *out = (int64_t)v.dict->n; return HONE_OK;
    case V_LOOP: *out = (int64_t)v.loop->items->n; return HONE_OK;
    default: return misuse("%s has no length", type_name(v));
    }
}

/* ---- lists ---- */

hone_status list_new(interp *in, value_type type, size_t capacity, value *out) {
    list *l = arena_alloc(&in->arena, 1, sizeof *l);
    if (!l) return HONE_ERR_MEMORY;
    if (capacity) {
        l->items = arena_alloc(&in->arena, capacity, sizeof *l->items);
        if (!l->items) return HONE_ERR_MEMORY;
        l->capacity = capacity;
    }
    *out = (value){.type = type, .list = l};
    return HONE_OK;
}

hone_status list_add(interp *in, list *l, value v) {
    TRY(spend(in, 1));
    if (l->n == l->capacity) {
        size_t capacity = l->capacity ? l->capacity * 2 : 8;
        value *items = arena_grow(&in->arena, l->items, l->n * sizeof *items,
                                        capacity * sizeof *items);
        if (!items) return HONE_ERR_MEMORY;
        l->items = items;
        l->capacity = capacity;
    }
    l->items[l->n++] = v;
    return HONE_OK;
}

static hone_status add_characters(interp *in, const text *t, list *l) {
    for (size_t at = 0, n; at < t->n; at += n) {
        value c;
        n = char_bytes(t, at);
        TRY(text_slice(in, t, at, at + n, &c));
        TRY(list_add(in, l, c));
    }
    return HONE_OK;
}

hone_status iterate(interp *in, value v, list **out) {
    value made;
    TRY(list_new(in, V_LIST, 0, &made));
    *out = made.list;
    switch (v.type) {
    case V_UNDEFINED: return HONE_OK;
    case V_LIST:
    case V_TUPLE:
        for (size_t i = 0; i < v.list->n; i++) TRY(list_add(in, *out, v.list->items[i]));
        return HONE_OK;
    case V_GENERATOR:
        **out = *v.list;
        *v.list = (list){0};
        return HONE_OK;
    case V_DICT:
        for (size_t i = 0; i < v.dict->n; i++) TRY(list_add(in, *out, v.dict->entries[i].key));
        return HONE_OK;
    case V_TEXT: return add_characters(in, v.text, *out);
    default: return misuse("%s cannot be iterated", type_name(v));
    }
}

/* Merge sort of the positions begin … end − 1 by key. */
static hone_status merge_sort(interp *in, const value *keys, uint32_t *at, uint32_t *scratch,
                              size_t n, bool reverse) {
    if (n < 2) return HONE_OK;
    size_t half = n / 2, left = 0, right = half;
    TRY(merge_sort(in, keys, at, scratch, half, reverse));
    TRY(merge_sort(in, keys, at + half, scratch, n - half, reverse));
    for (size_t i = 0; i < n; i++) {
        int order = -1;
        if (left < half && right < n)
            TRY(values_order(in, keys[at[left]], keys[at[right]], &order));
        if (order == 2) order = 0; /* NaN: leave them as they stand */
        if (reverse) order = -order;
        bool from_left = left < half && (right == n || order <= 0);
        scratch[i] = from_left ? at[left++] : at[right++];
    }
    memcpy(at, scratch, n * sizeof *at);
    return HONE_OK;
}

hone_status sort_by_keys(interp *in, value *items, value *keys, size_t n, bool reverse) {
    uint32_t *at = arena_alloc(&in->arena, n, 2 * sizeof *at);
    value *sorted = arena_alloc(&in->arena, n, 2 * sizeof *sorted);
    if (!at || !sorted) return HONE_ERR_MEMORY;
    for (size_t i = 0; i < n; i++) at[i] = (uint32_t)i;
    TRY(merge_sort(in, keys, at, at + n, n, reverse));
    for (size_t i = 0; i < n; i++) {
        sorted[i] = items[at[i]];
        sorted[n + i] = keys[at[i]];
    }
    if (n) memcpy(items, sorted, n * sizeof *items);
    if (n) memcpy(keys, sorted + n, n * sizeof *keys);
    return HONE_OK;
}

/* ---- dicts ---- */

enum { SMALL_DICT = 8 };

hone_status dict_new(interp *in, value *out) {
    dict *d = arena_alloc(&in->arena, 1, sizeof *d);
    if (!d) return HONE_ERR_MEMORY;
    *out = (value){.type = V_DICT, .dict = d};
    return HONE_OK;
}

static uint32_t mix(uint64_t bits) {
    bits *= 0x9E3779B97F4A7C15u;
    return (uint32_t)(bits ^ bits >> 32);
}

/* Not seeded: keys that are made to collide only use up the steps of their own render. */
static hone_status hash(interp *in, value v, uint32_t *out) {
    uint64_t h = v.type;
    if (is_number(v)) {
        double d = as_real(v);
        if (d == 0) d = 0; /* -0.0 and 0 are one key */
        memcpy(&h, &d, sizeof h);
    } else if (v.type == V_TEXT) {
        TRY(spend(in, v.text->n / 64));
        for (size_t i = 0; i < v.text->n; i++) h = (h ^ (uint8_t)v.text->bytes[i]) * 0x100000001B3u;
    } else if (v.type == V_TUPLE) {
        TRY(enter(in));
        for (size_t i = 0; i < v.list->n; i++) {
            uint32_t part;
            TRY(spend(in, 1));
            TRY(hash(in, v.list->items[i], &part));
            h = (h ^ part) * 0x100000001B3u;
        }
        leave(in);
    } else if (v.type == V_LIST || v.type == V_DICT || v.type == V_NAMESPACE) {
        return misuse("%s cannot be a key of a dict", type_name(v));
    }
    *out = mix(h);
    return HONE_OK;
}

static hone_status same_key(interp *in, const dict_entry *e, value key, uint32_t hashed,
                            bool *out) {
    *out = false;
    TRY(spend(in, 1));
    return e->hash == hashed ? values_equal(in, e->key, key, out) : HONE_OK;
}

static hone_status find_hashed(interp *in, const dict *d, value key, uint32_t hashed,
                               dict_entry **out) {
    bool same;
    *out = NULL;
    if (!d->slots) {
        for (size_t i = 0; i < d->n; i++) {
            TRY(same_key(in, &d->entries[i], key, hashed, &same));
            if (same) *out = &d->entries[i];
        }
        return HONE_OK;
    }
    for (size_t i = hashed & (d->n_slots - 1); d->slots[i]; i = (i + 1) & (d->n_slots - 1)) {
        dict_entry *e = &d->entries[d->slots[i] - 1];
        TRY(same_key(in, e, key, hashed, &same));
        if (!same) continue;
        *out = e;
        return HONE_OK;
    }
    return HONE_OK;
}

hone_status dict_find(interp *in, const dict *d, value key, dict_entry **out) {
    uint32_t hashed;
    TRY(hash(in, key, &hashed));
    return find_hashed(in, d, key, hashed, out);
}

/* Slots for at least twice the entries there are. */
static hone_status build_slots(interp *in, dict *d) {
    size_t n_slots = 4 * SMALL_DICT;
    while (n_slots < 4 * d->n) n_slots *= 2;
    uint32_t *slots = arena_alloc(&in->arena, n_slots, sizeof *slots);
    if (!slots) return HONE_ERR_MEMORY;
    for (size_t e = 0; e < d->n; e++) {
        size_t i = d->entries[e].hash & (n_slots - 1);
        for (; slots[i]; i = (i + 1) & (n_slots - 1)) TRY(spend(in, 1));
        slots[i] = (uint32_t)e + 1;
    }
    d->slots = slots;
    d->n_slots = n_slots;
    return HONE_OK;
}

hone_status dict_put(interp *in, dict *d, value key, value item) {
    uint32_t hashed;
    dict_entry *entry;
    TRY(hash(in, key, &hashed));
    TRY(find_hashed(in, d, key, hashed, &entry));
    if (entry) {
        entry->item = item;
        return HONE_OK;
    }
    if (d->n == d->capacity) {
        size_t capacity = d->capacity ? d->capacity * 2 : SMALL_DICT;
        dict_entry *entries = arena_grow(&in->arena, d->entries, d->n * sizeof *entries,
                                               capacity * sizeof *entries);
        if (!entries) return HONE_ERR_MEMORY;
        d->entries = entries;
        d->capacity = capacity;
    }
    d->entries[d->n++] = (dict_entry){.key = key, .item = item, .hash = hashed};
    if (d->n <= SMALL_DICT) return HONE_OK;
    if (d->n > d->n_slots / 2) return build_slots(in, d);
    size_t i = hashed & (d->n_slots - 1);
    for (; d->slots[i]; i = (i + 1) & (d->n_slots - 1)) TRY(spend(in, 1));
    d->slots[i] = (uint32_t)d->n;
    return HONE_OK;
}

hone_status dict_remove(interp *in, dict *d, dict_entry *entry) {
    size_t at = (size_t)(entry - d->entries);
    TRY(spend(in, d->n));
    memmove(entry, entry + 1, (d->n - at - 1) * sizeof *entry);
    d->n--;
    d->slots = NULL;
    d->n_slots = 0;
    return d->n > SMALL_DICT ? build_slots(in, d) : HONE_OK;
}

value *dict_get_name(const dict *d, const char *name) {
    for (size_t i = 0; i < d->n; i++)
        if (d->entries[i].key.type == V_TEXT && text_equals(d->entries[i].key.text, name))
            return &d->entries[i].item;
    return NULL;
}

hone_status dict_put_name(interp *in, dict *d, const char *name, value item) {
    value key;
    TRY(text_copy(in, name, strlen(name), FROM_TEMPLATE, &key));
    return dict_put(in, d, key, item);
}
